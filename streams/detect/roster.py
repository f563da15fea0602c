"""Which series are watched, by how many detectors, and since when each was seen: bounded by count and age."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streams.detect.bank import Bank
from streams.detect.feature import FEATURES, features_of
from streams.detect.state import Memory
from streams.domain.recent import Recent
from streams.domain.series import Series

_FREE: Final = np.iinfo(np.int64).max
"""Of a place that no series has: newer than any window."""


@dataclass(slots=True)
class Seat:
    """A watched series: what is remembered of it, its place among the others, and its detectors, one per feature."""

    memory: Memory
    place: int
    slots: tuple[int, ...]


@dataclass(slots=True)
class Rows:
    """A batch's series as arrays.

    Attributes:
        seats: those that are known, in order; ``row`` of the batch and ``place`` of each.
        first: of each seat, its first entry; it has one for each of its features.
        slot, of, feature: of each entry the detector, the seat and the feature's number.
        unknown: series with features that are not known.
        unscored, twice: how many have no features, and how many are named again.
    """

    seats: list[Seat]
    row: NDArray[np.int64]
    place: NDArray[np.int64]
    first: NDArray[np.int64]
    slot: NDArray[np.int64]
    of: NDArray[np.int64]
    feature: NDArray[np.int64]
    unknown: list[Series]
    unscored: int
    twice: int


@dataclass
class Roster:
    """Series by name, at most ``max_series``. Of each place ``last_ns`` has the start of the newest window, and
    ``passed_of_late`` whether its memory has any window that passed.


    Over the bound the one that was not seen for longest leaves for a new one, unless it was seen within ``active_ns``.
    """

    bank: Bank
    max_series: int
    active_ns: int
    last_ns: NDArray[np.int64] = field(default_factory=lambda: np.full(1, _FREE))
    passed_of_late: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(1, np.bool_))
    _seats: dict[Series, Seat] = field(default_factory=dict)
    _at: dict[int, Seat] = field(default_factory=dict)
    _free: list[int] = field(default_factory=lambda: [0])
    _lists: Recent[Sequence[Series], Rows] = field(init=False)

    def __post_init__(self) -> None:
        self._lists = Recent(self._look_up)

    def __len__(self) -> int:
        return len(self._seats)

    def __iter__(self) -> Iterator[Seat]:
        """Least recently seen first; of those seen last in the same window by id."""
        return iter(sorted(self._seats.values(), key=lambda s: (self.last_ns[s.place], s.memory.series.id)))

    def rows(self, series: Sequence[Series]) -> Rows:
        """What is known of the series of a batch (kept for lists that were seen before)."""
        return self._lists.of(series)

    def _look_up(self, series: Sequence[Series]) -> Rows:
        found = {one: row for row, one in enumerate(series) if one in self._seats}
        seats = [self._seats[one] for one in found]
        unknown = dict.fromkeys(one for one in series if one not in found and features_of(one))
        entries = [
            (slot, at, FEATURES.index(name))
            for at, seat in enumerate(seats)
            for slot, name in zip(seat.slots, seat.memory.names, strict=True)
        ]
        slot, of, feature = np.array(entries, np.int64).reshape(-1, 3).T.copy()
        named = sum(bool(features_of(one)) for one in series)
        return Rows(
            seats=seats,
            row=np.array(list(found.values()), np.int64),
            place=np.array([seat.place for seat in seats], np.int64),
            first=np.searchsorted(of, np.arange(len(seats))),
            slot=slot,
            of=of,
            feature=feature,
            unknown=list(unknown),
            unscored=len(series) - named,
            twice=named - len(found) - len(unknown),
        )

    def add(self, memory: Memory, last_ns: int = 0) -> Seat:
        """A series that is not known, within the bound."""
        if not self._free:
            first = len(self.last_ns)
            self.last_ns = np.concatenate((self.last_ns, np.full(first, _FREE)))
            self.passed_of_late = np.concatenate((self.passed_of_late, np.zeros(first, np.bool_)))
            self._free = list(range(2 * first - 1, first - 1, -1))
        seat = Seat(memory, self._free.pop(), tuple(self.bank.open() for _ in memory.names))
        self._seats[memory.series] = self._at[seat.place] = seat
        self.last_ns[seat.place], self.passed_of_late[seat.place] = last_ns, memory.recent != 0
        self._lists.clear()
        return seat

    def make_room(self, start_ns: int, needed: Collection[int]) -> tuple[bool, int]:
        """(whether one more has room, how many left for it); those at the places ``needed`` stay."""
        if len(self) < self.max_series:
            return True, 0
        last_ns = self.last_ns.copy()
        last_ns[list(needed)] = _FREE
        oldest = int(np.argmin(last_ns))
        if start_ns - last_ns[oldest] <= self.active_ns:
            return False, 0
        self._leave(self._at[oldest])
        return True, 1

    def forget_before(self, horizon_ns: int) -> int:
        """Forget the series without a window since then; returns how many."""
        if self.last_ns.min() >= horizon_ns:
            return 0
        old = np.nonzero(self.last_ns < horizon_ns)[0].tolist()
        for place in old:
            self._leave(self._at[place])
        return len(old)

    def _leave(self, seat: Seat) -> None:
        del self._seats[seat.memory.series], self._at[seat.place]
        for slot in seat.slots:
            self.bank.close(slot)
        self.last_ns[seat.place] = _FREE
        self._free.append(seat.place)
        self._lists.clear()
