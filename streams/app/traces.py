"""The traces role: spans in; trace records, edges and the metrics of spans out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from zlib import crc32

import numpy as np
from aiokafka import ConsumerRecord
from numpy.typing import NDArray

from agents_emitter.events import encode_tick
from agents_emitter.redaction import Redactor
from streams import topics
from streams.app.keeper import Keeper
from streams.app.outbox import Step
from streams.app.part import Restored
from streams.app.rekey import PRODUCER_PREFIX
from streams.app.sink import Many, Output, dead_letter_output
from streams.decode.spans import SpanDecoder, SpanRun
from streams.domain.block import Block
from streams.domain.bundle import Bundle
from streams.domain.columns import Rejected
from streams.domain.finding import encode_edges
from streams.domain.source import Source, SourceLog, first_seat
from streams.domain.trace import encode_edge
from streams.publish.health import Health, unobserved
from streams.publish.progress import Progress
from streams.trace.assembly import ASSEMBLED, FATES, TraceMark, TraceOperator, TraceResult
from streams.trace.block import Blocks
from streams.trace.findings import PatternSamples
from streams.trace.graph import edges
from streams.trace.hung import HungWatch
from streams.trace.marks import marked
from streams.trace.pace import Pace
from streams.trace.red import Names, Red
from streams.trace.samples import RedBatch

SOURCES: Final = (topics.SPANS,)
PRODUCER_LIMIT: Final = 10_000
MS_NS: Final = 1_000_000
TICK_NS: Final = 2 * 10**9
HUNG_NS: Final = 60 * 10**9
CHECKPOINT_NS: Final = 10**9
"""A checkpoint is written at most this often: what lies between is read again after a restart."""


@dataclass
class TracesPart:
    """One source partition of spans.

    Attributes:
        operator: assembly; it finds spans that were sent twice. partitions: how many the topic has.
        assembled: is given the record of every trace that leaves. hung: watches announced spans.
        drops: what producers say they dropped themselves, of those whose id belongs to this partition (a producer's
            batches go to all of them). Bounded by :data:`PRODUCER_LIMIT`; beyond it the one unseen for longest goes.
        counts: spans by fate: aggregated, late, duplicate, overflow, announced, rejected.
    """

    topic: str
    partition: int
    operator: TraceOperator
    health: Health = field(default_factory=unobserved)
    committable: int | None = None
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    partitions: int = 1
    drops: dict[str, int] = field(default_factory=dict)
    names: Names = field(default_factory=Names)
    source: Source = field(default_factory=Source)
    assembled: Callable[[bytes], None] | None = None
    redactor: Redactor = field(default_factory=Redactor)
    hung: HungWatch = field(default_factory=lambda: HungWatch(HUNG_NS))
    _applied: int = -1
    _counted: int = -1
    _checkpoint_ns: int = 0

    def __post_init__(self) -> None:
        self._keeper = Keeper(f"traces/{self.topic}/{self.partition}", self.partition)
        tables = self.operator.tables
        self._decoder = SpanDecoder(tables, self.redactor)
        self._pace, self._name = Pace(), f"{self.topic}/{self.partition}"
        self._blocks = Blocks(Red(tables, self.names), self._name)
        self._patterns = PatternSamples(self._name, self.names.numbers)

    def restore(self, state: Mapping[str, bytes], log: SourceLog) -> Restored:
        """Counts as of the last checkpoint; open traces and the open block are rebuilt from the log, as far as it still
        has them.
        """
        found = self._keeper.restore(state, log, lambda body, _: TraceMark(*body["mark"]).held_offset)
        if found is None:
            self.source = first_seat(log)
            return Restored()
        body, seat = found
        self.operator.resume(TraceMark(seat.applied, seat.held, TraceMark(*body["mark"]).held_clock_ns))
        self._blocks.resume(seat.held if seat.anew else body.get("block", seat.applied + 1))
        self.source = seat.source
        self._pace.resume()
        self.drops = body["drops"]
        self.counts, self.reasons = Counter(body["counts"]), Counter(body["reasons"])
        self.names.numbers.update(body["numbers"])
        self.hung.restore(body.get("announced", ()))
        self._applied = self._counted = seat.applied
        return Restored(seat.held, seat=seat)

    def save(self) -> Step:
        """A checkpoint as of what was restored."""
        return self._checkpointed([])

    def skip(self, offsets: int) -> None:
        """Counts what retention removed; traces that are open go on without it."""
        self.source = self.source.skipping(offsets)

    def read_back(self, record: ConsumerRecord) -> None:
        """Nothing of this role comes back through windows."""

    @property
    def time_ns(self) -> int:
        """The newest append time."""
        return self.operator.clock_ns

    def next_tick_ns(self) -> int | None:
        """Time must pass while traces are open, while others wait to hear how far this partition is, and when an
        announced span should have ended.
        """
        if self.operator.open_traces or self._blocks.begin or self._pace.live:
            return self.operator.clock_ns + TICK_NS
        return self.hung.next_ns()

    def process(self, records: Sequence[ConsumerRecord], now_ns: int) -> Sequence[Step]:
        """Applies a run of records."""
        block = Block.of(records)
        self.operator.tidy(self._blocks.texts)
        run = self._decoder.decode(block, hint=self.topic)
        self._note_drops(run)
        offset, arrival_ns = block.offset, block.timestamp_ms * MS_NS
        tick = np.zeros(len(block), np.bool_)
        tick[[tick.record for tick in run.ticks]] = True
        found = self.operator.apply(run.rows, run.bodies, offset, arrival_ns, tick)
        first_new = int(np.searchsorted(run.rows["record"], np.searchsorted(offset, self._counted, side="right")))
        self._count(found.fate[first_new:])
        batches = self._blocks.take(run.rows, self._gen_ai(run, len(block)), found, offset, arrival_ns)
        results: list[Output | Many] = [_red(batch) for batch in (*batches, *self._blocks.exemplars())]
        results += self._results(found, offset)
        hung = self.hung.take(run.rows[first_new:], self.operator.tables, arrival_ns, self.operator.clock_ns)
        results += [_red(batch) for known in hung for batch in self._patterns.hung(known)]
        results += self._tell(run, arrival_ns)
        results += self._reject(run.rejected, block, now_ns)
        self._applied = max(self._applied, int(offset[-1]))
        if now_ns - self._checkpoint_ns >= CHECKPOINT_NS and self._applied > self._counted:
            self._checkpoint_ns = now_ns
            return [self._checkpointed(results)]
        return [Step(results)] if results else []

    def _tell(self, run: SpanRun, arrival_ns: NDArray[np.int64]) -> list[Output]:
        """How far this partition is, for the windows of samples of spans: a tick for each of their partitions."""
        ends = np.minimum(run.rows["end_ns"], arrival_ns[run.rows["record"]])
        newest_ns = max(int(ends.max(initial=0)), *(tick.time_ns for tick in run.ticks), 0)
        waiting = self._blocks.begin is not None
        mark = self._pace.take(newest_ns, int(arrival_ns[-1]), spans=len(ends) > 0, waiting=waiting)
        if mark is None:
            return []
        value = encode_tick(mark.time_ns, source=self._name, idle=mark.idle)
        return [Output(topics.RED, None, value, partition) for partition in range(self.partitions)]

    def _note_drops(self, run: SpanRun) -> None:
        text = run.tables.texts.text
        largest: dict[int, int] = {}
        for _, producer, _, dropped_total in run.heads.tolist():
            largest[producer] = max(dropped_total, largest.get(producer, 0))
        for number, dropped_total in largest.items():
            producer = text(number)
            if crc32(producer.encode()) % self.partitions == self.partition:
                self.drops[producer] = max(dropped_total, self.drops.pop(producer, 0))
                if len(self.drops) > PRODUCER_LIMIT:
                    del self.drops[next(iter(self.drops))]

    def _gen_ai(self, run: SpanRun, records: int) -> NDArray[np.bool_]:
        """Spans of agents that do not measure gen_ai.* themselves: not those in batches of agents_emitter."""
        text = run.tables.texts.text
        foreign = np.ones(records, np.bool_)
        producers = run.heads[:, 1]
        own = [number for number in np.unique(producers).tolist() if not text(number).startswith(PRODUCER_PREFIX)]
        foreign[run.heads[np.isin(producers, own), 0]] = False
        of_spans: NDArray[np.bool_] = foreign[run.rows["record"]]
        return of_spans

    def _count(self, fates: NDArray[np.uint8]) -> None:
        counts = np.bincount(fates, minlength=len(FATES))
        for fate, count in zip(FATES, counts.tolist(), strict=False):
            if count:
                self.counts["aggregated" if fate == ASSEMBLED else fate] += count

    def _results(self, found: TraceResult, offset: NDArray[np.int64]) -> list[Output | Many]:
        self.health.open_traces.labels(self.topic, str(self.partition)).set(self.operator.open_traces)
        for outcome, count in found.left.items():
            self.health.traces_closed.labels(outcome).inc(count)
        self.health.orphan_spans.inc(found.orphans)
        outputs: list[Output | Many] = []
        first = 0
        for bundle in found.bundles:
            outputs += self._records(bundle, found.repeated[first : first + len(bundle)])
            first += len(bundle)
        new = found.calls[offset[found.calls["record"]] > self._counted]
        found_edges = edges(new, self.operator.tables.texts)
        outputs += [Output(topics.EDGES, edge.key.encode(), encode_edge(edge)) for edge in found_edges]
        if found_edges:  # all of a run in one record, for the incidents
            outputs.append(Output(topics.FINDINGS, self.topic.encode(), encode_edges(found_edges)))
        return outputs

    def _records(self, bundle: Bundle, repeated: NDArray[np.bool_]) -> list[Output | Many]:
        """Records of traces with their loops, and the samples of these."""
        trace = {place: marked(bundle[place][1]) for place in np.flatnonzero(repeated).tolist()}
        bundle = bundle.with_values({place: found.value for place, found in trace.items() if found.loops})
        if self.assembled is not None:
            for _, value in bundle:
                self.assembled(value)
        loops = [batch for found in trace.values() if found.loops for batch in self._patterns.loops(found)]
        return [Many(topics.TRACES, bundle), *(_red(batch) for batch in loops)]

    def _reject(self, rejected: Sequence[Rejected], records: Sequence[ConsumerRecord], now_ns: int) -> list[Output]:
        outputs = []
        for item in rejected:
            record = records[item.record]
            if record.offset > self._counted:
                self.reasons[item.reason] += item.events
                self.counts["rejected"] += item.events
                self.health.dead_letters.labels(self.topic, item.reason).inc()
                outputs.append(dead_letter_output(record, item.reason, item.detail, self.topic, now_ns))
        return outputs

    def _checkpointed(self, results: list[Output | Many]) -> Step:
        mark = self._mark()
        body = {
            "mark": list(mark),
            "block": self._blocks.begin.offset if self._blocks.begin else self._applied + 1,
            "drops": self.drops,
            "counts": self.counts,
            "reasons": self.reasons,
            "numbers": self.names.numbers,
            "announced": self.hung.state(),
        }

        def delivered() -> None:
            self.committable = mark.held_offset

        return self._keeper.step(results, body, self._applied, self.source, delivered)

    def _mark(self) -> TraceMark:
        """What open traces and the open block need of the log."""
        mark, begin = self.operator.mark(self._applied), self._blocks.begin
        if begin is None or begin.offset >= mark.held_offset:
            return mark
        return TraceMark(mark.applied_offset, *begin)

    def progress(self, lag: int, now_ns: int) -> Progress:
        """The figures as values."""
        return Progress(
            self.topic,
            self.partition,
            fates=dict(self.counts),
            reasons=dict(self.reasons),
            dropped=sum(self.drops.values()),
            source=self.source,
            lag=None if lag < 0 else lag,
        )


def _red(batch: RedBatch) -> Output:
    return Output(topics.RED, batch.key.encode(), batch.value)
