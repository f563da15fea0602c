"""One kind of event on its way to one topic: ring, encoder, spool, and the accounts that always agree.

Everything but the append of an agent's call happens under ``state``, a lock shared by the lanes of an emitter, so that
a reader of the accounts sees each event in exactly one place.
"""

from __future__ import annotations

import threading
from collections import Counter

from agents_emitter.encoders import Encoder, Identity
from agents_emitter.ring import Ring
from agents_emitter.spool import Batch, Spool
from agents_emitter.stats import KindStats

WINDOW_BATCHES = 64
WINDOW_BYTES = 512 * 1024


class Lane:
    """From a ring to acknowledged records of one topic."""

    def __init__(
        self,
        *,
        topic: str,
        ring: Ring,
        encoder: Encoder,
        spool_batches: int,
        spool_bytes: int,
        max_record_bytes: int,
        drain_items: int,
        state: threading.Condition,
    ) -> None:
        self.topic = topic
        self.ring = ring
        self.encoder = encoder
        self.state = state
        self._spool_bounds = (spool_batches, spool_bytes)
        self._max_record_bytes = max_record_bytes
        self._drain_items = drain_items
        self._clear_accounts()

    def _clear_accounts(self) -> None:
        self.spool = Spool(*self._spool_bounds)
        self._taken = 0
        self._delivered = 0
        self._batches = 0
        self._dropped: Counter[str] = Counter()

    def reset(self, identity: Identity, state: threading.Condition) -> None:
        """Empty, with another identity and a fresh lock: what a forked child calls."""
        self.state = state
        self.ring.reset()
        self.encoder.reset(identity)
        self._clear_accounts()

    @property
    def backlogged(self) -> bool:
        """More batches wait than can be sent at once: the broker is away or slow."""
        return len(self.spool) > WINDOW_BATCHES

    def drain(self) -> int:
        """Encode what the ring holds now.

        Returns:
            The number below which stands in the spool what was emitted before this call, also by a drain of another
            thread that had taken it already.
        """
        left = len(self.ring.items)
        while left > 0:
            with self.state:
                items = self.ring.take(min(left, self._drain_items))
                if not items:
                    break
                left -= len(items)
                self._taken += self.ring.events_of(items)
                self._encode(items)
        with self.state:  # whoever took events before holds it until they are in the spool
            return self.spool.next_number

    def _encode(self, items: list[object]) -> None:
        dropped = sum(self._dropped.values()) + sum(self.ring.refused().values())
        try:
            batches, invalid = self.encoder.encode(items, dropped)
        except Exception:  # noqa: BLE001  a fault of ours must cost these events, counted, and not the sender's life
            self._dropped["encode"] += self.ring.events_of(items)
            return
        self._dropped["invalid"] += invalid
        for batch in batches:
            self._queue(batch)

    def _queue(self, batch: Batch) -> None:
        if batch.size_bytes > self._max_record_bytes:
            self._dropped["too_large"] += batch.events
            return
        for given_up in self.spool.add(batch):
            self._dropped["spool"] += given_up.events

    def window(self) -> list[tuple[int, Batch]]:
        """The batches to send now."""
        with self.state:
            return self.spool.window(WINDOW_BATCHES, WINDOW_BYTES)

    def acknowledge(self, number: int) -> None:
        """The broker has it."""
        with self.state:
            batch = self.spool.settle(number)
            if batch is not None:
                self._delivered += batch.events
                self._batches += 1
                self.state.notify_all()

    def refuse(self, number: int) -> None:
        """The broker, or the client, will never take it."""
        with self.state:
            batch = self.spool.settle(number)
            if batch is not None:
                self._dropped["too_large"] += batch.events
                self.state.notify_all()

    def abandon(self) -> None:
        """Give up what is left, at close."""
        with self.state:
            for batch in self.spool.clear():
                self._dropped["unconfirmed" if batch.attempted else "closed"] += batch.events
            left = self.ring.events_of(self.ring.take(len(self.ring.items)))
            self._taken += left
            self._dropped["closed"] += left
            self.state.notify_all()

    def stats(self) -> KindStats:
        """The accounts, consistent."""
        with self.state:
            waiting = self.ring.waiting
            dropped = Counter(self.ring.refused())
            refused = sum(dropped.values())
            dropped.update(self._dropped)
            return KindStats(
                emitted=self._taken + waiting + refused,
                delivered=self._delivered,
                buffered=waiting + self.spool.events,
                batches=self._batches,
                spooled_batches=len(self.spool),
                spooled_bytes=self.spool.bytes,
                dropped_by_reason={reason: count for reason, count in dropped.items() if count},
            )
