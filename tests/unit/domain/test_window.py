"""A window travels as records and is put together again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.domain import window
from streams.domain.series import Series
from streams.domain.window import (
    SeriesLists,
    WindowAssembler,
    WindowBatch,
    decode_window_batch,
    encode_window_batch,
    join,
    split,
)


def make(counters: list[int], start_ns: int = 0) -> WindowBatch:
    """A window with so many sketch counters for each series."""
    n, m = len(counters), sum(counters)
    return WindowBatch(
        topic="t",
        partition=1,
        start_ns=start_ns,
        end_ns=start_ns + 10,
        series=[Series(f"m{i}", "s", "gauge", (("a", str(i)),)) for i in range(n)],
        count=np.arange(1, n + 1, dtype=np.int64),
        sum=np.linspace(0, 1, n),
        sum_low=np.linspace(0, 1e-20, n),
        minimum=np.zeros(n),
        maximum=np.ones(n),
        sum_squares=np.ones(n),
        quantiles=np.ones((n, 3)),
        sketch_start=np.cumsum([0, *counters]).astype(np.int32),
        sketch_bucket=np.arange(m, dtype=np.int32) - m // 2,
        sketch_weight=np.arange(1, m + 1, dtype=np.int64) ** 2,
    )


def same(one: WindowBatch, two: WindowBatch) -> bool:
    return encode_window_batch(one) == encode_window_batch(two)


@settings(deadline=None)
@given(counters=st.lists(st.integers(0, 9), max_size=12), series=st.integers(1, 5), entries=st.integers(1, 20))
def test_split_and_join_are_inverse(counters: list[int], series: int, entries: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window, "MAX_COUNTERS_PER_RECORD", entries)
        batch = make(counters)
        parts = list(split(batch, series))
        assert [part.chunk for part in parts] == list(range(len(parts)))
        assert all(len(part) <= series for part in parts)
        assert all(len(part) == 1 or len(part.sketch_bucket) <= entries for part in parts if len(part))
        assert len({part.key for part in parts}) == len(parts)
        assert same(join([decode_window_batch(encode_window_batch(part)) for part in parts]), batch)


def test_the_assembler_waits_for_all_records_and_survives_repetition() -> None:
    parts = list(split(make([2] * 5), 2))
    assembler = WindowAssembler()
    order = [parts[0], parts[1], parts[0], parts[1]]
    assert [assembler.add(part) for part in order] == [None] * 4
    whole = assembler.add(parts[2])
    assert whole is not None
    assert same(whole, make([2] * 5))
    assert assembler.abandoned == 0


def test_windows_in_the_making_stand_side_by_side_and_the_earliest_makes_room() -> None:
    assembler = WindowAssembler()
    starts = range(0, 10 * (window.MAX_IN_THE_MAKING + 1), 10)
    halves = [list(split(make([1] * 3, start_ns=start), 2)) for start in starts]
    assert [assembler.add(first) for first, _ in halves] == [None] * len(halves)
    assert assembler.abandoned == 1
    wholes = [assembler.add(second) for _, second in halves[1:]]
    assert [whole.start_ns for whole in wholes if whole is not None] == list(starts)[1:]
    assert assembler.add(halves[0][1]) is None


@pytest.mark.parametrize(
    ("largest", "dtype"), [(1, "<u1"), (255, "<u1"), (256, "<u2"), (65_535, "<u2"), (65_536, "<u4"), (2**32, "<u8")]
)
def test_counters_take_the_narrowest_type(largest: int, dtype: str) -> None:
    batch = make([1])
    batch.sketch_weight[0] = largest
    raw = encode_window_batch(batch)
    assert f'"weight_type":"{dtype}"'.encode() in raw
    assert decode_window_batch(raw).sketch_weight.tolist() == [largest]


def test_series_that_were_read_before_are_the_same_objects() -> None:
    lists = SeriesLists()
    raw = encode_window_batch(make([1, 1, 1]))
    first, second = (decode_window_batch(raw, lists.of) for _ in range(2))
    assert first.series is second.series
    assert first.series == decode_window_batch(raw).series


def test_series_lists_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.domain.window.SERIES_LISTS", 2)
    lists = SeriesLists()
    texts = [b'[{"name":"n%d","unit":"s","kind":"gauge","labels":{}}]' % i for i in range(3)]
    first, *_ = [lists.of(text) for text in texts]
    assert lists.of(texts[2]) is lists.of(texts[2])
    assert lists.of(texts[0]) is not first
