"""The window operator of one source partition: columns in, closed windows and fates out.

It keeps open panes in memory and never forgets what it cannot rebuild: a checkpoint (``streams.window.checkpoint``),
the source log from ``held_offset`` on and the published base windows together give the same state again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streams.domain.columns import Columns, Rejected
from streams.domain.recent import Recent
from streams.domain.series import Series, SeriesTable
from streams.domain.window import WindowBatch
from streams.window import kernel, sketches
from streams.window.cumulative import CumulativeState
from streams.window.fates import Fates
from streams.window.pane import I32, I64, Aggregates, Pane, aggregates_of
from streams.window.points import U8, Fate, Samples, aggregates, by_newest, by_pane, decide, histograms, increments
from streams.window.rollup import Rollup, Span
from streams.window.sequence import SequenceFilter
from streams.window.sources import Sources

SECOND_NS: Final = 1_000_000_000
_NEW: Final = 0
_DUPLICATE: Final = 1
_TOO_OLD: Final = 2
_VERDICTS: Final = {"new": _NEW, "duplicate": _DUPLICATE, "too_old": _TOO_OLD}
_COMPACT_AT_LEAST: Final = 1000
QUIET_PANES: Final = 90
"""After the last event of a partition, so many empty base windows say that time moves on and nothing comes: what is
absent is seen by them. Then the partition is silent until an event comes."""


@dataclass(frozen=True)
class WindowSpec:
    """How time is cut. All in nanoseconds.

    Attributes:
        pane_ns: the base window. spans: larger windows, merges of panes.
        lateness_ns: how far an event may be behind the largest event time before it.
        future_ns: how far an event may be ahead of the broker's clock.
        series_limit: series per partition; more go to overflow series. series_limit_per_agent: of one agent.
        series_idle_ns: a series without events for so long (event time) gives its place back.
        by_source: the log's producers advance at their own pace (``streams.window.sources``).
    """

    pane_ns: int = 10 * SECOND_NS
    spans: tuple[Span, ...] = (Span(60 * SECOND_NS, 60 * SECOND_NS), Span(300 * SECOND_NS, 300 * SECOND_NS))
    lateness_ns: int = 5 * SECOND_NS
    future_ns: int = 60 * SECOND_NS
    series_limit: int = 100_000
    series_limit_per_agent: int = 10_000
    series_idle_ns: int = 900 * SECOND_NS
    by_source: bool = False


@dataclass
class Outcome:
    """What a run of records led to.

    Attributes:
        closed: windows to publish, base windows first, in order of time; base windows without events are empty for
            :data:`QUIET_PANES` after the last event.
        rejected: events for the dead-letter topic (positions are in the run that was applied).
        fates: counts of this run (zero for records that a checkpoint had already counted).
    """

    closed: list[WindowBatch] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    fates: Fates = field(default_factory=Fates)


class WindowOperator:
    """State of one source partition. Not thread-safe; one caller applies runs in log order.

    Attributes:
        table: numbers the series; give it to decode. It is replaced (``generation`` counts) when most of it is idle.
        applied: the highest source offset applied. counted: up to which offset fates were counted before a restart.
        watermark_ns: no earlier event is expected; never goes back.
        last_event_ns: end of the last closed base window that had events, 0 before there was one.
        fates: counts up to ``applied``.
    """

    def __init__(self, topic: str, partition: int, spec: WindowSpec) -> None:
        self.topic, self.partition, self.spec = topic, partition, spec
        self.table = SeriesTable(spec.series_limit, spec.series_limit_per_agent)
        self.sequences = SequenceFilter()
        self.cumulatives = CumulativeState()
        self.sources = Sources()
        self.fates = Fates()
        self.applied = -1
        self.counted = -1
        self.last_event_ns = 0
        self._watermark = np.zeros(1, np.int64)
        self.panes: dict[int, Pane] = {}
        self.rollup = Rollup(spec.spans, spec.pane_ns)
        self.generation = self._ordered = 0
        self._order = np.zeros(0, np.int32)
        self._seen_ns = np.zeros(0, np.int64)
        self._blocks = 0
        # the same tuple for the same slots: what is worked out for a set of series can be kept by its identity
        self._sets: Recent[I32, tuple[Series, ...]] = Recent(self._series_of, key=lambda slot: slot.tobytes())

    @property
    def watermark_ns(self) -> int:
        """No event before this time is expected."""
        return int(self._watermark[0])

    @watermark_ns.setter
    def watermark_ns(self, value: int) -> None:
        self._watermark[0] = value

    @property
    def closed_ns(self) -> int:
        """Panes that end at or before this time are closed."""
        return self.watermark_ns - self.watermark_ns % self.spec.pane_ns

    @property
    def held_offset(self) -> int:
        """The first source offset that an open pane still needs: commit no further."""
        needed = [pane.first_offset for pane in self.panes.values() if pane.first_offset is not None]
        return min(needed, default=self.applied + 1)

    def apply(self, columns: Columns) -> Outcome:
        """Applies a decoded run of records that follows the last one.

        A run must not straddle ``counted``: split it there (records up to it only rebuild open panes).
        """
        before_ns = self.closed_ns
        verdicts = self._check_sequences(columns)
        fate, fate_totals, fate_histograms = decide(columns, self._fate_of(columns, verdicts != _NEW))
        self._add(columns.offset, _samples(columns), fate, sketches.SQUARES)
        steps = increments(columns.cumulatives, fate_totals, self.cumulatives, columns.offset)
        self._add(columns.offset, steps, np.zeros(len(steps.record), np.uint8), sketches.SQUARES_OF_TOTALS)
        self._add_histograms(columns, fate_histograms)
        self.applied = int(columns.offset[-1])
        if self.applied <= self.counted:
            return Outcome()
        outcome = self._count(columns, verdicts, fate, np.concatenate([fate_totals, fate_histograms]))
        self.fates.add(outcome.fates)
        outcome.closed = self._close(before_ns)
        return outcome

    def _fate_of(self, columns: Columns, ignored: NDArray[np.bool_]) -> Fate:
        spec = (self.spec.pane_ns, self.spec.lateness_ns, self.spec.future_ns)
        if not self.spec.by_source:
            return by_newest(columns, ignored, self._watermark, spec)
        moves = int(columns.offset[-1]) > self.counted
        return lambda record, time_ns: self.sources.decide(
            columns, record, time_ns, ignored, self._watermark, spec, moves=moves
        )

    def _check_sequences(self, columns: Columns) -> U8:
        verdicts, offsets = np.zeros(len(columns.offset), np.uint8), columns.offset.tolist()
        for record, producer, seq, dropped_total in columns.batches:
            verdict = self.sequences.check(producer, seq, offsets[record], dropped_total)
            if verdict != "new":
                verdicts[record] = _VERDICTS[verdict]
        return verdicts

    def _pane(self, start_ns: int, offset: int) -> Pane:
        pane = self.panes.get(start_ns)
        if pane is None:
            pane = self.panes[start_ns] = Pane(len(self.table), self._blocks)
        pane.reserve(len(self.table))
        pane.touch(offset)
        return pane

    def _add(self, offset: I64, samples: Samples, fate: U8, squares: int) -> None:
        size = len(fate)
        index, start_ns = np.empty(size, np.int32), np.empty(size, np.int64)
        first, last = np.empty(size, np.int64), np.empty(size, np.int64)
        found = kernel.panes_of(samples.time_ns, fate, self.spec.pane_ns, index, start_ns, first, last)
        for number, (start, begin, end) in enumerate(
            zip(start_ns[:found].tolist(), first[:found].tolist(), last[:found].tolist(), strict=True)
        ):
            pane = self._pane(start, int(offset[samples.record[begin]]))
            pane.add_samples(samples.slot, samples.value, index, number, begin, end + 1, squares)
            self._blocks = max(self._blocks, pane.blocks)

    def _add_histograms(self, columns: Columns, fate: U8) -> None:
        found = histograms(columns.aggregates, fate, self.cumulatives, columns.offset)
        for start_ns, group in by_pane(found, self.spec.pane_ns).items():
            pane = self._pane(start_ns, int(columns.offset[min(h.record for h in group)]))
            pane.add(aggregates(group), sketches.SQUARES_OF_HISTOGRAMS)

    def _count(self, columns: Columns, verdicts: U8, fate: U8, fate_points: U8) -> Outcome:
        outcome = Outcome(rejected=list(columns.rejected))
        fates = outcome.fates
        counts = np.bincount(fate, minlength=5) + np.bincount(fate_points, minlength=5)
        fates.late = int(counts[kernel.LATE])
        fates.duplicate = int(columns.events[verdicts == _DUPLICATE].sum() + counts[kernel.STALE])
        fates.overflow = self._overflowed(columns, fate)
        fates.aggregated = int(counts[kernel.ON_TIME]) - fates.overflow
        if counts[kernel.FUTURE]:
            outcome.rejected += self._future(columns, fate, fate_points)
        for record in np.nonzero(verdicts == _TOO_OLD)[0].tolist():
            detail = "the batch number is older than the numbers remembered for its producer"
            outcome.rejected.append(Rejected(record, "sequence_too_old", detail, int(columns.events[record])))
        for rejected in outcome.rejected:
            fates.rejected[rejected.reason] += rejected.events
        return outcome

    def _overflowed(self, columns: Columns, fate: U8) -> int:
        slots = list(self.table.overflow_slots.values())
        if not slots:
            return 0
        return int(np.isin(columns.slot[fate == kernel.ON_TIME], slots).sum())

    def _future(self, columns: Columns, fate: U8, fate_points: U8) -> list[Rejected]:
        record_of = [p.record for p in columns.cumulatives] + [p.record for p in columns.aggregates]
        records = columns.record[fate == kernel.FUTURE].tolist()
        records += [record_of[i] for i in np.nonzero(fate_points == kernel.FUTURE)[0]]
        seconds = self.spec.future_ns / SECOND_NS
        detail = f"event time is more than {seconds:g} s ahead of the broker's clock"
        return [Rejected(record, "future", detail, events) for record, events in sorted(Counter(records).items())]

    def _close(self, before_ns: int) -> list[WindowBatch]:
        now_ns, pane_ns = self.closed_ns, self.spec.pane_ns
        if now_ns == before_ns:
            return []
        order = self.order()
        closed = []
        for start_ns in self._ended(before_ns, now_ns):
            open_pane = self.panes.pop(start_ns, None)
            pane = (open_pane or Pane(0)).close(order)
            if open_pane is not None:
                self._blocks = open_pane.blocks + open_pane.blocks // 8  # what the next one will need, about
                self.last_event_ns = start_ns + pane_ns
                self._seen_ns[pane.slot] = start_ns + pane_ns
                self.rollup.add(start_ns, pane)
            closed.append(self._batch(pane, start_ns, pane_ns))
        for start_ns, size_ns, part in self.rollup.ended(before_ns, now_ns, order):
            closed.append(self._batch(part, start_ns, size_ns))
        self._compact(now_ns)
        return closed

    def _ended(self, before_ns: int, now_ns: int) -> list[int]:
        """Starts of the base windows that end in ``(before_ns, now_ns]`` and are published, ascending."""
        pane_ns = self.spec.pane_ns
        with_events = sorted(s for s in self.panes if s + pane_ns <= now_ns)
        found: list[int] = []
        last_ns = self.last_event_ns
        for start_ns in [*with_events, now_ns]:
            quiet_from_ns = max(before_ns, last_ns)
            quiet_to_ns = min(start_ns, last_ns + QUIET_PANES * pane_ns) if last_ns else quiet_from_ns
            found += range(quiet_from_ns, quiet_to_ns, pane_ns)
            found.append(start_ns)
            last_ns = start_ns + pane_ns
        return found[:-1]

    def _compact(self, now_ns: int) -> None:
        """Starts a smaller table when at least half of this one, and 1,000 series, have been idle for long."""
        idle = self._seen_ns < now_ns - self.spec.series_idle_ns
        if idle.sum() < max(_COMPACT_AT_LEAST, len(self.table) // 2):
            return
        for slots in [*(pane.slots() for pane in self.panes.values()), *(part.slot for part in self.rollup.parts())]:
            idle[slots] = False
        kept = np.nonzero(~idle)[0]
        place = np.full(len(self.table), -1, np.int32)
        place[kept] = np.arange(len(kept), dtype=np.int32)
        order = self.order()
        self.panes = {start: pane.moved(order, place, len(kept)) for start, pane in self.panes.items()}
        self.rollup.move(place)
        self.cumulatives.move(place)
        self.table = self.table.only(kept.tolist())
        self._seen_ns = self._seen_ns[kept]
        self._sets.clear()
        self.generation += 1

    def _batch(self, part: Aggregates, start_ns: int, size_ns: int) -> WindowBatch:
        return part.batch(self.topic, self.partition, start_ns, start_ns + size_ns, self._sets.of(part.slot))

    def _series_of(self, slot: I32) -> tuple[Series, ...]:
        rows = self.table.rows
        return tuple([rows[s] for s in slot.tolist()])

    def order(self) -> I32:
        """All slots in the order of the ids of their series: the order in which windows list them."""
        if len(self._order) != len(self.table) or self._ordered != self.generation:
            self._ordered = self.generation
            unseen = np.full(len(self.table) - len(self._seen_ns), self.closed_ns, np.int64)
            self._seen_ns = np.concatenate([self._seen_ns, unseen])
            ids = np.array([series.id for series in self.table.rows])
            self._order = np.argsort(ids, kind="stable").astype(np.int32)
        return self._order

    def next_close_ns(self) -> int | None:
        """The earliest watermark at which something would be published; None when nothing is open."""
        ends = [start_ns + self.spec.pane_ns for start_ns in self.panes]
        ends += self.rollup.open_ends(self.closed_ns)
        if self.last_event_ns and self.closed_ns < self.last_event_ns + QUIET_PANES * self.spec.pane_ns:
            ends.append(self.closed_ns + self.spec.pane_ns)
        return min(ends, default=None)

    @property
    def needed_from_ns(self) -> int:
        """Start of the oldest published base window that a restarted worker must read back."""
        return self.rollup.needed_from(self.closed_ns)

    def read_back(self, batch: WindowBatch) -> None:
        """Gives a published base window back to the merges (after a restart; others are ignored)."""
        base = batch.end_ns - batch.start_ns == self.spec.pane_ns
        if base and len(batch) and self.needed_from_ns <= batch.start_ns and batch.end_ns <= self.closed_ns:
            slot = np.array([self.table.slot(series) for series in batch.series], np.int32)
            self.rollup.add(batch.start_ns, aggregates_of(batch, slot))


def _samples(columns: Columns) -> Samples:
    return Samples(columns.record, columns.slot, columns.time_ns, columns.value)
