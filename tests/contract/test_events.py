"""Golden files: every version of every record ever emitted stays readable, and today's code writes today's bytes.

A file is one record as it is on the wire. When a format changes, add a file; never change one.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from agents_emitter import events
from agents_emitter.events import SeriesDefinition

GOLDEN = Path(__file__).parents[1] / "golden"
RESOURCE = {
    "service.instance.id": "planner-1-4711-0a1b2c3d4e5f",
    "process.pid": "4711",
    "service.name": "planner",
    "gen_ai.agent.id": "planner-1",
    "agents.type": "planner",
    "deployment.environment.name": "test",
}
PRODUCER = RESOURCE["service.instance.id"]
SERIES = [
    SeriesDefinition("agents.steps", "1", "counter", (("outcome", "success"), ("step_type", "plan"))),
    SeriesDefinition("agents.memory", "By", "gauge"),
    SeriesDefinition("agents.inference.duration", "s", "histogram", (("operation", "chat é"),)),
    SeriesDefinition("agents.tokens", "{token}", "counter", (), "cumulative"),
    SeriesDefinition("agents.active", "{agent}", "updowncounter"),
]
INDEX = [0, 2, 1, 4, 3]
OFFSETS_NS = [0, 1_500_000, -2_000_000_000, 9_223_372_036, 7]
VALUES = [1.0, 0.1, 1073741824.0, -3.0, 1e-300]
BASE_NS = 1_700_000_000_123_456_789
TRACE, SPAN, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "b7ad6b7169203331"


def metric(columns: events.Columns) -> bytes:
    return events.encode_metric_batch(
        events.encode_metric_head(RESOURCE, SERIES, PRODUCER),
        seq=41,
        dropped_total=3,
        base_time_unix_nano=BASE_NS,
        index=INDEX,
        offset_ns=OFFSETS_NS,
        value=VALUES,
        columns=columns,
    )


def single() -> bytes:
    return events.encode_single(
        "agents.heartbeat", 1, kind="counter", time_unix_nano=BASE_NS, labels={"a": "b"}, resource=RESOURCE
    )


def span() -> bytes:
    spans: list[dict[str, Any]] = [
        {
            "traceId": TRACE,
            "spanId": SPAN,
            "parentSpanId": PARENT,
            "name": "execute_tool search",
            "kind": 1,
            "startTimeUnixNano": BASE_NS,
            "endTimeUnixNano": BASE_NS + 5_000_000,
            "status": {"code": 2, "message": "no answer"},
            "attributes": {"gen_ai.tool.name": "search", "retries": 2, "cached": False, "score": 0.5, "tags": ["a"]},
            "events": [{"timeUnixNano": BASE_NS + 1, "name": "exception", "attributes": {"exception.type": "OSError"}}],
            "links": [{"traceId": TRACE, "spanId": PARENT, "attributes": {}}],
        },
        {
            "traceId": TRACE,
            "spanId": PARENT,
            "parentSpanId": "",
            "name": "invoke_agent planner",
            "kind": 2,
            "startTimeUnixNano": BASE_NS - 1,
            "phase": "start",
            "status": {"code": 0},
            "attributes": {},
        },
    ]
    return events.encode_span_batch(RESOURCE, spans, producer=PRODUCER, seq=5, dropped_total=1)


def log() -> bytes:
    logs: list[dict[str, Any]] = [
        {
            "timeUnixNano": BASE_NS,
            "severityNumber": 17,
            "severityText": "ERROR",
            "body": "tool search failed\nwith é",
            "attributes": {"logger.name": "agent.plan", "code.line.number": 12},
            "traceId": TRACE,
            "spanId": SPAN,
        }
    ]
    return events.encode_log_batch(RESOURCE, logs, producer=PRODUCER, seq=0)


RECORDS: dict[str, Callable[[], bytes]] = {
    "metric_packed_v1.json": lambda: metric("packed"),
    "metric_plain_v1.json": lambda: metric("plain"),
    "single_v1.json": single,
    "span_v1.json": span,
    "log_v1.json": log,
    "tick_v1.json": lambda: events.encode_tick(BASE_NS),
}


@pytest.mark.parametrize("name", RECORDS)
def test_todays_code_writes_the_golden_bytes(name: str) -> None:
    assert RECORDS[name]() == (GOLDEN / name).read_bytes()


@pytest.mark.parametrize("name", RECORDS)
def test_golden_records_survive_a_decode_and_an_encode(name: str) -> None:
    data = (GOLDEN / name).read_bytes()
    assert orjson.dumps(orjson.loads(data)) == data


def numbers(text: str, code: str) -> list[Any]:
    data = base64.b64decode(text)
    return list(struct.unpack(f"<{len(data) // struct.calcsize('<' + code)}{code}", data))


def test_packed_and_plain_say_the_same() -> None:
    packed, plain = (orjson.loads((GOLDEN / f"metric_{form}_v1.json").read_bytes()) for form in ("packed", "plain"))
    for column, code in (("index", "H"), ("offset_ns", "q"), ("value", "d")):
        packed[column] = numbers(packed[column], code)
    assert packed == plain
    assert (plain["index"], plain["offset_ns"], plain["value"]) == (INDEX, OFFSETS_NS, VALUES)


def test_the_head_comes_first_so_that_it_can_be_recognised_by_its_bytes() -> None:
    head = events.encode_metric_head(RESOURCE, SERIES, PRODUCER)
    assert (GOLDEN / "metric_packed_v1.json").read_bytes().startswith(head + b',"seq":')


def test_what_cannot_be_encoded_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 65536 series"):
        events.encode_metric_head({}, [SERIES[1]] * 65_537, "p")
    with pytest.raises(ValueError, match="columns differ in length: 1, 2, 1"):
        events.encode_metric_batch(
            b"", seq=0, dropped_total=0, base_time_unix_nano=0, index=[0], offset_ns=[0, 1], value=[1]
        )
