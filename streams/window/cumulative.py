"""Running totals to increments, with reset detection.

Like the duplicate filter, the kept state is as of the held-back offset, so that a replay computes the same increments.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

FIRST_INTERVAL_NS: Final = 300 * 10**9
"""A total seen for the first time counts as an increment only if it began at most this long before (else it would put
hours of events into one window); an older one is a baseline."""


class Total(NamedTuple):
    """A running total.

    ``numbers``: the value of a counter; count and sum of a histogram; none where the next total is to be a baseline.
    ``weights``: observations by bucket value.
    """

    time_ns: int
    start_ns: int
    numbers: tuple[float, ...]
    weights: Mapping[float, int]


class Increment(NamedTuple):
    """What a total adds to the one before it; ``whole`` when it is all of the total (first sight, reset)."""

    numbers: tuple[float, ...]
    weights: Mapping[float, int]
    whole: bool


class CumulativeState:
    """The last total of each slot. Bounded by the series table: one entry per slot."""

    def __init__(self) -> None:
        self._kept: dict[int, Total] = {}
        self._current: dict[int, Total] = {}
        self._recent: deque[tuple[int, int, Total]] = deque()

    def increment(self, slot: int, total: Total, offset: int) -> Increment | None:
        """What a total adds to the one before it.

        Returns:
            The increment (zeros for a baseline), or None when the total is not newer than the last one: what it counts
            has been counted.
        """
        last = self._current.get(slot)
        if last is not None and total.time_ns <= last.time_ns:
            return None
        self._current[slot] = total
        self._recent.append((offset, slot, total))
        if last is not None and not last.numbers:
            return Increment((0.0,) * len(total.numbers), {}, whole=False)
        if last is None:
            young = total.start_ns > 0 and total.time_ns - total.start_ns <= FIRST_INTERVAL_NS
            return _all_of(total) if young else Increment((0.0,) * len(total.numbers), {}, whole=False)
        return _all_of(total) if _was_reset(last, total) else _difference(last, total)

    @property
    def ahead(self) -> list[int]:
        """Slots whose last total is of a record from the held-back offset on: the kept state is behind for them."""
        return sorted({slot for _, slot, _ in self._recent})

    def rebase(self, slots: Sequence[int]) -> None:
        """Makes the next total of these slots a baseline.

        For a log that does not give again what was applied after the held-back offset: the increments since the kept
        total may be in closed windows already. What is not counted by it is counted as lost with the open windows.
        """
        for slot in slots:
            known = self._kept.get(slot)
            self._kept[slot] = Total(known.time_ns if known else 0, known.start_ns if known else 0, (), {})
            self._current[slot] = self._kept[slot]

    def move(self, place: Sequence[int] | NDArray[np.int32]) -> None:
        """Follows a table in which slot s has become ``place[s]``; -1: it is gone (its next total is a baseline)."""
        self._kept = {int(place[slot]): total for slot, total in self._kept.items() if place[slot] >= 0}
        self._current = {int(place[slot]): total for slot, total in self._current.items() if place[slot] >= 0}
        moved = ((offset, int(place[slot]), total) for offset, slot, total in self._recent if place[slot] >= 0)
        self._recent = deque(moved)

    def settle(self, held_offset: int) -> None:
        """Moves what was seen before the held-back offset into the kept state.

        All of it is looked through: offsets ascend for counters and for histograms, but a run gives first the ones and
        then the others, and one that stayed behind would be counted again by a replay.
        """
        self._kept.update({slot: total for offset, slot, total in self._recent if offset < held_offset})
        self._recent = deque(entry for entry in self._recent if entry[0] >= held_offset)

    def snapshot(self) -> list[Any]:
        """The kept state as JSON-able data."""
        return [[slot, t.time_ns, t.start_ns, t.numbers, list(t.weights.items())] for slot, t in self._kept.items()]

    def restore(self, data: list[Any]) -> None:
        """The inverse of :meth:`snapshot`."""
        self._kept = {
            slot: Total(time_ns, start_ns, tuple(numbers), {float(v): w for v, w in weights})
            for slot, time_ns, start_ns, numbers, weights in data
        }
        self._current = dict(self._kept)
        self._recent.clear()


def _all_of(total: Total) -> Increment:
    return Increment(total.numbers, total.weights, whole=True)


def _was_reset(last: Total, total: Total) -> bool:
    if total.start_ns > last.start_ns or len(total.numbers) != len(last.numbers):
        return True
    if total.numbers[0] < last.numbers[0]:
        return True
    return any(total.weights.get(value, 0) < weight for value, weight in last.weights.items())


def _difference(last: Total, total: Total) -> Increment:
    numbers = tuple(new - old for new, old in zip(total.numbers, last.numbers, strict=True))
    weights = {value: weight - last.weights.get(value, 0) for value, weight in total.weights.items()}
    return Increment(numbers, {value: weight for value, weight in weights.items() if weight}, whole=False)
