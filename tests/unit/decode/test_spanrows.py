"""Rows by compiled code equal rows by way of values: the same columns, the same spans, the same rejections."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agents_emitter.events import encode_span_batch
from streams.decode import spans as module
from streams.decode.spanrun import SLOW
from streams.decode.spans import SpanDecoder, SpanRun
from streams.domain import conventions
from streams.domain.spanrows import TEXT_FIELDS, SpanTables
from tests.unit.decode.runs import NOW_NS, RESOURCE, Row, sample
from tests.unit.trace.drawing import PATIENT

HINT = "agents.spans"
KEYS = (
    *(conventions.OPERATION, conventions.PROVIDER, conventions.REQUEST_MODEL, conventions.RESPONSE_MODEL),
    *(conventions.AGENT_NAME, conventions.AGENT_ID, conventions.TOOL_NAME, conventions.CONVERSATION_ID),
    *(conventions.DATABASE_SYSTEM, conventions.ERROR_TYPE, conventions.INPUT_TOKENS, conventions.OUTPUT_TOKENS),
    *("gen_ai.system", "db.system", "tool.name", "llm.vendor", "llm.provider", "openinference.span.kind"),
    *("exception.type", "http.request.method", "a", "b.c", "ключ", 'quo"te', ""),
)
TEXTS = (
    "",
    "chat",
    "invoke_agent",
    "GEMINI",
    "gemini",
    "openai",
    "x" * 300,
    "größer 中 \U0001f600",
    'a"b\\c\n\x01',
    "_OTHER",
)
NAMES = ("chat gpt", "plan", "GET /x", "", "invoke_agent z", "n" * 600, 'n"m', "naïve")
scalars = st.one_of(
    st.sampled_from(TEXTS),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 5000),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.7, 0.1, -0.0, 1e15, 123456.789, 5e-324]),
)
values = st.one_of(scalars, st.lists(scalars, max_size=3), st.dictionaries(st.sampled_from(KEYS), scalars, max_size=2))
attribute_maps = st.dictionaries(st.sampled_from(KEYS), values, max_size=8)
ids = st.integers(0, 3)


@st.composite
def span_objects(draw: st.DrawFn) -> dict[str, Any]:
    begin = NOW_NS + draw(st.integers(-2, 5))
    body: dict[str, Any] = {
        "traceId": f"{draw(ids):032x}",
        "spanId": f"{draw(ids):016x}",
        "parentSpanId": draw(st.sampled_from(["", "00f067aa0ba902b7", "0" * 16])),
        "name": draw(st.sampled_from(NAMES)),
        "kind": draw(st.integers(0, 7)),
        "startTimeUnixNano": begin,
        "endTimeUnixNano": begin + draw(st.integers(-1, 10)),
        "status": {"code": draw(st.integers(0, 3)), "message": draw(st.sampled_from(TEXTS))},
        "attributes": draw(attribute_maps),
    }
    exception = st.dictionaries(st.sampled_from(["exception.type", "x"]), scalars, max_size=2)
    if draw(st.booleans()):
        body["events"] = [
            {
                "timeUnixNano": draw(st.integers(0, 9)),
                "name": draw(st.sampled_from(TEXTS)),
                "attributes": draw(exception),
            }
            for _ in range(draw(st.integers(0, 3)))
        ]
    if draw(st.booleans()):
        body["links"] = [{"traceId": "1" * 32, "spanId": "2" * 16, "attributes": draw(exception)}]
    return body


def protobuf(resources: list[dict[str, Any]], spans: list[list[dict[str, Any]]]) -> bytes:
    request = ExportTraceServiceRequest()
    for resource, bodies in zip(resources, spans, strict=True):
        block = request.resource_spans.add()
        fill(block.resource.attributes, resource)
        scope = block.scope_spans.add()
        for body in bodies:
            made = scope.spans.add(
                trace_id=bytes.fromhex(body["traceId"]),
                span_id=bytes.fromhex(body["spanId"]),
                parent_span_id=bytes.fromhex(body["parentSpanId"]),
                name=body["name"],
                kind=body["kind"],
                start_time_unix_nano=body["startTimeUnixNano"],
                end_time_unix_nano=body["endTimeUnixNano"],
            )
            made.status.code, made.status.message = body["status"]["code"], body["status"]["message"]
            fill(made.attributes, body["attributes"])
            for event in body.get("events", ()):
                one = made.events.add(time_unix_nano=event["timeUnixNano"], name=event["name"])
                fill(one.attributes, event["attributes"])
            for link in body.get("links", ()):
                ends = {"trace_id": bytes.fromhex(link["traceId"]), "span_id": bytes.fromhex(link["spanId"])}
                fill(made.links.add(**ends).attributes, link["attributes"])
    return request.SerializeToString()


def fill(attributes: Any, given: dict[str, Any]) -> None:
    for key, value in given.items():
        put(attributes.add(key=key).value, value)


def put(wire: Any, value: Any) -> None:
    if isinstance(value, bool):
        wire.bool_value = value
    elif isinstance(value, str):
        wire.string_value = value
    elif isinstance(value, int):
        wire.int_value = value
    elif isinstance(value, float):
        wire.double_value = value
    elif isinstance(value, list):
        wire.array_value.SetInParent()
        for item in value:
            put(wire.array_value.values.add(), item)
    else:
        wire.kvlist_value.SetInParent()
        fill(wire.kvlist_value.values, value)


def both(records: list[bytes]) -> tuple[SpanRun, SpanRun]:
    rows = [Row(value, None, offset) for offset, value in enumerate(records)]
    compiled = SpanDecoder(SpanTables()).decode(rows, hint=HINT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_ways", lambda block, _hint: np.full(len(block), SLOW, np.uint8))
        slow = SpanDecoder(SpanTables()).decode(rows, hint=HINT)
    return compiled, slow


def columns(run: SpanRun) -> list[dict[str, Any]]:
    text = run.tables.texts.text
    found = []
    for row in run.rows:
        one = {name: text(int(row[name])) for name in TEXT_FIELDS}
        for name in ("trace_high", "trace_low", "span", "parent", "start_ns", "end_ns", "kind", "status", "phase"):
            one[name] = int(row[name])
        one |= {name: int(row[name]) for name in ("input_tokens", "output_tokens", "record")}
        begin = int(row["body"] + row["message"])
        one["message"] = orjson.loads(b'"' + run.bodies[begin : begin + int(row["message_bytes"])].tobytes() + b'"')
        one["resource"] = run.tables.resources.maps[int(row["resource"])]
        found.append(one)
    return found


def assert_same(records: list[bytes]) -> SpanRun:
    compiled, slow = both(records)
    assert compiled.spans == [conventions.modern(s) for s in slow.spans]
    assert columns(compiled) == columns(slow)
    assert (compiled.rejected, compiled.batches) == (slow.rejected, slow.batches)
    assert compiled.events.tolist() == slow.events.tolist()
    return compiled


@PATIENT
@given(st.lists(span_objects(), max_size=4), st.booleans())
def test_our_batches(spans: list[dict[str, Any]], short: bool) -> None:
    raw = encode_span_batch(RESOURCE, spans, producer="p", seq=3)
    assert_same([raw, raw[:-1] if short else raw])


@settings(PATIENT, max_examples=200)
@given(st.lists(st.lists(span_objects(), max_size=3), min_size=1, max_size=3))
def test_protobuf(blocks: list[list[dict[str, Any]]]) -> None:
    resources = [{"service.name": f"s{i}", "nested": {"a": i}} for i in range(len(blocks))]
    assert_same([protobuf(resources, blocks), encode_span_batch({}, blocks[0], producer="q", seq=0)])


@settings(PATIENT, max_examples=300)
@given(st.lists(span_objects(), min_size=1, max_size=2), st.booleans(), st.data())
def test_bytes_that_were_damaged(spans: list[dict[str, Any]], wire: bool, data: st.DataObject) -> None:
    raw = bytearray(protobuf([RESOURCE], [spans]) if wire else encode_span_batch(RESOURCE, spans, producer="p", seq=3))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    assert_same([bytes(raw)])


def test_a_batch_whose_resource_is_damaged_is_no_batch() -> None:
    span = {"traceId": f"{1:032x}", "spanId": f"{1:016x}", "name": "x", "kind": 1, "startTimeUnixNano": NOW_NS}
    span |= {"endTimeUnixNano": NOW_NS, "status": {"code": 0, "message": ""}, "attributes": {}}
    raw = encode_span_batch(RESOURCE, [span], producer="p", seq=3)
    run = assert_same([raw.replace(b'"resource":{', b'"resource":{\x00')])
    assert [one.reason for one in run.rejected] == ["not_json"]
    assert run.batches == []


def test_what_exporters_and_our_agents_write_needs_no_slow_way() -> None:
    attributes = {
        "a": "x",
        "n": 3,
        "f": 0.5,
        "b": True,
        "l": ["stop"],
        "gen_ai.operation.name": "chat",
        "db.system": "pg",
    }
    body = {
        "traceId": "1" * 32,
        "spanId": "2" * 16,
        "parentSpanId": "",
        "name": "chat m",
        "kind": 3,
        "startTimeUnixNano": NOW_NS,
        "endTimeUnixNano": NOW_NS + 5,
        "status": {"code": 2, "message": 'a"b'},
        "attributes": attributes,
        "events": [{"timeUnixNano": 5, "name": "exception", "attributes": {"exception.type": "E"}}],
        "links": [{"traceId": "1" * 32, "spanId": "2" * 16, "attributes": {}}],
    }
    records = [
        encode_span_batch(RESOURCE, [body], producer="p", seq=3),
        protobuf([RESOURCE], [[body]]),
        *(sample(f"{name}.bin") for name in ("collector_otlp_spans", "rotel_protobuf_traces")),
    ]
    decoder = SpanDecoder(SpanTables())
    run = decoder.decode([Row(value, None, i) for i, value in enumerate(records)], hint=HINT)
    assert len(run.rows) == len(decoder._reader.rows) == 42
    assert not decoder._reader.rows["slow"].any()
    assert [run.tables.texts.text(int(row["error"])) for row in run.rows[:2]] == ["E", "E"]
    assert_same(records)


def test_tables_forget_what_no_row_refers_to_and_keep_the_rest() -> None:
    tables = SpanTables()
    decoder = SpanDecoder(tables)
    kept = None
    for number in range(200):
        spans = [
            {
                "traceId": f"{number + 1:032x}",
                "spanId": f"{i + 1:016x}",
                "name": f"n{number}/{i}",
                "startTimeUnixNano": NOW_NS,
                "endTimeUnixNano": NOW_NS,
            }
            for i in range(50)
        ]
        raw = encode_span_batch({"service.name": f"s{number}"}, spans, producer="p", seq=number)
        run = decoder.decode([Row(raw, None, number)], hint=HINT)
        kept = (run.rows.copy(), run.bodies.copy())
        if tables.outgrown:
            tables.keep([kept[0]])
    assert kept is not None
    assert len(tables.texts) < 4_500
    text = tables.texts.text
    assert [text(int(row["name"])) for row in kept[0]] == [f"n199/{i}" for i in range(50)]
    assert text(int(tables.resources.rows[kept[0]["resource"][0]]["service"])) == "s199"
    assert np.unique(kept[0]["resource"]).size == 1


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        (b',"kind"', b'{"kind"'),
        (b'"n":3', b'"n":3{"m":4'),
        (b'"n":3', b'"n":3,'),
        (b'"n":3', b'"n":03'),
        (b'"n":3', b'"n":3e2'),
        (b'"n":3', b'"n":-'),
        (b'"n":3', b'"n":[3,]'),
        (b'"n":3', b'"n":[3{4]'),
        (b'"n":3', b'"n":null'),
        (b'"n":3', b'"n":9223372036854775808'),
        (b'"n":3', b'"n":1234567890123456789012'),
        (b'"n":3', b'"n":"\x01"'),
        (b'"n":3', b'"n":"\\u00e9\\ud800"'),
        (b'"n":3', b'"n":"\xff"'),
        (b'{"code":2', b'{"code":2{"x":1'),
        (b',"spans":', b',"more":1,"spans":'),
        (b"]}", b"]} "),
        (b"]}", b"],}"),
    ],
)
def test_json_that_our_agents_do_not_write(there: bytes, instead: bytes) -> None:
    body = {
        "traceId": "1" * 32,
        "spanId": "2" * 16,
        "name": "chat m",
        "kind": 3,
        "startTimeUnixNano": NOW_NS,
        "endTimeUnixNano": NOW_NS + 5,
        "status": {"code": 2, "message": "m"},
        "attributes": {"n": 3},
    }
    raw = encode_span_batch(RESOURCE, [body, body], producer="p", seq=3)
    assert there in raw
    assert_same([raw.replace(there, instead, 1)])
