"""Nothing goes wrong."""

from __future__ import annotations

from agents_emitter.simulator.conditions import Conditions
from agents_emitter.simulator.interval import Interval
from agents_emitter.simulator.seeds import Random
from agents_emitter.simulator.topology import Topology


def normal_day(topology: Topology, interval: Interval, rng: Random) -> Conditions:
    """Ordinary work, with the rhythm of day and week (see :mod:`agents_emitter.simulator.season`)."""
    return Conditions()
