"""How much is used of what has a limit, and how long it lasts, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from streams.domain.capacity import Capacity
from streams.publish.names import label_set
from streams.publish.ownmetrics import HealthMetric
from streams.publish.values import Sample, ValuesCollector

USED: Final = HealthMetric(
    "agents_capacity_used_ratio",
    "gauge",
    "Used of a resource's limit; also with the labels of its group.",
    ("resource",),
)
TO_LIMIT: Final = HealthMetric(
    "agents_capacity_seconds_to_limit",
    "gauge",
    "Forecast of when the limit is reached (earliest, expected, latest); +Inf: not within a week.",
    ("resource", "bound"),
)
CAPACITY: Final = (USED, TO_LIMIT)


class CapacityCollector(ValuesCollector[Capacity]):
    """Capacities as values."""

    declared = CAPACITY

    @staticmethod
    def samples(value: Capacity) -> Iterator[Sample]:
        """Used of the limit, and the forecast where there is one."""
        labels = {**dict(label_set(value.labels)), "resource": value.resource}
        yield USED, labels, value.used_ratio
        for bound, seconds in value.outlook._asdict().items() if value.outlook else ():
            yield TO_LIMIT, {**labels, "bound": bound}, seconds
