"""How far each source partition is and what became of its events, as absolute counts that survive restarts.

The counts come from checkpoints, so they are shown by a collector that asks for them at each scrape, not by counters
that would begin at zero with the process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from streams.domain.source import Source
from streams.publish.ownmetrics import HealthMetric
from streams.publish.values import Sample, ValuesCollector

_PARTITION: Final = ("topic", "partition")
EVENTS: Final = HealthMetric("streams_events", "counter", "Events by fate.", (*_PARTITION, "fate"))
REJECTED: Final = HealthMetric("streams_events_rejected", "counter", "Events rejected.", (*_PARTITION, "reason"))
DROPPED: Final = HealthMetric("streams_emitter_dropped", "counter", "Events that emitters dropped.", _PARTITION)
GAPS: Final = HealthMetric("streams_batches_missing", "gauge", "Numbered batches not seen.", _PARTITION)
LAG: Final = HealthMetric("streams_consumer_lag_records", "gauge", "Records not yet applied.", _PARTITION)
WAITED: Final = HealthMetric(
    "streams_consumer_lag_seconds",
    "gauge",
    "How long the oldest record not yet applied has waited, at most.",
    _PARTITION,
)
WATERMARK: Final = HealthMetric("streams_watermark_delay_seconds", "gauge", "Clock minus watermark.", _PARTITION)
PANES: Final = HealthMetric("streams_open_panes", "gauge", "Panes in memory.", _PARTITION)
SERIES: Final = HealthMetric("streams_series", "gauge", "Series known.", _PARTITION)
LOST: Final = HealthMetric(
    "streams_source_offsets_lost", "counter", "Offsets of the log that were lost.", (*_PARTITION, "change", "stage")
)
CHANGES: Final = HealthMetric(
    "streams_source_changes", "counter", "Logs found otherwise than the checkpoint left them.", (*_PARTITION, "change")
)
PROGRESS: Final = (EVENTS, REJECTED, DROPPED, GAPS, LAG, WAITED, WATERMARK, PANES, SERIES, LOST, CHANGES)


@dataclass(frozen=True)
class Progress:
    """One source partition at one moment.

    Attributes:
        fates: events by fate: aggregated, late, duplicate, overflow, rejected. reasons: rejected ones by reason.
        dropped: events that emitters report as dropped by themselves. gaps: batches missing in their numbering.
        source: what happened to the log itself, and what was lost by it.
        lag: records in the log not yet applied, lag_seconds: for how long the oldest has waited, at most (0 where none
            waits); None while unknown.
        watermark_delay_seconds: None before the first event.
    """

    topic: str
    partition: int
    fates: Mapping[str, int]
    reasons: Mapping[str, int] = field(default_factory=dict)
    dropped: int = 0
    gaps: int = 0
    source: Source = field(default_factory=Source)
    lag: int | None = None
    lag_seconds: float | None = None
    watermark_delay_seconds: float | None = None
    open_panes: int = 0
    series: int = 0


class ProgressCollector(ValuesCollector[Progress]):
    """Progress as values."""

    declared = PROGRESS

    @staticmethod
    def samples(value: Progress) -> Iterator[Sample]:
        """The counts and gauges of one partition."""
        for declared, extra, figure in _samples(value):
            yield declared, dict(zip(declared.labels, (value.topic, str(value.partition), *extra), strict=True)), figure


def _samples(progress: Progress) -> Iterator[tuple[HealthMetric, tuple[str, ...], float]]:
    for fate, count in progress.fates.items():
        yield EVENTS, (fate,), count
    for reason, count in progress.reasons.items():
        yield REJECTED, (reason,), count
    yield DROPPED, (), progress.dropped
    yield GAPS, (), progress.gaps
    for (change, stage), offsets in progress.source.lost.items():
        yield LOST, (change, stage), offsets
    for change, count in progress.source.changes.items():
        yield CHANGES, (change,), count
    if progress.lag is not None:
        yield LAG, (), progress.lag
    if progress.lag_seconds is not None:
        yield WAITED, (), progress.lag_seconds
    if progress.watermark_delay_seconds is not None:
        yield WATERMARK, (), progress.watermark_delay_seconds
    yield PANES, (), progress.open_panes
    yield SERIES, (), progress.series
