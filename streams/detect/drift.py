"""Drift: what moves one way for longer than it ever did, though no single step of it is strange.

A leak is normal in every window. Cumulative sums of the steps between windows (Page's test, both ways): each step in
units of its usual size, less :data:`SLACK`, adds up until the sum falls well below its peak; that is an excursion. Its
height is compared with all that have ended: beyond the highest of ``k`` the probability is ``1 / (k + 1)``, and falls
from there as heights of independent steps do (``exp(-2 SLACK h)``), or slower where the series itself has had high
ones, as a rhythm of the day has.
"""

from __future__ import annotations

import math
from typing import Any, Final

SLACK: Final = 1.0
CLIP: Final = 5.0
"""A step never counts for more: one jump is not a drift (the memories of values find it)."""
FORGET: Final = 0.01
"""Weight of the newest step in the usual size."""
FLOOR_RATIO: Final = 0.002
"""The usual step never counts as less than this share of the value, so that last digits are no news."""
LEAST_ENDED: Final = 15
"""Ended excursions below which nothing is said."""
LEAST_WINDOWS: Final = 2
MOST_FALL: Final = 10.0
"""A sum that has fallen by this (ten windows that stand still) has ended, however high it was."""
TAIL: Final = 1e-4
"""An excursion is a finding from the window on in which its probability is at most this."""


class Side:
    """An excursion one way: its sum, highest sum, windows so far, and for how many of these it was a finding."""

    __slots__ = ("found", "peak", "total", "windows")

    def __init__(self) -> None:
        self.end()

    def end(self) -> None:
        """Nothing adds up."""
        self.total, self.peak, self.windows, self.found = 0.0, 0.0, 0, 0

    def after(self, step: float) -> float:
        """The sum with one step more; 0 where the excursion ends with it."""
        total = self.total + step - SLACK
        return total if total > max(0.5 * self.peak, self.peak - MOST_FALL) else 0.0


class Drift:
    """Excursions of one series both ways; 0.4 kB, O(1)."""

    __slots__ = ("down", "ended", "highest", "seen", "square", "up", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self.seen = 0
        self.square = 0.0
        self.ended = 0
        self.highest = 0.0
        self.up, self.down = Side(), Side()

    def judge(self, value: float, hold_windows: int) -> tuple[float, int]:
        """(probability, windows) of the excursion with this value; 1 and 0 where it is no finding.

        Args:
            value: not learned yet.
            hold_windows: for how many windows more than one a finding is said.
        """
        if self.ended < LEAST_ENDED:
            return 1.0, 0
        step = self._step(value)
        if max(self.up.total + step, self.down.total - step) <= self.highest + SLACK:
            return 1.0, 0
        for side, signed in ((self.up, step), (self.down, -step)):
            tail = self._tail(side.after(signed), side.windows + 1)
            if tail <= TAIL and side.found <= hold_windows:
                return tail, side.windows + 1
        return 1.0, 0

    def learn(self, value: float) -> None:
        """One window more."""
        if self.seen:
            step = self._step(value)
            if step > SLACK or self.up.windows:
                self._move(self.up, step)
            if -step > SLACK or self.down.windows:
                self._move(self.down, -step)
            change = abs(value - self.value)
            if self.seen > LEAST_ENDED:
                change = min(change, CLIP * self._usual(value))
            self.square += max(1.0 / self.seen, FORGET) * (change * change - self.square)
        self.value = value
        self.seen += 1

    def _usual(self, value: float) -> float:
        return max(math.sqrt(self.square), FLOOR_RATIO * abs(value))

    def _step(self, value: float) -> float:
        usual = self._usual(value)
        return max(-CLIP, min(CLIP, (value - self.value) / usual)) if usual > 0.0 else 0.0

    def _tail(self, total: float, windows: int) -> float:
        if total <= self.highest or windows < LEAST_WINDOWS or self.ended < LEAST_ENDED:
            return 1.0
        scale = max(0.5 / SLACK, 0.25 * self.highest)
        return math.exp((self.highest - total) / scale) / (self.ended + 1)

    def _move(self, side: Side, step: float) -> None:
        total = side.after(step)
        if total > 0.0:
            side.windows += 1
            side.found += side.found > 0 or self._tail(total, side.windows) <= TAIL
            side.total, side.peak = total, max(side.peak, total)
        elif side.windows:
            self.ended += 1
            self.highest = max(self.highest, side.peak)
            side.end()

    def dump(self) -> list[Any]:
        """State as JSON-able data."""
        sides = [[s.total, s.peak, s.windows, s.found] for s in (self.up, self.down)]
        return [self.value, self.seen, self.square, self.ended, self.highest, *sides]

    def load(self, state: list[Any]) -> None:
        """The inverse of :meth:`dump`."""
        value, seen, square, ended, highest, *sides = state
        self.value, self.seen, self.square = float(value), int(seen), float(square)
        self.ended, self.highest = int(ended), float(highest)
        for side, (total, peak, windows, found) in zip((self.up, self.down), sides, strict=True):
            side.total, side.peak, side.windows, side.found = float(total), float(peak), int(windows), int(found)
