from __future__ import annotations

import threading
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agents_emitter.encoders import Identity, MetricEncoder
from agents_emitter.instruments import Counter
from agents_emitter.lane import Lane
from agents_emitter.registry import Registry
from agents_emitter.ring import Ring
from agents_emitter.spool import Batch

DEADLINE_SECONDS = 20.0
IDENTITY = Identity({"service.name": "s"}, b"k", "p")


def lane_of(registry: Registry, ring: Ring, **bounds: int) -> Lane:
    given = {"spool_batches": 4, "spool_bytes": 3000, "max_record_bytes": 1200, "drain_items": 7} | bounds
    return Lane(
        topic="t", ring=ring, encoder=MetricEncoder(IDENTITY, registry, 5), state=threading.Condition(), **given
    )


class Accounts(RuleBasedStateMachine):
    """Whatever happens in whatever order, each event is in exactly one place. The test keeps its own count of calls."""

    def __init__(self) -> None:
        super().__init__()
        self.ring = Ring(12)
        registry = Registry(3)
        self.lane = lane_of(registry, self.ring)
        self.counter = Counter(registry, self.ring, lambda: 1, "c", "1")
        self.calls = 0
        self.window: list[tuple[int, Batch]] = []
        self.acknowledged = 0

    @rule(values=st.lists(st.sampled_from([1.0, -1.0, float("nan"), "x", None]), max_size=8), label=st.integers(0, 300))
    def emit(self, values: list[Any], label: int) -> None:
        for value in values:
            self.counter.add(value, label="y" * label)
            self.calls += 1

    @rule()
    def drain(self) -> None:
        self.lane.drain()

    @rule()
    def send(self) -> None:
        self.window = self.lane.window()

    @rule(twice=st.booleans())
    def acknowledge(self, twice: bool) -> None:
        if self.window:
            number, batch = self.window.pop()
            self.acknowledged += batch.events
            self.lane.acknowledge(number)
            if twice:
                self.lane.acknowledge(number)

    @rule()
    def refuse(self) -> None:
        if self.window:
            self.lane.refuse(self.window.pop()[0])

    @rule()
    def close(self) -> None:
        self.ring.close()
        self.lane.abandon()
        self.window = []

    @rule()
    def fork(self) -> None:
        self.lane.reset(IDENTITY, threading.Condition())
        self.calls = self.acknowledged = 0
        self.window = []

    @invariant()
    def sums_agree(self) -> None:
        stats = self.lane.stats()
        assert stats.emitted == self.calls == stats.delivered + stats.dropped + stats.buffered
        assert stats.delivered == self.acknowledged
        assert stats.spooled_batches <= 4
        assert stats.spooled_bytes <= 3000
        assert len(self.ring.items) <= 12


Accounts.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAccounts = Accounts.TestCase


class BrokenEncoder(MetricEncoder):
    def encode(self, items: list[Any], dropped_total: int) -> tuple[list[Batch], int]:
        raise RuntimeError("a fault of ours")


def test_a_fault_in_encoding_costs_events_and_is_counted() -> None:
    registry, ring = Registry(3), Ring(12)
    lane = lane_of(registry, ring)
    lane.encoder = BrokenEncoder(IDENTITY, registry, 5)
    Counter(registry, ring, lambda: 1, "c", "1").add(1)
    lane.drain()
    assert lane.stats().dropped_by_reason == {"encode": 1}
    assert lane.stats().buffered == 0


class HeldEncoder(MetricEncoder):
    """Goes on when it is let."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.entered, self.let = threading.Event(), threading.Event()

    def encode(self, items: list[Any], dropped: int) -> tuple[list[Batch], int]:
        self.entered.set()
        assert self.let.wait(DEADLINE_SECONDS)
        return super().encode(items, dropped)


class Door(threading.Condition):
    """The lock of the accounts, which says that somebody asks for it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Semaphore(0)

    def __enter__(self) -> bool:
        self.asked.release()
        return super().__enter__()


def test_a_drain_counts_what_another_thread_has_taken_and_not_encoded_yet() -> None:
    """Else a flush in that moment says that all is delivered, and a close gives up what was emitted before it."""
    registry, ring, door = Registry(3), Ring(12), Door()
    lane, encoder = lane_of(registry, ring), HeldEncoder(IDENTITY, registry, 5)
    lane.state, lane.encoder = door, encoder
    Counter(registry, ring, lambda: 1, "c", "1").add(1)
    first = threading.Thread(target=lane.drain)
    first.start()
    assert encoder.entered.wait(DEADLINE_SECONDS)
    assert door.asked.acquire(timeout=DEADLINE_SECONDS)
    assert not ring.items
    found: list[int] = []
    second = threading.Thread(target=lambda: (found.append(lane.drain()), door.asked.release()))
    second.start()
    assert door.asked.acquire(timeout=DEADLINE_SECONDS)  # it waits at the door, or is done
    encoder.let.set()
    for thread in (first, second):
        thread.join(DEADLINE_SECONDS)
    assert found == [1]
    assert lane.spool.holds_below(found[0])
