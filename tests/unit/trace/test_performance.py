"""Bottlenecks, errors, comparisons and cost: by hand, and against what the simulator has done."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from agents_emitter.events import SPANS_TOPIC
from agents_emitter.simulator import ground_truth, simulate
from streams.domain.trace import TraceRecord
from streams.errors import ConfigurationError
from streams.trace.cost import Cost, Price, costs, load_prices
from streams.trace.durations import Durations
from streams.trace.names import OTHER
from streams.trace.performance import (
    Bounds,
    ErrorKind,
    Operation,
    Performance,
    UseKey,
    bottlenecks,
    changes,
    new_errors,
)
from tests.unit.trace.drawing import EPOCH, MS, SECOND, span
from tests.unit.trace.reference import trace_record
from tests.unit.trace.test_simulated import Record, assemble

LOOK, CHAT = Operation("planner", "look"), Operation("planner", "chat")


def trace(number: int, look_ms: float, chat_ms: float, *, error: str = "", version: str = "") -> TraceRecord:
    """root, then look, then chat, one after another, 1 ms of root around each."""
    more = {"resource": {"service.version": version}}
    end = 3 + look_ms + chat_ms
    spans = [
        span("root", 0, end, **more),
        span("l", 1, 1 + look_ms, "root", name="look", error=error, trace=f"t{number}", **more),
        span("c", 2 + look_ms, end - 1, "root", name="chat", trace=f"t{number}", **more),
    ]
    return trace_record(f"t{number}", spans)


def folded(records: list[TraceRecord], version: str = "") -> Performance:
    found = Performance(version)
    for record in records:
        found.add(record)
    return found


def test_the_worst_is_what_takes_a_share_and_takes_longer_than_it_used_to() -> None:
    """chat takes the larger share as ever; look has become eight times slower."""
    before, now = folded([trace(i, 5, 100) for i in range(9)]), folded([trace(i, 40, 100) for i in range(9)])
    worst, second, root = bottlenecks(now, before)
    assert worst.operation == LOOK
    assert worst.share_ratio == pytest.approx(40 / 143)
    assert worst.slowdown_ratio == pytest.approx(8, rel=0.04)
    assert worst.score == pytest.approx(worst.share_ratio * worst.slowdown_ratio)
    assert (second.operation, second.slowdown_ratio, second.calls) == (CHAT, 1.0, 9)
    assert root.operation.name == "root"
    assert bottlenecks(now, Performance())[0].operation == CHAT  # nothing to compare with


def test_errors_are_grouped_with_when_and_where_and_new_ones_are_told() -> None:
    before = folded([trace(1, 5, 9, error="x")])
    now = folded([trace(i, 5, 9, error="x") for i in range(2, 12)])
    kind = ErrorKind(LOOK, "_OTHER")
    group = now.errors[kind]
    assert (group.count, group.first_seen_ns, group.last_seen_ns) == (10, EPOCH + 6 * MS, EPOCH + 6 * MS)
    assert group.trace_ids == ["t2", "t3", "t4", "t5", "t6"]
    assert new_errors(now, before) == []
    assert new_errors(now, Performance()) == [kind]


def test_two_versions_are_compared_by_their_own_spans() -> None:
    records = [trace(i, 5, 9, version="1") for i in range(30)]
    records += [trace(i, 20, 9, version="2", error="x" * (i % 3 == 0)) for i in range(30, 60)]
    worst, *others = changes(folded(records, "2"), folded(records, "1"))
    assert (worst.operation, worst.calls, worst.baseline_calls) == (LOOK, 30, 30)
    assert worst.median_seconds == pytest.approx(0.020, rel=0.02)
    assert worst.baseline_p95_seconds == pytest.approx(0.005, rel=0.02)
    assert (worst.failed_ratio, worst.baseline_failed_ratio) == (1 / 3, 0.0)
    assert {change.operation.name for change in others} == {"root", "chat"}
    assert list(changes(folded(records, "2"), folded(records[:19], "1"))) == []  # too few to say


def test_tables_are_bounded_and_sums_stay_exact() -> None:
    found = Performance(bounds=Bounds(operations=2, errors=1, usage=1))
    tokens = {"gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 1}
    for name in "abcde":
        attributes = {**tokens, "gen_ai.agent.name": name}
        found.add(trace_record("t1", [span(name, 0, 5, error="x", attributes=attributes)]))
    assert {key.name: figures.calls for key, figures in found.operations.items()} == {"a": 1, "b": 1, OTHER: 3}
    assert {kind.operation.name: group.count for kind, group in found.errors.items()} == {"a": 1, OTHER: 4}
    assert found.usage == {UseKey("", "a", ""): (5, 1), UseKey(OTHER, OTHER, OTHER): (20, 4)}


def test_quantiles_are_within_two_percent() -> None:
    rng, durations = Random(3), Durations()
    values = sorted(round(rng.lognormvariate(17, 2)) for _ in range(1_001))
    for value in values:
        durations.add(value)
    for quantile, place in ((0.0, 0), (0.5, 500), (0.95, 950), (1.0, 1_000)):
        assert durations.quantile_seconds(quantile) == pytest.approx(values[place] / SECOND, rel=0.02)
    assert Durations().quantile_seconds(0.5) == 0.0


def test_cost_is_known_only_where_a_price_is() -> None:
    prices = load_prices("models: {big: {input_per_million: 2, output_per_million: 10.0}}")
    assert prices == {"big": Price(2, 10.0)}
    rows = costs({UseKey("small", "a", "c"): (9, 9), UseKey("big", "a", "c"): (500_000, 100_000)}, prices)
    assert rows == [
        Cost(UseKey("big", "a", "c"), 500_000, 100_000, 2.0),
        Cost(UseKey("small", "a", "c"), 9, 9, None),
    ]
    assert load_prices("models: {}") == load_prices("") == {}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("models: {m: {input_per_million: 1}}", "m needs input_per_million and output_per_million"),
        ("models: {m: {input_per_million: -1, output_per_million: 1}}", "input_per_million must be a number"),
        ("models: {m: {input_per_million: .nan, output_per_million: 1}}", "input_per_million must be a number"),
        ("prices: {}", "one mapping named models"),
        ("- 1", "one mapping named models"),
        ("{", "not YAML"),
    ],
)
def test_prices_that_are_none_are_refused(text: str, what: str) -> None:
    with pytest.raises(ConfigurationError, match=what):
        load_prices(text)


def simulated(scenario: str, seed: int, seconds: float) -> list[TraceRecord]:
    made = simulate(scenario, seed=seed, start_ns=EPOCH, duration_seconds=seconds)
    spans = (e for e in made if e.topic == SPANS_TOPIC)
    log = [Record(e.value, e.key, offset, e.time_ns // MS) for offset, e in enumerate(spans)]
    return assemble(log)[0].traces


def test_the_slow_step_that_was_injected_is_the_top_bottleneck() -> None:
    """Over ten runs: of each whole run during the fault, and of single traces that used the slow tool."""
    verdict: Counter[str] = Counter()
    for seed in range(10):
        truth = ground_truth("slow_tool", seed=seed, start_ns=EPOCH, duration_seconds=180.0)
        (fault,) = truth.faults
        records = simulated("slow_tool", seed, 180.0)
        before = folded([r for r in records if r.end_ns < fault.start_ns])
        during = [r for r in records if fault.start_ns <= r.start_ns and r.end_ns < fault.end_ns]
        verdict["run", bottlenecks(folded(during), before)[0].operation in tools_of(fault.root, records)] += 1
        for record in during:
            slow = tools_of(fault.root, [record])
            if slow:
                verdict["trace", bottlenecks(folded([record]), before)[0].operation in slow] += 1
    assert verdict["run", True] == 10, verdict
    assert verdict["trace", True] >= 0.95 * (verdict["trace", True] + verdict["trace", False]) > 100, verdict


def tools_of(agent: str, records: list[TraceRecord]) -> set[Operation]:
    """What the agent's tool calls are called."""
    return {
        Operation(one.service, one.name)
        for record in records
        for one in record.spans
        if one.resource["gen_ai.agent.id"] == agent and one.name.startswith("execute_tool")
    }
