"""What closed windows say of one version: per pane, mergeable, for one source of numbers.

A pane holds count, sum, extremes and a log-bucket sketch, so that panes and series add up and percentiles are never
averaged. Data is a function of the windows: the same windows in any order and any repetition give the same panes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streams.domain.selector import Selector
from streams.domain.sketch import LAST_BUCKET, LOG_GAMMA, bucket_value
from streams.domain.window import WindowBatch
from streams.gate.profile import Source

MAX_PANES: Final = 2160
"""Six hours of 10 s: the oldest panes beyond it are left out."""


@dataclass(slots=True)
class Pane:
    """One version in one window. ``denominator`` is of ratios; their numerator is ``sum``."""

    count: int = 0
    sum: float = 0.0
    maximum: float = float("-inf")
    denominator: float = 0.0
    sketch: dict[int, int] = field(default_factory=dict)

    def weight(self, statistic: str) -> float:
        """Observations it stands for."""
        return self.denominator if statistic == "ratio" else float(self.count)


Panes = Mapping[int, Pane]
"""Window start in ns -> pane."""


def gather(batches: Iterable[WindowBatch], source: Source, where: Mapping[str, str], seconds: float) -> dict[int, Pane]:
    """The panes of one version.

    Args:
        batches: closed windows; a window that comes twice counts once; other sizes than ``seconds`` are left out.
        source: which number.
        where: labels a series must have, e.g. service.name and service.version; an empty value allows any.
        seconds: size of a pane.
    """
    newest = {(b.topic, b.partition, b.start_ns, b.chunk): b for b in batches if b.size_seconds == seconds}
    panes: dict[int, Pane] = {}
    for batch in newest.values():
        for row, series in enumerate(batch.series):
            if any(value and series.label(label) != value for label, value in where.items()):
                continue
            if _any(source.selectors, batch, row):
                add_row(panes.setdefault(batch.start_ns, Pane()), batch, row)
            if _any(source.denominator, batch, row):
                panes.setdefault(batch.start_ns, Pane()).denominator += float(batch.sum[row])
    return {start: panes[start] for start in sorted(panes)[-MAX_PANES:]}


def _any(selectors: Sequence[Selector], batch: WindowBatch, row: int) -> bool:
    return any(selector.matches(batch.series[row]) for selector in selectors)


def add_row(pane: Pane, batch: WindowBatch, row: int) -> None:
    """Adds one series of a window to a pane."""
    pane.count += int(batch.count[row])
    pane.sum += float(batch.sum[row])
    pane.maximum = max(pane.maximum, float(batch.maximum[row]))
    entries = slice(int(batch.sketch_start[row]), int(batch.sketch_start[row + 1]))
    for bucket, weight in zip(
        batch.sketch_bucket[entries].tolist(), batch.sketch_weight[entries].tolist(), strict=True
    ):
        pane.sketch[bucket] = pane.sketch.get(bucket, 0) + weight


def since(panes: Panes, first_ns: int) -> dict[int, Pane]:
    """The panes that start at ``first_ns`` or later."""
    return {start: pane for start, pane in panes.items() if start >= first_ns}


def observations(panes: Panes, statistic: str) -> int:
    """How many observations they stand for together."""
    return int(sum(pane.weight(statistic) for pane in panes.values()))


def number(panes: Panes, statistic: str, quantile: float = 0.0) -> float | None:
    """The statistic over all panes; None where nothing was observed."""
    found = list(panes.values())
    weight = sum(pane.weight(statistic) for pane in found)
    if weight <= 0:
        return None
    total = sum(pane.sum for pane in found)
    if statistic == "max":
        return max(pane.maximum for pane in found)
    if statistic == "sum":
        return total
    if statistic in ("mean", "ratio"):
        return total / weight
    return value_at(place_of(density(found, [1.0] * len(found)), quantile))


def density(panes: Sequence[Pane], weights: Sequence[float]) -> NDArray[np.float64]:
    """Weighted sum of the panes' sketches, float64[2 * LAST_BUCKET + 1], bucket b at b + LAST_BUCKET."""
    mass = np.zeros(2 * LAST_BUCKET + 1)
    for pane, weight in zip(panes, weights, strict=True):
        if pane.sketch:
            places = np.fromiter(pane.sketch.keys(), np.int64, len(pane.sketch)) + LAST_BUCKET
            np.add.at(mass, places, weight * np.fromiter(pane.sketch.values(), np.float64, len(pane.sketch)))
    return mass


def place_of(mass: NDArray[np.float64], quantile: float) -> float:
    """Where the quantile lies, as a place between bucket edges (bucket b spans b .. b + 1), evenly within a bucket."""
    below = np.cumsum(mass)
    wanted = quantile * below[-1]
    bucket = int(np.searchsorted(below, wanted))
    before = below[bucket - 1] if bucket else 0.0
    inside = (wanted - before) / mass[bucket] if mass[bucket] else 0.5
    return bucket - LAST_BUCKET + float(inside)


def above(pane: Pane, place: float) -> float:
    """Share of the pane's observations above a place (see :func:`place_of`)."""
    bucket, inside = int(np.floor(place)), place - np.floor(place)
    total = sum(pane.sketch.values())
    over = sum(weight for b, weight in pane.sketch.items() if b > bucket)
    return (over + pane.sketch.get(bucket, 0) * (1 - float(inside))) / total


def value_at(place: float) -> float:
    """The value at a place: at the middle of a bucket it is the bucket's value."""
    middle = float(bucket_value(np.array([int(np.floor(place))], dtype=np.int32))[0])
    return middle * float(np.exp((place - np.floor(place) - 0.5) * LOG_GAMMA * np.sign(middle))) if middle else 0.0


def shifted(place: float, factor: float) -> float:
    """The place of ``factor`` times the value; a place whose value is 0 does not move."""
    value = value_at(place)
    return place + float(np.sign(value)) * float(np.log(factor)) / LOG_GAMMA


def dump(panes: Panes) -> list[list[Any]]:
    """As JSON-able data, for a pinned baseline."""
    return [
        [start, p.count, p.sum, p.maximum if p.count else 0.0, p.denominator, list(p.sketch), list(p.sketch.values())]
        for start, p in panes.items()
    ]


def load(state: Sequence[Sequence[Any]]) -> dict[int, Pane]:
    """The inverse of :func:`dump`.

    Raises:
        ValueError, TypeError: not what :func:`dump` gives.
    """
    return {
        int(start): Pane(count, total, maximum, denominator, dict(zip(buckets, weights, strict=True)))
        for start, count, total, maximum, denominator, buckets, weights in state
    }
