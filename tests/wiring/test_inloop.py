"""Values of the event loop, asked for by another thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from streams.app.inloop import InLoop


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever)
    thread.start()
    yield made
    if not made.is_closed():
        made.call_soon_threadsafe(made.stop)
        thread.join()
        made.close()


def test_the_function_runs_in_the_loops_thread(loop: asyncio.AbstractEventLoop) -> None:
    ask = InLoop(threading.get_ident, loop, 0)
    assert ask() not in (0, threading.get_ident())


def test_a_busy_loop_gives_the_last_value(loop: asyncio.AbstractEventLoop) -> None:
    numbers = iter((1, 2, 3))
    ask = InLoop(lambda: next(numbers), loop, 0, patience_seconds=0.05)
    while ask() != 1:
        pass
    release, blocked = threading.Event(), threading.Event()

    def block() -> None:
        blocked.set()
        release.wait(30)

    loop.call_soon_threadsafe(block)
    blocked.wait(30)
    assert ask() == 1
    release.set()
    assert InLoop(lambda: next(numbers), loop, 0, patience_seconds=30)() in (2, 3)


def test_a_closed_loop_gives_the_last_value() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    assert InLoop(lambda: 1, loop, 7)() == 7


def test_a_failure_is_the_askers(loop: asyncio.AbstractEventLoop) -> None:
    with pytest.raises(ZeroDivisionError):
        InLoop(lambda: 1 // 0, loop, 0)()
