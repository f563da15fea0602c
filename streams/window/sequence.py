"""Which batches of a producer were seen: finds duplicates and gaps.

Numbers may arrive out of order (a spilled batch is sent again after newer ones), so what is remembered of a producer is
the highest number and the set of those missing below it. It is remembered twice: as of the applied offset, by which
batches are decided, and as of the held-back offset, which a checkpoint keeps: when a worker replays the log from there,
the same batches must look new again. Numbers seen in between wait in ``_recent`` until the held-back offset passes them
(:meth:`SequenceFilter.settle`), as stretches of numbers that follow each other: mostly one per producer. What a batch
is depends on the log before it alone, not on when checkpoints were made.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Verdict = Literal["new", "duplicate", "too_old"]
NEW: Final[Verdict] = "new"
MISSING_LIMIT: Final = 1024
"""Missing numbers remembered per producer; an older one that still arrives is rejected with a reason, not lost."""
PRODUCER_LIMIT: Final = 100_000
"""Producers remembered; beyond it the one unseen for longest is forgotten (its re-sent batches would count again)."""


@dataclass(slots=True)
class Seen:
    """Numbers of one producer, as of an offset.

    Attributes:
        high: highest number seen, -1 for none.
        first: the first number seen; those below it are not counted as a gap.
        floor: numbers below it are no longer told apart.
        missing: numbers below ``high`` not seen, the newest :data:`MISSING_LIMIT`.
    """

    high: int = -1
    first: int = -1
    floor: int = 0
    missing: set[int] = field(default_factory=set)

    def add(self, seq: int) -> None:
        """Takes a number that is new."""
        if self.first < 0:
            self.first = seq
        if seq == self.high + 1:  # nearly always
            self.high = seq
            return
        if seq <= self.high:
            self.missing.discard(seq)
            return
        lowest = max(self.high + 1, seq - MISSING_LIMIT, self.floor)
        self.missing.update(range(lowest, seq))
        self.floor = max(self.floor, lowest) if lowest > self.high + 1 else self.floor
        self.high = seq
        if len(self.missing) > MISSING_LIMIT:
            oldest = sorted(self.missing)[:-MISSING_LIMIT]
            self.missing.difference_update(oldest)
            self.floor = max(self.floor, oldest[-1] + 1)

    def add_all(self, first: int, count: int) -> None:
        """Takes so many numbers that follow each other; at least one."""
        self.add(first)
        if self.high == first:
            self.high = first + count - 1
            return
        for seq in range(first + 1, first + count):
            self.add(seq)

    def verdict(self, seq: int) -> Verdict:
        """What a number is to this state."""
        if seq > self.high or seq in self.missing:
            return "new"
        return "too_old" if seq < self.floor else "duplicate"

    @property
    def gap(self) -> int:
        """Batches missing between the first and the highest seen."""
        return sum(1 for seq in self.missing if seq > self.first)


@dataclass(slots=True)
class Stretch:
    """Batches of one producer from the held-back offset on: numbers from ``first`` on, and their offsets."""

    producer: str
    first: int
    offsets: list[int]


@dataclass(slots=True)
class Producer:
    """State of one producer.

    Attributes:
        kept: as of the held-back offset. applied: as of the applied offset.
        dropped_total: the largest count of its own drops that the producer reported (as of the applied offset).
        stretch: its newest one, None where none waits.
    """

    kept: Seen = field(default_factory=Seen)
    applied: Seen = field(default_factory=Seen)
    dropped_total: int = 0
    stretch: Stretch | None = None


class SequenceFilter:
    """All producers of one partition. Bounded by :data:`PRODUCER_LIMIT`; ``forgotten`` counts evictions."""

    def __init__(self) -> None:
        self.producers: dict[str, Producer] = {}
        self.forgotten = 0
        self.forgotten_dropped = 0
        self._recent: list[Stretch] = []

    def check(self, producer: str, seq: int, offset: int, dropped_total: int) -> Verdict:
        """Decides a batch and remembers it.

        Args:
            producer: id of the sending process.
            seq: its batch number, >= 0.
            offset: source offset of the record, ascending between calls.
            dropped_total: the producer's own count of drops.
        """
        state = self.producers.pop(producer, None)
        if state is None:
            state = self._welcome()
        self.producers[producer] = state  # newest last: the order of forgetting
        if dropped_total > state.dropped_total:
            state.dropped_total = dropped_total
        applied, verdict = state.applied, NEW
        if seq == applied.high + 1 and applied.first >= 0:  # nearly always
            applied.high = seq
        elif (verdict := applied.verdict(seq)) == NEW:
            applied.add(seq)
        else:
            return verdict
        stretch = state.stretch
        if stretch is not None and seq == stretch.first + len(stretch.offsets):
            stretch.offsets.append(offset)
        else:
            state.stretch = Stretch(producer, seq, [offset])
            self._recent.append(state.stretch)
        return verdict

    def _welcome(self) -> Producer:
        """A new one; at the bound another one is forgotten."""
        if len(self.producers) >= PRODUCER_LIMIT:
            self._forget(next(iter(self.producers)))
        return Producer()

    def _forget(self, producer: str) -> None:
        self.forgotten_dropped += self.producers.pop(producer).dropped_total
        self.forgotten += 1

    def settle(self, held_offset: int) -> None:
        """Moves what was seen before the held-back offset into the kept state."""
        self._recent = [stretch for stretch in self._recent if self._waits(stretch, held_offset)]

    def _waits(self, stretch: Stretch, held_offset: int) -> bool:
        """Moves what was seen before that offset; whether something is left."""
        passed = bisect_left(stretch.offsets, held_offset)
        state = self.producers.get(stretch.producer)
        if state is not None and passed:
            state.kept.add_all(stretch.first, passed)
        stretch.first += passed
        del stretch.offsets[:passed]
        if state is not None and not stretch.offsets and state.stretch is stretch:
            state.stretch = None
        return bool(stretch.offsets)

    @property
    def dropped_total(self) -> int:
        """Events that producers say they dropped themselves."""
        return self.forgotten_dropped + sum(p.dropped_total for p in self.producers.values())

    @property
    def gap_batches(self) -> int:
        """Batches missing in the numbering of all producers."""
        return sum(p.kept.gap for p in self.producers.values())

    def snapshot(self) -> dict[str, Any]:
        """The kept state as JSON-able data."""
        return {
            "forgotten": self.forgotten,
            "forgotten_dropped": self.forgotten_dropped,
            "producers": [
                [name, p.kept.high, p.kept.first, p.kept.floor, p.dropped_total, sorted(p.kept.missing)]
                for name, p in self.producers.items()
            ],
        }

    def restore(self, data: dict[str, Any]) -> None:
        """The inverse of :meth:`snapshot`."""
        self.forgotten, self.forgotten_dropped = data["forgotten"], data["forgotten_dropped"]
        self._recent.clear()
        self.producers = {
            name: Producer(Seen(high, first, floor, set(missing)), Seen(high, first, floor, set(missing)), dropped)
            for name, high, first, floor, dropped, missing in data["producers"]
        }
