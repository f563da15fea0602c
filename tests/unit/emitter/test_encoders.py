from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from agents_emitter import events
from agents_emitter.encoders import GROUP_BYTES, GroupEncoder, Identity, MetricEncoder
from agents_emitter.registry import PAGE_BYTES, PAGE_SERIES, Registry
from tests.unit.emitter.broker import samples_of, unpack

IDENTITY = Identity({"service.name": "s"}, b"agent-1", "agent-1-1")


def registry_of(count: int, label_chars: int = 1) -> Registry:
    registry = Registry(10_000)
    for i in range(count):
        registry.number("m", "1", "gauge", (("n", f"{i:0{label_chars}d}"),))
    return registry


def numbers(bodies: list[dict[str, Any]]) -> list[tuple[int, float]]:
    return [(int(labels["n"]), value) for body in bodies for _, labels, value in samples_of(body)]


def heads(values: list[bytes]) -> list[bytes]:
    return [value[: value.index(b',"seq":')] for value in values]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 699), st.integers(-(10**9), 10**9), st.floats(-1e6, 1e6)), max_size=400))
def test_every_sample_keeps_its_series_time_and_value(samples: list[tuple[int, int, float]]) -> None:
    base = 1_700_000_000_000_000_000
    encoder = MetricEncoder(IDENTITY, registry_of(700), 100)
    batches, invalid = encoder.encode([(row, base + t, v) for row, t, v in samples], 3)
    bodies = [orjson.loads(batch.value) for batch in batches]
    times = [body["base_time_unix_nano"] + offset for body in bodies for offset in unpack(body["offset_ns"], "q", 8)]
    got = [(n, t - base, v) for (n, v), t in zip(numbers(bodies), times, strict=True)]
    assert sorted(got) == sorted(samples)
    assert invalid == 0
    assert [body["seq"] for body in bodies] == list(range(len(bodies)))
    assert all(
        body["dropped_total"] == 3 and body["count"] == b.events <= 100 for body, b in zip(bodies, batches, strict=True)
    )


def test_with_few_series_every_head_is_the_same_bytes() -> None:
    registry = registry_of(20)
    encoder = MetricEncoder(IDENTITY, registry, 10)
    values = [batch.value for row in range(20) for batch in encoder.encode([(row, 1, 1.0)] * 15, 0)[0]]
    assert len(values) == 40
    assert len(set(heads(values))) == 1
    registry.number("m", "1", "gauge", (("n", "20"),))
    after = encoder.encode([(20, 1, 1.0)], 0)[0][0].value
    assert heads([after]) != heads(values[:1])
    assert heads([after])[0].startswith(heads(values[:1])[0].split(b"]")[0])


def test_dense_pages_repeat_their_heads_and_sparse_ones_name_only_what_they_use() -> None:
    encoder = MetricEncoder(IDENTITY, registry_of(3 * PAGE_SERIES), 500)
    dense = [(row % PAGE_SERIES, 1, 1.0) for row in range(200)]
    sparse = [(PAGE_SERIES + 5, 1, 2.0), (3 * PAGE_SERIES - 1, 1, 3.0)]
    first = [b.value for b in encoder.encode(dense + sparse, 0)[0]]
    second = [b.value for b in encoder.encode(dense[:50], 0)[0]]
    assert [len(orjson.loads(value)["series"]) for value in first] == [PAGE_SERIES, 2]
    assert numbers([orjson.loads(first[1])]) == [(PAGE_SERIES + 5, 2.0), (3 * PAGE_SERIES - 1, 3.0)]
    assert heads(second) == heads(first[:1])


def test_large_labels_make_small_pages_and_no_record_is_out_of_bounds() -> None:
    registry = registry_of(2000, label_chars=2000)
    assert all(
        sum(registry.row_bytes[start:stop]) <= PAGE_BYTES
        for start, stop in zip(registry.page_start, [*registry.page_start[1:], 2000], strict=True)
    )
    for rows in (range(2000), range(0, 2000, 5)):  # dense pages, sparse pages
        batches, _ = MetricEncoder(IDENTITY, registry, 500).encode([(row, 1, 1.0) for row in rows], 0)
        assert sorted(n for n, _ in numbers([orjson.loads(batch.value) for batch in batches])) == list(rows)
        assert max(batch.size_bytes for batch in batches) < 400_000


def test_counters_take_no_negative_increment_and_nothing_takes_nan() -> None:
    registry = Registry(10)
    kinds: tuple[events.Kind, ...] = ("counter", "updowncounter", "gauge", "histogram")
    rows = [registry.number(kind, "1", kind, ())[0] for kind in kinds]
    items = [(row, 1, value) for row in rows for value in (-1.0, 0.0, float("nan"), float("inf"), 1e308, 1e308)]
    batches, invalid = MetricEncoder(IDENTITY, registry, 500).encode(items, 10)
    body = orjson.loads(batches[0].value)
    assert invalid == 9
    assert body["dropped_total"] == 19
    assert [(name, value) for name, _, value in samples_of(body)] == [
        (kind, value) for kind in kinds for value in (-1.0, 0.0, 1e308, 1e308) if value >= 0 or kind != "counter"
    ]


def test_nothing_but_invalid_samples_makes_no_batch_and_no_gap() -> None:
    encoder = MetricEncoder(IDENTITY, registry_of(1), 500)
    assert encoder.encode([(0, 1, float("nan"))], 0) == ([], 1)
    assert orjson.loads(encoder.encode([(0, 1, 1.0)], 1)[0][0].value)["seq"] == 0


def group_encoder(max_batch_rows: int = 3) -> GroupEncoder:
    def key(row: Mapping[str, Any]) -> bytes:
        return str(row["traceId"]).encode()

    return GroupEncoder(
        IDENTITY,
        group_of=key,
        row_of=dict,
        clean=dict,
        encode_batch=events.encode_span_batch,
        max_batch_rows=max_batch_rows,
    )


def test_spans_of_one_trace_share_batches_bounded_by_count_and_size() -> None:
    encoder = group_encoder()
    rows = [(10, {"traceId": trace, "n": n}) for n, trace in enumerate(["a", "b", "a", "a", "", "a"])]
    large = [(GROUP_BYTES, {"traceId": "c", "n": n}) for n in (6, 7)]
    batches, invalid = encoder.encode(rows + large, 4)
    bodies = [orjson.loads(batch.value) for batch in batches]
    assert [(b.key, [s["n"] for s in body["spans"]]) for b, body in zip(batches, bodies, strict=True)] == [
        (b"a", [0, 2, 3]),
        (b"a", [5]),
        (b"b", [1]),
        (b"agent-1", [4]),
        (b"c", [6]),
        (b"c", [7]),
    ]
    assert [body["seq"] for body in bodies] == [0, 1, 2, 3, 4, 5]
    assert {body["dropped_total"] for body in bodies} == {4}
    assert invalid == 0
