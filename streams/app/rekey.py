"""Brings spans of one trace together: spans that came without our key go on to ``agents.spans``, by trace id.

A collector hashes its records by other things, or not at all; a trace would be assembled in pieces. What is written is
a function of the source log alone, numbered per producer, so that what a crash repeats is found to be a duplicate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from aiokafka import ConsumerRecord
from aiokafka.partitioner import murmur2

from agents_emitter.events import encode_span_batch
from streams import topics
from streams.app.keeper import Keeper
from streams.app.outbox import Step
from streams.app.part import Restored
from streams.app.sink import Output, dead_letter_output
from streams.decode.spans import decode_spans
from streams.domain.source import Source, SourceLog, first_seat
from streams.domain.span import Span
from streams.publish.health import Health, unobserved
from streams.publish.progress import Progress

SOURCES: Final = (topics.OTLP_SPANS,)
PRODUCER_PREFIX: Final = "rekey/"
MAX_SPANS: Final = 200
"""Spans per record that is written: keeps it far below the topic's record limit."""


def partition_of(trace_id: str, partitions: int) -> int:
    """Where Kafka's default partitioner puts a record with this key."""
    return int(murmur2(trace_id.encode()) & 0x7FFFFFFF) % partitions


@dataclass
class RekeyPart:
    """One source partition of spans that are not keyed by trace id."""

    topic: str
    partition: int
    partitions: int
    health: Health = field(default_factory=unobserved)
    committable: int | None = None
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    numbers: Counter[str] = field(default_factory=Counter)
    source: Source = field(default_factory=Source)
    _applied: int = -1

    def __post_init__(self) -> None:
        self._keeper = Keeper(f"rekey/{self.topic}/{self.partition}", self.partition)

    def restore(self, state: Mapping[str, bytes], log: SourceLog) -> Restored:
        """Counts and batch numbers as of the last checkpoint."""
        found = self._keeper.restore(state, log)
        if found is None:
            self.source = first_seat(log)
            return Restored()
        body, seat = found
        self.counts, self.reasons = Counter(body["counts"]), Counter(body["reasons"])
        self.numbers = Counter(body["numbers"])
        self.source, self._applied = seat.source, seat.applied
        return Restored(seat.held, seat=seat)

    def save(self) -> Step:
        """A checkpoint as of what was restored."""
        return self._checkpointed([], self._applied)

    def skip(self, offsets: int) -> None:
        """Counts what retention removed."""
        self.source = self.source.skipping(offsets)

    def read_back(self, record: ConsumerRecord) -> None:
        """Nothing of this role comes back through windows."""

    def next_tick_ns(self) -> int | None:
        """Nothing waits for time here."""
        return None

    def process(self, records: Sequence[ConsumerRecord], now_ns: int) -> Sequence[Step]:
        """Sends the spans of a run on, then the checkpoint."""
        run = decode_spans(records, hint=self.topic)
        groups: dict[int, list[Span]] = {}
        for span, record in zip(run.spans, run.record, strict=True):
            groups.setdefault(record, []).append(span)
        results = [output for spans in groups.values() for output in self._forward(spans)]
        self.counts["aggregated"] += len(run.spans)
        for item in run.rejected:
            self.reasons[item.reason] += item.events
            self.counts["rejected"] += item.events
            self.health.dead_letters.labels(self.topic, item.reason).inc()
            results.append(dead_letter_output(records[item.record], item.reason, item.detail, self.topic, now_ns))
        return [self._checkpointed(results, records[-1].offset)]

    def _forward(self, spans: Sequence[Span]) -> list[Output]:
        """One source record's spans, by target partition and resource, in order of first appearance."""
        groups: dict[tuple[int, str], list[Span]] = {}
        for span in spans:
            resource = orjson.dumps(dict(span.resource), option=orjson.OPT_SORT_KEYS).decode()
            groups.setdefault((partition_of(span.trace_id, self.partitions), resource), []).append(span)
        return [
            self._batch(target, group[first : first + MAX_SPANS])
            for (target, _), group in groups.items()
            for first in range(0, len(group), MAX_SPANS)
        ]

    def _batch(self, target: int, spans: Sequence[Span]) -> Output:
        producer = f"{PRODUCER_PREFIX}{self.topic}/{self.partition}/{target}"
        value = encode_span_batch(
            dict(spans[0].resource), [span_object(s) for s in spans], producer=producer, seq=self.numbers[producer]
        )
        self.numbers[producer] += 1
        return Output(topics.SPANS, spans[0].trace_id.encode(), value, target)

    def _checkpointed(self, results: list[Output], applied: int) -> Step:
        body = {"counts": self.counts, "reasons": self.reasons, "numbers": self.numbers}

        def delivered() -> None:
            self.committable = applied + 1

        return self._keeper.step(results, body, applied, self.source, delivered)

    def progress(self, lag: int, now_ns: int) -> Progress:
        """The figures as values."""
        return Progress(
            self.topic,
            self.partition,
            fates=dict(self.counts),
            reasons=dict(self.reasons),
            source=self.source,
            lag=None if lag < 0 else lag,
        )


def span_object(span: Span) -> dict[str, Any]:
    """A span with OTLP field names, as ``agents_emitter.events.encode_span_batch`` takes it."""
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_span_id,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": span.start_ns,
        "endTimeUnixNano": span.end_ns,
        "status": {"code": span.status_code, "message": span.status_message},
        "attributes": dict(span.attributes),
        "events": [dict(event) for event in span.events],
        "links": [dict(link) for link in span.links],
        "phase": span.phase,
    }
