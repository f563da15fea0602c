"""The highest of the last n numbers, O(1): the gate a score must beat."""

from __future__ import annotations

from array import array
from typing import Any


class RecentPeak:
    """Maximum over a sliding window of pushes (monotonic queue; at most ``windows`` entries of 16 bytes)."""

    __slots__ = ("places", "pushed", "values", "windows")

    def __init__(self, windows: int) -> None:
        self.windows = windows
        self.pushed = 0
        self.places = array("q")
        self.values = array("d")

    @property
    def maximum(self) -> float:
        """The highest of the last pushes; 0 when there was none."""
        return self.values[0] if self.values else 0.0

    def push(self, value: float) -> None:
        """The window moves by one."""
        places, values = self.places, self.values
        while values and values[-1] <= value:
            values.pop()
            places.pop()
        values.append(value)
        places.append(self.pushed)
        self.pushed += 1
        if places[0] <= self.pushed - 1 - self.windows:
            del places[0], values[0]

    def dump(self) -> list[Any]:
        """State as JSON-able data."""
        return [self.pushed, self.places.tolist(), self.values.tolist()]

    def load(self, state: list[Any]) -> None:
        """The inverse of :meth:`dump`."""
        self.pushed = int(state[0])
        self.places, self.values = array("q", state[1]), array("d", state[2])
