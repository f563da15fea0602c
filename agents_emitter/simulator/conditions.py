"""How the simulated world behaves at a moment; a scenario overrides what its fault changes."""

from __future__ import annotations

from agents_emitter.simulator.process import NEVER, Life, Silence
from agents_emitter.simulator.topology import Agent
from agents_emitter.simulator.truth import Fault

VERSION = "1.4.2"
DEPLOYMENT = "deploy-100"
MEGABYTE = 1_048_576


class Conditions:
    """The healthy world. Ratios are probabilities in [0, 1], factors multiply a healthy duration.

    Times are nanoseconds since the epoch. Methods are pure: the same moment, the same answer.
    """

    faults: tuple[Fault, ...] = ()

    def load_factor(self, time_ns: int) -> float:
        """Multiplies the arrival rate of workflows."""
        return 1.0

    def duration_factor(self, agent: Agent, time_ns: int) -> float:
        """Multiplies the agent's own inference and memory work."""
        return 1.0

    def tool_factor(self, agent: Agent, time_ns: int) -> float:
        """Multiplies the duration of the agent's tool."""
        return 1.0

    def tool_failure_ratio(self, agent: Agent, time_ns: int) -> float:
        """How often a tool call fails."""
        return 0.01

    def step_failure_ratio(self, agent: Agent, time_ns: int) -> float:
        """How often the agent itself fails while serving a call."""
        return 0.002

    def model_failure_ratio(self, provider: str, time_ns: int) -> float:
        """How often one attempt at a model call fails."""
        return 0.004

    def depends(self, agent: Agent, time_ns: int) -> bool:
        """Whether the agent fails when anything it calls fails (otherwise it makes do with less)."""
        return False

    def makes_do(self, agent: Agent, time_ns: int) -> bool:
        """Whether the agent still answers, poorly, when everything it calls fails."""
        return False

    def avoided(self, agent: Agent, time_ns: int) -> bool:
        """Whether callers have stopped choosing this agent."""
        return False

    def free_energy(self, agent: Agent, time_ns: int) -> float:
        """Median free energy of a belief update, nats."""
        return 2.4

    def leaked_bytes(self, agent: Agent, time_ns: int) -> float:
        """Memory that the agent holds without need."""
        return 0.0

    def attacks_per_second(self, time_ns: int) -> float:
        """Rate of failing logins on top of the ordinary ones."""
        return 0.0

    def attacked(self) -> str:
        """Agent id that the attacks are aimed at; "" without attacks."""
        return ""

    def silence(self, agent: Agent) -> Silence:
        """When the agent's process does not exist."""
        return NEVER

    def lives(self, agent: Agent) -> tuple[Life, ...]:
        """The agent's processes, one after another."""
        return (Life(0, VERSION, DEPLOYMENT),)
