"""A model provider is down, and everybody tries again, and again."""

from __future__ import annotations

from agents_emitter.simulator.conditions import Conditions
from agents_emitter.simulator.interval import Interval
from agents_emitter.simulator.seeds import Random
from agents_emitter.simulator.topology import MODELS, Topology
from agents_emitter.simulator.truth import Fault

FAILURE_RATIO = 0.95
RESUBMISSION_FACTOR = 1.5
"""Users whose tasks failed send them again."""


class ModelOutage(Conditions):
    """Nearly every attempt at one provider's models fails; callers retry each, and users their tasks."""

    def __init__(self, provider: str, interval: Interval, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        self._provider = provider
        self._interval = interval

    def model_failure_ratio(self, provider: str, time_ns: int) -> float:
        """See the class."""
        if provider == self._provider and self._interval.holds(time_ns):
            return FAILURE_RATIO
        return super().model_failure_ratio(provider, time_ns)

    def load_factor(self, time_ns: int) -> float:
        """See the class."""
        return RESUBMISSION_FACTOR if self._interval.holds(time_ns) else 1.0


def model_outage(topology: Topology, interval: Interval, rng: Random) -> Conditions:
    """The researchers' provider is down: the root is no agent."""
    provider, model = MODELS["researcher"]
    researchers = [r.id for cell in topology.cells for r in cell.researchers]
    affected = (*researchers, *(cell.coordinator.id for cell in topology.cells))
    fault = Fault(
        kind="model_outage",
        start_ns=interval.start_ns,
        end_ns=interval.end_ns,
        root=provider,
        affected=affected,
        onsets_ns=(interval.start_ns,) * len(affected),
        metrics=(
            ("gen_ai.client.operation.duration", {"gen_ai.provider.name": provider, "gen_ai.request.model": model}),
            ("agents.errors", {"agent.type": "researcher", "error_type": "model_unavailable"}),
            ("agents.steps", {"agent.type": "researcher", "outcome": "failure"}),
            ("agents.coordination.requests", {"outcome": "failure"}),
            ("agents.log.records", {"agent.type": "researcher", "severity": "WARN"}),
        ),
        expected_alerts=("HighErrorRatio", "AgentErrorsHigh", "TraceErrorsHigh", "CoordinationSuccessLow"),
    )
    return ModelOutage(provider, interval, (fault,))
