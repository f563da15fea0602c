"""The part that adds up use: any crash gives the same figures; windows of the step's size give its records."""

from __future__ import annotations

import itertools

import pytest
from prometheus_client import CollectorRegistry

from streams import topics
from streams.app.alerts import AlertsPart
from streams.app.capacity import CapacityPart, step_seconds
from streams.correlate.operator import CorrelateOperator
from streams.detect.capacity import CapacityOperator, Users
from streams.detect.operator import DetectOperator
from streams.domain.capacity import Capacity, Outlook, decode_uses, encode_uses
from streams.domain.expected import Expected
from streams.domain.window import encode_window_batch, split
from streams.publish.capacity import CapacityCollector
from streams.publish.deadletter import read_dead_letter
from streams.publish.expected import BANDS, ExpectedCollector
from tests.unit.detect.test_capacity import AGENTS, STEP_NS, part
from tests.unit.window_batches import WINDOW, batch, series
from tests.wiring.line import Line, Record
from tests.wiring.test_parts import bands, shares, vectors


def uses() -> list[Record]:
    parts = [part(n, 10 + 0.2 * n, source) for n in range(60) for source in ("t/0/0", "t/1/0")]
    values = [(encode_uses(one), one.end_ns // 10**6) for one in parts]
    values.insert(31, (b"{}", values[31][1]))
    return [Record(value, n, said_ms, topic=topics.CAPACITY) for n, (value, said_ms) in enumerate(values)]


def capacity_part() -> CapacityPart:
    return CapacityPart(topics.CAPACITY, 0, CapacityOperator((AGENTS,), STEP_NS))


def figures(line: Line) -> list[Capacity]:
    assert isinstance(line.part, CapacityPart)
    return line.part.operator.capacities()


@pytest.mark.parametrize("crash", range(0, 40, 3))
def test_a_crash_after_any_delivery_changes_nothing(monkeypatch: pytest.MonkeyPatch, crash: int) -> None:
    monkeypatch.setattr("streams.app.capacity.SNAPSHOT_STEPS", 2)
    log = uses()
    calm, crashed = Line(log, capacity_part), Line(log, capacity_part, [crash, crash // 2])
    calm.run(itertools.repeat(len(log)), 0)
    crashed.run(itertools.cycle((3, 1, 5)), 2)
    assert crashed.lives == 3
    assert figures(crashed) == figures(calm)
    (found,) = figures(calm)
    assert found.outlook is not None
    assert found.used_ratio == pytest.approx(2 * (10 + 0.2 * 58) / 50)
    assert {read_dead_letter(r).reason for r in crashed.topics[topics.DEAD_LETTERS]} == {"not_a_use"}


def test_windows_of_the_step_say_what_they_use_record_by_record() -> None:
    rows = {series("agents.active", environment="prod", agent__id=str(n)): [1] for n in range(5)}
    windows = [
        piece
        for size in (WINDOW, STEP_NS)
        for piece in split(batch(0, rows, partition=3, window_ns=size), max_series=2)
    ]
    log = [Record(encode_window_batch(one), n, 0, topic=topics.WINDOWS) for n, one in enumerate(windows)]
    line = Line(
        log,
        lambda: AlertsPart(
            topics.WINDOWS,
            3,
            make_detect=DetectOperator,
            make_correlate=lambda: CorrelateOperator(()),
            notify=lambda _: None,
            resume=lambda _: None,
            snapshot_every=10,
            pane_ns=WINDOW,
            detector="novelty",
            make_bands=bands,
            make_ratios=shares,
            make_vectors=vectors,
            users=Users((AGENTS,)),
            step_ns=STEP_NS,
        ),
    )
    line.run(itertools.repeat(2), 0)
    made = [decode_uses(record.value or b"") for record in line.topics[topics.CAPACITY]]
    assert [one.source for one in made] == [f"agents.metrics/3/{chunk}" for chunk in range(3)]
    assert sum(use.value for one in made for use in one.uses) == 5.0


def test_steps_are_the_longest_windows_that_are_not_too_long() -> None:
    assert step_seconds((10, 60, 300)) == 300
    assert step_seconds((10, 60, 300, 3600)) == 300
    assert step_seconds((600, 1200)) == 600


def test_what_prometheus_reads() -> None:
    labels = (("agent.id", "a1"), ("environment", ""))
    said = [Capacity("memory", labels, 0.25, Outlook(60.0, 300.0, float("inf"))), Capacity("disk", (), 0.5, None)]
    registry = CollectorRegistry()
    registry.register(CapacityCollector(lambda: said))
    where = {"resource": "memory", "agent_id": "a1"}
    assert registry.get_sample_value("agents_capacity_used_ratio", where) == 0.25
    assert registry.get_sample_value("agents_capacity_used_ratio", {"resource": "disk"}) == 0.5
    bounds = {"earliest": 60.0, "expected": 300.0, "latest": float("inf")}
    for bound, seconds in bounds.items():
        assert registry.get_sample_value("agents_capacity_seconds_to_limit", {**where, "bound": bound}) == seconds
    assert (
        registry.get_sample_value("agents_capacity_seconds_to_limit", {"resource": "disk", "bound": "latest"}) is None
    )


def test_what_prometheus_reads_of_bands() -> None:
    one = Expected(series("m", agent__id="a1"), "p95", 3.0, 2.0, 1.0, 4.0, True)
    registry = CollectorRegistry()
    registry.register(ExpectedCollector(lambda: [one]))
    where = {"metric": "m", "feature": "p95", "agent_id": "a1"}
    values = [registry.get_sample_value(metric.name, where) for metric in BANDS]
    assert values == [3.0, 2.0, 1.0, 4.0, 1.0]
