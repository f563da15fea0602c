"""What is expected of chosen series, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import Metric as Family
from prometheus_client.registry import Collector

from streams.domain.expected import Expected
from streams.publish.names import label_set
from streams.publish.ownmetrics import HealthMetric

_LABELS: Final = ("metric", "feature")
OBSERVED: Final = HealthMetric("agents_observed", "gauge", "The newest window, in the metric's own unit.", _LABELS)
EXPECTED: Final = HealthMetric("agents_expected", "gauge", "What this hour of the week usually shows.", _LABELS)
LOWER: Final = HealthMetric("agents_expected_lower", "gauge", "Lower end of what is expected.", _LABELS)
UPPER: Final = HealthMetric("agents_expected_upper", "gauge", "Upper end of what is expected.", _LABELS)
PROVISIONAL: Final = HealthMetric(
    "agents_expected_provisional",
    "gauge",
    "1 while the hour was seen in too few weeks: all hours speak for it.",
    _LABELS,
)
BANDS: Final = (OBSERVED, EXPECTED, LOWER, UPPER, PROVISIONAL)
"""In the order of the last five fields of :class:`Expected`."""


class ExpectedCollector(Collector):
    """Shows what ``source`` returns; called in the scrape's thread, so ``source`` returns values, not live state."""

    def __init__(self, source: Callable[[], Iterable[Expected]]) -> None:
        self._source = source

    def describe(self) -> Iterable[Family]:
        """The names, so that a clash shows at registration."""
        return [Family(m.name, m.help, m.type) for m in BANDS]

    def collect(self) -> Iterator[Family]:
        """The families of one scrape."""
        families = [Family(m.name, m.help, m.type) for m in BANDS]
        for one in self._source():
            labels = {**dict(label_set(one.series.labels)), "metric": one.series.name, "feature": one.feature}
            for family, value in zip(families, one[2:], strict=True):
                family.add_sample(family.name, labels, float(value))
        yield from families
