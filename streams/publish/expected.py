"""What is expected of chosen series, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from streams.domain.expected import Expected
from streams.publish.names import label_set
from streams.publish.ownmetrics import HealthMetric
from streams.publish.values import Sample, ValuesCollector

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


class ExpectedCollector(ValuesCollector[Expected]):
    """Expectations as values."""

    declared = BANDS

    @staticmethod
    def samples(value: Expected) -> Iterator[Sample]:
        """Observed, expected and its band."""
        labels = {**dict(label_set(value.series.labels)), "metric": value.series.name, "feature": value.feature}
        for declared, figure in zip(BANDS, value[2:], strict=True):
            yield declared, labels, float(figure)
