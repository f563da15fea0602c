"""An agent dies without a word."""

from __future__ import annotations

from agents_emitter.simulator.conditions import DEPLOYMENT, VERSION, Conditions
from agents_emitter.simulator.interval import SECOND_NS, Interval
from agents_emitter.simulator.process import Life, Silence
from agents_emitter.simulator.seeds import Random
from agents_emitter.simulator.topology import Agent, Topology
from agents_emitter.simulator.truth import Fault

NOTICED_AFTER_NS = 15 * SECOND_NS
"""Three missing heartbeats of 5 s: from then on callers avoid the agent; until then their calls time out."""


class AgentSilence(Conditions):
    """One agent's process is gone, and a new one takes its place at the end.

    Spans that were open at its death are never reported: their finished children are orphans.
    """

    def __init__(self, agent: Agent, interval: Interval, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        self._id = agent.id
        self._silence = Silence(interval.start_ns, interval.end_ns)

    def silence(self, agent: Agent) -> Silence:
        """See the class."""
        return self._silence if agent.id == self._id else super().silence(agent)

    def lives(self, agent: Agent) -> tuple[Life, ...]:
        """See the class."""
        first = super().lives(agent)
        if agent.id != self._id:
            return first
        return (*first, Life(self._silence.end_ns, VERSION, DEPLOYMENT, event="restart"))

    def avoided(self, agent: Agent, time_ns: int) -> bool:
        """See :data:`NOTICED_AFTER_NS`."""
        return agent.id == self._id and self._silence.start_ns + NOTICED_AFTER_NS <= time_ns < self._silence.end_ns


def agent_silence(topology: Topology, interval: Interval, rng: Random) -> Conditions:
    """One researcher is gone."""
    cell = rng.choice(topology.cells)
    agent = rng.choice(cell.researchers)
    fault = Fault(
        kind="agent_silence",
        start_ns=interval.start_ns,
        end_ns=interval.end_ns,
        root=agent.id,
        affected=(agent.id, cell.coordinator.id),
        onsets_ns=(interval.start_ns, interval.start_ns),
        metrics=(
            ("agents.heartbeat", {"agent.id": agent.id}),
            ("agents.active", {"agent.id": agent.id}),
            ("agents.errors", {"agent.id": cell.coordinator.id, "error_type": "timeout"}),
        ),
        expected_alerts=("AgentSilent",),
    )
    return AgentSilence(agent, interval, (fault,))
