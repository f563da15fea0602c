"""The accounts of an emitter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class KindStats:
    """Samples, spans, logs or points of one emitter since it started (in a forked child: since the fork).

    ``emitted == delivered + dropped + buffered``, exactly and at any moment.

    Attributes:
        emitted: calls of the agent (and of the process sampler).
        delivered: acknowledged by the broker.
        dropped_by_reason: ``overflow`` ring full; ``invalid`` not a finite number, a negative counter increment, no
            span; ``spool`` oldest record dropped in an outage; ``too_large`` record over the limit; ``encode``
            could not be encoded; ``closed`` after or at close; ``unconfirmed`` sent before close but never
            acknowledged, so it may have arrived.
        buffered: in the ring or in records not yet acknowledged.
        batches: records delivered; spooled_batches, spooled_bytes: records not yet acknowledged.
    """

    emitted: int
    delivered: int
    buffered: int
    batches: int
    spooled_batches: int
    spooled_bytes: int
    dropped_by_reason: Mapping[str, int] = field(default_factory=dict)

    @property
    def dropped(self) -> int:
        """All reasons together."""
        return sum(self.dropped_by_reason.values())


@dataclass(frozen=True, slots=True)
class Stats:
    """What :meth:`agents_emitter.Emitter.stats` returns.

    Attributes:
        samples, spans, logs: the accounts of each kind.
        points: metric points that the OpenTelemetry SDK exported (``agents_emitter.otel``).
        errors: failed attempts and caught exceptions by name: of the broker, and of calls that were shielded.
        connects: times the producer was made; more than one means the connection was lost.
        series: label sets registered; overflowed: calls that went to an overflow series.
        redacted_by_rule: replacements in labels, spans, logs and the resource, by rule of ``agents_emitter.redaction``.
    """

    samples: KindStats
    spans: KindStats
    logs: KindStats
    errors: Mapping[str, int]
    connects: int
    series: int
    overflowed: int
    points: KindStats = KindStats(0, 0, 0, 0, 0, 0)
    redacted_by_rule: Mapping[str, int] = field(default_factory=dict)

    @property
    def emitted(self) -> int:
        """Of all kinds."""
        return self.samples.emitted + self.spans.emitted + self.logs.emitted + self.points.emitted

    @property
    def delivered(self) -> int:
        """Of all kinds."""
        return self.samples.delivered + self.spans.delivered + self.logs.delivered + self.points.delivered

    @property
    def dropped(self) -> int:
        """Of all kinds."""
        return self.samples.dropped + self.spans.dropped + self.logs.dropped + self.points.dropped

    @property
    def buffered(self) -> int:
        """Of all kinds."""
        return self.samples.buffered + self.spans.buffered + self.logs.buffered + self.points.buffered
