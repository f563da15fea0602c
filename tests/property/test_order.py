"""Any order within the allowed lateness, any split into records and runs: the same windows and fates."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from streams.domain.window import WindowBatch, encode_window_batch
from streams.window.operator import WindowOperator, WindowSpec
from streams.window.rollup import Span
from tests.property.profile import examples
from tests.unit.window.logs import PANE, SECOND, Entry, columns

BASE = 1_700_000_000 * SECOND
MS = SECOND // 1000
SPEC = WindowSpec(spans=(Span(2 * PANE, 2 * PANE), Span(6 * PANE, 6 * PANE), Span(3 * PANE, PANE)))
LATENESS_MS = SPEC.lateness_ns // MS


class Event(NamedTuple):
    """A sample and by how much it is delayed in each of two orders of arrival."""

    name: str
    time_ms: int
    value: float
    delays_ms: tuple[int, int]


def event_lists(values: st.SearchStrategy[float]) -> st.SearchStrategy[list[Event]]:
    delay = st.integers(0, LATENESS_MS)
    return st.lists(
        st.builds(Event, st.sampled_from("abc"), st.integers(0, 90_000), values, st.tuples(delay, delay)),
        min_size=1,
        max_size=40,
    )


cut_lists = st.lists(st.integers(1, 40), max_size=12)
whole_numbers = st.integers(-(2**20), 2**20).map(float)
"""Whatever is computed of them, squares too, is exact in any order."""
moderate = st.floats(1e-6, 1e6) | st.floats(-1e6, -1e-6)
"""Sums of them fit into the pair of numbers that a sum is kept in."""


def arrived(events: Sequence[Event], order: int, cuts: Sequence[int]) -> list[Entry]:
    """The events as records cut at ``cuts``, none of them behind another by more than the lateness, then a tick."""
    ordered = sorted(events, key=lambda e: e.time_ms + e.delays_ms[order])
    edges = sorted({0, len(ordered), *(c for c in cuts if c < len(ordered))})
    log = [
        Entry([(e.name, BASE + e.time_ms * MS, e.value) for e in ordered[low:high]]) for low, high in pairwise(edges)
    ]
    return [*log, Entry(tick_ns=BASE + 200 * SECOND)]


def closed(operator: WindowOperator, log: Sequence[Entry], cuts: Sequence[int]) -> list[WindowBatch]:
    """All windows of the log, applied in runs cut at ``cuts``."""
    edges = sorted({0, len(log), *(c for c in cuts if c < len(log))})
    runs = (operator.apply(columns(log[low:high], low, operator.table)) for low, high in pairwise(edges))
    return [batch for outcome in runs for batch in outcome.closed]


def contents(batches: Sequence[WindowBatch]) -> dict[bytes, bytes]:
    """Key to bytes, as the topic would hold them; no window is given twice."""
    assert len({batch.key for batch in batches}) == len(batches)
    return {batch.key: encode_window_batch(batch) for batch in batches}


@examples(60)
@given(event_lists(whole_numbers), cut_lists, cut_lists, cut_lists, cut_lists)
def test_any_order_within_lateness_gives_the_same_bytes(
    events: list[Event], records: list[int], runs: list[int], other_records: list[int], other_runs: list[int]
) -> None:
    one, two = WindowOperator("t", 0, SPEC), WindowOperator("t", 0, SPEC)
    first = contents(closed(one, arrived(events, 0, records), runs))
    assert contents(closed(two, arrived(events, 1, other_records), other_runs)) == first
    assert one.fates == two.fates
    assert (one.fates.aggregated, one.fates.total) == (len(events), len(events))


@examples(40)
@given(event_lists(moderate), cut_lists, cut_lists)
def test_any_order_gives_the_same_numbers_but_for_the_rounding_of_squares(
    events: list[Event], records: list[int], runs: list[int]
) -> None:
    """Sums of squares are kept as one number: they have the order's rounding, and only they."""
    one, two = WindowOperator("t", 0, SPEC), WindowOperator("t", 0, SPEC)
    first, second = closed(one, arrived(events, 0, []), []), closed(two, arrived(events, 1, records), runs)
    for this, other in zip(sorted(first, key=by_key), sorted(second, key=by_key), strict=True):
        bound = 1e-12 * this.sum_squares
        assert (abs(this.sum_squares - other.sum_squares) <= bound).all()
        other.sum_squares[:] = this.sum_squares
        assert encode_window_batch(this) == encode_window_batch(other)


def by_key(batch: WindowBatch) -> bytes:
    return batch.key
