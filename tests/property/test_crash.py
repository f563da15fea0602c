"""Any crash point, any split: the same windows, totals, fates and dead letters, with records of every format."""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import topics
from streams.app import blob, metrics
from streams.app.metrics import MetricsPartition
from streams.app.outbox import Step
from streams.app.sink import Output
from streams.decode.run import HeadCache, decode_run
from streams.domain.series import SeriesTable
from streams.domain.window import decode_window_batch, split
from streams.publish.deadletter import read_dead_letter
from streams.window import checkpoint
from streams.window.operator import WindowSpec
from streams.window.rollup import Span
from tests.property.profile import seeded
from tests.property.sources import SECOND, log_of, metric_values
from tests.wiring.line import Crash, Line, Record

SPEC = WindowSpec(
    pane_ns=SECOND,
    spans=(Span(2 * SECOND, 2 * SECOND), Span(6 * SECOND, 6 * SECOND), Span(3 * SECOND, SECOND)),
    lateness_ns=SECOND,
)
run_lengths = st.lists(st.integers(1, 15), min_size=1, max_size=8)
crash_points = st.lists(st.integers(0, 60), max_size=8)


class ImpatientPart(MetricsPartition):
    """Its clock moves by four seconds with each record, so that a checkpoint is due where nothing closes, too.

    Attributes:
        unsaid: what it has to publish, in order.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.unsaid: deque[Output] = deque()

    def process(self, records: Sequence[Record], now_ns: int) -> list[Step]:
        steps = super().process(records, (records[-1].offset + 1) * 4 * SECOND)  # type: ignore[arg-type]
        self.unsaid.extend(output for step in steps for output in (*step.results, *step.checkpoint))
        return steps


def make() -> MetricsPartition:
    return ImpatientPart(topics.METRICS, 0, SPEC, snapshot_every=3)


@pytest.fixture(autouse=True, scope="module")
def small_records() -> Iterator[None]:
    """Windows, lists of series and snapshots travel as many records, so that a crash can come between them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "split", lambda batch: split(batch, 2))
        patch.setattr(checkpoint, "CHUNK", 3)
        patch.setattr(blob, "CHUNK_BYTES", 700)
        yield


def dead_letters(line: Line) -> set[tuple[int, str, bytes | None]]:
    letters = [read_dead_letter(record) for record in line.topics[topics.DEAD_LETTERS]]
    return {(letter.offset, letter.reason, letter.value) for letter in letters}


def events_in(log: Sequence[Record]) -> int:
    """Events of the log, each record decoded alone."""
    runs = (decode_run([record], SeriesTable(), HeadCache(), hint=topics.METRICS) for record in log)
    return sum(int(run.events.sum()) + sum(rejected.events for rejected in run.rejected) for run in runs)


class Haunted(Line):
    """A crash takes the partition away and not the process: what the old owner still had to say comes later.

    Args:
        rng: decides when.
    """

    def __init__(self, source: Sequence[Record], crashes: Sequence[int], rng: random.Random) -> None:
        super().__init__(source, make, crashes)
        self._rng, self._late = rng, list[deque[Output]]()

    def _live(self, run_lengths: Iterator[int], depth: int) -> None:
        try:
            super()._live(run_lengths, depth)
        except Crash:
            part = part_of(self)
            more = self.source[part.operator.applied + 1 :][: next(run_lengths)]
            if more:
                part.process(more, 0)
            self._late.append(part.unsaid)
            raise

    def _append(self, output: Output) -> int:
        self._die_in_time()
        part_of(self).unsaid.popleft()
        while (speaking := [late for late in self._late if late]) and self._rng.random() < 0.4:
            self._write(self._rng.choice(speaking).popleft())
        return self._write(output)

    def _write(self, output: Output) -> int:
        left, self._left = self._left, None
        try:
            return super()._append(output)
        finally:
            self._left = left


def played(log: Sequence[Record], lengths: list[int], depth: int, crashes: Sequence[int] = ()) -> Line:
    line = Line(log, make, crashes)
    line.run(itertools.cycle(lengths), depth)
    return line


def part_of(line: Line) -> ImpatientPart:
    assert isinstance(line.part, ImpatientPart)
    return line.part


@seeded(30)
@given(seed=st.integers(0, 10**6), lengths=run_lengths, depth=st.integers(0, 5))
def test_any_split_into_runs_gives_the_same_bytes(seed: int, lengths: list[int], depth: int) -> None:
    log = log_of(metric_values(seed, records=60, seconds=15))
    whole, split_up = played(log, [len(log)], 0), played(log, lengths, depth)
    assert split_up.contents(topics.WINDOWS) == whole.contents(topics.WINDOWS)
    assert part_of(split_up).operator.fates == part_of(whole).operator.fates
    assert part_of(split_up).fold.snapshot() == part_of(whole).fold.snapshot()
    assert dead_letters(split_up) == dead_letters(whole)


@seeded(30)
@given(seed=st.integers(0, 10**6), lengths=run_lengths, crashes=crash_points, depth=st.integers(0, 5))
def test_any_crash_points_give_the_same_windows_totals_and_fates(
    seed: int, lengths: list[int], crashes: list[int], depth: int
) -> None:
    log = log_of(metric_values(seed, records=60, seconds=15))
    calm, crashed = played(log, [len(log)], 0), played(log, lengths, depth, crashes)
    assert crashed.contents(topics.WINDOWS) == calm.contents(topics.WINDOWS)
    first, second = part_of(calm), part_of(crashed)
    assert second.operator.fates == first.operator.fates
    assert second.progress(0, 0) == first.progress(0, 0)
    assert second.fold.snapshot() == first.fold.snapshot()
    assert dead_letters(crashed) == dead_letters(calm)
    assert second.operator.fates.total == events_in(log)


@seeded(20)
@given(seed=st.integers(0, 10**6), lengths=run_lengths, crashes=crash_points, depth=st.integers(0, 5))
def test_no_sample_is_lost_or_counted_twice(seed: int, lengths: list[int], crashes: list[int], depth: int) -> None:
    """Of single observations, all windows of each size hold as many as were aggregated."""
    values = [v for v in metric_values(seed, records=60, seconds=15) if b"resourceMetrics" not in v]
    line = played(log_of(values), lengths, depth, crashes)
    held: dict[int, int] = {}
    for value in line.contents(topics.WINDOWS).values():
        batch = decode_window_batch(value)
        size = batch.end_ns - batch.start_ns
        held[size] = held.get(size, 0) + int(batch.count.sum())
    aggregated = part_of(line).operator.fates.aggregated
    assert held == {SECOND: aggregated, 2 * SECOND: aggregated, 6 * SECOND: aggregated, 3 * SECOND: 3 * aggregated}


@seeded(30)
@given(seed=st.integers(0, 10**6), lengths=run_lengths, crashes=crash_points, depth=st.integers(0, 5))
def test_an_owner_that_goes_on_writing_after_it_lost_its_partition_changes_nothing(
    seed: int, lengths: list[int], crashes: list[int], depth: int
) -> None:
    log = log_of(metric_values(seed, records=60, seconds=15))
    calm, haunted = played(log, [len(log)], 0), Haunted(log, crashes, random.Random(seed))
    haunted.run(itertools.cycle(lengths), depth)
    assert haunted.contents(topics.WINDOWS) == calm.contents(topics.WINDOWS)
    assert part_of(haunted).operator.fates == part_of(calm).operator.fates
    assert part_of(haunted).fold.snapshot() == part_of(calm).fold.snapshot()
