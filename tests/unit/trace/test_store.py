"""The store moves what lives to the front now and then: nobody can tell from what comes out."""

from __future__ import annotations

from random import Random

from streams.trace.assembly import Memory
from streams.trace.store import NONE, ROWS, TRACES
from tests.unit.trace.drawing import CLIENT, SERVER, span
from tests.unit.trace.drawn import Assembler
from tests.unit.trace.test_assembly import Arrival, arrivals, end_of_time, feed

SPANS = 9_000


def log_of_short_and_long_traces() -> list[Arrival]:
    """Traces of four spans, some announced before, whose spans are far apart, twice or minutes late."""
    rng = Random(7)
    timed = []
    for number in range(SPANS // 4):
        trace, begin, slow = f"t{number}", number * 0.02, rng.random() < 0.1
        for place in range(4):
            kind, service = (CLIENT, "planner") if place % 2 == 0 else (SERVER, "tool")
            parent = f"s{place - 1}" if place else ""
            one = span(f"s{place}", place, 9 - place, parent, trace=trace, kind=kind, service=service)
            at = begin + rng.random() * (12 if slow else 1)
            timed.append((at, one))
            if rng.random() < 0.05:
                timed.append((at + rng.random(), one))
            if rng.random() < 0.05:
                announced = span(f"s{place}", place, place, parent, trace=trace, service=service, phase="start")
                timed.append((at - 0.5, announced))
    timed.sort(key=lambda pair: pair[0])
    return arrivals([one for _, one in timed], [at for at, _ in timed])


def test_what_comes_out_is_the_same_however_often_the_living_are_moved() -> None:
    log = log_of_short_and_long_traces()
    memory = Memory(remembered_traces=300)
    often, never = Assembler(quiet_seconds=2, memory=memory), Assembler(quiet_seconds=2, memory=memory)
    found, expected = feed(often, log, range(0, len(log), 50)), feed(never, log)
    assert often._store.state[ROWS] < SPANS / 2 < never._store.state[ROWS]
    assert often._store.state[TRACES] < never._store.state[TRACES]
    assert found.left["revised"] > 50
    assert (found, end_of_time(often)) == (expected, end_of_time(never))


def test_lists_and_chains_are_whole_after_the_living_were_moved() -> None:
    operator = Assembler(quiet_seconds=2, memory=Memory(remembered_traces=300))
    log = log_of_short_and_long_traces()
    feed(operator, log, range(0, len(log), 50))
    store = operator._store
    for trace in store.traces[: store.state[TRACES]]:
        for head, size in ((trace["head"], trace["spans"]), (trace["announced_head"], trace["announced"])):
            at, seen = head if size else NONE, 0
            while at != NONE:
                at, seen = store.rows["next"][at], seen + 1
            assert seen == size
