"""Merging: associative, commutative, with an identity; quantiles within 2 %; records that are taken apart again."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from streams.domain.sketch import LARGEST, SMALLEST
from streams.domain.trace import Edge
from streams.domain.window import WindowAssembler, WindowBatch, decode_window_batch, encode_window_batch, split
from streams.window.operator import WindowOperator, WindowSpec
from streams.window.rollup import Span
from tests.property.profile import examples
from tests.unit.window.logs import PANE, SECOND, Entry, columns, quantile

BASE = 1_700_000_040 * SECOND
"""A whole minute."""
MINUTE = 60 * SECOND
MINUTES = (Span(MINUTE, MINUTE),)

Sample = tuple[str, int, float]
"""Series, number of the pane in its two minutes, value."""


def sample_lists(values: st.SearchStrategy[float], least: int = 1) -> st.SearchStrategy[list[Sample]]:
    return st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 11), values), min_size=least, max_size=50)


whole_numbers = st.integers(-(2**20), 2**20).map(float)
moderate = st.floats(1e-6, 1e6) | st.floats(-1e6, -1e-6)
finite = st.floats(allow_nan=False, allow_infinity=False)
sketched = st.floats(SMALLEST, LARGEST) | st.floats(-LARGEST, -SMALLEST) | st.just(0.0)


def windows(samples: Sequence[Sample], spans: Sequence[Span], pane_ns: int = PANE) -> list[WindowBatch]:
    """All windows of the samples."""
    operator = WindowOperator("t", 0, WindowSpec(pane_ns=pane_ns, spans=tuple(spans)))
    log = [
        Entry([(name, BASE + pane * PANE + i, value) for i, (name, pane, value) in enumerate(samples)]),
        Entry(tick_ns=BASE + 5 * MINUTE),
    ]
    return operator.apply(columns(log, 0, operator.table)).closed


def minutes(samples: Sequence[Sample], spans: Sequence[Span], pane_ns: int = PANE) -> dict[bytes, bytes]:
    """The windows of a minute that hold events."""
    found = windows(samples, spans, pane_ns)
    return {b.key: encode_window_batch(b) for b in found if len(b) and b.end_ns - b.start_ns == MINUTE}


@examples(60)
@given(sample_lists(whole_numbers))
def test_merging_is_associative(samples: list[Sample]) -> None:
    """A minute of panes, of halves of panes, of thirds of panes, and without a merge at all: the same bytes."""
    directly = minutes(samples, (), MINUTE)
    assert directly
    for size in (2, 3):
        assert minutes(samples, (*MINUTES, Span(size * PANE, size * PANE))) == directly
    assert minutes(samples, MINUTES) == directly


@examples(60)
@given(sample_lists(whole_numbers), st.permutations(range(6)), st.randoms(use_true_random=False))
def test_merging_is_commutative(samples: list[Sample], places: list[int], rng: random.Random) -> None:
    """The panes of a minute change places, and the samples of a pane; panes without events are the identity."""
    moved = [(name, pane - pane % 6 + places[pane % 6], value) for name, pane, value in samples]
    rng.shuffle(moved)
    assert minutes(moved, MINUTES) == minutes(samples, MINUTES)


@examples(60)
@given(sample_lists(moderate))
def test_merged_sums_are_correctly_rounded_and_extremes_exact(samples: list[Sample]) -> None:
    found = {
        (b.start_ns, r.series.name): r for b in windows(samples, MINUTES) for r in b.rows() if size_of(b) == MINUTE
    }
    expected: dict[tuple[int, str], list[float]] = {}
    for name, pane, value in samples:
        expected.setdefault((BASE + pane // 6 * MINUTE, name), []).append(value)
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        row = found[key]
        assert (row.count, row.sum) == (len(values), math.fsum(values))
        assert (row.minimum, row.maximum) == (min(values), max(values))
        assert math.isclose(row.sum_squares, math.fsum(v * v for v in values), rel_tol=1e-12)


def size_of(batch: WindowBatch) -> int:
    return batch.end_ns - batch.start_ns


@examples(100)
@given(sample_lists(sketched, least=5))
def test_quantiles_of_merged_windows_are_within_two_percent(samples: list[Sample]) -> None:
    values: dict[tuple[int, str], list[float]] = {}
    for name, pane, value in samples:
        values.setdefault((BASE + pane // 6 * MINUTE, name), []).append(value)
    for batch in windows(samples, MINUTES):
        if size_of(batch) == MINUTE:
            for row in batch.rows():
                exact = [quantile(values[batch.start_ns, row.series.name], q) for q in (0.5, 0.95, 0.99)]
                for got, wanted in zip((row.p50, row.p95, row.p99), exact, strict=True):
                    assert abs(got - wanted) <= 0.02 * abs(wanted)


@examples(60)
@given(sample_lists(finite), st.integers(1, 4), st.randoms(use_true_random=False))
def test_windows_survive_their_records_in_any_order_and_repeated(
    samples: list[Sample], max_series: int, rng: random.Random
) -> None:
    """Sizes travel side by side; the records of one window come in any order, some of them twice."""
    whole = {b.key: encode_window_batch(b) for b in windows(samples, MINUTES)}
    lanes: dict[int, list[bytes]] = {}
    for batch in windows(samples, MINUTES):
        parts = [encode_window_batch(part) for part in split(batch, max_series)]
        parts += [part for part in parts[:-1] if rng.random() < 0.3]
        rng.shuffle(parts)
        lanes.setdefault(size_of(batch), []).extend(parts)
    assembler, found = WindowAssembler(), dict[bytes, bytes]()
    while any(lanes.values()):
        lane = rng.choice([lane for lane in lanes.values() if lane])
        joined = assembler.add(decode_window_batch(lane.pop(0)))
        if joined is not None:
            assert found.setdefault(joined.key, encode_window_batch(joined)) == encode_window_batch(joined)
    assert found == whole


seconds = st.integers(0, 2**20).map(lambda n: n / 1024)
edges = st.builds(
    Edge,
    *(st.just("a"), st.just("b"), st.just("unset")),
    *(st.integers(0, 100), st.integers(0, 100), seconds, seconds, st.integers(0, 99), st.integers(0, 99)),
)


@examples(60)
@given(edges, edges, edges)
def test_edges_add_up_in_any_order(one: Edge, two: Edge, three: Edge) -> None:
    assert one.plus(two) == two.plus(one)
    assert one.plus(two).plus(three) == one.plus(two.plus(three))
