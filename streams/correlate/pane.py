"""What a rule keeps of the windows of one group, and the statistic over them.

Everything merges by addition, so a group's series may come in any number of batches: counts and sums, extremes, and
log-bucket sketches for percentiles (never an average of percentiles).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from streams.correlate.rule import Rule
from streams.domain.sketch import bucket_value
from streams.domain.window import WindowBatch

PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


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

    def add(self, other: Pane) -> None:
        """Merge another pane into this one."""
        self.count += other.count
        self.sum += other.sum
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        self.numerator += other.numerator
        self.denominator += other.denominator
        for bucket, weight in other.sketch.items():
            self.sketch[bucket] = self.sketch.get(bucket, 0) + weight

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

    def add_to(self, pane: Pane, row: int, role: str) -> None:
        """Merge one row into a group's pane.

        Args:
            pane: of the batch's window.
            row: in the batch.
            role: ``value``, ``sketch`` (value with its sketch), ``numerator`` or ``denominator``.
        """
        if role == "numerator":
            pane.numerator += self._sum[row]
        elif role == "denominator":
            pane.denominator += self._sum[row]
        else:
            self._add_value(pane, row)
            if role == "sketch":
                self._add_sketch(pane, row)

    def _add_value(self, pane: Pane, row: int) -> None:
        pane.count += self._count[row]
        pane.sum += self._sum[row]
        pane.minimum = min(pane.minimum, self._minimum[row])
        pane.maximum = max(pane.maximum, self._maximum[row])

    def _add_sketch(self, pane: Pane, row: int) -> None:
        batch = self._batch
        first, last = batch.sketch_start[row], batch.sketch_start[row + 1]
        for bucket, weight in zip(
            batch.sketch_bucket[first:last].tolist(), batch.sketch_weight[first:last].tolist(), strict=True
        ):
            pane.sketch[bucket] = pane.sketch.get(bucket, 0) + weight


def statistic(rule: Rule, panes: Mapping[int, Pane]) -> tuple[float, int] | None:
    """The rule's number over the panes of its window, and how many events (for a ratio: its denominator) it is of.

    Args:
        rule: a threshold rule.
        panes: window start in ns -> pane, only those inside the rule's window.

    Returns:
        None where there are fewer than ``min_count`` events, or too few panes for growth: no evidence either way.
    """
    if rule.statistic == "growth_per_minute":
        return _growth(rule, panes)
    total = Pane()
    for pane in panes.values():
        total.add(pane)
    if rule.statistic == "ratio":
        if total.denominator <= 0 or total.denominator < rule.min_count:
            return None
        return total.numerator / total.denominator, int(total.denominator)
    if total.count < rule.min_count:
        return None
    return _number(rule, total), total.count


def _number(rule: Rule, total: Pane) -> float:
    name = rule.statistic
    if name in PERCENTILES:
        return _percentile(total, PERCENTILES[name])
    if name == "rate":
        return total.sum / rule.window_seconds
    return {"mean": total.sum / total.count, "sum": total.sum, "max": total.maximum, "min": total.minimum}[name]


def _percentile(total: Pane, share: float) -> float:
    """Value of the first bucket whose cumulative weight reaches the share; within 2 %, and within the extremes."""
    buckets = sorted(total.sketch)
    if not buckets:
        return total.maximum
    weights = np.cumsum([total.sketch[bucket] for bucket in buckets])
    place = min(int(np.searchsorted(weights, share * weights[-1])), len(buckets) - 1)
    value = float(bucket_value(np.array([buckets[place]], np.int32))[0])
    return min(max(value, total.minimum), total.maximum)


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
