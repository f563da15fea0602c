"""Restarts a worker that ended without being asked to."""

from __future__ import annotations

import logging
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final

log = logging.getLogger(__name__)
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0
CALM_SECONDS: Final = 60.0
"""A worker that ran for this long starts the pauses anew."""
FINAL_CODES: Final = frozenset({0, 2, 4})
"""Done as asked, a wrong setting, or state that cannot be used: a restart cannot help."""
ASKED: Final = frozenset({signal.SIGTERM, signal.SIGINT})
"""A worker that has not installed its handlers yet dies of the signal that asks it to end."""


class Supervisor:
    """Runs a command until it ends by itself with a final code, or until SIGTERM or SIGINT.

    Signals are passed on, so that the worker ends cleanly. The pause between restarts doubles from half a second to
    30 s; a signal ends it at once.

    Args:
        command: the command line of the next start.
        wait: waits a number of seconds, or until the event is set (for tests).
    """

    def __init__(
        self,
        command: Callable[[], Sequence[str]],
        *,
        wait: Callable[[threading.Event, float], object] = threading.Event.wait,
    ) -> None:
        self._command = command
        self._wait = wait
        self._child: subprocess.Popen[bytes] | None = None
        self._stop = threading.Event()  # time.sleep would go on after a signal
        self.restarts = 0

    def run(self) -> int:
        """Returns the exit code of the last worker; 0 where it was asked to end before it could say so itself."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._pass_on)
        pause = FIRST_PAUSE_SECONDS
        while True:
            begin = time.monotonic()
            code = self._run_once()
            if self._stop.is_set():
                return 0 if -code in ASKED else code
            if code in FINAL_CODES:
                return code
            pause = FIRST_PAUSE_SECONDS if time.monotonic() - begin > CALM_SECONDS else pause
            log.error("worker ended with %d; restart in %.1f s", code, pause)
            self._wait(self._stop, pause)
            if self._stop.is_set():
                return 0
            self.restarts += 1
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _run_once(self) -> int:
        self._child = subprocess.Popen(list(self._command()))
        if self._stop.is_set():  # the signal came while it was being started
            self._child.terminate()
        return self._child.wait()

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        self._stop.set()
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)


def supervise(command: Callable[[], Sequence[str]]) -> int:
    """Supervises a command; returns its last exit code."""
    return Supervisor(command).run()
