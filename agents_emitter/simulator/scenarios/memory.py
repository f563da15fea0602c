"""An agent does not give its memory back."""

from __future__ import annotations

from agents_emitter.simulator.conditions import MEGABYTE, Conditions
from agents_emitter.simulator.interval import Interval
from agents_emitter.simulator.seeds import Random
from agents_emitter.simulator.topology import Agent, Topology
from agents_emitter.simulator.truth import Fault

LEAK_BYTES = 28 * MEGABYTE
"""At the end of the fault, on top of about 20 MB: the limit of 34.5 MB is passed about half-way."""
LEAST_BYTES_PER_SECOND = 6 * MEGABYTE / 60
"""A fault of hours leaks no slower than 6 MB a minute, and stops at :data:`MOST_BYTES`."""
MOST_BYTES = 96 * MEGABYTE


class MemoryLeak(Conditions):
    """One agent's memory grows in a straight line until the end of the fault, where it is freed."""

    def __init__(self, agent: Agent, interval: Interval, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        self._id = agent.id
        self._interval = interval
        self._bytes_per_second = max(LEAK_BYTES / max(interval.seconds, 1e-9), LEAST_BYTES_PER_SECOND)

    def leaked_bytes(self, agent: Agent, time_ns: int) -> float:
        """See the class."""
        if agent.id != self._id or not self._interval.holds(time_ns):
            return 0.0
        return min((time_ns - self._interval.start_ns) / 1e9 * self._bytes_per_second, MOST_BYTES)


def memory_leak(topology: Topology, interval: Interval, rng: Random) -> Conditions:
    """One researcher leaks past 34.5 MB."""
    agent = rng.choice(rng.choice(topology.cells).researchers)
    fault = Fault(
        kind="memory_leak",
        start_ns=interval.start_ns,
        end_ns=interval.end_ns,
        root=agent.id,
        affected=(agent.id,),
        onsets_ns=(interval.start_ns,),
        metrics=(("agents.memory", {"agent.id": agent.id}), ("process.memory.usage", {"agent.id": agent.id})),
        expected_alerts=("AgentMemoryHigh", "AgentMemoryLeak", "MetricAnomaly"),
    )
    return MemoryLeak(agent, interval, (fault,))
