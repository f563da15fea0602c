"""Runs of the same value: what stands still too long, though every single value of it was seen before.

A sensor that freezes and a square wave that stops show nothing new to a memory of values. What is new is how long
nothing changes. The length of a run is compared with all runs that have ended: beyond the longest of ``k`` runs the
probability is ``1 / (k + 1)``, and it falls from there as fast as the lengths vary (an exponential with their standard
deviation, exact for geometric runs, for which it does not matter when one begins to count).
"""

from __future__ import annotations

import math
from typing import Any, Final

LEAST_RUNS: Final = 30
"""Ended runs below which nothing is said: a series that is constant by nature has none."""
LEAST_SPREAD_WINDOWS: Final = 3.0
"""The lengths never count as less varied: a few equal roundings in a row are no news."""
TAIL: Final = 1e-4
"""A run is a finding from the window on in which its probability is at most this."""
SAME_RATIO: Final = 1e-9
"""Values that differ by less than this share are the same."""


class Runs:
    """Lengths of the runs of one series: their count, mean, variance (Welford) and maximum. 0.2 kB, O(1)."""

    __slots__ = ("ended", "length", "longest", "mean", "squares", "value")

    def __init__(self) -> None:
        self.value = math.nan
        self.length = 0
        self.ended = 0
        self.mean = 0.0
        self.squares = 0.0
        self.longest = 0

    def length_with(self, value: float) -> int:
        """Windows, this one too, that show ``value`` without a break."""
        return self.length + 1 if self._same(value) else 1

    def tail(self, length: int) -> float:
        """P(a run is at least this long); 1 while fewer than :data:`LEAST_RUNS` have ended or none was longer."""
        if self.ended < LEAST_RUNS or length <= self.longest:
            return 1.0
        spread = max(LEAST_SPREAD_WINDOWS, math.sqrt(self.squares / self.ended))
        return math.exp(-(length - self.longest) / spread) / (self.ended + 1)

    def learn(self, value: float) -> None:
        """One window more: the run goes on, or it has ended and is counted."""
        if self._same(value):
            self.length += 1
            return
        if self.length:
            self._count()
        self.value, self.length = value, 1

    def _same(self, value: float) -> bool:
        return abs(value - self.value) <= SAME_RATIO * abs(self.value)

    def _count(self) -> None:
        self.ended += 1
        surprise = self.length - self.mean
        self.mean += surprise / self.ended
        self.squares += surprise * (self.length - self.mean)
        self.longest = max(self.longest, self.length)

    def dump(self) -> list[Any]:
        """State as JSON-able data (no value before the first window)."""
        return [self.value if self.length else None, self.length, self.ended, self.mean, self.squares, self.longest]

    def load(self, state: list[Any]) -> None:
        """The inverse of :meth:`dump`."""
        value, length, ended, mean, squares, longest = state
        self.value = math.nan if value is None else float(value)
        self.length, self.ended, self.longest = int(length), int(ended), int(longest)
        self.mean, self.squares = float(mean), float(squares)
