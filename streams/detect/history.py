"""Means over the last windows and over the same time of day: what a value is compared with."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any, Final

from river import stats

from streams.detect.packing import pack, unpack

LONG_WINDOWS: Final = 250
"""About 40 minutes of 10 s windows: the level a value is compared with."""
SHORT_WINDOWS: Final = 20
"""About 3 minutes: the smoothed present that is compared with the time of day."""
BINS: Final = 96
"""Quarters of an hour in a day."""
SECONDS_PER_BIN: Final = 900
BIN_MEMORY: Final = 630
"""A bin forgets with this many windows (a week of quarters of an hour of 10 s windows)."""


class RecentMeans:
    """Mean of the last :data:`LONG_WINDOWS` and of the last :data:`SHORT_WINDOWS` values, O(1), 1 kB.

    River's ``stats.Mean`` does the sums (update and revert). They are recomputed from the ring each time it wraps, so
    that rounding after a huge value does not stay.
    """

    __slots__ = ("long", "place", "ring", "short")

    def __init__(self) -> None:
        self.ring = array("f")
        self.place = 0
        self.long = stats.Mean()
        self.short = stats.Mean()

    def smoothed(self, value: float) -> float:
        """Mean of the last values of the short window and this one."""
        mean, n = self.short.get(), self.short.n
        return float(mean + (value - mean) / (n + 1))

    def update(self, value: float) -> None:
        """Take in one value (kept as float32)."""
        self._push(array("f", (value,))[0])
        if self.place == 0 and len(self.ring) == LONG_WINDOWS:
            self._recompute()

    def _push(self, value: float) -> None:
        ring = self.ring
        if self.short.n >= SHORT_WINDOWS - 1:
            self.short.revert(ring[self.place - SHORT_WINDOWS + 1])
        if len(ring) < LONG_WINDOWS:
            ring.append(value)
        else:
            self.long.revert(ring[self.place])
            ring[self.place] = value
        self.place = (self.place + 1) % LONG_WINDOWS
        self.long.update(value)
        self.short.update(value)

    def _recompute(self) -> None:
        self.long, self.short = stats.Mean(), stats.Mean()
        for value in self.ring:
            self.long.update(value)
        for value in self.ring[1 - SHORT_WINDOWS :]:
            self.short.update(value)

    def dump(self) -> dict[str, Any]:
        """State as JSON-able data."""
        means = [self.long.n, self.long.get(), self.short.n, self.short.get()]
        return {"ring": pack(self.ring), "place": self.place, "means": means}

    def load(self, state: Mapping[str, Any]) -> None:
        """The inverse of :meth:`dump`."""
        self.ring = unpack("f", state["ring"])
        self.place = int(state["place"])
        long_n, long_mean, short_n, short_mean = state["means"]
        self.long = stats.Mean._from_state(long_n, long_mean)
        self.short = stats.Mean._from_state(short_n, short_mean)


class DayProfile:
    """Mean of the smoothed value for each quarter of an hour of the day (UTC), 0.6 kB."""

    __slots__ = ("counts", "means")

    def __init__(self) -> None:
        self.means = array("f", bytes(4 * BINS))
        self.counts = array("H", bytes(2 * BINS))

    def expected(self, second_of_day: float, default: float) -> float:
        """What this time of day usually shows; ``default`` where it was never seen."""
        place = int(second_of_day // SECONDS_PER_BIN) % BINS
        return self.means[place] if self.counts[place] else default

    def update(self, second_of_day: float, smoothed: float) -> None:
        """Take in the smoothed value of a window."""
        place = int(second_of_day // SECONDS_PER_BIN) % BINS
        count = min(self.counts[place] + 1, BIN_MEMORY)
        self.counts[place] = count
        self.means[place] += (smoothed - self.means[place]) / count

    def dump(self) -> dict[str, Any]:
        """State as JSON-able data: the bins that were seen."""
        seen = [place for place in range(BINS) if self.counts[place]]
        return {"bins": [[place, self.means[place], self.counts[place]] for place in seen]}

    def load(self, state: Mapping[str, Any]) -> None:
        """The inverse of :meth:`dump`."""
        self.means = array("f", bytes(4 * BINS))
        self.counts = array("H", bytes(2 * BINS))
        for place, mean, count in state["bins"]:
            self.means[place], self.counts[place] = mean, count
