"""A bounded sorted memory of everything seen, and how far a new value lies from it."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from typing import Final

CAPACITY: Final = 900
"""Values kept at most: 3.6 kB as float32."""
RESOLUTION: Final = 0.001
"""A value closer than this share of the remembered range to a stored one is the same: not stored, and no news (which
also keeps the rounding to float32 out of the scores)."""
FLOOR: Final = 0.01
"""The range never counts as less than this (memories hold numbers in units of the series' own scale), so that the
last digits of a constant series are not news."""


class NoveltyMemory:
    """Remembers where values were, not when.

    Bounded by count: at :data:`CAPACITY` values the memory is thinned with a resolution that doubles until it is at
    most three quarters full, so that a range that once grew costs detail, never space. Lookup O(log n).
    """

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values = array("f")

    @property
    def span(self) -> float:
        """Remembered range, at least :data:`FLOOR`."""
        values = self.values
        width = values[-1] - values[0] if values else FLOOR
        return width if width > FLOOR else FLOOR

    def distance(self, value: float) -> float:
        """Distance to the nearest remembered value (0 while nothing is remembered)."""
        values = self.values
        if not values:
            return 0.0
        place = bisect_left(values, value)
        if place == 0:
            return values[0] - value
        below = value - values[place - 1]
        if place == len(values):
            return below
        above = values[place] - value
        return below if below < above else above

    def strangeness(self, value: float, root_seen: float) -> float:
        """log(1 + distance / range * sqrt(number seen)): 0 for what was seen before, about 2 to 5 for news.

        Args:
            value: in units of the series' own scale.
            root_seen: square root of how many values this memory was shown.
        """
        share = self.distance(value) / self.span
        return 0.0 if share < RESOLUTION else math.log1p(share * root_seen)

    def add(self, value: float) -> None:
        """Remember a value, or count on a neighbour that is close enough."""
        values = self.values
        if values and self.distance(value) < RESOLUTION * self.span:
            return
        values.insert(bisect_left(values, value), value)
        if len(values) > CAPACITY:
            self._thin()

    def _thin(self) -> None:
        resolution = RESOLUTION
        while len(self.values) > CAPACITY * 3 // 4:
            self.values = _thinned(self.values, resolution * self.span)
            resolution *= 2


def _thinned(values: array[float], gap: float) -> array[float]:
    kept = array("f", values[:1])
    for value in values[1:-1]:
        if value - kept[-1] >= gap:
            kept.append(value)
    kept.append(values[-1])
    return kept
