"""The bound between agents and the sender: queues that take an item in a fraction of a microsecond and never block.

An agent's call does one append, which the interpreter makes atomic, so there is no lock to wait for and none that a
signal handler could deadlock on. The price is paid by the reader, who counts.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from typing import Any


class Tally:
    """A counter that any thread, and a signal handler inside any thread, may raise without a lock and without loss.

    ``bump`` is one C call; reading also draws a number, which is subtracted again.
    """

    __slots__ = ("_reads", "bump")

    def __init__(self) -> None:
        self.bump = itertools.count().__next__
        self._reads = 0

    def read(self) -> int:
        """How often it was raised. The caller holds the lock that serialises readers."""
        drawn = self.bump()
        value = drawn - self._reads
        self._reads += 1
        return value


class Ring:
    """Items not yet encoded, oldest first.

    Bounded by count: at ``limit`` the new item is refused and counted. Two threads may pass the check together, so the
    bound can be exceeded by one item for each thread. ``items`` is the same deque for the ring's whole life, so that
    bound instruments can hold it; after a fork the child empties it.
    """

    __slots__ = ("_limit", "closed", "invalid", "items", "limit", "overflow", "shut")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.items: deque[Any] = deque()
        self.reset()

    def reset(self) -> None:
        """Empty and open, as new: what a forked child calls."""
        self.items.clear()
        self.limit = self._limit
        self.closed = False
        self.overflow = Tally()
        self.shut = Tally()
        self.invalid = Tally()

    def refuse(self) -> None:
        """Count an item that found the ring full, or closed."""
        if self.closed:
            self.shut.bump()
        else:
            self.overflow.bump()

    def events_of(self, items: list[Any]) -> int:
        """How many events are in items that were taken: here each is one."""
        return len(items)

    @property
    def waiting(self) -> int:
        """Events inside. The caller holds the lock that serialises readers."""
        return len(self.items)

    def close(self) -> None:
        """Refuse everything from now on. What is inside stays to be taken."""
        self.closed = True
        self.limit = 0

    def take(self, count: int) -> list[Any]:
        """Up to ``count`` oldest items. The caller holds the lock that serialises readers."""
        pop = self.items.popleft
        taken: list[Any] = []
        try:
            for _ in range(count):
                taken.append(pop())
        except IndexError:
            pass
        return taken

    def refused(self) -> dict[str, int]:
        """Items that never came in, by reason. The caller holds the lock that serialises readers."""
        counts = {"overflow": self.overflow.read(), "closed": self.shut.read(), "invalid": self.invalid.read()}
        return {reason: count for reason, count in counts.items() if count}


class SizedRing(Ring):
    """A ring of items of different size (spans, logs), bounded by count and bytes. At the bound the new one is refused.

    Offering takes a lock for a moment: it is re-entrant, because a signal handler may log while the same thread logs.
    """

    __slots__ = ("_lock", "bytes_in", "bytes_out", "limit_bytes")

    def __init__(self, limit: int, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        super().__init__(limit)

    def reset(self) -> None:
        """Empty and open, with a fresh lock: another thread may have held the old one when the process forked."""
        super().reset()
        self._lock = threading.RLock()
        self.bytes_in = 0
        self.bytes_out = 0

    @property
    def bytes(self) -> int:
        """Estimated size of what is inside."""
        return self.bytes_in - self.bytes_out

    def offer(self, item: Any, size_bytes: int) -> bool:
        """Put one item in, or refuse and count it."""
        with self._lock:
            if len(self.items) >= self.limit or self.bytes + size_bytes > self.limit_bytes:
                self.refuse()
                return False
            self.bytes_in += size_bytes
            self.items.append((size_bytes, item))
            return True

    def take(self, count: int) -> list[Any]:
        """Up to ``count`` oldest (size in bytes, item)."""
        taken = super().take(count)
        self.bytes_out += sum(size for size, _ in taken)
        return taken


class ReadyRing(SizedRing):
    """A ring of finished records (``agents_emitter.foreign.Ready``), whose accounts are those of the events inside.

    Bounded by count and bytes of the records. At the bound the new record is refused, with all its events.
    """

    __slots__ = ("events_in", "events_out")

    def reset(self) -> None:
        """Empty and open."""
        super().reset()
        self.events_in = 0
        self.events_out = 0

    @property
    def waiting(self) -> int:
        """Events inside. The caller holds the lock that serialises readers."""
        return self.events_in - self.events_out

    def events_of(self, items: list[Any]) -> int:
        """How many events are in items that were taken."""
        return sum(ready.events for _, ready in items)

    def offer(self, item: Any, size_bytes: int) -> bool:
        """Put one record in, or refuse and count its events."""
        with self._lock:
            if len(self.items) >= self.limit or self.bytes + size_bytes > self.limit_bytes:
                for _ in range(item.events):
                    self.refuse()
                return False
            self.bytes_in += size_bytes
            self.events_in += item.events
            self.items.append((size_bytes, item))
            return True

    def take(self, count: int) -> list[Any]:
        """Up to ``count`` oldest (size in bytes, record)."""
        taken = super().take(count)
        self.events_out += self.events_of(taken)
        return taken
