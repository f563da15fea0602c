"""A tool becomes slow, and everybody who waits for it with it."""

from __future__ import annotations

from agents_emitter.simulator.conditions import Conditions
from agents_emitter.simulator.interval import Interval
from agents_emitter.simulator.seeds import Random
from agents_emitter.simulator.topology import Agent, Topology
from agents_emitter.simulator.truth import Fault

SLOWDOWN = 25.0
"""0.11 s becomes 2.8 s in the median; a tool gives up after 10 s."""


class SlowTool(Conditions):
    """One tool caller's tool takes :data:`SLOWDOWN` times as long."""

    def __init__(self, tool_caller: Agent, interval: Interval, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        self._id = tool_caller.id
        self._interval = interval

    def tool_factor(self, agent: Agent, time_ns: int) -> float:
        """See the class."""
        return SLOWDOWN if agent.id == self._id and self._interval.holds(time_ns) else 1.0


def slow_tool(topology: Topology, interval: Interval, rng: Random) -> Conditions:
    """One tool slows down at once and recovers at once."""
    cell = rng.choice(topology.cells)
    caller = rng.choice(cell.tool_callers)
    affected = (caller.id, *(r.id for r in cell.researchers), cell.coordinator.id)
    fault = Fault(
        kind="slow_tool",
        start_ns=interval.start_ns,
        end_ns=interval.end_ns,
        root=caller.id,
        affected=affected,
        onsets_ns=(interval.start_ns,) * len(affected),
        metrics=(
            ("gen_ai.execute_tool.duration", {"agent.id": caller.id, "gen_ai.tool.name": caller.tool}),
            ("gen_ai.invoke_agent.duration", {"agent.id": caller.id}),
            *(("gen_ai.invoke_agent.duration", {"agent.id": r.id}) for r in cell.researchers),
            ("agents.coordination.duration", {"agent.id": cell.coordinator.id}),
        ),
        expected_alerts=("CoordinationSlow", "MetricAnomaly"),
    )
    return SlowTool(caller, interval, (fault,))
