from __future__ import annotations

import gc
import threading
import time
import tracemalloc
from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from agents_emitter.instruments import BoundCounter
from agents_emitter.options import SAMPLE_BYTES
from agents_emitter.ring import Ring, SizedRing, Tally


def test_a_tally_loses_nothing_between_threads_and_reads() -> None:
    tally = Tally()
    reads: list[int] = []
    threads = [threading.Thread(target=lambda: deque((tally.bump() for _ in range(20_000)), 0)) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        reads.append(tally.read())
    assert tally.read() == 80_000
    assert tally.read() == 80_000
    assert reads == sorted(reads)


@given(st.lists(st.one_of(st.integers(1, 60), st.just("take"))), st.integers(1, 10), st.integers(1, 200))
def test_a_sized_ring_keeps_both_bounds_and_counts_what_it_refuses(
    steps: list[int | str], limit: int, limit_bytes: int
) -> None:
    ring = SizedRing(limit, limit_bytes)
    accepted = refused = taken = 0
    for step in steps:
        if isinstance(step, int):
            if ring.offer("item", step):
                accepted += 1
            else:
                refused += 1
        else:
            taken += len(ring.take(2))
        assert len(ring.items) == accepted - taken <= limit
        assert ring.bytes == sum(size for size, _ in ring.items) <= limit_bytes
    assert ring.refused().get("overflow", 0) == refused


def test_a_closed_ring_names_the_reason() -> None:
    ring = Ring(5)
    ring.close()
    ring.refuse()
    assert ring.refused() == {"closed": 1}
    ring.reset()
    assert ring.refused() == {}
    assert ring.limit == 5


def test_taking_more_than_there_is_keeps_what_was_there() -> None:
    ring = Ring(5)
    ring.items.extend("abc")
    assert ring.take(10) == ["a", "b", "c"]
    assert ring.take(10) == []


def test_a_buffered_sample_costs_no_more_memory_than_is_said() -> None:
    ring = Ring(20_000)
    bound = BoundCounter(ring, 70_000, time.time_ns)
    gc.collect()
    tracemalloc.start()
    try:
        for i in range(20_000):
            bound.add(i + 0.5)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(ring.items) == 20_000
    assert used / 20_000 <= SAMPLE_BYTES
