"""What a series is expected to show, and the band around it: for people, and for telling whether strangeness lasts."""

from __future__ import annotations

import math
from typing import Final

FORGET: Final = 0.02
"""Weight of the newest value: half of the past is forgotten in about 35 windows."""
DEVIATIONS: Final = 4.0
"""Half the width of the band."""
LEAST_RATIO: Final = 0.02
"""The band reaches at least this share of the mean to both sides."""
CLIP_RATIO: Final = 0.1
"""At least this share of a surprise is learned, so that a band of width 0 does not stay there."""


class Band:
    """Exponentially weighted mean and variance whose learning is clipped to the band (Huber's idea).

    A single spike leaves hardly a trace, a new level is believed within about fifty windows.
    """

    __slots__ = ("mean", "seen", "variance")

    def __init__(self) -> None:
        self.mean = 0.0
        self.variance = 0.0
        self.seen = 0

    @property
    def reach(self) -> float:
        """Half the width of the band, in the unit of the series."""
        return max(DEVIATIONS * math.sqrt(self.variance), LEAST_RATIO * abs(self.mean))

    def contains(self, value: float) -> bool:
        """True inside the band, edges included."""
        return abs(value - self.mean) <= self.reach

    def learn(self, value: float, clip: bool) -> None:
        """Move towards a value; ``clip`` after the warm-up, before it everything is believed."""
        self.seen += 1
        weight = max(1.0 / self.seen, FORGET)
        surprise = value - self.mean
        if clip:
            limit = max(self.reach, CLIP_RATIO * abs(surprise))
            surprise = max(-limit, min(limit, surprise))
        step = weight * surprise
        self.mean += step
        self.variance = (1.0 - weight) * (self.variance + surprise * step)

    def dump(self) -> list[float]:
        """State as JSON-able data."""
        return [self.mean, self.variance, self.seen]

    def load(self, state: list[float]) -> None:
        """The inverse of :meth:`dump`."""
        self.mean, self.variance, self.seen = state[0], state[1], int(state[2])
