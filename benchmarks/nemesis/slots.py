"""Places for workers: each is started again when its worker has ended, as the supervisor or a unit file would do it."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.nemesis.reading import PAGE_SECONDS
from benchmarks.nemesis.schedule import CRASH_POINTS
from benchmarks.page import page
from streams.services.ports import free_port
from streams.services.process import ChildProcess

PAUSE_SECONDS: Final = 0.5
CRASH_SECONDS: Final = 30.0
"""A worker that has not reached its crash point after so long is killed all the same."""
_POLL_SECONDS: Final = 0.05
_KILLED: Final = -9

Note = Callable[[str, str], None]
"""Told (what, of which slot) for the history."""


class Slot:
    """One place.

    Attributes:
        wanted: whether a worker should run here. kills: how many died here by SIGKILL. port: of its pages.
        reached, missed: crash points at which a worker killed itself, and those that its life did not come to.
    """

    def __init__(
        self, name: str, command: Callable[[str], Sequence[str]], variables: Mapping[str, str], log: Path
    ) -> None:
        """``command`` gives the command line of a life that ends at a crash point ("" = an ordinary life)."""
        self.name, self.wanted, self.kills, self.port = name, False, 0, free_port()
        self.reached, self.missed = Counter[str](), Counter[str]()
        self._command, self._log = command, log
        self._variables = {**variables, "STREAMS_HTTP_PORT": str(self.port)}
        self.child: ChildProcess | None = None
        self._next, self._point = "", ""
        self._start_at = self._started_at = 0.0

    def kill(self, pause_seconds: float, point: str = "") -> None:
        """Kill -9; the next life begins after a pause, and ends at a crash point if one is given."""
        if self.child is not None and self.child.running:
            self.child.kill()
            self.kills += 1
            self._miss(self._point)
            self._point = ""
        self._miss(self._next)
        self._next = point
        self._start_at = time.monotonic() + pause_seconds

    def _miss(self, point: str) -> None:
        if point:
            self.missed[_name(point)] += 1

    def step(self, note: Note) -> None:
        """Starts what is wanted and does not run; called often."""
        now = time.monotonic()
        if self.child is not None and not self.child.running:
            self._ended(self.child, now, note)
        if self.child is None:
            if self.wanted and now >= self._start_at:
                self._start(now, note)
        elif self._point and now - self._started_at > CRASH_SECONDS:
            note(f"{self._point} not reached: killed", self.name)
            self.kill(PAUSE_SECONDS)

    def _ended(self, child: ChildProcess, now: float, note: Note) -> None:
        code, self.child = child.returncode, None
        if self._point and code == _KILLED:
            self.kills += 1
            self.reached[_name(self._point)] += 1
            note(f"killed itself at {self._point}", self.name)
        elif self._point or now >= self._start_at:
            self._miss(self._point)
            note(f"ended with {code}", self.name)
        self._point = ""
        self._start_at = max(self._start_at, now + PAUSE_SECONDS)

    def _start(self, now: float, note: Note) -> None:
        self._point, self._next = self._next, ""
        command = list(self._command(self._point))
        self.child = ChildProcess(f"worker {self.name}", command, log=self._log, variables=self._variables)
        self.child.start()
        self._started_at = now
        note(f"started{' to end at ' + self._point if self._point else ''}", self.name)

    @property
    def seconds(self) -> float:
        """How long its worker has been running; 0 where there is none."""
        child = self.child
        return time.monotonic() - self._started_at if child is not None and child.running else 0.0

    def ready(self) -> bool:
        """Whether its worker has restored its partitions."""
        return page(self.port, "/health/ready", PAGE_SECONDS)[0] == 200


class Slots:
    """All places, and the thread that keeps them filled. All methods are safe beside it."""

    def __init__(self, slots: Sequence[Slot], note: Note) -> None:
        self._slots = {slot.name: slot for slot in slots}
        self._note = note
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="slots")
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(_POLL_SECONDS):
            with self._lock:
                for slot in self._slots.values():
                    slot.step(self._note)

    def want(self, *names: str) -> None:
        """Workers run here from now on."""
        with self._lock:
            for name in names:
                self._slots[name].wanted = True

    def leave(self, name: str) -> None:
        """SIGTERM, and no worker here from now on."""
        with self._lock:
            slot = self._slots[name]
            slot.wanted = False
            child = slot.child
        if child is not None:
            child.stop(seconds=15)

    def kill(self, name: str, pause_seconds: float, point: str = "") -> None:
        """See :meth:`Slot.kill`."""
        with self._lock:
            self._slots[name].kill(pause_seconds, point)

    def pause(self, name: str, *, on: bool) -> None:
        """SIGSTOP or SIGCONT."""
        with self._lock:
            child = self._slots[name].child
            if child is not None and child.running:
                child.pause() if on else child.resume()

    def calm(self) -> None:
        """From now on every life is an ordinary one; who is paused goes on."""
        with self._lock:
            for slot in self._slots.values():
                if slot.child is not None:
                    slot.child.resume()
                if slot._point or slot._next:
                    slot.kill(0.0)

    @property
    def kills(self) -> int:
        """Workers that died by SIGKILL."""
        return sum(slot.kills for slot in self._slots.values())

    @property
    def points(self) -> dict[str, dict[str, int]]:
        """How often each crash point of :data:`CRASH_POINTS` was reached, and how often a life ended before it."""
        slots = self._slots.values()
        return {
            point: {"reached": sum(s.reached[point] for s in slots), "missed": sum(s.missed[point] for s in slots)}
            for point in CRASH_POINTS
        }

    @property
    def wanted(self) -> list[Slot]:
        """The places that have a worker."""
        return [slot for slot in self._slots.values() if slot.wanted]

    def close(self) -> None:
        """Kills everything."""
        self._ended.set()
        self._thread.join()
        for slot in self._slots.values():
            slot.wanted = False
            if slot.child is not None:
                slot.child.kill()


def _name(point: str) -> str:
    return point.partition(":")[0]


def worker_command(point: str) -> list[str]:
    """Our worker, or one that ends at a crash point."""
    module = ["benchmarks.nemesis.crash", "--at", point, "--"] if point else ["streams"]
    return [sys.executable, "-m", *module, "worker", "--role", "all", "--no-supervise"]
