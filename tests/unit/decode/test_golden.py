"""Every record version ever emitted stays readable, with the meaning it had."""

from __future__ import annotations

from pathlib import Path

from streams.decode.spans import decode_spans
from streams.domain.columns import Tick
from tests.unit.decode.runs import Row, decode

GOLDEN = Path(__file__).parents[2] / "golden"
BASE_NS = 1_700_000_000_123_456_789
RESOURCE_LABELS = {
    "agent.id": "planner-1",
    "agent.type": "planner",
    "environment": "test",
    "service.name": "planner",
}


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}_v1.json").read_bytes().rstrip(b"\n")


def test_metric_batches() -> None:
    packed = decode(golden("metric_packed"))
    assert packed == decode(golden("metric_plain"))
    assert packed.batches == [(0, "planner-1-4711-0a1b2c3d4e5f", 41, 3)]
    assert (packed.events, packed.rejected) == ([5], [])
    found = {series.name: (series.unit, series.kind, at - BASE_NS, value) for _, series, at, value in packed.samples}
    assert found == {
        "agents.steps": ("1", "counter", 0, 1.0),
        "agents.inference.duration": ("s", "histogram", 1_500_000, 0.1),
        "agents.memory": ("By", "gauge", -2_000_000_000, 1073741824.0),
        "agents.active": ("{agent}", "updowncounter", 9_223_372_036, -3.0),
    }
    ((_, tokens, at, start, value),) = packed.cumulatives
    assert (tokens.name, tokens.kind, at - BASE_NS, start, value) == ("agents.tokens", "counter", 7, 0, 1e-300)
    assert dict(tokens.labels) == RESOURCE_LABELS
    steps = next(series for _, series, _, _ in packed.samples if series.name == "agents.steps")
    assert dict(steps.labels) == {**RESOURCE_LABELS, "outcome": "success", "step_type": "plan"}


def test_single_event() -> None:
    ((_, series, at, value),) = decode(golden("single")).samples
    assert (series.name, series.unit, series.kind, at, value) == ("agents.heartbeat", "1", "counter", BASE_NS, 1.0)
    assert dict(series.labels) == {**RESOURCE_LABELS, "a": "b"}


def test_log_batch() -> None:
    found = decode(golden("log"))
    ((_, series, at, value),) = found.samples
    assert (series.name, at, value, series.label("severity")) == ("agents.log.records", BASE_NS, 1.0, "ERROR")
    assert found.batches == [(0, "planner-1-4711-0a1b2c3d4e5f", 0, 0)]


def test_tick() -> None:
    assert decode(golden("tick")).ticks == [Tick(0, BASE_NS)]


def test_tick_of_a_source() -> None:
    assert decode(golden("tick_source")).ticks == [Tick(0, BASE_NS, "agents.spans/3", idle=True)]


def test_span_batch() -> None:
    run = decode_spans([Row(golden("span"))])
    assert run.rejected == []
    assert [tuple(batch) for batch in run.batches] == [(0, "planner-1-4711-0a1b2c3d4e5f", 5, 1)]
    ended, started = run.spans
    assert (ended.name, ended.status_code, ended.end_ns - ended.start_ns) == ("execute_tool search", 2, 5_000_000)
    assert ended.attributes["tags"] == ["a"]
    assert (ended.phase, started.phase, started.end_ns - started.start_ns) == ("end", "start", 0)
