"""What one scrape of the worker's ``/metrics`` says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from streams import topics

SIMULATED: Final = (topics.METRICS, topics.SPANS, topics.LOGS)
OTLP: Final = (topics.OTLP_SPANS, topics.OTLP_METRICS, topics.OTLP_LOGS)
SOURCES: Final = (*SIMULATED, *OTLP)
"""Topics that come from outside; the others are the pipeline's own."""
ENDS: Final = tuple(topic for topic in SOURCES if topic != topics.OTLP_SPANS)
"""Where an event has its fate. Spans of ``otlp_spans`` are passed on to ``agents.spans`` and counted there."""
FATES: Final = ("aggregated", "overflow", "late", "duplicate", "rejected")

_SAMPLE: Final = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)")
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Sample(NamedTuple):
    """One line of the exposition."""

    name: str
    labels: Mapping[str, str]
    value: float


def samples(text: str, prefix: str = "", containing: str = "") -> Iterator[Sample]:
    """Samples whose line begins with and contains a text; lines that are none are passed over."""
    for line in text.splitlines():
        if line.startswith(prefix) and containing in line and (match := _SAMPLE.match(line)):
            yield Sample(match[1], dict(_LABEL.findall(match[2] or "")), float(match[3]))


@dataclass(frozen=True, slots=True)
class Figures:
    """The pipeline's own account at one moment. What the worker does not (yet) say is None or absent.

    Attributes:
        at_seconds: monotonic clock of the scrape.
        fates: (topic, fate) -> events since the topic exists.
        dropped: topic -> events that emitters dropped before the log, by their own account.
        lag: records not yet applied, all topics. watermark_delay_seconds: the worst partition of ``agents.metrics``.
        windows: closed windows (one per series and size). judged: series-windows that detectors scored.
        learning: series-windows that detectors learnt in silence.
        series: series known.
    """

    at_seconds: float
    fates: Mapping[tuple[str, str], int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    lag: int | None = None
    watermark_delay_seconds: float | None = None
    windows: int | None = None
    judged: int | None = None
    learning: int | None = None
    series: int | None = None

    def events(self, of: Iterable[str]) -> int:
        """Events of some topics, whatever became of them."""
        wanted = set(of)
        return sum(count for (topic, fate), count in self.fates.items() if topic in wanted and fate in FATES)

    def fate(self, fate: str, of: Iterable[str] = ENDS) -> int:
        """Events of some topics with one fate."""
        return sum(self.fates.get((topic, fate), 0) for topic in of)


def read_figures(text: str, at_seconds: float) -> Figures:
    """A scrape as figures."""
    found: dict[str, list[Sample]] = {}
    for sample in samples(text, "streams_"):
        found.setdefault(sample.name, []).append(sample)
    fates: Counter[tuple[str, str]] = Counter()
    for sample in found.get("streams_events_total", ()):
        fates[sample.labels["topic"], sample.labels["fate"]] += round(sample.value)
    dropped: Counter[str] = Counter()
    for sample in found.get("streams_emitter_dropped_total", ()):
        dropped[sample.labels["topic"]] += round(sample.value)
    delays = [
        s.value for s in found.get("streams_watermark_delay_seconds", ()) if s.labels.get("topic") == topics.METRICS
    ]
    return Figures(
        at_seconds=at_seconds,
        fates=fates,
        dropped=dropped,
        lag=_total(found.get("streams_consumer_lag_records")),
        watermark_delay_seconds=max(delays, default=None),
        windows=_total(found.get("streams_windows_closed_total")),
        judged=fates.get((topics.WINDOWS, "aggregated")),
        learning=fates.get((topics.WINDOWS, "warming_up")),
        series=_total(found.get("streams_series")),
    )


def exported_names(text: str, service: str) -> list[str]:
    """Names of metrics that ``/metrics`` shows for a service, sorted, without the suffixes of histograms."""
    names = {s.name for s in samples(text, containing=f'service_name="{service}"')}
    return sorted({re.sub(r"_(bucket|sum|count)$", "", name) for name in names})


def _total(found: list[Sample] | None) -> int | None:
    return round(sum(sample.value for sample in found)) if found else None
