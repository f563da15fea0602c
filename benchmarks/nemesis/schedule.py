"""What the nemesis does and when: a pure function of the seed, so that a run can be had again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final, NamedTuple

SLOTS: Final = ("first", "second", "third")
"""The workers that are always wanted; the last has no static membership, so its place is free when it dies."""
GUEST: Final = "guest"
"""Joins and leaves."""
SESSION_SECONDS: Final = 6.0

CRASH_POINTS: Final[dict[str, tuple[float, float]]] = {
    "start": (0.3, 4.0),
    "assigned": (1, 1),
    "restore": (1, 60),
    "read-back": (1, 10),
    "ready": (1, 1),
    "before-results": (1, 8),
    "send": (1, 60),
    "sent-in-part": (1, 60),
    "after-results": (1, 8),
    "after-chunks": (1, 6),
    "after-core": (1, 6),
    "before-hold": (1, 20),
    "before-commit": (1, 3),
    "after-commit": (1, 3),
    "before-tick": (1, 2),
    "revoked": (1, 1),
}
"""Where a worker kills itself, and the range of the passage at which it does (of ``start``: seconds after exec)."""


class Action(NamedTuple):
    """One thing to do.

    Attributes:
        at_seconds: since the nemesis began, ascending in a schedule.
        op: ``worker.kill`` (value: seconds until it is started again), ``worker.crash`` (kill, and let the next life
            end at the crash point ``value``), ``worker.stop`` and ``worker.continue`` (SIGSTOP, SIGCONT),
            ``worker.join`` and ``worker.leave`` (SIGTERM), ``broker.kill``, ``broker.start``, ``broker.stop``,
            ``broker.continue``, ``proxy.latency``, ``proxy.reset``, ``proxy.half-open``, ``proxy.heal``.
        target: a slot, or the op's own word.
        value: see ``op``.
    """

    at_seconds: float
    op: str
    target: str = ""
    value: str = ""

    @property
    def kills(self) -> int:
        """Workers that die of it by SIGKILL."""
        return {"worker.kill": 1, "worker.crash": 2}.get(self.op, 0)


class _Deck:
    """Items in random order, each once before any comes again."""

    def __init__(self, rng: random.Random, items: Sequence[str]) -> None:
        self._rng, self._items, self._left = rng, list(items), list[str]()

    def draw(self) -> str:
        if not self._left:
            self._left = self._rng.sample(self._items, len(self._items))
        return self._left.pop()


def others(kills: int, *, quick: bool) -> list[str]:
    """The faults between the kills: each kind at least once, more in a longer run; ``quick``: only short ones."""
    kinds = ["zombie 8", "membership", "broker kill 1", "broker stop 5", "broker assignment 5"]
    kinds += ["latency 5", "reset 4", "half-open 5"]
    if quick:
        return kinds
    kinds += ["broker stop 20", "broker stop 60", "broker assignment 20", "zombie 13", "half-open 12", "broker kill 4"]
    rounds = max(0, kills // 20 - 1)
    return kinds + rounds * ["zombie 8", "membership", "membership"] + rounds // 2 * kinds[-9:-6]


def schedule(seed: int, kills: int, *, quick: bool = False) -> list[Action]:
    """At least ``kills`` kills with other faults between them, ascending in time.

    Args:
        seed: the same gives the same schedule.
        kills: workers killed with SIGKILL, by the nemesis or by themselves at a crash point; 0: no fault at all.
        quick: no fault lasts longer than 8 s.
    """
    if not kills:
        return []
    rng = random.Random(seed)
    points, more = _Deck(rng, list(CRASH_POINTS)), others(kills, quick=quick)
    rng.shuffle(more)
    every = max(1.0, kills / (len(more) + 1))
    made: list[Action] = []
    now, done, due = 3.0, 0, every
    while done < kills:
        while more and done >= due:
            now, due = _other(rng, made, now, more.pop()), due + every
        now = _kill(rng, made, now, points, kills - done)
        done = sum(action.kills for action in made)
    for kind in more:
        now = _other(rng, made, now, kind)
    return sorted(made, key=lambda action: action.at_seconds)


def _kill(rng: random.Random, made: list[Action], now: float, points: _Deck, left: int) -> float:
    slot = rng.choice(SLOTS)
    if left < 2 or rng.random() < 0.4:
        made.append(Action(_at(now), "worker.kill", slot, f"{rng.choice((0.0, 0.5, 2.0, 7.0)):g}"))
        return now + rng.uniform(2.0, 7.0)
    point = points.draw()
    low, high = CRASH_POINTS[point]
    passage = f"{rng.uniform(low, high):.1f}" if point == "start" else f"{rng.randint(int(low), int(high))}"
    made.append(Action(_at(now), "worker.crash", slot, f"{point}:{passage}"))
    if point == "revoked":  # somebody must come for a partition to go
        made.append(Action(_at(now + 6), "worker.join", GUEST))
        made.append(Action(_at(now + 13), "worker.leave", GUEST))
        return now + 15
    return now + rng.uniform(6.0, 11.0)


def _other(rng: random.Random, made: list[Action], now: float, kind: str) -> float:
    name, _, figure = kind.rpartition(" ")
    seconds = float(figure) if figure.isdigit() else 0.0
    if name == "zombie":
        slot = rng.choice(SLOTS)
        made += [Action(_at(now), "worker.stop", slot), Action(_at(now + seconds), "worker.continue", slot)]
        return now + seconds + 2
    if kind == "membership":
        stay = rng.uniform(5.0, 8.0)
        made += [Action(_at(now), "worker.join", GUEST), Action(_at(now + stay), "worker.leave", GUEST)]
        return now + stay + 1
    if name == "broker kill":
        made += [Action(_at(now), "broker.kill"), Action(_at(now + seconds), "broker.start")]
        return now + seconds + 6
    if name.startswith("broker"):
        wait = 0.0
        if name == "broker assignment":  # a worker that has just been started is joining its groups by then
            wait = rng.uniform(2.0, 4.0)
            made.append(Action(_at(now), "worker.kill", rng.choice(SLOTS), "0"))
        made += [Action(_at(now + wait), "broker.stop"), Action(_at(now + wait + seconds), "broker.continue")]
        return now + wait + seconds + 6
    made += [Action(_at(now), f"proxy.{name}"), Action(_at(now + seconds), "proxy.heal")]
    return now + seconds + 3


def _at(seconds: float) -> float:
    return round(seconds, 2)
