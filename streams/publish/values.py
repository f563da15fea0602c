"""Values that are asked for at each scrape, in place of metrics that are kept up to date."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Generic, TypeVar

from prometheus_client import Metric as Family
from prometheus_client.registry import Collector

from streams.publish.ownmetrics import HealthMetric

T = TypeVar("T")
Sample = tuple[HealthMetric, Mapping[str, str], float]


class ValuesCollector(Collector, Generic[T]):
    """Shows what ``source`` returns; called in the scrape's thread, so ``source`` returns values, not live state.

    Attributes:
        declared: its families.
    """

    declared: ClassVar[Sequence[HealthMetric]]

    def __init__(self, source: Callable[[], Iterable[T]]) -> None:
        self._source = source

    @staticmethod
    @abstractmethod
    def samples(value: T) -> Iterable[Sample]:
        """What one value shows: family, labels, figure."""

    def describe(self) -> Iterable[Family]:
        """The names, so that a clash shows at registration."""
        return [Family(m.name, m.help, m.type) for m in self.declared]

    def collect(self) -> Iterator[Family]:
        """The families of one scrape."""
        families = {m.name: Family(m.name, m.help, m.type) for m in self.declared}
        for value in self._source():
            for declared, labels, figure in self.samples(value):
                families[declared.name].add_sample(declared.sample_name, dict(labels), figure)
        yield from families.values()
