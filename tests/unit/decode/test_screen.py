"""Compiled code lets nothing pass in which redaction would find something."""

from __future__ import annotations

import json

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agents_emitter.redaction import Redactor
from streams.decode import screen
from streams.decode.run import HeadCache, decode_run
from streams.decode.screen import suspects
from streams.decode.spans import SpanDecoder
from streams.decode.words import WORDS
from streams.domain.series import SeriesTable
from streams.domain.spanrows import SpanTables
from tests.planted import CONTENT_NAMES, PLAIN_NAMES, SECRET_NAMES, Garden, records
from tests.unit.decode.runs import NOW_NS, Row, patient


def suspected(*raws: bytes) -> list[bool]:
    edges = np.cumsum([0, *(len(raw) for raw in raws)])
    bounds = np.stack([edges[:-1], edges[1:]])
    found = np.zeros(len(raws), np.bool_)
    suspects(np.frombuffer(b"".join(raws), np.uint8), bounds, found)
    return [bool(one) for one in found]


SAID = (
    *CONTENT_NAMES,
    *SECRET_NAMES,
    *PLAIN_NAMES,
    "sk-",
    "eyJ",
    "@",
    ".example",
    "4111 1111 1111 1111",
    "=",
    ": ",
    '"',
)


@patient
@given(st.lists(st.sampled_from(SAID) | st.text(max_size=8), max_size=6).map("".join))
def test_what_redaction_changes_is_suspected(text: str) -> None:
    redactor = Redactor()
    if redactor.text(text) != text:
        assert suspected(text.encode()) == [True]
        assert suspected(orjson.dumps({"a": text}), json.dumps({"a": text}).encode()) == [True, True]


@pytest.mark.parametrize("before", ["\n", "\t", "\r", "\b", "\f", "x\n", "1\r\n", "\x1f", "\u2028", "x\u200b\u200b"])
@pytest.mark.parametrize("secret", ["4111 1111 1111 1111", "sk-abcdefghijklmnopqrstuvwx", "hf_" + "abcdefgh" * 4])
def test_an_escape_is_no_letter_before_a_secret(before: str, secret: str) -> None:
    text = before + secret
    assert secret not in Redactor().text(text)
    assert suspected(orjson.dumps({"a": text}), json.dumps({"a": text}).encode()) == [True, True]


@pytest.mark.parametrize("word", [word for words in WORDS.values() for word in words])
def test_every_word_is_found_wherever_it_stands(word: str) -> None:
    """Each is looked for by four bytes somewhere in it, then by three of them."""
    raw = word.encode()
    places = (raw, raw.upper() + b"=", b" " + raw + b" ", b'"name":"' + raw + b'"', b"\x0a\x02" + raw.title() + b"\x12")
    assert suspected(*(place for place in places)) == [True] * len(places)


PARTS = (
    *(word for words in WORDS.values() for word in words),
    *("@", "a@b.example", "4111 1111 1111 1111", "\\n5500", "\\u0031", "\\", " ", "-", ".", "_", "J", "s", "\u00e9"),
)


def simply(*raws: bytes) -> list[bool]:
    """What a look at each byte says."""
    return [bool(screen.looked_through(np.frombuffer(raw, np.uint8), 0, len(raw), len(raw))) for raw in raws]


@patient
@given(
    st.lists(
        st.sampled_from(PARTS).map(str.encode)
        | st.sampled_from(PARTS).map(lambda part: part.title().encode()[:5])
        | st.integers(1, 70).map(lambda size: b"." * size)  # the sieve takes long texts only
        | st.binary(max_size=40),
        max_size=12,
    ).map(b"".join)
)
def test_the_sieve_lets_nothing_fall_that_a_look_at_each_byte_finds(text: bytes) -> None:
    assert suspected(b"pi", text, b"n=@b.example")[1] == simply(text)[0]  # beside others, which are none of it


@pytest.mark.parametrize("part", PARTS)
def test_nor_does_it_whatever_stands_around(part: str) -> None:
    raw, rest = part.encode(), b"." * 40
    texts = [rest + bytes([byte]) + raw + b"=" + rest for byte in range(256)]
    texts += [rest + raw + bytes([byte]) + rest for byte in range(256)]
    texts += [rest[:before] + raw + b"=" * after for before in range(40) for after in range(40)]
    assert suspected(*texts) == simply(*texts)


@pytest.mark.parametrize("name", [*CONTENT_NAMES, *SECRET_NAMES, "token", "userToken", "otp", "card_pin", "set-cookie"])
def test_names_are_suspected_in_json_and_in_protobuf(name: str) -> None:
    assert Redactor().value(name, "x") != "x"
    assert suspected(orjson.dumps({name: "x"}), b"\x0a\x05" + name.encode() + b"\x12\x03", name.encode() + b"J") == [
        True,
        True,
        True,
    ]


def test_plants_of_a_thousand_records_are_suspected() -> None:
    garden = Garden(3)
    texts = [garden.inside().text.encode() for _ in range(1_000)]
    assert all(suspected(*texts))


def test_what_agents_usually_send_is_not() -> None:
    usual = (
        b'"gen_ai.usage.input_tokens":812,"gen_ai.token.type":"input","gen_ai.request.max_tokens":5,"llm.token_count":3',
        b'"startTimeUnixNano":1700000000123456789,"endTimeUnixNano":1700000000123456999,"traceId":"4bf92f3577b34da6"',
        b'"gen_ai.response.finish_reasons":["stop"],"gen_ai.tool.name":"search","mapping":"task-sk","secs":"1"',
        b"pip install pkg@1 and agent@host1 at 10.0.0.1, 4111 1111 1111 1112",
    )
    assert suspected(*usual) == [False] * 4


def request(**more: object) -> bytes:
    """A request of two spans whose ids and times look like keys, and whatever else the second one has."""
    data = ExportTraceServiceRequest()
    spans = data.resource_spans.add().scope_spans.add().spans
    for number in (1, 2):
        span = spans.add(trace_id=b"eyJhbGciOiJIUzI1", span_id=b"sk-1234%d" % number, name="x")
        span.parent_span_id = b"AKIA1234"
        span.start_time_unix_nano = span.end_time_unix_nano = int.from_bytes(b"hf_ghp_1", "little")
    attributes = more.pop("attributes", {})
    for name, value in more.items():
        setattr(spans[1], name, value)
    for name, value in attributes.items():  # type: ignore[attr-defined]
        spans[1].attributes.add(key=name).value.string_value = value
    return bytes(data.SerializeToString())


def read_fast(raw: bytes) -> bool:
    """Whether compiled code read all spans of the record."""
    assert suspected(raw) == [True]
    run = SpanDecoder(SpanTables()).decode([Row(raw)], hint="agents.spans")
    return len(run.rows) == 2 and bool((run.rows["raw_bytes"] > 0).all())


def test_ids_and_times_that_look_like_keys_are_no_reason_to_read_slowly() -> None:
    assert read_fast(request())


@pytest.mark.parametrize(
    "more",
    [
        {"name": "mail someone@example.org"},
        {"attributes": {"password": "x"}},
        {"attributes": {"x": "4111 1111 1111 1111"}},
        {"trace_state": "k=eyJhbGciOiJIUzI1NiJ9"},
        {"parent_span_id": b"sk-123456789012345678901234"},
    ],
)
def test_the_rest_of_a_request_is_looked_through(more: dict[str, object]) -> None:
    assert not read_fast(request(**more))


def spans_seen(garden: Garden, raws: list[tuple[str, bytes]], topic: str) -> tuple[bytes, int]:
    """All that decoding gives, as bytes, and how many spans."""
    decoder = SpanDecoder(SpanTables())
    run = decoder.decode([Row(value) for name, value in raws if name == topic], hint=topic)
    texts = b" ".join(run.tables.texts.raw(number) for number in range(len(run.tables.texts)))
    resources = repr(run.tables.resources.maps).encode()
    return run.bodies.tobytes() + texts + resources + repr(run.spans).encode(), len(run.spans)


@pytest.mark.parametrize("topic", ["agents.spans", "otlp_spans"])
def test_decoded_spans_show_nothing_that_was_planted(topic: str) -> None:
    garden = Garden(4)
    raws = list(records(garden, 700, NOW_NS))
    found, spans = spans_seen(garden, raws, topic)
    assert spans > 60
    assert garden.seen_in(found) == []


@pytest.mark.parametrize("topic", ["agents.metrics", "agents.logs", "otlp_metrics"])
def test_numbered_series_and_producers_show_nothing_that_was_planted(topic: str) -> None:
    garden, table = Garden(5), SeriesTable()
    raws = [value for name, value in records(garden, 700, NOW_NS) if name == topic]
    columns = decode_run([Row(value) for value in raws], table, HeadCache(), hint=topic)
    assert columns.events.sum() > 60
    assert len(table) > 20
    assert garden.seen_in(repr((table.rows, columns.batches)).encode()) == []


def test_spans_beside_a_suspected_record_are_what_they_were() -> None:
    garden = Garden(6)
    clean = orjson.dumps(
        {
            "v": 1,
            "schema": "agents.span/1",
            "resource": {"service.name": "planner"},
            "producer": "p",
            "seq": 1,
            "spans": [
                {"traceId": "1" * 32, "spanId": "2" * 16, "name": "x", "startTimeUnixNano": 1, "endTimeUnixNano": 2}
            ],
        }
    )
    _, planted, *_ = [value for name, value in records(garden, 30, NOW_NS) if name == "agents.spans"]
    alone = SpanDecoder(SpanTables()).decode([Row(clean)], hint="agents.spans")
    beside = SpanDecoder(SpanTables()).decode([Row(planted), Row(clean)], hint="agents.spans")
    assert beside.spans[1:] == alone.spans
    assert beside.batches[1:] == [batch._replace(record=1) for batch in alone.batches]
