"""What of an agent is judged together: features that hang together when all is well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from streams.domain.selector import Selector

STATISTICS: Final = ("mean", "rate")
LEAST_FEATURES: Final = 2
MOST_FEATURES: Final = 16


@dataclass(frozen=True, slots=True)
class Feature:
    """One number of a window.

    Attributes:
        name: for people.
        selector: series that become this number together.
        statistic: ``mean`` of all their events, or ``rate``: the sum of them per second (0 where nothing happened).
    """

    name: str
    selector: Selector
    statistic: str


@dataclass(frozen=True, slots=True)
class Vector:
    """One line of ``vectors`` in ``monitoring/thresholds.yml``.

    Attributes:
        name: of the metric that anomalies of it are about.
        features: :data:`LEAST_FEATURES` to :data:`MOST_FEATURES`, in order.
        group_by: one vector per distinct set of values of these labels, sorted.
    """

    name: str
    features: tuple[Feature, ...]
    group_by: tuple[str, ...]

    def body(self) -> Mapping[str, object]:
        """As JSON-able data: what a snapshot must agree with."""
        rows = [[f.name, f.statistic, f.selector.metric, f.selector.where] for f in self.features]
        return {"features": rows, "group_by": self.group_by}
