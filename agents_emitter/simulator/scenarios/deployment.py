"""A new version is worse, and is rolled back."""

from __future__ import annotations

from agents_emitter.simulator.conditions import VERSION, Conditions
from agents_emitter.simulator.interval import Interval
from agents_emitter.simulator.process import Life
from agents_emitter.simulator.seeds import Random
from agents_emitter.simulator.topology import Agent, Topology
from agents_emitter.simulator.truth import Fault

NEW_VERSION = "1.5.0"
NEW_DEPLOYMENT = "deploy-101"
ROLLBACK_DEPLOYMENT = "deploy-102"
FAILURE_RATIO = 0.15
SLOWDOWN = 3.5
ROLLING_RATIO = 0.1
"""Share of the fault within which the agents are restarted one after another."""


class BadDeployment(Conditions):
    """Every agent of a service is restarted into a version that fails more and is slower, then back."""

    def __init__(self, rollouts: dict[str, Interval], faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        self._rollouts = rollouts

    def _new(self, agent: Agent, time_ns: int) -> bool:
        rollout = self._rollouts.get(agent.id)
        return rollout is not None and rollout.holds(time_ns)

    def step_failure_ratio(self, agent: Agent, time_ns: int) -> float:
        """See the class."""
        return FAILURE_RATIO if self._new(agent, time_ns) else super().step_failure_ratio(agent, time_ns)

    def duration_factor(self, agent: Agent, time_ns: int) -> float:
        """See the class."""
        return SLOWDOWN if self._new(agent, time_ns) else 1.0

    def free_energy(self, agent: Agent, time_ns: int) -> float:
        """Beliefs fit worse, too."""
        return 4.5 if self._new(agent, time_ns) else super().free_energy(agent, time_ns)

    def lives(self, agent: Agent) -> tuple[Life, ...]:
        """See the class."""
        first = super().lives(agent)
        rollout = self._rollouts.get(agent.id)
        if rollout is None:
            return first
        new = Life(rollout.start_ns, NEW_VERSION, NEW_DEPLOYMENT)
        return (*first, new, Life(rollout.end_ns, VERSION, ROLLBACK_DEPLOYMENT))


def bad_deployment(topology: Topology, interval: Interval, rng: Random) -> Conditions:
    """The researchers' service gets version 1.5.0, agent by agent."""
    service = topology.cells[0].researchers[0].service
    agents = [agent for agent in reversed(topology.agents) if agent.service == service]  # callees first
    step = ROLLING_RATIO / len(agents)
    rollouts = {agent.id: Interval(interval.at(i * step), interval.end_ns) for i, agent in enumerate(agents)}
    callers = tuple(cell.coordinator.id for cell in topology.cells if cell.coordinator.id not in rollouts)
    fault = Fault(
        kind="bad_deployment",
        start_ns=interval.start_ns,
        end_ns=interval.end_ns,
        root=service,
        affected=(*rollouts, *callers),
        onsets_ns=(*(r.start_ns for r in rollouts.values()), *((interval.at(ROLLING_RATIO),) * len(callers))),
        metrics=(
            ("agents.inference.duration", {"service.name": service, "service.version": NEW_VERSION}),
            ("agents.steps", {"service.name": service, "service.version": NEW_VERSION, "outcome": "failure"}),
            ("agents.errors", {"service.name": service, "service.version": NEW_VERSION}),
            ("agents.belief.free_energy", {"service.name": service, "service.version": NEW_VERSION}),
        ),
        expected_alerts=("AgentErrorsHigh", "InferenceSlow", "HighErrorRatio", "DeploymentRegression"),
    )
    return BadDeployment(rollouts, (fault,))
