"""What each hour of the week usually shows of one feature, and how far it may be from it."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from streams.detect.band import CLIP_RATIO, DEVIATIONS, LEAST_RATIO
from streams.detect.packing import pack, unpack

HOURS: Final = 168
HOUR_NS: Final = 3_600_000_000_000
LEAST_WEEKS: Final = 2
"""An hour speaks for itself when it was seen in so many weeks: one week is one sample of how weeks differ."""
LEAST_WINDOWS: Final = 30
"""A first hour with fewer windows gives no band yet."""
MEMORY_WEEKS: Final = 4
_COLUMNS: Final = {"means": "f", "variances": "f", "seen": "H"}
_ALL: Final = HOURS
"""Place of the figures over all hours, behind those of the hours."""


class Normal(NamedTuple):
    """Mean and half the width of the band; whether all hours speak for one that was seen too rarely."""

    mean: float
    reach: float
    provisional: bool


class Week:
    """Mean and variance for each hour of the week (UTC) and for all hours, exponentially weighted; 2 kB.

    An hour is learned when it is over, as one sample: its band does not follow a fault while it lasts. Once the hour is
    known, one beyond the band is learned only as far as the band reaches, or by a tenth: an outage is not what is
    expected next week, a new level is after some weeks.
    """

    __slots__ = ("_count", "_hour", "_mean", "_means", "_seen", "_squares", "_variances")

    def __init__(self) -> None:
        self._means, self._variances = array("f", bytes(4 * (HOURS + 1))), array("f", bytes(4 * (HOURS + 1)))
        self._seen = array("H", bytes(2 * (HOURS + 1)))
        self._begin(0)

    def _begin(self, hour: int) -> None:
        self._hour, self._count, self._mean, self._squares = hour, 0, 0.0, 0.0

    def normal(self, at_ns: int) -> Normal | None:
        """For a window that starts then; None while less than :data:`LEAST_WINDOWS` were seen in all."""
        hour = at_ns // HOUR_NS % HOURS
        if self._seen[hour] >= LEAST_WEEKS:
            return Normal(self._means[hour], _reach(self._means[hour], self._variances[hour]), False)
        return self.over_all()

    def over_all(self) -> Normal | None:
        """For any window, whatever its hour."""
        if self._seen[_ALL]:
            return Normal(self._means[_ALL], _reach(self._means[_ALL], self._variances[_ALL]), True)
        if self._count < LEAST_WINDOWS:
            return None
        return Normal(self._mean, _reach(self._mean, self._squares / self._count), True)

    def learn(self, value: float, at_ns: int) -> None:
        """Take in a window's value, once per window in order of time; it must be finite."""
        hour = at_ns // HOUR_NS
        if hour != self._hour:
            self._end()
            self._begin(hour)
        self._count += 1
        surprise = value - self._mean
        self._mean += surprise / self._count
        self._squares += surprise * (value - self._mean)

    def _end(self) -> None:
        if self._count:
            self._step(self._hour % HOURS, MEMORY_WEEKS, clip=True)
            self._step(_ALL, MEMORY_WEEKS * HOURS, clip=False)

    def _step(self, place: int, memory: int, *, clip: bool) -> None:
        mean, variance = self._means[place], self._variances[place]
        surprise, spread = self._mean - mean, self._squares / self._count
        if clip and self._seen[place] >= LEAST_WEEKS:
            limit = max(_reach(mean, variance), CLIP_RATIO * abs(surprise))
            surprise = max(-limit, min(limit, surprise))
            spread = min(spread, limit * limit)
        self._seen[place] = min(self._seen[place] + 1, 65_535)
        weight = max(1.0 / self._seen[place], 1.0 / memory)
        self._means[place] = mean + weight * surprise
        self._variances[place] = (1.0 - weight) * (variance + weight * surprise * surprise) + weight * spread

    def dump(self) -> dict[str, Any]:
        """State as JSON-able data."""
        now = [self._hour, self._count, self._mean, self._squares]
        return {"now": now, **{name: pack(getattr(self, f"_{name}")) for name in _COLUMNS}}

    def load(self, state: Mapping[str, Any]) -> None:
        """The inverse of :meth:`dump`.

        Raises:
            KeyError, TypeError, ValueError: not such data.
        """
        for name, typecode in _COLUMNS.items():
            column = unpack(typecode, state[name])
            if len(column) != HOURS + 1:
                raise ValueError(f"{name} has {len(column)} hours")
            setattr(self, f"_{name}", column)
        hour, count, mean, squares = state["now"]
        self._hour, self._count, self._mean, self._squares = int(hour), int(count), float(mean), float(squares)


def _reach(mean: float, variance: float) -> float:
    return max(DEVIATIONS * math.sqrt(variance), LEAST_RATIO * abs(mean))
