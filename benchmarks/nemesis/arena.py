"""A broker, a proxy before it, workers on their places and agents; and the hand that does what a schedule says."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from benchmarks.nemesis import proxy
from benchmarks.nemesis.history import History
from benchmarks.nemesis.schedule import GUEST, SESSION_SECONDS, SLOTS, Action
from benchmarks.nemesis.slots import Slot, Slots
from benchmarks.nemesis.source import Source
from streams.app.admin import create_topics
from streams.errors import DependencyMissing
from streams.services.jars import default_cache_folder
from streams.services.kafka import KafkaService
from streams.services.ports import free_port
from streams.settings import Settings

PARTITIONS: Final = 4
START_SECONDS: Final = 120.0
TOP_UP_SECONDS: Final = 4.0
REACH_SECONDS: Final = 28.0
ROOT: Final = Path(__file__).parents[2]
WORKERS: Final[Mapping[str, object]] = {
    "partitions": PARTITIONS,
    "pane_seconds": 1,
    "window_seconds": "1,10",
    "lateness_seconds": 2,
    "state_snapshot_windows": 3,
    "session_timeout_seconds": SESSION_SECONDS,
    "heartbeat_seconds": 1,
    "tick_interval_seconds": 0.2,
    "idle_seconds": 0.5,
    "alertmanager_resend_seconds": 60,
    "incident_markers": "off",
}
"""Short times: many checkpoints between two kills, and members that are given up soon."""
STATIC: Final = SLOTS[:2]
"""Places with static membership: a worker that comes back within the session has its partitions at once."""


@dataclass
class Subject:
    """What is put under faults.

    Attributes:
        name: for the table. command: of a life that ends at a crash point ("" = an ordinary life).
        settings: more settings of its workers, by name. ready: whether a place's worker is at work.
        points: the crash points that mean something to its workers.
    """

    name: str
    command: Callable[[str], Sequence[str]]
    ready: Callable[[Slot], bool]
    settings: Mapping[str, object] = field(default_factory=dict)
    points: Sequence[str] = ()


class Arena:
    """Everything of one run; a context manager.

    Args:
        folder: work folder of services and logs.
        subject: whose workers are hit.
        history: told everything.
        seed: of the agents.
    """

    def __init__(self, folder: Path, subject: Subject, history: History, seed: int) -> None:
        self.folder, self.subject, self.history, self._seed = folder, subject, history, seed
        cache = default_cache_folder(os.environ)
        port = free_port()
        self.proxy_absent = ""
        self.proxy: proxy.ProxyService | None = None
        try:
            server = proxy.program(cache)
            self.proxy = proxy.ProxyService(folder / "proxy", server=server, listen=free_port(), upstream=port)
        except DependencyMissing as error:
            self.proxy_absent = str(error)
        front = self.proxy.listen if self.proxy else None
        self.broker = KafkaService(folder / "kafka", cache_folder=cache, port=port, advertised_port=front)

    def __enter__(self) -> Self:
        self.broker.start()
        if self.proxy:
            self.proxy.start()
        self.variables = {
            f"STREAMS_{name.upper()}": str(value) for name, value in (*WORKERS.items(), *self.subject.settings.items())
        }
        self.variables |= {"STREAMS_BROKERS": self.broker.bootstrap, "PYTHONPATH": str(ROOT)}
        asyncio.run(create_topics(Settings.from_environ(self.variables)))
        self.slots = Slots([self._slot(name) for name in (*SLOTS, GUEST)], self.history.note)
        self.source = Source(self.broker.bootstrap, self._seed, partitions=PARTITIONS)
        return self

    def _slot(self, name: str) -> Slot:
        variables = self.variables | ({"STREAMS_INSTANCE_ID": name} if name in STATIC else {})
        return Slot(name, self.subject.command, variables, self.folder / f"worker-{name}.log")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.slots.close()
        if self.source.is_alive():
            self.source.finish(1.0)
        if self.proxy:
            self.proxy.stop()
        self.broker.kill()

    def begin(self) -> None:
        """Workers at work, agents emit."""
        self.slots.want(*SLOTS)
        self.source.start()
        wait(self.all_ready, START_SECONDS, "all workers are ready")

    def all_ready(self) -> bool:
        """Whether every wanted worker is at work."""
        return all(self.subject.ready(slot) for slot in self.slots.wanted)

    def play(self, actions: Sequence[Action]) -> None:
        """Does what the schedule says when it says so; what takes longer than planned delays what follows."""
        begin = time.monotonic()
        for action in actions:
            time.sleep(max(0.0, begin + action.at_seconds - time.monotonic()))
            self.history.note(" ".join(word for word in (action.op, action.value) if word), action.target)
            self.do(action)

    def reach(self) -> None:
        """Crashes once more, at the first passage, at each point that the schedule wanted and no life came to.

        The others leave meanwhile: a life that begins anew is given nothing while two others can hold all partitions.
        When they come back, partitions are taken away from it.
        """
        for point, name in zip(self._unreached(), itertools.cycle(SLOTS), strict=False):
            self.history.note(f"worker.crash {point}:1 (more)", name)
            self.slots.kill(name, 0.0, f"{point}:1")
            others = [other for other in SLOTS if other != name]
            for other in others:
                self.slots.leave(other)
            self._reached(point)
            self.slots.want(*others)
            self._reached(point)

    def _reached(self, point: str) -> None:
        """Waits until it is, for half of what a life has to come to its point."""
        with contextlib.suppress(TimeoutError):
            wait(lambda: point not in self._unreached(), REACH_SECONDS / 2, f"{point} is reached")

    def _unreached(self) -> list[str]:
        found = self.slots.points
        return [point for point in self.subject.points if found[point]["missed"] and not found[point]["reached"]]

    def top_up(self, kills: int) -> None:
        """More kills, one place after the other, where some met a place that was empty at that moment."""
        for name in itertools.cycle(SLOTS):
            if self.slots.kills >= kills:
                return
            self.history.note("worker.kill 0.5 (more)", name)
            self.slots.kill(name, 0.5)
            time.sleep(TOP_UP_SECONDS)

    def do(self, action: Action) -> None:
        """One action."""
        room, _, word = action.op.partition(".")
        if room == "proxy":
            self._proxy(word)
        elif room == "broker":
            {
                "kill": self.broker.kill,
                "start": self.broker.start,
                "stop": self.broker.pause,
                "continue": self.broker.resume,
            }[word]()
        else:
            self._worker(word, action)

    def _worker(self, word: str, action: Action) -> None:
        name = action.target
        if word == "kill":
            self.slots.kill(name, float(action.value))
        elif word == "crash":
            self.slots.kill(name, 0.0, action.value)
        elif word == "join":
            self.slots.want(name)
        elif word == "leave":
            self.slots.leave(name)
        else:
            self.slots.pause(name, on=word == "stop")

    def _proxy(self, word: str) -> None:
        if self.proxy is None:
            self.history.note(f"not done: {self.proxy_absent}")
        elif word == "heal":
            self.proxy.heal()
        else:
            self.proxy.inject(word)

    def heal(self) -> None:
        """No more faults: broker up and running, proxy clean, ordinary lives only."""
        self.broker.resume()
        self.broker.start()
        if self.proxy:
            self.proxy.heal()
        self.slots.calm()
        self.history.note("healed")


def wait(condition: Callable[[], object], seconds: float, what: str) -> float:
    """Polls until true; returns the seconds it took.

    Raises:
        TimeoutError: it was not within ``seconds``.
    """
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > seconds:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.25)
    return time.monotonic() - begin
