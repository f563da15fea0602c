"""``metrics.md``: everything that is exported to Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from monitoring.source.reference.page import code, page, table
from streams.publish.capacity import CAPACITY
from streams.publish.catalogue import METRICS, Metric
from streams.publish.expected import BANDS
from streams.publish.names import label_name
from streams.publish.ownmetrics import HEALTH, WINDOW_HEALTH, HealthMetric
from streams.publish.progress import PROGRESS
from streams.publish.verdicts import VERDICTS


def metrics() -> str:
    """Agents' metrics by what they are called when reported and when exported; then the pipeline's own."""
    reported = ("exported as", "type", "reported as", "unit", "labels", "budget", "meaning")
    own = ("metric", "type", "labels", "meaning")
    health = sorted((*HEALTH.values(), *WINDOW_HEALTH, *PROGRESS, *VERDICTS), key=lambda metric: metric.sample_name)
    return page(
        "Metrics",
        "`streams/publish/catalogue.py`",
        "## Reported by agents",
        "The budget is how many label sets are exported on their own; the rest share an overflow series. A metric\n"
        "that is not in this table is exported under its own name with all labels but ids (`default_metric` says how).",
        table(reported, (row for metric in METRICS for row in _rows(metric))),
        "## Computed about agents",
        "Forecasts of the `capacity` of thresholds.yml also have the labels that a resource is grouped by, what is\n"
        "expected of its `bands` those of the series.",
        table(own, map(_health, (*CAPACITY, *BANDS))),
        "## Of the pipeline itself",
        table(own, map(_health, health)),
    )


def _rows(metric: Metric) -> Iterator[tuple[object, ...]]:
    labels = code(label_name(name) for name in metric.labels or ())
    rest = (metric.prometheus_type, f"`{metric.name}`", f"`{metric.unit}`", labels, metric.budget)
    yield f"`{metric.exported}`", *rest, metric.help
    for edge in ("min", "max") if metric.extremes else ():
        yield f"`{metric.exported}_{edge}`", *rest, f"{edge.capitalize()}imum in its last window."


def _health(metric: HealthMetric) -> tuple[object, ...]:
    return f"`{metric.sample_name}`", metric.type, code(metric.labels), metric.help
