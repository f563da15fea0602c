"""No bytes raise, and every record has a fate that adds up, whatever came before it."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_emitter.events import SeriesDefinition, encode_log_batch, encode_single, encode_span_batch, encode_tick
from streams.decode.reasons import REASONS
from streams.decode.spans import decode_spans
from tests.unit.decode.runs import NOW_NS, RESOURCE, Decoder, Row, batch, head, one_by_one, patient, sample

FRONT = head(SeriesDefinition("a", "1", "counter"), SeriesDefinition("b", "s", "histogram", (("x", "y"),)))
SPAN = {
    "traceId": "0af7651916cd43dd8448eb211c80319c",
    "spanId": "b7ad6b7169203331",
    "name": "n",
    "kind": 1,
    "startTimeUnixNano": NOW_NS,
    "endTimeUnixNano": NOW_NS,
    "attributes": {"k": [1, {"z": None}]},
    "events": [{"timeUnixNano": 1, "name": "e", "attributes": {}}],
    "links": [],
    "status": {"code": 1},
}
VALID = [
    batch(FRONT, [(0, 1, 1.0), (1, 2, 2.5)]),
    batch(FRONT, [(0, 1, 1.0), (1, 2, 2.5)], columns="plain"),
    encode_single("n", 1.5, time_unix_nano=NOW_NS, labels={"a": "b"}, resource=RESOURCE),
    encode_single("n", 1.5),
    encode_tick(NOW_NS),
    encode_log_batch(RESOURCE, [{"timeUnixNano": 5, "severityNumber": 9, "body": "x"}], producer="p", seq=1),
    encode_span_batch(RESOURCE, [SPAN, SPAN], producer="p", seq=1),
    sample("collector_otlp_metrics.bin"),
    sample("collector_otlp_metrics_json.bin"),
    sample("rotel_json_metrics.bin"),
    sample("rotel_protobuf_traces.bin"),
    sample("collector_otlp_spans_json.bin"),
]
HINTS = ("", "agents.metrics", "otlp_metrics", "otlp_logs", "otlp_spans")


def mutate(raw: bytes, edits: list[tuple[float, bytes, int]]) -> bytes:
    for where, insert, cut in edits:
        at = int(where * len(raw))
        raw = raw[:at] + insert + raw[at + cut :]
    return raw


edits = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.binary(max_size=3) | st.sampled_from([b'"', b"}", b"]", b"{", b",", b"9", b"-"]),
        st.integers(0, 3),
    ),
    max_size=3,
)
mutated = st.builds(mutate, st.sampled_from(VALID), edits)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**64), 2**65),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=6),
    st.sampled_from(["NaN", "1", "-1", "9" * 30, "x" * 400]),
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
BODIES = [orjson.loads(raw) for raw in VALID if raw[:1] in b"{["]


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            found += paths(inner, (*path, key))
    return found


PATHS = [(i, path) for i, body in enumerate(BODIES) for path in paths(body)]


def replace(target: tuple[int, tuple[Any, ...]], new: Any) -> bytes:
    """A valid record with one value, anywhere in it, replaced by something else."""
    number, path = target
    body = json.loads(json.dumps(BODIES[number]))
    if not path:
        return json.dumps(new).encode()
    holder = body
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = new
    return json.dumps(body).encode()


replaced = st.builds(replace, st.sampled_from(PATHS), anything)
records = st.one_of(st.binary(max_size=60), mutated, replaced, st.sampled_from(VALID), st.none())


@patient
@given(st.lists(records, min_size=1, max_size=6), st.sampled_from(HINTS))
def test_any_run_decodes_as_its_records_do_alone(values: list[bytes | None], hint: str) -> None:
    expected = one_by_one(*values, hint=hint)
    decoder = Decoder(hint=hint)
    for _ in range(2):
        found = decoder.run(*values)
        assert found == expected
    assert {reason for _, reason, _ in found.rejected} <= set(REASONS)
    assert all(lost > 0 for _, _, lost in found.rejected)
    fates = [0] * len(values)
    for record, _, lost in found.rejected:
        fates[record] += lost
    for record, count in enumerate(found.events):
        fates[record] += count
    silent = {entry[0] for entry in found.ticks} | {entry[0] for entry in found.batches}
    assert all(count or record in silent for record, count in enumerate(fates))


@patient
@given(st.lists(records, min_size=1, max_size=4), st.sampled_from(HINTS))
def test_any_run_of_spans_decodes(values: list[bytes | None], hint: str) -> None:
    run = decode_spans([Row(value) for value in values], hint=hint)
    assert {rejected.reason for rejected in run.rejected} <= set(REASONS)
    assert len(run.spans) == run.events.sum()
    silent = {tick.record for tick in run.ticks} | {number.record for number in run.batches}
    lost = {rejected.record for rejected in run.rejected}
    assert all(run.events[i] or i in lost or i in silent for i in range(len(values)))


def nested(depth: int, opening: bytes, closing: bytes) -> bytes:
    return opening * depth + b"1" + closing * depth


DEEP = [
    nested(depth, opening, closing)
    for depth in (50, 300, 1000, 100_000)
    for opening, closing in ((b"[", b"]"), (b'{"name":', b"}"), (b'{"a":', b"}"))
]
DEEP += [
    before + nested(depth, b'{"arrayValue":{"values":[', b"]}}") + after
    for depth in (30, 200, 340)
    for before, after in (
        (b'{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":', b"}]}}]}"),
        (b'{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":', b"}]}}]}"),
    )
]
DEEP += [
    before + nested(depth, b'{"x":', b"}") + b"}" * after
    for depth in (100, 253, 260, 900)
    for before, after in (
        (b'{"name":"n","value":1,"labels":{"l":', 2),
        (b'{"name":"n","value":1,"resource":{"service.name":', 2),
        (b'{"name":"n","value":', 1),
        (b'{"v":1,"schema":', 1),
        (b'{"v":1,"schema":"agents.span/1","resource":{"k":', 2),
        (
            b'{"v":1,"schema":"agents.span/1","spans":[{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331",'
            b'"startTimeUnixNano":1,"endTimeUnixNano":1,"attributes":{"k":',
            2,
        ),
    )
]


@pytest.mark.parametrize("raw", DEEP, ids=range(len(DEEP)))
def test_deep_nesting(raw: bytes) -> None:
    closed = raw if raw.count(b"[{") == raw.count(b"}]") else raw + b"]}"
    for value in (raw, closed):
        decoder = Decoder()
        found = decoder.run(value)
        assert sum(found.events) + sum(lost for _, _, lost in found.rejected) == 1
        run = decode_spans([Row(value)])
        assert run.events.sum() + sum(rejected.events for rejected in run.rejected) == 1


def deep_protobuf(depth: int) -> bytes:
    def field(number: int, content: bytes) -> bytes:
        size, encoded = len(content), b""
        while size >= 0x80:
            encoded += bytes([size & 0x7F | 0x80])
            size >>= 7
        return bytes([number << 3 | 2]) + encoded + bytes([size]) + content

    value = field(1, b"x")
    for _ in range(depth):
        value = field(5, field(1, value))
    attribute = field(1, field(1, b"service.name") + field(2, value))
    point = b"\x19" + (5).to_bytes(8, "little") + b"\x31" + (7).to_bytes(8, "little")
    metric = field(1, b"g") + field(5, field(1, point))
    return field(1, field(1, attribute) + field(2, field(2, metric)))


@pytest.mark.parametrize("depth", [1, 10, 20, 45, 60, 2000])
def test_deep_protobuf(depth: int) -> None:
    found = Decoder().run(deep_protobuf(depth))
    assert sum(found.events) + sum(lost for _, _, lost in found.rejected) == 1
