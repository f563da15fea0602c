"""The metrics role: events in, closed windows out, checkpoint behind them."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Final

from aiokafka import ConsumerRecord

from agents_emitter.redaction import Redactor
from streams import topics
from streams.app.blob import BlobWriter, Snapshot
from streams.app.outbox import Step
from streams.app.part import Restored
from streams.app.readback import ReadBack
from streams.app.sink import Output, dead_letter_output
from streams.decode.logrows import read_logs
from streams.decode.run import LOG_HINTS, HeadCache, decode_run
from streams.domain.block import Block
from streams.domain.columns import Record, Rejected
from streams.domain.recent import Recent
from streams.domain.series import Series
from streams.domain.source import Seat, Source, SourceLog, first_seat, take_seat
from streams.domain.span import Log
from streams.domain.window import (
    WindowBatch,
    encode_window_batch,
    series_fragment,
    split,
)
from streams.errors import StateDamaged
from streams.publish.health import Health, unobserved
from streams.publish.progress import Progress
from streams.publish.prometheus import PrometheusFold
from streams.settings import Settings
from streams.window.checkpoint import Resume, SeriesLog, checkpoint, prefix, restore
from streams.window.operator import SECOND_NS, WindowOperator, WindowSpec
from streams.window.rollup import Span

_log = logging.getLogger(__name__)
RED_LATENESS_NS: Final = 10 * SECOND_NS
CHECKPOINT_NS: Final = 10 * SECOND_NS
"""The longest time without a checkpoint while records come."""
SOURCES: Final = (topics.METRICS, topics.LOGS, topics.RED, topics.OTLP_METRICS, topics.OTLP_LOGS)


@dataclass
class MetricsPartition:
    """One source partition of the metrics role.

    Attributes:
        operator: windows; fold: totals for Prometheus, fed by closed base windows.
        committable: source offset before which everything is in a durable checkpoint, None when nothing is new.
        closed_total: windows closed since this start. logs: takes the logs of records that are new.
    """

    topic: str
    partition: int
    spec: WindowSpec
    snapshot_every: int
    health: Health = field(default_factory=unobserved)
    source: Source = field(default_factory=Source)
    operator: WindowOperator = field(init=False)
    fold: PrometheusFold = field(init=False)
    redactor: Redactor = field(default_factory=Redactor)
    logs: Callable[[Sequence[Log]], None] | None = None
    committable: int | None = None
    closed_total: int = 0
    _fragments: dict[Series, bytes] = field(default_factory=dict)
    _generation: int = 0
    _incomplete_ns: tuple[int, int] = (0, 0)
    _checkpoint_ns: int = 0
    _window_offsets: deque[tuple[int, int]] = field(default_factory=deque)
    _windows_offset: int = 0
    _since_snapshot: int = 0
    _fold_from_ns: int = 0
    _reading: ReadBack | None = None

    def __post_init__(self) -> None:
        self._heads = HeadCache(redactor=self.redactor)
        self._joined: Recent[Sequence[Series], bytes] = Recent(self._join)
        self._core = BlobWriter(f"{prefix(self.topic, self.partition)}checkpoint")
        self._totals = BlobWriter(f"publish/{self.topic}/{self.partition}")
        self._begin()
        self.fold = PrometheusFold(self.topic, self.partition, window_seconds=self.spec.pane_ns / SECOND_NS)

    def _begin(self) -> None:
        self.operator = WindowOperator(self.topic, self.partition, self.spec)
        self._series = SeriesLog(self.topic, self.partition, self._core.writer)

    def restore(self, state: Mapping[str, bytes], log: SourceLog) -> Restored:
        """Fills the operator and the totals from the state topic.

        In a log that begins anew counts, totals, producers' numbers and the watermark go on.
        """
        found = self._restore_operator(state, log)
        if found is None:
            self.source = first_seat(log)
            return Restored()
        resume, seat = found
        self.source = seat.source
        self._generation = self.operator.generation
        self._windows_offset = resume.windows_offset
        self._incomplete_ns = resume.incomplete_ns
        self.operator.counted, self.operator.applied = seat.applied, seat.held - 1
        if seat.broken:
            self.operator.cumulatives.rebase(resume.ahead)
            self._open_gap()
        self._restore_totals(state, log)
        self._reading = ReadBack(
            (self.topic, self.partition),
            self.spec.pane_ns,
            resume.windows_offset,
            self.operator.closed_ns,
            self.operator.table.rows,
            self._fragment,
        )
        return Restored(seat.held, resume.windows_offset, seat)

    def _restore_operator(self, state: Mapping[str, bytes], log: SourceLog) -> tuple[Resume, Seat] | None:
        """From the checkpoint that counts; where its series are damaged, from the one before it."""
        damage: StateDamaged | None = None
        for core in self._core.snapshots(state, log.epoch):
            self._begin()
            try:
                resume = restore(self.operator, self._series, core.value, state)
            except StateDamaged as error:
                _log.error("a checkpoint of %s/%d is not used: %s", self.topic, self.partition, error)
                self.health.snapshot_discarded.labels("metrics", "series").inc()
                damage = error
                continue
            return resume, take_seat(core.source, resume.applied, resume.held, log)
        if damage is not None:
            raise damage
        return None

    def save(self) -> Step:
        """A checkpoint as of what was restored."""
        return self._checkpointed([], [])

    def skip(self, offsets: int) -> None:
        """Counts what retention removed; open windows go on and say that they are incomplete."""
        self.source = self.source.skipping(offsets)
        self._open_gap()

    def _open_gap(self) -> None:
        """Windows from the watermark to the time of the next record (not known yet: -1) may lack events."""
        from_ns, until_ns = self._incomplete_ns
        self._incomplete_ns = (min(from_ns, self.operator.closed_ns) if until_ns else self.operator.closed_ns, -1)

    def _close_gap(self, records: Block) -> None:
        if self._incomplete_ns[1] < 0:
            self._incomplete_ns = (self._incomplete_ns[0], int(records.timestamp_ms[0]) * 1_000_000)

    def _restore_totals(self, state: Mapping[str, bytes], log: SourceLog) -> None:
        try:
            snapshot = self._totals.restore(state, log.epoch)
            if snapshot is not None:
                self.fold.restore(snapshot.value)
        except StateDamaged as error:  # totals begin anew, as after a counter reset; windows are not affected
            _log.warning("totals of %s/%d begin anew: %s", self.topic, self.partition, error)
            self.health.snapshot_discarded.labels("metrics", "totals").inc()

    def read_back(self, record: ConsumerRecord) -> None:
        """A published window, seen again after a restart: what the checkpoint covers is merged and counted again."""
        found = self._reading.take(record) if self._reading else None
        if found is not None:
            self.operator.read_back(found.window)
            self.fold.apply(found.window)
            self._window_offsets.append((found.window.start_ns, found.offset))

    @property
    def time_ns(self) -> int:
        """The watermark."""
        return self.operator.watermark_ns

    def next_tick_ns(self) -> int | None:
        """When the next window could close if nothing more came."""
        close_ns = self.operator.next_close_ns()
        return None if close_ns is None else close_ns + self.spec.lateness_ns

    def process(self, records: Sequence[Record], now_ns: int) -> list[Step]:
        """Applies a run; a run that holds both counted and new records is taken in two."""
        self._reading = None
        block = Block.of(records)
        cut = block.until(self.operator.counted)
        if self.logs is not None and self.topic in LOG_HINTS:
            self._hand_over(block[cut:], self.logs)
        parts = [part for part in (block[:cut], block[cut:]) if len(part)]
        return [step for part in parts if (step := self._apply(part, now_ns))]

    def _hand_over(self, records: Block, take: Callable[[Sequence[Log]], None]) -> None:
        for place in range(len(records)):
            with suppress(ValueError):  # it is set aside when it is counted
                append_ns = int(records.timestamp_ms[place]) * 1_000_000
                take(read_logs(records.value(place) or b"", append_ns, self.redactor))

    def _apply(self, records: Block, now_ns: int) -> Step | None:
        self._close_gap(records)
        columns = decode_run(records, self.operator.table, self._heads, hint=self.topic)
        if self.topic in LOG_HINTS:
            patterns = self.health.log_patterns.labels(self.topic, str(self.partition))
            patterns.set(len(self._heads.patterns))
        outcome = self.operator.apply(columns)
        self.fold.exemplify(columns.exemplars)
        results = [self._dead_letter(records, rejected, now_ns) for rejected in outcome.rejected]
        self._observe(outcome.closed, now_ns)
        marks = []
        for batch in outcome.closed:
            if batch.end_ns - batch.start_ns == self.spec.pane_ns:
                self.fold.apply(batch)
                marks.append((batch.start_ns, len(results)))
            results += self._outputs(batch)
        if outcome.closed or self._is_due(now_ns):
            self._checkpoint_ns = now_ns
            return self._checkpointed(results, marks)
        return Step(results) if results else None

    def _is_due(self, now_ns: int) -> bool:
        """Where nothing closes (all is late, repeated or rejected) a restart must not read and reject it all again."""
        self._checkpoint_ns = self._checkpoint_ns or now_ns
        waited = now_ns - self._checkpoint_ns >= CHECKPOINT_NS
        return waited and self.operator.applied > self.operator.counted

    def _dead_letter(self, records: Block, rejected: Rejected, now_ns: int) -> Output:
        record = records[rejected.record]
        self.health.dead_letters.labels(self.topic, rejected.reason).inc()
        return dead_letter_output(record, rejected.reason, rejected.detail, self.topic, now_ns)

    def _observe(self, closed: Sequence[WindowBatch], now_ns: int) -> None:
        for batch in closed:
            self.closed_total += len(batch)
            self.health.windows_closed.labels(self.topic, f"{batch.size_seconds:g}").inc(len(batch))
            if batch.end_ns - batch.start_ns == self.spec.pane_ns:
                self.health.window_emit_delay.labels(self.topic).observe((now_ns - batch.end_ns) / 1e9)

    def _outputs(self, batch: WindowBatch) -> list[Output]:
        outputs = []
        from_ns, until_ns = self._incomplete_ns
        if from_ns < batch.end_ns and batch.start_ns <= until_ns:
            batch = replace(batch, incomplete=True)
        for part in split(batch):
            value = encode_window_batch(part, self._joined.of(part.series))
            outputs.append(Output(topics.WINDOWS, part.key, value, self.partition))
        return outputs

    def _join(self, series: Sequence[Series]) -> bytes:
        return b",".join([self._fragment(one) for one in series])

    def _fragment(self, series: Series) -> bytes:
        known = self._fragments.get(series)
        if known is None:
            known = self._fragments[series] = series_fragment(series)
        return known

    def _checkpointed(self, results: list[Output], marks: list[tuple[int, int]]) -> Step:
        held = self.operator.held_offset
        records = self._fold_snapshot(len(marks))
        self._forget_fragments()
        chunks, core, gone = checkpoint(
            self.operator,
            self._series,
            windows_offset=self._oldest_needed(),
            incomplete_ns=self._incomplete_ns,
        )
        core_records = self._core.records(Snapshot(self.operator.applied, core, self.source))
        deletions = ((key, None) for key in gone)  # after the core: until then the older one needs them
        state = (*chunks, *core_records, *deletions)
        records += [Output(topics.STATE, key, value, self.partition) for key, value in state]
        size = sum(len(record.value or b"") for record in records)
        self.health.checkpoint_bytes.labels(self.topic, str(self.partition)).set(size)

        def delivered(offsets: Sequence[int]) -> None:
            self._window_offsets.extend((start_ns, offsets[index]) for start_ns, index in marks)
            self.committable = held

        return Step(results, records, delivered)

    def _forget_fragments(self) -> None:
        """When the operator has a smaller table, many of its series are gone."""
        if self._generation != self.operator.generation:
            self._generation = self.operator.generation
            self._fragments.clear()
            self._joined.clear()

    def _fold_snapshot(self, panes: int) -> list[Output]:
        """The totals are written every so many panes; what lies between is read back from the windows."""
        self._since_snapshot += panes
        if self._since_snapshot < self.snapshot_every and self._fold_from_ns:
            return []
        self._since_snapshot = 0
        self._fold_from_ns = self.operator.closed_ns
        records = self._totals.records(Snapshot(self.operator.applied, self.fold.snapshot(), self.source))
        return [Output(topics.STATE, key, value, self.partition) for key, value in records]

    def _oldest_needed(self) -> int:
        """Offset in the windows topic from which a restart must read back; too low is only slower.

        Starts do not ascend with offsets where two owners have written; what is not delivered yet comes after all that
        is known.
        """
        needed_ns = min(self.operator.needed_from_ns, self._fold_from_ns)
        known = self._window_offsets
        if not known:
            return self._windows_offset
        needed = [entry for entry in known if entry[0] >= needed_ns] or [max(known, key=itemgetter(1))]
        self._window_offsets = deque(needed)
        return min(offset for _, offset in needed)

    def progress(self, lag: int, now_ns: int) -> Progress:
        """The window operator's figures as values."""
        operator, fates = self.operator, self.operator.fates
        watermark_ns = operator.watermark_ns
        return Progress(
            self.topic,
            self.partition,
            fates={
                "aggregated": fates.aggregated,
                "late": fates.late,
                "duplicate": fates.duplicate,
                "overflow": fates.overflow,
                "rejected": fates.rejected.total(),
            },
            reasons=dict(fates.rejected),
            dropped=operator.sequences.dropped_total,
            gaps=operator.sequences.gap_batches,
            source=self.source,
            lag=None if lag < 0 else lag,
            watermark_delay_seconds=(now_ns - watermark_ns) / 1e9 if watermark_ns else None,
            open_panes=len(operator.panes),
            series=len(operator.table),
        )


def red_spec(spec: WindowSpec) -> WindowSpec:
    """How time is cut for samples of spans: they come when spans end and are sent, later than other samples do, and
    from partitions of spans that advance at their own pace.
    """
    return replace(spec, lateness_ns=spec.lateness_ns + RED_LATENESS_NS, by_source=True)


def window_spec(settings: Settings) -> WindowSpec:
    """How the settings cut time."""
    pane_ns = settings.pane_seconds * SECOND_NS
    sizes = [seconds * SECOND_NS for seconds in settings.window_seconds]
    return WindowSpec(
        pane_ns=pane_ns,
        spans=tuple(Span(size, size) for size in sizes if size > pane_ns),
        lateness_ns=round(settings.lateness_seconds * SECOND_NS),
        future_ns=round(settings.future_seconds * SECOND_NS),
        series_limit=settings.series_limit,
        series_limit_per_agent=settings.series_limit_per_agent,
        series_idle_ns=round(settings.series_idle_seconds * SECOND_NS),
    )
