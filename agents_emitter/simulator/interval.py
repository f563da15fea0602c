"""The time in which a fault acts."""

from __future__ import annotations

from typing import NamedTuple

from agents_emitter.simulator.seeds import Random

SECOND_NS = 1_000_000_000


class Interval(NamedTuple):
    """Half-open [start_ns, end_ns)."""

    start_ns: int
    end_ns: int

    def holds(self, time_ns: int) -> bool:
        """Whether the moment lies in it."""
        return self.start_ns <= time_ns < self.end_ns

    def at(self, share: float) -> int:
        """The moment at a share (0..1) of its length."""
        return self.start_ns + int((self.end_ns - self.start_ns) * share)

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end_ns - self.start_ns) / SECOND_NS


def fault_interval(start_ns: int, end_ns: int, rng: Random) -> Interval:
    """From about one third to about two thirds of a run, each end moved by up to 3 % of the run's length."""
    length = end_ns - start_ns
    begin = start_ns + int(length * (1 / 3 + rng.uniform(-0.03, 0.03)))
    return Interval(begin, start_ns + int(length * (2 / 3 + rng.uniform(-0.03, 0.03))))
