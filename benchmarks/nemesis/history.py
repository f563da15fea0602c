"""What was planned and what was done, one JSON line each: enough to do it again."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.nemesis.schedule import Action


class History:
    """Writes a file: a head with seed and schedule, then a line for everything that happened. Thread-safe."""

    def __init__(self, path: Path, *, seed: int, kills: int, quick: bool, actions: Sequence[Action]) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._begin = time.monotonic()
        self.notes: list[tuple[float, str, str]] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        self._write({"seed": seed, "kills": kills, "quick": quick, "schedule": [list(a) for a in actions]}, mode="w")

    def note(self, what: str, target: str = "") -> None:
        """Something happened now."""
        at = round(time.monotonic() - self._begin, 3)
        with self._lock:
            self.notes.append((at, what, target))
            self._write({"at_seconds": at, "what": what, "target": target}, mode="a")

    def _write(self, line: dict[str, Any], *, mode: str) -> None:
        with self.path.open(mode) as file:
            file.write(json.dumps(line) + "\n")


def planned(path: Path) -> tuple[int, bool, list[Action]]:
    """Seed, quickness and schedule of a history file, for a replay."""
    with path.open() as file:
        head = json.loads(file.readline())
    return head["seed"], head["quick"], [Action(*row) for row in head["schedule"]]
