"""Encoded records that the broker has not acknowledged, oldest first, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice


@dataclass(slots=True)
class Batch:
    """One record: encoded once, so that every attempt sends the same bytes with the same seq.

    ``events`` is how many samples, spans or logs are inside; ``attempted`` that it was handed to the client at least
    once, so that it may be in the topic although nobody acknowledged it.
    """

    key: bytes
    value: bytes
    events: int
    attempted: bool = False

    @property
    def size_bytes(self) -> int:
        """Key and value."""
        return len(self.key) + len(self.value)


class Spool:
    """A queue of batches, numbered in order of arrival.

    Bounded by count and bytes. At the bound the oldest batch that was never attempted is given up; if all were
    attempted, the new one. Attempted batches are always the oldest, at most one sending window of them, so the bound
    holds. Not locked: the lane serialises.
    """

    def __init__(self, limit: int, limit_bytes: int) -> None:
        self.limit = limit
        self.limit_bytes = limit_bytes
        self.next_number = 0
        self.events = 0
        self.bytes = 0
        self._batches: OrderedDict[int, Batch] = OrderedDict()

    def __len__(self) -> int:
        return len(self._batches)

    def add(self, batch: Batch) -> list[Batch]:
        """Queue one batch; the batches given up for it."""
        if batch.size_bytes > self.limit_bytes:
            return [batch]
        given_up: list[Batch] = []
        while self._batches and self._over(batch):
            oldest = next((number for number, old in self._batches.items() if not old.attempted), None)
            if oldest is None:
                break
            given_up.append(self._remove(oldest))
        if self._over(batch):
            return [*given_up, batch]
        self._batches[self.next_number] = batch
        self.next_number += 1
        self.events += batch.events
        self.bytes += batch.size_bytes
        return given_up

    def _over(self, batch: Batch) -> bool:
        return len(self._batches) >= self.limit or self.bytes + batch.size_bytes > self.limit_bytes

    def _remove(self, number: int) -> Batch:
        batch = self._batches.pop(number)
        self.events -= batch.events
        self.bytes -= batch.size_bytes
        return batch

    def window(self, limit: int, limit_bytes: int) -> list[tuple[int, Batch]]:
        """The oldest batches, to be sent now: at least one if there is any. Marks them as attempted."""
        chosen: list[tuple[int, Batch]] = []
        size = 0
        for number, batch in islice(self._batches.items(), limit):
            size += batch.size_bytes
            if chosen and size > limit_bytes:
                break
            batch.attempted = True
            chosen.append((number, batch))
        return chosen

    def settle(self, number: int) -> Batch | None:
        """Take a batch out for good; None if it is not there any more."""
        return self._remove(number) if number in self._batches else None

    def holds_below(self, number: int) -> bool:
        """Whether a batch queued before ``number`` is still here."""
        return next(iter(self._batches), number) < number

    def clear(self) -> list[Batch]:
        """Take everything out."""
        return [self._remove(number) for number in list(self._batches)]
