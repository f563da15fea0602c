"""Which series are watched, by how many detectors, and since when each was seen: bounded by count and age."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.detect.bank import Bank
from streams.detect.feature import FEATURES, features_of
from streams.detect.state import Memory
from streams.domain.recent import Recent
from streams.domain.series import Series

_FREE: Final = np.iinfo(np.int64).max
"""Of a place that no series has: newer than any window."""


class Tier(NamedTuple):
    """Detectors of one kind, and for how many series there is room."""

    detector: str
    bank: Bank
    max_series: int


@dataclass(slots=True)
class Seat:
    """A watched series: what is remembered of it, its place among all, its tier, and its detectors, one per feature."""

    memory: Memory
    place: int
    tier: int
    slots: tuple[int, ...]


class Entries(NamedTuple):
    """Of one tier, one entry for each feature of each seat: the detector, the seat, the feature's number.

    ``first`` has the place of each seat's first entry.
    """

    slot: NDArray[np.int64]
    of: NDArray[np.int64]
    feature: NDArray[np.int64]
    first: NDArray[np.int64]


@dataclass(slots=True)
class Rows:
    """A batch's series as arrays.

    Attributes:
        seats: those that are known, in order; ``row`` of the batch and ``place`` of each.
        tiers: entries by tier.
        unknown: series with features that are not known.
        unscored, twice: how many have no features, and how many are named again.
    """

    seats: list[Seat]
    row: NDArray[np.int64]
    place: NDArray[np.int64]
    tiers: list[Entries]
    unknown: list[Series]
    unscored: int
    twice: int


@dataclass
class Roster:
    """Series by name, each in one of the ``tiers``. Of each place ``last_ns`` has the start of the newest window, and
    ``passed_of_late`` whether its memory has any window that passed.

    A new series is watched by the first tier that has room. One that is full makes room by letting go the series that
    was not seen for longest, unless it was seen within ``active_ns``.
    """

    tiers: Sequence[Tier]
    active_ns: int
    last_ns: NDArray[np.int64] = field(default_factory=lambda: np.full(1, _FREE))
    passed_of_late: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(1, np.bool_))
    _seats: dict[Series, Seat] = field(default_factory=dict)
    _at: dict[int, Seat] = field(default_factory=dict)
    _members: list[set[int]] = field(init=False)
    _free: list[int] = field(default_factory=lambda: [0])
    _lists: Recent[Sequence[Series], Rows] = field(init=False)

    def __post_init__(self) -> None:
        self._members = [set() for _ in self.tiers]
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
        named = sum(bool(features_of(one)) for one in series)
        return Rows(
            seats=seats,
            row=np.array(list(found.values()), np.int64),
            place=np.array([seat.place for seat in seats], np.int64),
            tiers=[_entries(seats, tier) for tier in range(len(self.tiers))],
            unknown=list(unknown),
            unscored=len(series) - named,
            twice=named - len(found) - len(unknown),
        )

    def admit(self, series: Sequence[Series], start_ns: int, known: NDArray[np.int64]) -> tuple[int, int]:
        """Watch new series as far as there is room; those at the places ``known`` do not leave for them.

        Returns:
            How many were refused, and how many others left.
        """
        waiting, left = list(series), 0
        for tier, (_, _, max_series) in enumerate(self.tiers):
            room = max(0, max_series - len(self._members[tier]))
            idle = self._idle(tier, start_ns, set(known.tolist())) if len(waiting) > room else []
            leaving = idle[: len(waiting) - room]
            for place in leaving:
                self._leave(self._at[place])
            for one in waiting[: room + len(leaving)]:
                self.add(Memory(one, features_of(one)), tier)
            waiting, left = waiting[room + len(leaving) :], left + len(leaving)
        return len(waiting), left

    def add(self, memory: Memory, tier: int, last_ns: int = 0) -> Seat:
        """A series that is not known, whatever the bound."""
        if not self._free:
            first = len(self.last_ns)
            self.last_ns = np.concatenate((self.last_ns, np.full(first, _FREE)))
            self.passed_of_late = np.concatenate((self.passed_of_late, np.zeros(first, np.bool_)))
            self._free = list(range(2 * first - 1, first - 1, -1))
        bank = self.tiers[tier].bank
        seat = Seat(memory, self._free.pop(), tier, tuple(bank.open() for _ in memory.names))
        self._seats[memory.series] = self._at[seat.place] = seat
        self._members[tier].add(seat.place)
        self.last_ns[seat.place], self.passed_of_late[seat.place] = last_ns, memory.recent != 0
        self._lists.clear()
        return seat

    def _idle(self, tier: int, start_ns: int, known: Set[int]) -> list[int]:
        """Places of a tier whose series may leave, those not seen for longest first."""
        places = np.array(sorted(self._members[tier] - known), np.int64)
        places = places[start_ns - self.last_ns[places] > self.active_ns]
        idle: list[int] = places[np.argsort(self.last_ns[places], kind="stable")].tolist()
        return idle

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
        self._members[seat.tier].remove(seat.place)
        for slot in seat.slots:
            self.tiers[seat.tier].bank.close(slot)
        self.last_ns[seat.place] = _FREE
        self._free.append(seat.place)
        self._lists.clear()


def _entries(seats: Sequence[Seat], tier: int) -> Entries:
    entries = [
        (slot, at, FEATURES.index(name))
        for at, seat in enumerate(seats)
        if seat.tier == tier
        for slot, name in zip(seat.slots, seat.memory.names, strict=True)
    ]
    slot, of, feature = np.array(entries, np.int64).reshape(-1, 3).T.copy()
    return Entries(slot, of, feature, np.unique(of, return_index=True)[1])
