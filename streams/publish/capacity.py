"""How much is used of what has a limit, and how long it lasts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import Metric as Family
from prometheus_client.registry import Collector

from streams.domain.capacity import Capacity
from streams.publish.names import label_set
from streams.publish.ownmetrics import HealthMetric

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


class CapacityCollector(Collector):
    """Shows what ``source`` returns; called in the scrape's thread, so ``source`` returns values, not live state."""

    def __init__(self, source: Callable[[], Iterable[Capacity]]) -> None:
        self._source = source

    def describe(self) -> Iterable[Family]:
        """The names, so that a clash shows at registration."""
        return [Family(m.name, m.help, m.type) for m in CAPACITY]

    def collect(self) -> Iterator[Family]:
        """The families of one scrape."""
        used, to_limit = (Family(m.name, m.help, m.type) for m in CAPACITY)
        for capacity in self._source():
            labels = {**dict(label_set(capacity.labels)), "resource": capacity.resource}
            used.add_sample(USED.name, labels, capacity.used_ratio)
            for bound, seconds in capacity.outlook._asdict().items() if capacity.outlook else ():
                to_limit.add_sample(TO_LIMIT.name, {**labels, "bound": bound}, seconds)
        yield from (used, to_limit)
