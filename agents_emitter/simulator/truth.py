"""What really went wrong, and what really happened: the answers that a monitoring pipeline is judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Fault:
    """One injected fault.

    Attributes:
        kind: the scenario's name for it.
        start_ns, end_ns: half-open interval of event time in which it acts.
        root: the agent id, service or model provider where it began.
        affected: agent ids in causal order (callees before their callers), the root first where it is an agent.
        onsets_ns: when each of ``affected`` began to be affected; same length, not decreasing.
        metrics: (metric name, label filter) pairs expected to move; labels under the pipeline's names.
        expected_alerts: names of alerts that a pipeline with the catalogue's rules should raise when the fault lasts
            longer than their ``for``; others may be raised as well.
    """

    kind: str
    start_ns: int
    end_ns: int
    root: str
    affected: tuple[str, ...]
    onsets_ns: tuple[int, ...]
    metrics: tuple[tuple[str, Mapping[str, str]], ...]
    expected_alerts: tuple[str, ...]


@dataclass(slots=True)
class Calls:
    """What was called how often along one edge, counted while it happened.

    Attributes:
        total: client spans (also those that nobody answered).
        answered: client spans with a server span, the ones a service graph can pair.
        failed: client spans that ended with an error.
    """

    total: int = 0
    answered: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """The system as it was.

    Attributes:
        scenario, seed, start_ns, end_ns: what was simulated, half-open.
        agents: agent id -> service name, callers before callees.
        roles: agent id -> role (``agents.type``).
        edges: (client, server) agent ids of every call that can happen.
        service_edges: the same between services, those inside one service included.
        heartbeat_seconds: each agent sends ``agents.heartbeat`` once per this interval while it is alive.
        faults: none in healthy scenarios.
    """

    scenario: str
    seed: int
    start_ns: int
    end_ns: int
    agents: Mapping[str, str]
    roles: Mapping[str, str]
    edges: tuple[tuple[str, str], ...]
    service_edges: tuple[tuple[str, str], ...]
    heartbeat_seconds: float
    faults: tuple[Fault, ...] = field(default_factory=tuple)
