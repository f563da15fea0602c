"""Restarts a worker that ended without being asked to."""

from __future__ import annotations

import logging
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final

log = logging.getLogger(__name__)
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0
CALM_SECONDS: Final = 60.0
"""A worker that ran for this long starts the pauses anew."""
FINAL_CODES: Final = frozenset({0, 2})
"""Done as asked, or a wrong setting: a restart cannot help."""


class Supervisor:
    """Runs a command until it ends by itself with a final code, or until SIGTERM or SIGINT.

    Signals are passed on, so that the worker ends cleanly. The pause between restarts doubles from half a second to
    30 s.
    """

    def __init__(self, command: Callable[[], Sequence[str]], *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._command = command
        self._sleep = sleep
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = False
        self.restarts = 0

    def run(self) -> int:
        """Returns the exit code of the last worker."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._pass_on)
        pause = FIRST_PAUSE_SECONDS
        while True:
            begin = time.monotonic()
            self._child = subprocess.Popen(list(self._command()))
            code = self._child.wait()
            if self._stopping or code in FINAL_CODES:
                return code
            pause = FIRST_PAUSE_SECONDS if time.monotonic() - begin > CALM_SECONDS else pause
            log.error("worker ended with %d; restart in %.1f s", code, pause)
            self._sleep(pause)
            if self._stopping:
                return code
            self.restarts += 1
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        self._stopping = True
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)


def supervise(command: Callable[[], Sequence[str]]) -> int:
    """Supervises a command; returns its last exit code."""
    return Supervisor(command).run()
