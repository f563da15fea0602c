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

    def stalled_seconds(self) -> float:
        return 31.0


async def _watched(start: Any) -> int:
    worker = Worker(Settings(role="metrics", http_port=0))
    worker.runtimes = [Runtime()]  # type: ignore[list-item] - what the watchdog asks of one
    task = asyncio.create_task(start())
    await asyncio.wait_for(worker._watch(task), 30)
    task.cancel()
    return worker.exit_code


def test_a_start_that_hangs_ends_the_worker() -> None:
    assert asyncio.run(_watched(asyncio.Event().wait)) == EXIT_STALLED
