"""Spans from our batches, OTLP JSON of two writers and protobuf."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agents_emitter.events import encode_metric_head, encode_single, encode_span_batch, encode_tick
from streams.decode.spans import SpanRun, decode_spans
from streams.domain.columns import Tick
from tests.unit.decode.runs import NOW_NS, RESOURCE, Row, sample

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


def decode(*values: bytes | None, hint: str = "") -> SpanRun:
    run = decode_spans([Row(value, None, i) for i, value in enumerate(values)], hint=hint)
    assert len(run.record) == len(run.spans) == run.events.sum()
    assert run.record == sorted(run.record)
    return run


def span(**fields: Any) -> dict[str, Any]:
    return {
        "traceId": TRACE,
        "spanId": SPAN,
        "parentSpanId": "",
        "name": "chat m",
        "kind": 3,
        "startTimeUnixNano": NOW_NS,
        "endTimeUnixNano": NOW_NS + 10,
        "status": {"code": 0},
        "attributes": {},
        **fields,
    }


def ours(*spans: dict[str, Any]) -> bytes:
    return encode_span_batch(RESOURCE, spans, producer="p", seq=3, dropped_total=1)


def test_our_batch() -> None:
    attributes = {"a": "x", "n": 3, "f": 0.5, "b": True, "l": [1, "y", {"z": 1}], "m": {"k": {"j": 1}}, "none": None}
    found = decode(
        ours(
            span(
                parentSpanId="00F067AA0BA902B7",
                traceId=TRACE.upper(),
                status={"code": 2, "message": "m" * 300},
                attributes=attributes,
                events=[{"timeUnixNano": NOW_NS + 1, "name": "exception", "attributes": {"t": 1}}],
                links=[{"traceId": TRACE, "spanId": SPAN, "attributes": {"w": "v"}}],
            )
        )
    )
    (one,) = found.spans
    assert (one.trace_id, one.span_id, one.parent_span_id) == (TRACE, SPAN, "00f067aa0ba902b7")
    assert (one.name, one.kind, one.start_ns, one.end_ns, one.phase) == ("chat m", 3, NOW_NS, NOW_NS + 10, "end")
    assert (one.status_code, one.status_message) == (2, "m" * 256)
    assert one.attributes == {"a": "x", "n": 3, "f": 0.5, "b": True, "l": [1, "y", '{"z":1}'], "m.k.j": 1}
    assert one.resource == RESOURCE
    assert one.events == ({"timeUnixNano": NOW_NS + 1, "name": "exception", "attributes": {"t": 1}},)
    assert one.links == ({"traceId": TRACE, "spanId": SPAN, "attributes": {"w": "v"}},)
    assert [tuple(batch) for batch in found.batches] == [(0, "p", 3, 1)]
    assert found.rejected == []


def test_an_open_span_has_no_end() -> None:
    (one,) = decode(ours(span(phase="start", endTimeUnixNano=0))).spans
    assert (one.phase, one.start_ns, one.end_ns) == ("start", NOW_NS, NOW_NS)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"traceId": None}, "missing_field"),
    ({"traceId": TRACE[:-1]}, "bad_id"),
    ({"traceId": "g" + TRACE[1:]}, "bad_id"),
    ({"traceId": "0" * 32}, "bad_id"),
    ({"traceId": "CvdlGRbNQ92ESOshHIAxnA=="}, "bad_id"),
    ({"traceId": 5}, "bad_id"),
    ({"spanId": SPAN + "\n"}, "bad_id"),
    ({"parentSpanId": "12"}, "bad_id"),
    ({"startTimeUnixNano": 0}, "bad_time"),
    ({"endTimeUnixNano": None}, "bad_time"),
    ({"endTimeUnixNano": NOW_NS - 1}, "bad_time"),
    ({"endTimeUnixNano": 2**63}, "bad_time"),
    ({"kind": []}, "bad_type"),
    ({"name": 3}, "bad_type"),
    ({"status": 3}, "bad_type"),
    ({"status": {"code": 0.5}}, "bad_type"),
    ({"attributes": []}, "bad_type"),
    ({"events": {}}, "bad_type"),
    ({"events": [3]}, "bad_type"),
    ({"links": [{"traceId": "x"}]}, "bad_id"),
    ({"phase": "middle"}, "bad_type"),
]


@pytest.mark.parametrize(("change", "reason"), WRONG)
def test_a_span_that_cannot_be_used_falls_alone(change: dict[str, Any], reason: str) -> None:
    found = decode(ours(span(), span(**change), span()))
    assert len(found.spans) == 2
    assert [(r.record, r.reason, r.events) for r in found.rejected] == [(0, reason, 1)]


def test_values_of_a_later_protocol_are_unspecified() -> None:
    (one,) = decode(ours(span(kind=9, status={"code": 7}))).spans
    assert (one.kind, one.status_code) == (0, 0)
    (one,) = decode(ours(span(kind="SPAN_KIND_SERVER", status={"code": "STATUS_CODE_ERROR"}))).spans
    assert (one.kind, one.status_code) == (2, 2)


def test_events_and_links_are_bounded() -> None:
    event = {"timeUnixNano": 1, "name": "e"}
    link = {"traceId": TRACE, "spanId": SPAN}
    (one,) = decode(ours(span(events=[event] * 100, links=[link] * 100))).spans
    assert (len(one.events), len(one.links)) == (32, 32)


def to_protobuf(body: Any) -> bytes:
    """OTLP JSON to protobuf; protobuf's own JSON wants base64 where OTLP writes hex."""

    def convert(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {k: convert(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [convert(v) for v in value]
        if key in ("traceId", "spanId", "parentSpanId"):
            return base64.b64encode(bytes.fromhex(value)).decode()
        return value

    return ParseDict(convert(body), ExportTraceServiceRequest()).SerializeToString()


def test_the_collectors_json_and_the_protobuf_of_the_same_spans() -> None:
    raw = sample("collector_otlp_spans_json.bin")
    json = decode(raw).spans
    assert decode(to_protobuf(orjson.loads(raw))).spans == json
    root = json[0]
    assert (root.trace_id, root.span_id, root.parent_span_id) == (
        "a48c2985e550791b0343ecda4c4b2df0",
        "d2a2fe8d31780f00",
        "",
    )
    assert (root.service, root.kind, root.status_code, root.status_message) == ("frontend", 3, 2, "boom")
    assert root.attributes == {"http.request.method": "GET", "http.response.status_code": 500}
    assert root.events[0]["attributes"] == {"exception.type": "ValueError"}


def test_the_collectors_protobuf_holds_whole_traces() -> None:
    found = decode(sample("collector_otlp_spans.bin"))
    assert (len(found.spans), found.rejected) == (20, [])
    roots = {s.trace_id: s.span_id for s in found.spans if not s.parent_span_id}
    assert len(roots) == 10
    assert all(s.parent_span_id == roots[s.trace_id] for s in found.spans if s.parent_span_id)
    assert {s.service for s in found.spans} == {"frontend", "checkout"}


def test_rotels_json_and_protobuf() -> None:
    for name in ("rotel_json_traces.bin", "rotel_protobuf_traces.bin"):
        for hint in ("", "otlp_spans"):
            found = decode(sample(name), hint=hint)
            assert (len(found.spans), found.rejected) == (20, []), name
            assert found.spans[0].attributes == {"http.request.method": "GET", "http.response.status_code": 500}


def test_json_and_protobuf_agree_on_every_field() -> None:
    wire_span = span(
        traceId=TRACE,
        startTimeUnixNano=str(NOW_NS),
        endTimeUnixNano=str(NOW_NS + 4),
        status={"code": 1, "message": "fine"},
        attributes=[
            {"key": "i", "value": {"intValue": "-3"}},
            {"key": "d", "value": {"doubleValue": 1.5}},
            {"key": "raw", "value": {"bytesValue": "AQI="}},
            {"key": "a", "value": {"arrayValue": {"values": [{"stringValue": "x"}, {"boolValue": True}]}}},
            {"key": "k", "value": {"kvlistValue": {"values": [{"key": "y", "value": {"intValue": "1"}}]}}},
        ],
        events=[{"timeUnixNano": "9", "name": "e"}],
        links=[{"traceId": TRACE, "spanId": SPAN}],
    )
    body = {"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": [wire_span]}]}]}
    json = decode(orjson.dumps(body))
    raw = to_protobuf(body)
    assert decode(raw).spans == json.spans
    assert json.spans[0].attributes == {"i": -3, "d": 1.5, "raw": "AQI=", "a": ["x", True], "k.y": 1}
    assert decode(raw + raw).events.tolist() == [2]


def test_ticks_move_time_on_span_topics_too() -> None:
    assert decode(encode_tick(77)).ticks == [Tick(0, 77)]


REJECTED: list[tuple[bytes | None, str]] = [
    (None, "empty"),
    (b"", "empty"),
    (b"[]", "empty"),
    (b"x", "not_json"),
    (b"3", "unknown_schema"),
    (b"[3]", "unknown_schema"),
    (b"{}", "unknown_schema"),
    (encode_single("n", 1), "wrong_topic"),
    (b'[{"name":"n","value":1}]', "wrong_topic"),
    (encode_metric_head({}, [], "p") + b"}", "wrong_topic"),
    (sample("collector_otlp_metrics.bin"), "wrong_topic"),
    (sample("collector_otlp_metrics_json.bin"), "wrong_topic"),
    (sample("rotel_json_metrics.bin"), "wrong_topic"),
    (sample("collector_otlp_spans.bin")[:-1], "bad_protobuf"),
    (b'{"v":2,"schema":"agents.span/1","spans":[]}', "unsupported_version"),
    (b'{"v":1,"schema":"agents.span/1"}', "missing_field"),
    (b'{"v":1,"schema":"agents.span/1","spans":3}', "bad_type"),
    (b'{"v":1,"schema":"agents.span/1","spans":[3]}', "bad_type"),
    (b'{"v":1,"schema":"agents.span/1","spans":[],"producer":"p"}', "bad_type"),
    (b'{"v":1,"schema":"agents.tick/1"}', "bad_time"),
    (b'{"resourceSpans":3}', "bad_type"),
    (b'{"resourceSpans":[3]}', "bad_type"),
    (b'{"resourceSpans":[{"scopeSpans":[3]}]}', "bad_type"),
    (b'{"resourceSpans":[]}', "empty"),
]


@pytest.mark.parametrize(("raw", "reason"), REJECTED)
@pytest.mark.parametrize("hint", ["", "agents.spans"])
def test_records_that_hold_no_spans(raw: bytes | None, reason: str, hint: str) -> None:
    found = decode(ours(span()), raw, ours(span()), hint=hint)
    assert [(r.record, r.reason, r.events) for r in found.rejected] == [(1, reason, 1)]
    assert found.events.tolist() == [1, 0, 1]
