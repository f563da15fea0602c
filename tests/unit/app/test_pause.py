"""A process that did not run for longer than its session ends before the next callback."""

from __future__ import annotations

import asyncio

import pytest

from streams.app.pause import EXIT_STALLED, SESSION_SHARE, PauseSelector, guarded_loop


class Machine:
    """Time and processor time under the test's control."""

    def __init__(self) -> None:
        self.now, self.used, self.ended, self.owns = 100.0, 7.0, [], True

    def selector(self, limit: float = 8.0) -> PauseSelector:
        made = PauseSelector(limit, clock=lambda: self.now, used=lambda: self.used, end=self.ended.append)
        made.arm(lambda: self.owns)
        return made

    def passes(self, seconds: float, used: float = 0.0) -> None:
        self.now += seconds
        self.used += used


@pytest.mark.parametrize(
    ("seconds", "used", "ends"),
    [
        (8.1, 0.0, True),  # stopped
        (7.9, 0.0, False),  # within the session
        (30.0, 29.0, False),  # busy with its own work: the watchdog's business
        (30.0, 10.0, True),  # worked, then stopped
    ],
)
def test_time_without_processor_time_ends_it(seconds: float, used: float, ends: bool) -> None:
    machine = Machine()
    with machine.selector() as selector:
        selector.select(0)
        machine.passes(seconds, used)
        selector.select(0)
    assert machine.ended == ([EXIT_STALLED] if ends else [])


def test_short_pauses_do_not_add_up() -> None:
    machine = Machine()
    with machine.selector() as selector:
        for _ in range(10):
            machine.passes(5.0)
            selector.select(0)
    assert machine.ended == []


def test_a_start_that_owns_nothing_may_take_its_time() -> None:
    machine = Machine()
    with machine.selector() as selector:
        selector.disarm()
        selector.select(0)
        machine.passes(60.0)  # compiling, starved, without a look in between
        selector.arm(lambda: True)
        selector.select(0)
    assert machine.ended == []


def test_a_worker_that_owns_nothing_may_be_starved() -> None:
    machine = Machine()
    machine.owns = False
    with machine.selector() as selector:
        machine.passes(60.0)
        selector.select(0)
        machine.owns = True
        selector.select(0)
        assert machine.ended == []
        machine.passes(60.0)
        selector.select(0)
    assert machine.ended == [EXIT_STALLED]


def test_waiting_for_long_is_not_a_pause() -> None:
    """A loop without work asks to wait for ever; the selector returns often enough to know."""
    asked: list[float | None] = []

    class Recording(PauseSelector.__base__):  # type: ignore[misc,name-defined]
        def select(self, timeout: float | None = None) -> list[object]:
            asked.append(timeout)
            return []

    selector = Machine().selector(limit=8.0)
    real, PauseSelector.__bases__ = PauseSelector.__bases__, (Recording,)
    try:
        selector.select(None)
        selector.select(100.0)
        selector.select(0.5)
    finally:
        PauseSelector.__bases__ = real
        selector.close()
    assert asked == [2.0, 2.0, 0.5]


def test_a_loop_runs_on_it() -> None:
    loop, selector = guarded_loop(10.0)
    assert selector._limit == SESSION_SHARE * 10.0
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        assert runner.run(asyncio.sleep(0.01, "done")) == "done"
