"""Do two alerts belong together, and why: the strength of the strongest link between them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from streams.correlate.callgraph import CallGraph
from streams.correlate.weights import Weights
from streams.domain.alert import AlertTransition

Family = Literal["flow", "resource", "silence", "security"]
"""What an alert speaks of: work that fails or is slow (flows to callers), a resource, absence, security."""
NO_LINK: Final = (0.0, "")


class Episode(NamedTuple):
    """What links are drawn from: one firing alert."""

    transition: AlertTransition
    family: Family
    service: str
    agent: str
    environment: str

    @property
    def fingerprint(self) -> str:
        """Of the alert."""
        return self.transition.fingerprint

    @property
    def kind(self) -> str:
        """Alert name and service: what co-occurrence is learnt of."""
        return f"{self.transition.alertname}@{self.service}"


def episode(transition: AlertTransition, weights: Weights) -> Episode:
    """The parts of an alert that links are drawn from; an agent without a service is its own."""
    identity = transition.identity
    agent = identity.get("agent.id", "")
    service = identity.get("service.name", "") or agent
    return Episode(transition, _family(transition, weights), service, agent, identity.get("environment", ""))


def _family(transition: AlertTransition, weights: Weights) -> Family:
    name, metric = transition.alertname, transition.identity.get("metric", "")
    if name in weights.security_alerts or metric.startswith(weights.security_metrics):
        return "security"
    if name in weights.silence_alerts:
        return "silence"
    return "resource" if name in weights.resource_alerts or metric.startswith(weights.resource_metrics) else "flow"


@dataclass
class Together:
    """Which kinds of alerts were members of one incident before. Bounded: the ``limit`` pairs seen last."""

    limit: int

    def __post_init__(self) -> None:
        self._pairs: OrderedDict[tuple[str, str], int] = OrderedDict()

    def learn(self, kinds: Iterable[str]) -> None:
        """An incident has ended. Of a large one the first 30 kinds count."""
        ordered = sorted(set(kinds))[:30]
        for place, one in enumerate(ordered):
            for other in ordered[place + 1 :]:
                self._pairs[one, other] = self._pairs.pop((one, other), 0) + 1
        while len(self._pairs) > self.limit:
            self._pairs.popitem(last=False)

    def times(self, one: str, other: str) -> int:
        """In how many incidents."""
        return self._pairs.get((min(one, other), max(one, other)), 0)

    def dump(self) -> list[Any]:
        """As JSON-able data."""
        return [[*pair, count] for pair, count in self._pairs.items()]

    def load(self, rows: Sequence[Any]) -> None:
        """The inverse of :meth:`dump`."""
        self._pairs = OrderedDict(((one, other), count) for one, other, count in rows)


def link(one: Episode, other: Episode, graph: CallGraph, together: Together, weights: Weights) -> tuple[float, str]:
    """Strength and reason of the link between two alerts; 0 where they cannot belong together.

    Alerts of different environments, and security alerts and others, never join: an attack is not a symptom.
    """
    if one.environment and other.environment and one.environment != other.environment:
        return NO_LINK
    apart = abs(one.transition.starts_at_ns - other.transition.starts_at_ns) / 1e9
    if apart >= weights.far_seconds or (one.family == "security") != (other.family == "security"):
        return NO_LINK
    if one.family == "security":
        strength, reason = _security(one, other, apart, weights)
    else:
        strength, reason = max(_links(one, other, apart, graph, weights), default=NO_LINK)
    times = together.times(one.kind, other.kind)
    if times:
        strength += weights.cooccurrence * times / (times + 1)
        reason = f"{reason}, " * bool(reason) + f"together in {times} earlier incidents"
    late = max(0.0, apart - weights.near_seconds) / (weights.far_seconds - weights.near_seconds)
    return strength * (1 - late), f"{reason}, {apart:.0f} s apart"


def _security(one: Episode, other: Episode, apart: float, weights: Weights) -> tuple[float, str]:
    if one.agent == other.agent and one.service == other.service:
        return weights.same_agent, f"both are security alerts of {one.agent or one.service}"
    near = apart <= weights.security_seconds
    return (weights.security_burst, "one burst of security alerts") if near else NO_LINK


def _links(
    one: Episode, other: Episode, apart: float, graph: CallGraph, weights: Weights
) -> Iterable[tuple[float, str]]:
    if one.agent and one.agent == other.agent:
        yield weights.same_agent, f"both are of agent {one.agent}"
    elif one.service == other.service:
        yield weights.same_service, f"both are of service {one.service}"
    if one.family == other.family == "silence" and apart <= weights.silence_seconds:
        yield weights.silent_together, "fell silent together"
    for name in weights.linking_labels:
        value = one.transition.identity.get(name, "")
        if value and value == other.transition.identity.get(name, ""):
            yield weights.shared_label, f"both have {name}={value}"
    yield from _calls(one, other, graph, weights)
    yield from _calls(other, one, graph, weights)
    if one.family == other.family == "flow":
        shared = graph.below(one.service) & graph.below(other.service)
        if shared:
            yield weights.shared_dependency, f"both suffer from calls to {min(shared)}"


def _calls(caller: Episode, callee: Episode, graph: CallGraph, weights: Weights) -> Iterable[tuple[float, str]]:
    """A trouble travels from callee to caller; a resource of the caller is none that travelled there."""
    if caller.family == "resource" or caller.service == callee.service:
        return
    below = graph.below(caller.service)
    if callee.service in below:
        yield weights.failing_call, f"{caller.service} suffers from calls to {callee.service}"
    elif between := below & graph.above(callee.service):
        yield weights.failing_path, f"{caller.service} suffers from {callee.service} through {min(between)}"
    elif callee.service in graph.callees.get(caller.service, ()):
        yield weights.healthy_call, f"{caller.service} calls {callee.service}"
