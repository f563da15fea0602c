"""The checker sees planted losses and doubles, and the slow truth follows the rules of time and of batch numbers."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, field

import pytest

from agents_emitter import events
from benchmarks.nemesis import checker
from benchmarks.nemesis.checker import Transition
from benchmarks.nemesis.source import Agent, is_silent, lanes
from benchmarks.nemesis.spans import SPANS, Tracer, span_truth
from benchmarks.nemesis.truth import Episode, LogRecord, Pane, Tally, Truth, episodes, truth

SECOND = 1_000_000_000
START = 1_000 * SECOND
SIZES = (SECOND, 10 * SECOND)


@dataclass
class Log:
    """One partition, written record by record."""

    records: list[LogRecord] = field(default_factory=list)

    def batch(self, seq: int, *samples: tuple[str, float, float], append: float | None = None) -> None:
        """Samples are (lane, seconds after the start, value)."""
        series = [events.SeriesDefinition("m", "1", "gauge", (("lane", lane),)) for lane, _, _ in samples]
        value = events.encode_metric_batch(
            events.encode_metric_head({}, series, "p"),
            seq=seq,
            dropped_total=0,
            base_time_unix_nano=START,
            index=range(len(samples)),
            offset_ns=[round(s * SECOND) for _, s, _ in samples],
            value=[v for _, _, v in samples],
        )
        self.add(value, max(s for _, s, _ in samples) if append is None else append)

    def add(self, value: bytes, append: float) -> None:
        self.records.append(LogRecord(0, len(self.records), START + round(append * SECOND), value))

    def truth(self, *, once: bool = True) -> Truth:
        return truth(self.records, sizes_ns=SIZES, lateness_ns=2 * SECOND, once=once)


def pane(second: int, size: int = 1, lane: str = "a") -> Pane:
    return Pane(0, size * SECOND, START + second * SECOND, lane)


def test_windows_hold_their_values_and_longer_ones_all_of_them() -> None:
    log = Log()
    log.batch(0, ("a", 0.1, 1), ("a", 0.9, 2), ("b", 0.5, 5))
    log.batch(1, ("a", 1.0, 3))
    found = log.truth()
    assert found.tallies() == {
        pane(0): Tally(2, 3.0, 1.0, 2.0),
        pane(1): Tally(1, 3.0, 3.0, 3.0),
        pane(0, 10): Tally(3, 6.0, 1.0, 3.0),
        pane(0, lane="b"): Tally(1, 5.0, 5.0, 5.0),
        pane(0, 10, "b"): Tally(1, 5.0, 5.0, 5.0),
    }
    assert found.fates == {0: Counter(aggregated=4)}


def test_a_batch_that_was_sent_again_counts_once() -> None:
    log = Log()
    log.batch(0, ("a", 0.1, 1), ("a", 0.2, 2))
    log.batch(0, ("a", 0.1, 1), ("a", 0.2, 2))
    assert log.truth().fates == {0: Counter(aggregated=2, duplicate=2)}
    assert log.truth().batches == {("p", 0): 2}
    assert log.truth(once=False).fates == {0: Counter(aggregated=4)}


def test_a_sample_whose_pane_had_ended_is_late_and_a_tick_moves_time() -> None:
    log = Log()
    log.batch(0, ("a", 0.1, 1))
    log.add(events.encode_tick(START + 3 * SECOND), 3.0)
    log.batch(1, ("a", 0.5, 2), ("a", 1.0, 3), append=3.5)
    found = log.truth()
    assert found.fates == {0: Counter(aggregated=2, late=1)}
    assert pane(1) in found.values


def test_a_clock_ahead_of_the_append_time_closes_nothing() -> None:
    log = Log()
    log.batch(0, ("a", 50.0, 1), append=0.0)
    log.batch(1, ("a", 0.0, 2))
    assert log.truth().fates == {0: Counter(aggregated=2)}


TRUE = {pane(0): Tally(2, 3.0, 1.0, 2.0), pane(1): Tally(1, 3.0, 3.0, 3.0)}


@pytest.mark.parametrize(
    ("found", "lost", "doubled"),
    [
        (TRUE, 0, 0),
        ({**TRUE, pane(0): Tally(1, 1.0, 1.0, 1.0)}, 1, 0),
        ({**TRUE, pane(0): Tally(3, 4.0, 1.0, 2.0)}, 0, 1),
        ({pane(0): TRUE[pane(0)]}, 1, 0),
        ({**TRUE, pane(2): Tally(4, 4.0, 1.0, 1.0)}, 0, 4),
        ({**TRUE, pane(0): Tally(2, 2.0, 1.0, 1.0)}, 1, 1),
    ],
    ids=["equal", "an event lost", "an event doubled", "a window lost", "a window too many", "one lost, one doubled"],
)
def test_planted_faults_in_windows_are_seen(found: dict[Pane, Tally], lost: int, doubled: int) -> None:
    verdict = checker.check_windows("windows", TRUE, found)
    assert (verdict.lost, verdict.doubled) == (lost, doubled)
    assert bool(verdict.examples) == bool(lost or doubled)


def test_the_same_content_may_come_again_and_another_may_not() -> None:
    verdict, contents = checker.check_contents([(b"k", b"1"), (b"l", b"2"), (b"k", b"1")])
    assert (verdict.checked, verdict.doubled, contents) == (3, 0, {b"k": b"1", b"l": b"2"})
    verdict, _ = checker.check_contents([(b"k", b"1"), (b"k", b"2")])
    assert (verdict.lost, verdict.doubled) == (0, 1)


def test_totals_too_high_and_too_low_and_in_a_wrong_fate_are_seen() -> None:
    expected = {0: Counter(aggregated=5, late=1), 1: Counter(aggregated=2)}
    assert not checker.check_totals(
        expected, {0: {"aggregated": 5.0, "late": 1.0, "overflow": 0.0}, 1: {"aggregated": 2}}
    ).lost
    high = checker.check_totals(expected, {0: {"aggregated": 7.0, "late": 1.0}, 1: {"aggregated": 2}})
    assert (high.lost, high.doubled) == (0, 2)
    gone = checker.check_totals(expected, {0: {"aggregated": 6.0}})
    assert (gone.lost, gone.doubled) == (1 + 2, 1)
    exported = checker.check_exported("sums", {"a": 6.0, "b": 1.0}, {"a": 5.0, "c": 2.0})
    assert (exported.lost, exported.doubled) == (2, 2)


def test_a_source_that_lost_or_doubled_is_no_excuse() -> None:
    verdict = checker.check_source({("p", 0): 1, ("p", 1): 2}, {("p", 0): 2, ("p", 1): 1, ("p", 2): 1})
    assert (verdict.lost, verdict.doubled) == (1, 2)


def transitions(*states: str, first_seq: int = 1, start: int = START) -> list[Transition]:
    return [
        Transition("f", seq, "level-0", state, start, f"{seq} {state}".encode())
        for seq, state in enumerate(states, first_seq)
    ]


@pytest.mark.parametrize(
    ("records", "lost", "doubled"),
    [
        (transitions("pending", "firing", "resolved"), 0, 0),
        (transitions("pending", "firing", "resolved") * 2, 0, 0),
        (transitions("pending", "firing"), 1, 0),
        (transitions("pending", "firing", "firing", "resolved"), 0, 1),
        (transitions("pending", "firing", "resolved") + transitions("firing", first_seq=4, start=START + 1), 0, 1),
        (transitions("pending", "firing", "resolved") + transitions("resolved", first_seq=2), 0, 1),
    ],
    ids=["once", "again, the same", "one lost", "fired twice", "fired for no reason", "another content"],
)
def test_planted_faults_in_alerts_are_seen(records: list[Transition], lost: int, doubled: int) -> None:
    verdict = checker.check_alerts({Episode("level-0", START): True}, records)
    assert (verdict.lost, verdict.doubled) == (lost, doubled)


def test_alertmanager_must_not_fire_again_nor_leave_open() -> None:
    fine = [("f", "1", "firing"), ("f", "1", "firing"), ("f", "1", "resolved"), ("g", "1", "firing")]
    fine += [("f", "2", "firing"), ("g", "2", "firing"), ("f", "2", "resolved"), ("g", "2", "resolved")]
    assert not checker.check_notifications(fine).examples
    again = checker.check_notifications([*fine, ("f", "1", "firing")])
    assert (again.lost, again.doubled) == (0, 1)
    left = checker.check_notifications([*fine, ("f", "3", "firing")])
    assert (left.lost, left.doubled) == (1, 0)


def test_an_episode_begins_with_its_first_high_pane_fires_after_its_time_and_ends_when_it_was_good_for_long() -> None:
    high = {3, 4, 5, 6, 8, 20, 21}
    values = {pane(s, lane="level-0"): [9.0 if s in high else 1.0] for s in range(30)}
    found = episodes(
        Truth(values), pane_ns=SECOND, prefix="level-", threshold=5.0, for_ns=2 * SECOND, keep_ns=2 * SECOND
    )
    assert found == {
        Episode("level-0", START + 4 * SECOND): True,
        Episode("level-0", START + 21 * SECOND): False,
    }


def test_the_truth_reads_what_the_source_writes() -> None:
    agent = Agent(3, events.encode_metric_head({"service.name": "n"}, lanes(3), "producer-3"))
    batches = [agent.batch(random.Random(1), START, START + i * SECOND) for i in range(4)]
    log = [LogRecord(0, i, START + i * SECOND, value) for i, value in enumerate(batches)]
    found = truth(log, sizes_ns=SIZES, lateness_ns=2 * SECOND)
    assert found.fates[0]["aggregated"] == sum(json.loads(value)["count"] for value in batches)
    numbers = sorted(
        v for p, values in found.values.items() if p.lane == "steps-3-0" and p.size_ns == SECOND for v in values
    )
    assert numbers == [float(n) for n in range(1, 9)]


def test_spans_of_a_log_count_once_and_copies_are_known() -> None:
    tracer = Tracer(3)
    whole, (children, root) = tracer.trace(START, parts=1), tracer.trace(START, parts=2)
    assert [sent.seq for sent in (*whole, children, root)] == [0, 1, 2]
    sent = [*whole, children, root, *whole]
    found = span_truth([LogRecord(0, i, START, one.value) for i, one in enumerate(sent)])
    assert {len(spans) for spans in found.traces.values()} == {SPANS}
    assert (len(found.traces), found.spans, found.copies) == (2, 2 * SPANS, SPANS)
    assert found.batches == {("tracer-3", 0): 2, ("tracer-3", 1): 1, ("tracer-3", 2): 1}


@pytest.mark.parametrize(
    ("records", "lost", "doubled"),
    [
        ([("t", 0, b"1", ["a", "b"])], 0, 0),
        ([("t", 0, b"1", ["a"]), ("t", 1, b"2", ["a", "b"])], 0, 0),
        ([("t", 1, b"2", ["a", "b"]), ("t", 0, b"1", ["a"]), ("t", 0, b"1", ["a"])], 0, 0),
        ([("t", 0, b"1", ["a"])], 1, 0),
        ([], 2, 0),
        ([("t", 0, b"1", ["a", "b", "b"])], 0, 1),
        ([("t", 0, b"1", ["a", "b"]), ("t", 0, b"2", ["a", "b"])], 0, 1),
        ([("t", 0, b"1", ["a", "b"]), ("u", 0, b"2", ["c"])], 0, 1),
    ],
)
def test_the_newest_record_of_a_trace_has_exactly_its_spans(
    records: list[tuple[str, int, bytes, list[str]]], lost: int, doubled: int
) -> None:
    verdict = checker.check_traces({"t": {"a", "b"}}, records)
    assert (verdict.lost, verdict.doubled) == (lost, doubled)


@pytest.mark.parametrize(
    ("fates", "calls", "lost", "doubled"),
    [
        ({"aggregated": 9, "late": 1, "duplicate": 2}, 10, 0, 0),
        ({"aggregated": 10, "duplicate": 2}, 11, 0, 1),
        ({"aggregated": 9, "duplicate": 2}, 10, 2, 0),
        ({"aggregated": 12}, 10, 2, 2),
    ],
)
def test_every_span_has_one_fate_and_is_one_call(
    fates: dict[str, float], calls: float, lost: int, doubled: int
) -> None:
    verdict = checker.check_spans(10, 2, fates, calls)
    assert (verdict.lost, verdict.doubled) == (lost, doubled)


def test_partitions_are_silent_for_three_seconds_now_and_then() -> None:
    for partition in range(4):
        tenths = [is_silent(partition, n * SECOND // 10) for n in range((15 + partition) * 10)]
        assert 29 <= sum(tenths) <= 30
        assert tenths == sorted(tenths)
