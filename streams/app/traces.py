"""The traces role: spans in; trace records, edges and the metrics of spans out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from zlib import crc32

from aiokafka import ConsumerRecord

from streams import topics
from streams.app.keeper import Keeper
from streams.app.outbox import Step
from streams.app.part import Restored
from streams.app.rekey import PRODUCER_PREFIX
from streams.app.sink import Output, dead_letter_output
from streams.decode.spans import SpanRun, decode_spans
from streams.domain.columns import Rejected
from streams.domain.source import Source, SourceLog, first_seat
from streams.domain.span import Span
from streams.domain.trace import encode_edge, encode_trace
from streams.publish.health import Health, unobserved
from streams.publish.progress import Progress
from streams.trace.assembly import TraceMark, TraceOperator, TraceResult
from streams.trace.red import Names, RedBatch, graph_batches, red_batches

SOURCES: Final = (topics.SPANS,)
PRODUCER_LIMIT: Final = 10_000
MS_NS: Final = 1_000_000
TICK_NS: Final = 2 * 10**9
CHECKPOINT_NS: Final = 10**9
"""A checkpoint is written at most this often: what lies between is read again after a restart."""


@dataclass
class TracesPart:
    """One source partition of spans.

    Attributes:
        operator: assembly; it finds spans that were sent twice. partitions: how many the topic has.
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
    _applied: int = -1
    _counted: int = -1
    _checkpoint_ns: int = 0

    def __post_init__(self) -> None:
        self._keeper = Keeper(f"traces/{self.topic}/{self.partition}", self.partition)

    def restore(self, state: Mapping[str, bytes], log: SourceLog) -> Restored:
        """Counts as of the last checkpoint; open traces are rebuilt from the log, as far as it still has them."""
        found = self._keeper.restore(state, log, lambda body, _: TraceMark(*body["mark"]).held_offset)
        if found is None:
            self.source = first_seat(log)
            return Restored()
        body, seat = found
        self.operator.resume(TraceMark(seat.applied, seat.held, TraceMark(*body["mark"]).held_clock_ns))
        self.source = seat.source
        self.drops = body["drops"]
        self.counts, self.reasons = Counter(body["counts"]), Counter(body["reasons"])
        self.names.numbers = Counter(body["numbers"])
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

    def next_tick_ns(self) -> int | None:
        """Time must pass while traces are open."""
        return self.operator.clock_ns + TICK_NS if self.operator.open_traces else None

    def process(self, records: Sequence[ConsumerRecord], now_ns: int) -> Sequence[Step]:
        """Applies a run of records."""
        run = decode_spans(records, hint=self.topic)
        self._note_drops(run)
        results: list[Output] = []
        groups: dict[int, list[Span]] = {}
        for span, record in zip(run.spans, run.record, strict=True):
            groups.setdefault(record, []).append(span)
        ticks = {tick.record for tick in run.ticks}
        foreign = {b.record for b in run.batches if b.producer.startswith(PRODUCER_PREFIX)}
        for position, record in enumerate(records):
            results += self._record(record, groups.get(position, []), position in ticks, foreign=position in foreign)
        results += self._reject(run.rejected, records, now_ns)
        self._applied = max(self._applied, records[-1].offset)
        if now_ns - self._checkpoint_ns >= CHECKPOINT_NS and self._applied > self._counted:
            self._checkpoint_ns = now_ns
            return [self._checkpointed(results)]
        return [Step(results)] if results else []

    def _note_drops(self, run: SpanRun) -> None:
        for _, producer, _, dropped_total in run.batches:
            if crc32(producer.encode()) % self.partitions == self.partition:
                self.drops[producer] = max(dropped_total, self.drops.pop(producer, 0))
                if len(self.drops) > PRODUCER_LIMIT:
                    del self.drops[next(iter(self.drops))]

    def _record(self, record: ConsumerRecord, spans: list[Span], tick: bool, *, foreign: bool) -> list[Output]:
        arrival_ns = record.timestamp * MS_NS
        if tick:
            return self._results(self.operator.advance(arrival_ns, record.offset))
        if not spans:
            return []
        found = self.operator.apply(spans, [record.offset] * len(spans), [arrival_ns] * len(spans))
        if record.offset <= self._counted:
            return self._results(found)
        for fate, count in found.fates.items():
            self.counts["aggregated" if fate == "assembled" else fate] += count
        batches = red_batches(
            found.fresh,
            source_topic=self.topic,
            partition=self.partition,
            names=self.names,
            gen_ai=foreign,  # agents_emitter's agents measure gen_ai.* themselves
        )
        return self._red(batches) + self._results(found)

    def _results(self, found: TraceResult) -> list[Output]:
        self.health.open_traces.labels(self.topic, str(self.partition)).set(self.operator.open_traces)
        for outcome, count in found.left.items():
            self.health.traces_closed.labels(outcome).inc(count)
        self.health.orphan_spans.inc(sum(len(trace.orphans) for trace in found.traces))
        outputs = [Output(topics.TRACES, trace.trace_id.encode(), encode_trace(trace)) for trace in found.traces]
        outputs += [Output(topics.EDGES, edge.key.encode(), encode_edge(edge)) for edge in found.edges]
        graph = graph_batches(found.calls, source_topic=self.topic, partition=self.partition, names=self.names)
        return outputs + self._red(graph)

    def _red(self, batches: Sequence[RedBatch]) -> list[Output]:
        return [Output(topics.RED, batch.key.encode(), batch.value) for batch in batches]

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

    def _checkpointed(self, results: list[Output]) -> Step:
        mark = self.operator.mark(self._applied)
        body = {
            "mark": list(mark),
            "drops": self.drops,
            "counts": self.counts,
            "reasons": self.reasons,
            "numbers": self.names.numbers,
        }

        def delivered() -> None:
            self.committable = mark.held_offset

        return self._keeper.step(results, body, self._applied, self.source, delivered)

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
