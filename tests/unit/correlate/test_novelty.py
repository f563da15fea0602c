"""Values that were never seen before, by tables of windows: what fires, what is known, what is forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from streams.correlate.novelty import MAX_VALUES, Novelty
from streams.correlate.operator import CorrelateOperator
from streams.domain.alert import AlertTransition
from streams.domain.series import Series
from tests.unit.correlate.scenes import QUIET, anomaly, of, rule
from tests.unit.window_batches import EPOCH, WINDOW, batch

LEARN = 360
"""Windows in the hour that NewErrorType learns."""
WEEK = 7 * 24 * 360


def error(name: str, agent: str = "a1", service: str = "planning") -> Series:
    others = {"agent.id": agent, "service.name": service}
    found = of("agents.errors", error_type=name)
    return replace(found, labels=tuple((label, others.get(label, value)) for label, value in found.labels))


def play(errors: Mapping[int, Sequence[Series]], until: int, operator: CorrelateOperator | None = None) -> list[str]:
    """Windows that have errors (and the last); "number error_type state" of each transition, by its event time."""
    operator = operator or CorrelateOperator([rule("NewErrorType")])
    made: list[AlertTransition] = []
    for number in sorted({*errors, until}):
        rows = {**QUIET(number), **{one: [1.0] for one in errors.get(number, ())}}
        made += operator.apply(batch(number, rows))
        made += operator.advance(EPOCH + (number + 1) * WINDOW)
    return [f"{(t.at_ns - EPOCH) // WINDOW - 1} {t.identity['error_type']} {t.state}" for t in made]


@pytest.mark.parametrize(
    ("errors", "told"),
    [
        pytest.param({0: ["a"], 360: ["b"]}, ["360 b firing", "391 b resolved"], id="new after an hour"),
        pytest.param({0: ["a"], 359: ["b"], 500: ["b"]}, [], id="new within the hour that is learned"),
        pytest.param({0: ["a"], 360: ["b"], 362: ["b"]}, ["360 b firing", "391 b resolved"], id="known from then on"),
        pytest.param({0: ["a"], 400: ["a"], 500: ["a"]}, [], id="nothing new"),
        pytest.param({0: ["a", "b"], WEEK - 1: ["a"]}, [], id="not forgotten within a week"),
        pytest.param({0: ["a"], WEEK: ["a"]}, [f"{WEEK} a firing", f"{WEEK + 31} a resolved"], id="forgotten"),
        pytest.param({0: ["a"], 400: [""]}, [], id="no value, no news"),
    ],
)
def test_news(errors: dict[int, list[str]], told: list[str]) -> None:
    last = max(errors) + 60
    assert play({n: [error(name) for name in names] for n, names in errors.items()}, last) == told


def test_a_service_knows_together_and_each_agent_is_told_of_by_itself() -> None:
    first = {0: [error("a", "a1")], 400: [error("a", "a2")]}
    assert play(first, 450) == []
    both = {0: [error("a", "a1")], 400: [error("b", "a1"), error("b", "a2")], 401: [error("b", "a3")]}
    assert [line for line in play(both, 402) if "firing" in line] == ["400 b firing"]


def test_a_snapshot_remembers() -> None:
    one, two = CorrelateOperator([rule("NewErrorType")]), CorrelateOperator([rule("NewErrorType")])
    play({0: [error("a")], 400: [error("b")]}, 401, one)
    two.restore(one.snapshot())
    assert two.snapshot() == one.snapshot()
    assert play({410: [error("a"), error("b")]}, 480, two) == ["431 b resolved"]


def test_a_memory_is_bounded_by_values_and_memories_by_number() -> None:
    novelty = Novelty([replace(rule("NewErrorType"), learn_seconds=0.0)], 2, WINDOW)
    list(novelty.apply(batch(0, {error("oldest"): [1.0]})))
    list(novelty.apply(batch(1, {error(f"e{n}"): [1.0] for n in range(MAX_VALUES)})))
    (known,) = novelty.memories.values()
    assert (len(known.values), "oldest" in known.values) == (MAX_VALUES, False)
    for number, service in enumerate(("one", "two", "three")):
        list(novelty.apply(batch(number, {error("a", service=service): [1.0]})))
    assert (len(novelty.memories), novelty.evicted_total) == (2, 2)


@pytest.mark.parametrize(
    ("metric", "value", "names"),
    [
        ("gen_ai.client.token.usage", 50.0, {"TokenSpendAnomaly"}),
        ("gen_ai.client.token.usage", 1.0, {"MetricAnomaly"}),
        ("agents.memory", 50.0, {"MetricAnomaly"}),
    ],
)
def test_an_anomaly_belongs_to_the_rule_that_names_its_series_and_side(
    metric: str, value: float, names: set[str]
) -> None:
    operator = CorrelateOperator([rule("MetricAnomaly"), rule("TokenSpendAnomaly")])
    which = of(metric, "histogram", "{token}")
    made = [t for number in range(5) for t in operator.observe([anomaly(number, which, value=value)])]
    assert {t.alertname for t in made} == names
