"""One agent fails, and its failure spreads along the calls."""

from __future__ import annotations

from agents_emitter.simulator.conditions import Conditions
from agents_emitter.simulator.interval import SECOND_NS, Interval
from agents_emitter.simulator.seeds import Random
from agents_emitter.simulator.topology import Agent, Cell, Topology
from agents_emitter.simulator.truth import Fault

FAILURE_RATIO = 0.8
LAG_RATIO = 0.12
"""A caller makes do without its callee for this share of the fault (at most a minute), then fails with it."""
MOST_LAG_NS = 60 * SECOND_NS


class Cascade(Conditions):
    """The root fails most of its calls; each ring of callers begins to depend on it one lag later.

    Until then the coordinator answers from what it has: poorly, but without an error.
    """

    def __init__(self, cell: Cell, interval: Interval, lag_ns: int, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        self._root = cell.memory.id
        self._interval = interval
        self._depends_from = {r.id: interval.start_ns + lag_ns for r in cell.researchers}
        self._depends_from[cell.coordinator.id] = interval.start_ns + 2 * lag_ns

    def step_failure_ratio(self, agent: Agent, time_ns: int) -> float:
        """See the class."""
        if agent.id == self._root and self._interval.holds(time_ns):
            return FAILURE_RATIO
        return super().step_failure_ratio(agent, time_ns)

    def depends(self, agent: Agent, time_ns: int) -> bool:
        """See the class."""
        since = self._depends_from.get(agent.id)
        return since is not None and since <= time_ns < self._interval.end_ns

    def makes_do(self, agent: Agent, time_ns: int) -> bool:
        """See the class."""
        return self._interval.start_ns <= time_ns < self._depends_from.get(agent.id, 0)


def cascade(topology: Topology, interval: Interval, rng: Random) -> Conditions:
    """Spreads from memory to the researchers to the coordinator, in one cell."""
    cell = rng.choice(topology.cells)
    lag_ns = min(int((interval.end_ns - interval.start_ns) * LAG_RATIO), MOST_LAG_NS)
    start = interval.start_ns
    researchers = tuple(r.id for r in cell.researchers)
    affected = (cell.memory.id, *researchers, cell.coordinator.id)
    fault = Fault(
        kind="cascade",
        start_ns=start,
        end_ns=interval.end_ns,
        root=cell.memory.id,
        affected=affected,
        onsets_ns=(start, *((start + lag_ns,) * len(researchers)), start + 2 * lag_ns),
        metrics=(
            *(("agents.steps", {"agent.id": agent, "outcome": "failure"}) for agent in affected),
            *(("agents.errors", {"agent.id": agent}) for agent in affected),
            ("agents.coordination.requests", {"agent.id": cell.coordinator.id, "outcome": "failure"}),
        ),
        expected_alerts=("AgentErrorsHigh", "HighErrorRatio", "TraceErrorsHigh", "CoordinationSuccessLow"),
    )
    return Cascade(cell, interval, lag_ns, (fault,))
