"""A log that was made again, thinned out, cut or split under its checkpoints: nothing is skipped, doubled or silent."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents_emitter import events
from streams import topics
from streams.app.metrics import MetricsPartition
from streams.app.part import Part
from streams.app.rekey import RekeyPart
from streams.app.sink import Output
from streams.domain.source import OPEN, UNREAD, SourceLog
from streams.domain.window import decode_window_batch
from streams.window.operator import WindowSpec
from streams.window.rollup import Span
from tests.wiring.line import Line, Record
from tests.wiring.test_parts import EagerTraces, alerts_part, span_log, traces_part, window_log

SECOND = 10**9
BASE = 1_700_000_000 * SECOND
SPEC = WindowSpec(pane_ns=SECOND, spans=(Span(5 * SECOND, 5 * SECOND),), lateness_ns=SECOND)
SERIES = [events.SeriesDefinition("steps", "1", "counter")]
STEP_NS = SECOND // 4


def part() -> MetricsPartition:
    return MetricsPartition(topics.METRICS, 0, SPEC, snapshot_every=3)


def log_of(numbers: Sequence[int], *, producer: str = "p", quiet: bool = False) -> list[Record]:
    """One batch with one event for each number, a quarter of a second apart in event time; ``quiet``: then ticks."""
    head = events.encode_metric_head({"service.name": "s"}, SERIES, producer)
    values = [
        (
            BASE + n * STEP_NS,
            events.encode_metric_batch(
                head,
                seq=n,
                dropped_total=0,
                base_time_unix_nano=BASE + n * STEP_NS,
                index=[0],
                offset_ns=[0],
                value=[1.0],
            ),
        )
        for n in numbers
    ]
    if quiet:
        end_ns = values[-1][0]
        values += [(end_ns + s * SECOND, events.encode_tick(end_ns + s * SECOND)) for s in (10, 20)]
    return [Record(value, offset, time_ns // 1_000_000, b"k") for offset, (time_ns, value) in enumerate(values)]


def by(length: int) -> Iterator[int]:
    return itertools.repeat(length)


def saved(line: Line) -> MetricsPartition:
    """What the last checkpoint holds: a new part that has been restored and has read nothing."""
    life = part()
    life.restore(line.state(), SourceLog("first", 1, 0, 10**9))
    return life


def windows(line: Line) -> dict[tuple[int, int], tuple[float, bool]]:
    """(start, size) in seconds -> sum and whether it says to be incomplete."""
    found = {}
    for value in line.contents(topics.WINDOWS).values():
        batch = decode_window_batch(value)
        key = ((batch.start_ns - BASE) // SECOND, (batch.end_ns - batch.start_ns) // SECOND)
        found[key] = (float(batch.sum.sum()), batch.incomplete)
    return found


def metrics(line: Line) -> MetricsPartition:
    assert isinstance(line.part, MetricsPartition)
    return line.part


@pytest.mark.parametrize("length", [3, 40, 400])
def test_a_log_that_was_made_again_is_read_from_its_beginning(length: int) -> None:
    """Shorter or longer than the old one was: offsets say nothing."""
    line = Line(log_of(range(40)), part)
    line.run(by(7), 2)
    before = saved(line).operator
    known, open_ = before.fates.total, before.counted - before.applied
    assert 0 < open_ < known
    line.source, line.epoch = log_of(range(40, 40 + length), quiet=True), "second"
    line.run(by(7), 2)
    fates, source = metrics(line).operator.fates, metrics(line).source
    assert (fates.aggregated, fates.late, fates.duplicate) == (known + length, 0, 0)
    assert (source.epoch, source.era, source.changes) == ("second", 1, {"recreated": 1})
    assert source.lost == {("recreated", OPEN): open_}
    panes = {start: found for (start, size), found in windows(line).items() if size == 1}
    assert sum(value for value, _ in panes.values()) == known + length - open_
    short = {start for start, (value, _) in panes.items() if value < 4 and start < (40 + length) // 4}
    assert short
    assert short <= {start for start, (_, incomplete) in panes.items() if incomplete}
    assert not any(incomplete for start, (_, incomplete) in panes.items() if start > 10)
    line.run(by(7), 2)
    assert metrics(line).source == source
    assert metrics(line).operator.fates == fates


def test_batches_that_are_sent_again_into_the_new_log_are_duplicates() -> None:
    line = Line(log_of(range(40)), part)
    line.run(by(1), 0)
    before = saved(line).operator
    held, known = before.applied + 1, before.fates.total
    line.source, line.epoch = log_of([*range(held), *range(40, 60)], quiet=True), "second"
    line.run(by(7), 2)
    fates = metrics(line).operator.fates
    assert (fates.aggregated, fates.duplicate) == (known + 20, held)


crashes = st.lists(st.integers(0, 30), max_size=6)


@settings(max_examples=40, deadline=None)
@given(
    length=st.integers(31, 90),
    begins=st.integers(0, 30),
    first=crashes,
    second=crashes,
    cuts=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    depth=st.integers(0, 4),
)
def test_crashes_around_a_log_that_was_made_again(
    length: int, begins: int, first: list[int], second: list[int], cuts: list[int], depth: int
) -> None:
    """However the workers die, every record of the new log is counted once and is in one window."""
    line = Line(log_of(range(40)), part, first)
    line.run(itertools.cycle(cuts), depth)
    before = saved(line).operator
    line.source, line.epoch, line.begin = log_of(range(40, 40 + length), quiet=True), "second", begins
    line._crashes = iter(second)
    line.run(itertools.cycle(cuts), depth)
    fates, source = metrics(line).operator.fates, metrics(line).source
    assert fates.total == fates.aggregated == before.fates.total + length - begins
    lost = {("recreated", UNREAD): begins, ("recreated", OPEN): before.counted - before.applied}
    assert source.lost == {key: count for key, count in lost.items() if count}
    panes = [value for (_, size), (value, _) in windows(line).items() if size == 1]
    assert sum(panes) == fates.total - (before.counted - before.applied)


def late_writes(part_: Part, source: Sequence[Record]) -> list[Output]:
    """What a worker that still has the old log writes."""
    found: list[Output] = []
    for step in part_.process(source, 10**15):
        found += [*step.checkpoint]
    return found


def test_a_worker_that_still_has_the_old_log_and_writes_late_changes_nothing() -> None:
    line = Line(log_of(range(40)), part)
    line.run(by(7), 0)
    old = log_of(range(100, 140), producer="old", quiet=True)
    writes = late_writes(metrics(line), [record._replace(offset=5000 + record.offset) for record in old])
    assert any((output.key or b"").endswith(b"/core") for output in writes)
    known = saved(line).operator.fates.total
    line.source, line.epoch = log_of(range(40, 60)), "second"
    line.run(by(2), 0)
    append(line, writes)
    line.source = log_of(range(40, 80), quiet=True)
    line.run(by(7), 0)
    assert metrics(line).operator.fates.total == known + 40
    assert metrics(line).source.changes == {"recreated": 1}


def test_one_that_writes_before_the_new_log_has_a_checkpoint_does_not_hide_that_it_is_another() -> None:
    line = Line(log_of(range(40)), part)
    line.run(by(7), 0)
    old = log_of(range(100, 140), producer="old", quiet=True)
    append(line, late_writes(metrics(line), [record._replace(offset=40 + record.offset) for record in old]))
    known = saved(line).operator.fates.total
    line.source, line.epoch = log_of(range(200, 260), quiet=True), "second"
    line.run(by(7), 0)
    assert metrics(line).operator.fates.total == known + 60
    assert metrics(line).source.changes == {"recreated": 1}


def append(line: Line, outputs: Sequence[Output]) -> None:
    for output in outputs:
        log = line.topics[output.topic]
        log.append(Record(output.value, len(log), 0, output.key, 0, output.topic))


@pytest.mark.parametrize("gone", [37, 40, 55])
def test_what_retention_removed_is_counted_and_windows_say_so(gone: int) -> None:
    line = Line(log_of(range(40)), part)
    line.run(by(1), 0)
    before = saved(line).operator
    held, known = before.applied + 1, before.counted + 1
    assert held < 37
    line.source, line.begin = log_of(range(80), quiet=True), gone
    line.run(by(5), 1)
    source, fates = metrics(line).source, metrics(line).operator.fates
    unread, open_ = max(0, gone - known), min(gone, known) - held
    lost = {("retention", UNREAD): unread, ("retention", OPEN): open_}
    assert source.changes == {"retention": 1}
    assert source.lost == {key: count for key, count in lost.items() if count}
    assert fates.aggregated == 80 - unread
    panes = {start: found for (start, size), found in windows(line).items() if size == 1 and start < 20}
    assert sum(value for value, _ in panes.values()) == 80 - unread - open_
    short = {start for start, (value, _) in panes.items() if value < 4}
    assert short
    assert short <= {start for start, (_, incomplete) in panes.items() if incomplete}
    assert not panes[19][1]
    assert any(incomplete for (_, size), (_, incomplete) in windows(line).items() if size == 5)


def test_a_running_worker_counts_what_it_was_too_slow_for() -> None:
    line = Line(log_of(range(80), quiet=True), part)
    found = part()
    found.restore({}, SourceLog("first", 1, 0, 80))
    steps = list(found.process(line.source[:30], 0))
    found.skip(10)
    steps += found.process(line.source[40:], 0)
    for step in steps:
        line._deliver(step)
    assert found.source.lost == {("retention", UNREAD): 10}
    panes = {start: entry for (start, size), entry in windows(line).items() if size == 1 and start < 20}
    assert sum(value for value, _ in panes.values()) == 70
    assert {start for start, (_, incomplete) in panes.items() if incomplete} >= {7, 8, 9}
    assert not panes[3][1]
    assert not panes[15][1]


def test_a_log_whose_tail_is_gone_goes_on_from_its_end() -> None:
    """What is written at the old offsets is new."""
    line = Line(log_of(range(40)), part)
    line.run(by(1), 0)
    before = saved(line).operator
    other = log_of(range(100, 140), producer="q", quiet=True)
    line.source = line.source[:30]
    line.run(by(5), 0)  # nothing is read
    line.source += [record._replace(offset=30 + record.offset) for record in other]
    line.run(by(5), 0)
    assert metrics(line).source.changes == {"truncated": 1}
    assert metrics(line).source.lost == {("truncated", OPEN): before.counted - before.applied}
    assert metrics(line).operator.fates.total == before.fates.total + 40


def totals_log(first: int, last: int, *, quiet: bool = False) -> list[Record]:
    """A running total, one more in each record, as an OpenTelemetry SDK sends it; one in three is late by 0.5 s."""
    found = []
    for n in range(first, last + 1):
        time_ns = BASE + n * STEP_NS - (0 if n % 3 else SECOND // 2)
        point = {"startTimeUnixNano": str(BASE), "timeUnixNano": str(time_ns), "asInt": str(n)}
        metric = {
            "name": "total",
            "unit": "1",
            "sum": {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": [point]},
        }
        body = {"resourceMetrics": [{"resource": {"attributes": []}, "scopeMetrics": [{"metrics": [metric]}]}]}
        found.append(Record(orjson.dumps(body), n - first, (BASE + n * STEP_NS) // 1_000_000, b"k"))
    ticks = [BASE + (last * STEP_NS) + seconds * SECOND for seconds in (10, 20)] if quiet else []
    return found + [
        Record(events.encode_tick(time_ns), len(found) + i, time_ns // 1_000_000, b"k")
        for i, time_ns in enumerate(ticks)
    ]


@pytest.mark.parametrize("length", [1, 2, 3, 5])
def test_running_totals_are_never_counted_twice(length: int) -> None:
    """What came after the held offset may be in closed windows, and the new log does not say it again."""
    line = Line(totals_log(1, 40), part)
    line.run(by(length), 0)
    open_ = saved(line).operator.counted - saved(line).operator.applied
    line.source, line.epoch = totals_log(41, 80, quiet=True), "second"
    line.run(by(length), 0)
    panes = sum(value for (_, size), (value, _) in windows(line).items() if size == 1)
    assert 80 - open_ - length - 1 <= panes < 80


def test_more_partitions_are_told_once() -> None:
    line = Line(log_of(range(20)), part)
    line.run(by(5), 0)
    line.partitions = 4
    line.source = log_of(range(40), quiet=True)
    line.run(by(5), 0)
    line.run(by(5), 0)
    source = metrics(line).source
    assert (source.partitions, source.changes, source.lost) == (4, {"repartitioned": 1}, {})
    assert metrics(line).operator.fates.total == 40


# the other roles


def rekey_part() -> RekeyPart:
    return RekeyPart(topics.OTLP_SPANS, 0, 2)


def test_traces_of_a_log_that_was_made_again() -> None:
    first, second = span_log(1), span_log(2)
    line = Line(first, traces_part)
    line.run(by(4), 1)
    counts = dict(line.part.progress(0, 0).fates)
    line.source, line.epoch = second, "second"
    line.run(by(4), 1)
    alone = Line(second, traces_part)
    alone.run(by(4), 1)
    assert isinstance(line.part, EagerTraces)
    found = line.part.progress(0, 0)
    expected = alone.part.progress(0, 0).fates
    assert sum(found.fates.values()) == sum(counts.values()) + sum(expected.values())
    assert found.source.changes == {"recreated": 1}


def test_batch_numbers_go_on_in_a_log_that_was_made_again() -> None:
    rng = random.Random(1)
    first = span_log(1)
    line = Line(first, rekey_part)
    line.run(by(4), 1)
    assert isinstance(line.part, RekeyPart)
    numbers = dict(line.part.numbers)
    line.source, line.epoch = span_log(rng.randrange(2, 50)), "second"
    line.run(by(4), 1)
    assert isinstance(line.part, RekeyPart)
    assert all(line.part.numbers[producer] > number for producer, number in numbers.items())
    assert line.part.source.era == 1


def test_alerts_of_windows_that_were_made_again() -> None:
    log = window_log(3)
    calm = Line(log, alerts_part)
    calm.run(by(len(log)), 0)
    line = Line(log[:200], alerts_part)
    line.run(by(7), 1)
    line.source = [record._replace(offset=i) for i, record in enumerate(log[150:])]
    line.epoch = "second"
    line.run(by(7), 1)
    assert line.part.source.changes == {"recreated": 1}
    first = {(r.key, r.value) for r in calm.topics[topics.ALERTS]}
    assert {(r.key, r.value) for r in line.topics[topics.ALERTS]} <= first
