"""Asks the event loop's thread for a value from another thread: what the loop changes is read between its steps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")
PATIENCE_SECONDS: Final = 2.0


class InLoop(Generic[T]):
    """A function that is called in the loop's thread whichever thread asks.

    State of the operators is not locked: read beside a running step it would tear (a dictionary that changes while it
    is summed raises, or counts an entry twice). While the loop is busy for longer than ``patience_seconds``, or is
    gone, the last value is given.

    Args:
        function: fast; returns a value that is not changed afterwards.
        loop: where it belongs; never call from this loop's own thread.
        last: the value before the first call.
    """

    def __init__(
        self,
        function: Callable[[], T],
        loop: asyncio.AbstractEventLoop,
        last: T,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._function, self._loop, self._last = function, loop, last
        self._patience_seconds = patience_seconds

    def __call__(self) -> T:
        """The value now, or the last one."""
        call = self._call()
        try:
            asked = asyncio.run_coroutine_threadsafe(call, self._loop)
        except RuntimeError:  # the loop is closed
            call.close()
            return self._last
        try:
            self._last = asked.result(self._patience_seconds)
        except TimeoutError:
            asked.cancel()
        return self._last

    async def _call(self) -> T:
        return self._function()
