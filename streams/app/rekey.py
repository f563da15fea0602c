"""Brings spans of one trace together: spans that came without our key go on to ``agents.spans``, by trace id.

A collector hashes its records by other things, or not at all; a trace would be assembled in pieces. Spans that came as
protobuf go on as such, byte by byte; others as our batches. What a crash repeats is found to be a duplicate by its span
ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from aiokafka import ConsumerRecord
from numpy.typing import NDArray

from agents_emitter.events import encode_span_batch
from agents_emitter.redaction import Redactor
from streams import topics
from streams.app.keeper import Keeper
from streams.app.outbox import Step
from streams.app.part import Restored, Tickless
from streams.app.sink import Output, dead_letter_output
from streams.decode.forward import forward
from streams.decode.reasons import OVERSIZE
from streams.decode.spans import SpanDecoder, SpanRun
from streams.domain.block import Block
from streams.domain.columns import Rejected
from streams.domain.keys import partitions_of, trace_keys
from streams.domain.source import Source, SourceLog, first_seat
from streams.domain.span import Span
from streams.domain.spanrows import SpanTables, span_of
from streams.publish.health import Health, unobserved
from streams.publish.progress import Progress

SOURCES: Final = (topics.OTLP_SPANS,)
PRODUCER_PREFIX: Final = "rekey/"
MAX_SPANS: Final = 200
MAX_BYTES: Final = 262_144
"""A batch that is written ends with the span that passes one of these."""
MAX_SPAN_BYTES: Final = 600_000
"""With a batch's other spans and its resource it stays below the topic's record limit."""


@dataclass
class RekeyPart(Tickless):
    """One source partition of spans that are not keyed by trace id."""

    topic: str
    partition: int
    partitions: int
    health: Health = field(default_factory=unobserved)
    redactor: Redactor = field(default_factory=Redactor)
    committable: int | None = None
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    numbers: Counter[str] = field(default_factory=Counter)
    source: Source = field(default_factory=Source)
    _applied: int = -1

    def __post_init__(self) -> None:
        self._keeper = Keeper(f"rekey/{self.topic}/{self.partition}", self.partition)
        self._decoder = SpanDecoder(SpanTables(), self.redactor)

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

    def process(self, records: Sequence[ConsumerRecord], now_ns: int) -> Sequence[Step]:
        """Sends the spans of a run on, then the checkpoint."""
        block = Block.of(records)
        if self._decoder.tables.outgrown:
            self._decoder.tables.keep([])
        run = self._decoder.decode(block, hint=self.topic)
        refused = self._refuse_large(run)
        keys = trace_keys(run.rows["trace_high"], run.rows["trace_low"])
        target = partitions_of(keys, self.partitions)
        results = [*self._forward(run, keys, target), *self._batches(run, keys, target)]
        self.counts["aggregated"] += len(run.rows)
        for item in (*run.rejected, *refused):
            self.reasons[item.reason] += item.events
            self.counts["rejected"] += item.events
            self.health.dead_letters.labels(self.topic, item.reason).inc()
            results.append(dead_letter_output(block[item.record], item.reason, item.detail, self.topic, now_ns))
        return [self._checkpointed(results, int(block.offset[-1]))]

    @staticmethod
    def _refuse_large(run: SpanRun) -> list[Rejected]:
        """Takes out spans that would alone be more than a record of ``agents.spans`` may hold."""
        size = np.maximum(run.rows["raw_bytes"], run.rows["body_bytes"])
        large = size > MAX_SPAN_BYTES
        found = zip(run.rows["record"][large].tolist(), size[large].tolist(), strict=True)
        refused = [Rejected(record, OVERSIZE, f"a span of {bytes_} bytes") for record, bytes_ in found]
        run.rows = run.rows[~large]
        return refused

    def _forward(self, run: SpanRun, keys: Sequence[bytes], target: NDArray[np.int64]) -> list[Output]:
        """Those that came as protobuf."""
        chosen = np.flatnonzero(run.rows["raw_bytes"])
        found = forward(run.rows[chosen], run.raw, target[chosen], self._decoder.protobuf)
        return [Output(topics.SPANS, keys[chosen[row]], value, partition) for partition, row, value in found]

    def _batches(self, run: SpanRun, keys: Sequence[bytes], target: NDArray[np.int64]) -> list[Output]:
        """The others, by target partition and resource, in order of first appearance."""
        groups: dict[tuple[int, int], list[int]] = {}
        for row in np.flatnonzero(run.rows["raw_bytes"] == 0).tolist():
            groups.setdefault((int(target[row]), int(run.rows["resource"][row])), []).append(row)
        return [
            self._batch(partition, keys[part[0]], [span_of(run.rows[row], run.bodies, run.tables) for row in part])
            for (partition, _), group in groups.items()
            for part in _parts(group, run.rows["body_bytes"])
        ]

    def _batch(self, target: int, key: bytes, spans: Sequence[Span]) -> Output:
        producer = f"{PRODUCER_PREFIX}{self.topic}/{self.partition}/{target}"
        value = encode_span_batch(
            dict(spans[0].resource), [span_object(s) for s in spans], producer=producer, seq=self.numbers[producer]
        )
        self.numbers[producer] += 1
        return Output(topics.SPANS, key, value, target)

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


def _parts(rows: Sequence[int], size: NDArray[np.int32]) -> Iterator[list[int]]:
    part: list[int] = []
    written = 0
    for row in rows:
        part.append(row)
        written += int(size[row])
        if len(part) == MAX_SPANS or written > MAX_BYTES:
            yield part
            part, written = [], 0
    if part:
        yield part


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
