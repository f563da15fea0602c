"""The watchdog looks on while the roles start."""

from __future__ import annotations

import asyncio
from typing import Any

from streams.app.worker import EXIT_STALLED, Worker
from streams.settings import Settings


class App:
    crashed = False


class Runtime:
    """A role that does not become ready."""

    role, failure, ready, app = "metrics", None, False, App()

    def __init__(self, stalled: float) -> None:
        self._stalled = stalled

    def stalled_seconds(self) -> float:
        return self._stalled


async def _watched(start: Any, stalled: float = 0.0) -> int:
    worker = Worker(Settings(role="metrics", http_port=0))
    worker.runtimes = [Runtime(stalled)]  # type: ignore[list-item] - what the watchdog asks of one
    task = asyncio.create_task(start())
    await asyncio.wait_for(worker._watch(task), 30)
    task.cancel()
    return worker.exit_code


def test_a_start_that_hangs_ends_the_worker() -> None:
    assert asyncio.run(_watched(asyncio.Event().wait, 31.0)) == EXIT_STALLED


def test_a_start_that_fails_ends_the_worker_as_a_stall_does() -> None:
    async def refused() -> None:
        raise ConnectionError("no broker")

    assert asyncio.run(_watched(refused)) == EXIT_STALLED
