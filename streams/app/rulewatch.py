"""The rules file, read again when it changes, while the worker runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from streams.correlate.operator import usable_thresholds
from streams.correlate.rule import Thresholds
from streams.errors import ConfigurationError
from streams.publish.health import Health

_log = logging.getLogger(__name__)
LOOK_SECONDS: Final = 2.0

Mark = tuple[int, int, int] | None


class RuleWatch:
    """Looks at a file; gives what it says to ``take`` when that can be used, else keeps the old and says so.

    Args:
        path: of the rules; another file in its place (a mounted ConfigMap that is swapped) is seen too.
        window_seconds: base size, which the windows of rules must fit.
        take: gets the new content, in the event loop: between two runs of records, never inside one.
        health: ``streams_rules_reloads_total`` and ``streams_rules_last_reload_successful``.
    """

    def __init__(self, path: Path, window_seconds: float, take: Callable[[Thresholds], None], health: Health) -> None:
        self._path, self._window_seconds, self._take, self._health = path, window_seconds, take, health
        self._mark = _mark(path)
        self._task: asyncio.Task[None] | None = None
        health.rules_reload_ok.set(1)

    def start(self) -> None:
        """Begins to look every :data:`LOOK_SECONDS`."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Ends it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """One look: loads the file if it is another than at the last look."""
        mark = _mark(self._path)
        if mark == self._mark:
            return
        self._mark = mark
        try:
            found = usable_thresholds(self._path.read_text(encoding="utf-8"), self._window_seconds)
        except (ConfigurationError, OSError, UnicodeDecodeError) as error:
            _log.error("%s is not used, the rules before it stay: %s", self._path, error)
            self._tell("refused", 0)
            return
        self._take(found)
        _log.info("%s: %d rules loaded", self._path, len(found.rules))
        self._tell("loaded", 1)

    def _tell(self, outcome: str, good: int) -> None:
        self._health.rules_reloads.labels(outcome).inc()
        self._health.rules_reload_ok.set(good)


def _mark(path: Path) -> Mark:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
