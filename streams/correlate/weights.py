"""How strongly alerts belong together and what speaks for a cause: every number of the incident operator."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from streams.domain.fields import Fields


@dataclass(frozen=True, slots=True)
class Weights:
    """Two alerts belong together when the strength of their link, less what time between them takes, reaches ``join``.

    Numbers without a unit are strengths (0 to about 1). They were chosen on ``benchmarks/correlation.py`` with seeds
    that are not among those it reports.

    Attributes:
        join: least strength of a link.
        same_agent, same_service: both alerts are of one agent; of two agents of one service.
        failing_call: one calls the other and these calls suffer. failing_path: the same over one service between.
        shared_dependency: both suffer from calls to the same third.
        healthy_call: one calls the other, and the calls are well (alone not enough).
        shared_label: the same value of a label of ``linking_labels``.
        silent_together: both are agents that fell silent within ``silence_seconds``.
        security_burst: both are security alerts within ``security_seconds``.
        cooccurrence: how much being members of one incident before adds at most.
        near_seconds, far_seconds: onsets so close lose nothing; so far apart they do not join.
        explains, nothing_below, first, own, silent, deployed, several_silent: of a cause: share of members that depend
            on it; nothing that it calls suffers; it was the first; a resource alert of its own; an agent is silent;
            a deployment of it not longer than ``deployment_seconds`` ago; several agents silent at once.
        suffers_failed_ratio, suffers_slow_factor: calls suffer at this share of failures, or at this multiple of their
            usual time. suffers_calls, suffers_failed: with fewer calls, and fewer failed ones, nothing is said.
        recent_seconds, usual_seconds: half-lives of what calls do now, and of what is usual.
        reopen_seconds: a member that comes back within this time reopens its incident.
        cap_alerts, cap_seconds: of one alertname so many new alerts are told one by one within this time.
        flapping_times, flapping_seconds: a member that began so often within this time is flapping.
    """

    join: float = 0.6
    same_agent: float = 0.9
    same_service: float = 0.65
    failing_call: float = 0.9
    failing_path: float = 0.75
    shared_dependency: float = 0.8
    healthy_call: float = 0.35
    shared_label: float = 0.7
    silent_together: float = 0.8
    security_burst: float = 0.75
    cooccurrence: float = 0.4
    near_seconds: float = 420.0
    far_seconds: float = 1200.0
    silence_seconds: float = 20.0
    security_seconds: float = 300.0
    explains: float = 0.5
    nothing_below: float = 0.3
    first: float = 0.15
    own: float = 0.1
    silent: float = 0.4
    deployed: float = 0.2
    several_silent: float = 0.5
    deployment_seconds: float = 900.0
    suffers_failed_ratio: float = 0.08
    suffers_slow_factor: float = 1.5
    suffers_failed: int = 4
    suffers_calls: int = 9
    recent_seconds: float = 90.0
    usual_seconds: float = 1800.0
    reopen_seconds: float = 600.0
    cap_alerts: int = 20
    cap_seconds: float = 300.0
    flapping_times: int = 3
    flapping_seconds: float = 3600.0
    linking_labels: tuple[str, ...] = ("gen_ai.provider.name", "gen_ai.tool.name", "gen_ai.request.model", "host.name")
    security_alerts: frozenset[str] = frozenset({"AccessViolation", "AuthFailuresHigh", "SecurityAnomaly"})
    security_metrics: tuple[str, ...] = ("agents.access.", "agents.auth.", "agents.security.")
    resource_alerts: frozenset[str] = frozenset(
        {
            "AgentMemoryHigh",
            "AgentMemoryLeak",
            "BeliefAccuracyLow",
            "CoordinationSessionsHigh",
            "FreeEnergyOutOfRange",
            "ProcessMemoryHigh",
        }
    )
    resource_metrics: tuple[str, ...] = ("agents.belief.", "agents.cpu", "agents.memory", "process.")
    silence_alerts: frozenset[str] = frozenset({"AgentSilent"})


def read_weights(body: object) -> Weights:
    """Weights from the section ``incidents`` of the rules file; what it does not name stays as it is here.

    Raises:
        ConfigurationError: names the field, what is there and what is allowed.
    """
    given = Fields("incidents", body)
    usual = Weights()
    given.only({field.name for field in fields(Weights)})
    return replace(usual, **{name: _read(given, name, getattr(usual, name)) for name in given.body})


def _read(given: Fields, name: str, usual: float | tuple[str, ...] | frozenset[str]) -> Any:
    if isinstance(usual, int):
        return given.integer(name, default=usual, least=1)
    if isinstance(usual, float):
        return given.number(name, least=0)
    return type(usual)(given.texts(name))
