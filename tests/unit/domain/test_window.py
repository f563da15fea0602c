"""A window travels as records and is put together again."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.domain import window
from streams.domain.series import Series
from streams.domain.window import (
    SeriesLists,
    WindowAssembler,
    WindowBatch,
    decode_known_series,
    decode_series,
    decode_window_batch,
    encode_window_batch,
    join,
    series_fragment,
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
        read = [decode_window_batch(encode_window_batch(part)) for part in parts]
        assert same(join(read, [series for part in read for series in part.series]), batch)


def test_the_assembler_waits_for_all_records_and_survives_repetition() -> None:
    parts = list(split(make([2] * 5), 2))
    assembler = WindowAssembler()
    order = [parts[0], parts[1], parts[0], parts[1]]
    assert [assembler.add(part) for part in order] == [None] * 4
    whole = assembler.add(parts[2])
    assert whole is not None
    assert same(whole, make([2] * 5))
    assert assembler.abandoned == 0


def test_the_same_lists_of_series_are_the_same_list_again() -> None:
    """What readers keep by the identity of a list is theirs for the next window too."""
    lists, assembler = SeriesLists(), WindowAssembler()
    wholes = []
    for start_ns in (0, 10, 20):
        parts = [encode_window_batch(part) for part in split(make([1] * (5 if start_ns else 4), start_ns), 2)]
        wholes += [whole for raw in parts if (whole := assembler.add(decode_window_batch(raw, lists.of)))]
    assert [len(whole.series) for whole in wholes] == [4, 5, 5]
    assert wholes[1].series is wholes[2].series
    assert wholes[0].series is not wholes[1].series


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


LABELS = st.text() | st.sampled_from([',{"name":', '},{"name":"m0"', '"}', "],[", "\\"])
SERIES = st.builds(
    Series,
    LABELS,
    st.sampled_from(["s", "1"]),
    st.sampled_from(["gauge", "counter"]),
    st.dictionaries(LABELS, LABELS, max_size=3).map(lambda found: tuple(sorted(found.items()))),
)


@settings(deadline=None)
@given(found=st.lists(SERIES, max_size=5), known=st.lists(SERIES, max_size=5))
def test_known_series_are_found_by_their_bytes_and_others_are_read(found: list[Series], known: list[Series]) -> None:
    text = b"[" + b",".join([series_fragment(one) for one in found]) + b"]"
    by_fragment = {series_fragment(one): one for one in [*known, *found[::2]]}
    read = decode_known_series(text, by_fragment)
    assert read == found == decode_series(text)
    assert all(one is by_fragment.get(series_fragment(one), one) for one in read)
    spaced = orjson.dumps(orjson.loads(text), option=orjson.OPT_INDENT_2)
    assert decode_known_series(spaced, by_fragment) == found


HELD = """
from pathlib import Path
from streams.domain.series import Series
from streams.domain.window import series_fragment

def resident_pages():
    return int(Path("/proc/self/statm").read_text().split()[1])

series = [Series("agents.steps", "1", "counter", (("agent.id", f"a{n}"),)) for n in range(20_000)]
before = resident_pages()
kept = [series_fragment(one) for one in series]
print((resident_pages() - before) * 4096 // len(kept), len(kept[0]))
"""


def test_a_series_as_json_takes_its_length_and_no_buffer() -> None:
    """A worker keeps one of each series; as orjson gives it, it takes 4 KB."""
    told = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True)
    taken_bytes, length_bytes = map(int, told.stdout.split())
    assert taken_bytes < 4 * length_bytes


def test_columns_can_be_written_as_those_that_were_never_packed() -> None:
    """Compiled code takes the two for different types: it would be compiled once more where windows are read."""
    batch = decode_window_batch(encode_window_batch(make([1, 2])))
    columns = [one for one in vars(batch).values() if isinstance(one, np.ndarray)]
    assert len(columns) == 10
    assert all(one.flags.writeable for one in columns)


def test_series_lists_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.domain.window.SERIES_LISTS", 2)
    lists = SeriesLists()
    texts = [b'[{"name":"n%d","unit":"s","kind":"gauge","labels":{}}]' % i for i in range(3)]
    first, *_ = [lists.of(text) for text in texts]
    assert lists.of(texts[2]) is lists.of(texts[2])
    assert lists.of(texts[0]) is not first
