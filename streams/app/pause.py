"""Ends a worker that was stopped past its session before it does anything more.

A process that was stopped (SIGSTOP, a suspended machine, a frozen container) wakes in the middle of what it was doing,
while others own its partitions. What it would send then is sent twice. So the event loop's selector, which stands
before every round of callbacks, looks at how long the process did not run.
"""

from __future__ import annotations

import asyncio
import logging
import os
import selectors
import time
from collections.abc import Callable
from typing import Any, Final

log = logging.getLogger(__name__)

EXIT_STALLED: Final = 70
"""sysexits.h EX_SOFTWARE: the supervisor restarts the worker."""
SESSION_SHARE: Final = 0.8
"""Of the session time-out: the heartbeat before the stop may be a heartbeat interval old."""


def since_boot() -> float:
    """Seconds since boot, those of a suspended machine included (CLOCK_MONOTONIC leaves them out)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _nothing() -> bool:
    return False


class PauseSelector(selectors.DefaultSelector):
    """A selector that ends the process after a pause.

    The pause is what passed between two looks less the processor time that this process used: a loop that is blocked by
    its own work is the watchdog's business (``watchdog_loop_seconds``), not this.

    Args:
        limit_seconds: the longest pause that is forgiven.
        clock: seconds, going on while the process is stopped.
        used: processor seconds of this process.
        end: ends the process at once; nothing after it may run.

    It looks between :meth:`arm` and :meth:`disarm`, and only while the worker owns something: a start that compiles,
    imports and joins may be starved for long on a busy machine, and has nothing to send.
    """

    def __init__(
        self,
        limit_seconds: float,
        *,
        clock: Callable[[], float] = since_boot,
        used: Callable[[], float] = time.process_time,
        end: Callable[[int], Any] = os._exit,
    ) -> None:
        super().__init__()
        self._limit, self._clock, self._used, self._end = limit_seconds, clock, used, end
        self._last = (clock(), used())
        self._owns: Callable[[], bool] = _nothing

    def arm(self, owns: Callable[[], bool]) -> None:
        """Looks from now on; what was before does not count. ``owns``: whether partitions are this worker's."""
        self._last = (self._clock(), self._used())
        self._owns = owns

    def disarm(self) -> None:
        """Looks no more."""
        self._owns = _nothing

    def select(self, timeout: float | None = None) -> Any:
        """As the base; waits for a quarter of the limit at most, so that waiting is never taken for a pause."""
        self._look()
        longest = self._limit / 4
        ready = super().select(longest if timeout is None else min(timeout, longest))
        self._look()
        return ready

    def _look(self) -> None:
        now = (self._clock(), self._used())
        paused = (now[0] - self._last[0]) - (now[1] - self._last[1])
        self._last = now
        if paused > self._limit and self._owns():
            log.critical(
                "this process was stopped for %.1f s, others own its partitions: exit %d", paused, EXIT_STALLED
            )
            self._end(EXIT_STALLED)


def guarded_loop(session_timeout_seconds: float) -> tuple[asyncio.AbstractEventLoop, PauseSelector]:
    """An event loop on a selector with :data:`SESSION_SHARE` of the session as its limit."""
    selector = PauseSelector(SESSION_SHARE * session_timeout_seconds)
    return asyncio.SelectorEventLoop(selector), selector
