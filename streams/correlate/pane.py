"""What a rule keeps of the windows of one group, and the statistic over them.

Everything merges by addition, so that a group's series may come in any number of batches: counts and sums, extremes,
and log-bucket sketches for percentiles (never an average of percentiles).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from streams.correlate.rule import Rule
from streams.domain.sketch import LAST_BUCKET, bucket_value
from streams.domain.window import WindowBatch

PERCENTILES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
BUCKET_VALUES: Final[list[float]] = bucket_value(np.arange(-LAST_BUCKET, LAST_BUCKET + 1, dtype=np.int32)).tolist()
"""Value of bucket b at place b + LAST_BUCKET."""


@dataclass(slots=True)
class Pane:
    """One window of one group, merged over its series.

    ``numerator`` and ``denominator`` are sums of counters (ratio rules), the rest is of the selected metric.
    ``sketch`` maps a bucket to its weight and is filled for percentile rules only.
    """

    count: int = 0
    sum: float = 0.0
    minimum: float = float("inf")
    maximum: float = float("-inf")
    numerator: float = 0.0
    denominator: float = 0.0
    sketch: dict[int, int] = field(default_factory=dict)

    def dump(self) -> list[Any]:
        """As JSON-able data."""
        extremes = [self.minimum, self.maximum] if self.count else [0.0, 0.0]
        sketch = [list(self.sketch), list(self.sketch.values())]
        return [self.count, self.sum, *extremes, self.numerator, self.denominator, *sketch]


def load_pane(state: Sequence[Any]) -> Pane:
    """The inverse of :meth:`Pane.dump`."""
    count, total, minimum, maximum, numerator, denominator, buckets, weights = state
    pane = Pane(count, total, minimum, maximum, numerator, denominator, dict(zip(buckets, weights, strict=True)))
    if not count:
        pane.minimum, pane.maximum = float("inf"), float("-inf")
    return pane


class Row:
    """Columns of a batch as lists, for reading single rows quickly."""

    def __init__(self, batch: WindowBatch) -> None:
        self._batch = batch
        self._count: list[int] = batch.count.tolist()
        self._sum: list[float] = batch.sum.tolist()
        self._minimum: list[float] = batch.minimum.tolist()
        self._maximum: list[float] = batch.maximum.tolist()
        self._starts: list[int] = batch.sketch_start.tolist()
        self._buckets: list[int] = batch.sketch_bucket.tolist()
        self._weights: list[int] = batch.sketch_weight.tolist()

    def feed(self, panes: Panes, row: int, role: str) -> None:
        """Merge one row into a group's pane of the batch's window.

        Args:
            panes: of the group.
            row: in the batch.
            role: ``value``, ``sketch`` (value with its sketch), ``numerator`` or ``denominator``.
        """
        pane = panes.by_start.get(self._batch.start_ns)
        if pane is None:
            pane = panes.by_start[self._batch.start_ns] = Pane()
        if role == "numerator":
            pane.numerator += self._sum[row]
        elif role == "denominator":
            pane.denominator += self._sum[row]
        else:
            pane.count += self._count[row]
            pane.sum += self._sum[row]
            pane.minimum = min(pane.minimum, self._minimum[row])
            pane.maximum = max(pane.maximum, self._maximum[row])
            if role == "sketch":
                self._feed_sketch(panes, pane, row)

    def _feed_sketch(self, panes: Panes, pane: Pane, row: int) -> None:
        first, last = self._starts[row], self._starts[row + 1]
        for bucket, weight in zip(self._buckets[first:last], self._weights[first:last], strict=True):
            pane.sketch[bucket] = pane.sketch.get(bucket, 0) + weight
            panes.sketch[bucket] = panes.sketch.get(bucket, 0) + weight


class Panes:
    """The panes of one group inside its rule's window.

    Attributes:
        by_start: window start in ns -> pane.
        sketch: sum of the panes' sketches, kept up to date by adding and taking away whole numbers (exact).
    """

    __slots__ = ("by_start", "sketch")

    def __init__(self) -> None:
        self.by_start: dict[int, Pane] = {}
        self.sketch: dict[int, int] = {}

    def expire(self, first_ns: int) -> None:
        """Forget panes that start before the window."""
        for start_ns in [start for start in self.by_start if start < first_ns]:
            for bucket, weight in self.by_start.pop(start_ns).sketch.items():
                left = self.sketch[bucket] - weight
                if left:
                    self.sketch[bucket] = left
                else:
                    del self.sketch[bucket]

    def dump(self) -> list[Any]:
        """As JSON-able data."""
        return [[start, pane.dump()] for start, pane in sorted(self.by_start.items())]

    def load(self, state: Sequence[Any]) -> None:
        """The inverse of :meth:`dump`."""
        for start, values in state:
            pane = self.by_start[start] = load_pane(values)
            for bucket, weight in pane.sketch.items():
                self.sketch[bucket] = self.sketch.get(bucket, 0) + weight


def statistic(rule: Rule, panes: Panes) -> tuple[float, int] | None:
    """The rule's number over the panes of its window, and how many events (for a ratio: its denominator) it is of.

    Args:
        rule: a threshold rule.
        panes: only those inside the rule's window.

    Returns:
        None where there are fewer than ``min_count`` events, or too few panes for growth: no evidence either way.
    """
    found = panes.by_start.values()
    if rule.statistic == "growth_per_minute":
        return _growth(rule, panes.by_start)
    if rule.statistic == "ratio":
        denominator = sum([pane.denominator for pane in found])
        if denominator <= 0 or denominator < rule.min_count:
            return None
        return sum([pane.numerator for pane in found]) / denominator, int(denominator)
    count = sum([pane.count for pane in found])
    if count < rule.min_count:
        return None
    return _number(rule, panes, count), count


def _number(rule: Rule, panes: Panes, count: int) -> float:
    found, name = panes.by_start.values(), rule.statistic
    if name == "max":
        return max([pane.maximum for pane in found])
    if name == "min":
        return min([pane.minimum for pane in found])
    if name in PERCENTILES:
        return _percentile(panes, PERCENTILES[name])
    total = sum([pane.sum for pane in found])
    return {"mean": total / count, "sum": total, "rate": total / rule.window_seconds}[name]


def _percentile(panes: Panes, share: float) -> float:
    """Value of the first bucket whose cumulative weight reaches the share; within 2 %, and within the extremes."""
    least = min([pane.minimum for pane in panes.by_start.values()])
    most = max([pane.maximum for pane in panes.by_start.values()])
    wanted, below = share * sum(panes.sketch.values()), 0
    for bucket in sorted(panes.sketch):
        below += panes.sketch[bucket]
        if below >= wanted:
            return min(max(BUCKET_VALUES[bucket + LAST_BUCKET], least), most)
    return most


def _growth(rule: Rule, panes: Mapping[int, Pane]) -> tuple[float, int] | None:
    """Difference of the means of the newest and the oldest pane per minute between them.

    The panes must span at least half of the window: two neighbours say nothing about growth.
    """
    filled = sorted(start for start, pane in panes.items() if pane.count)
    if not filled or (filled[-1] - filled[0]) / 1e9 < rule.window_seconds / 2:
        return None
    count = sum(panes[start].count for start in filled)
    if count < rule.min_count:
        return None
    first, last = panes[filled[0]], panes[filled[-1]]
    minutes = (filled[-1] - filled[0]) / 60e9
    return (last.sum / last.count - first.sum / first.count) / minutes, count
