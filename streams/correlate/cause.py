"""Where did it begin: places ranked by what speaks for them, in words.

A failure flows from callee to caller. So the cause is what the others depend on and what itself suffers from nothing;
detection order only helps, because rules with longer windows see the first trouble last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from streams.correlate.affinity import Episode
from streams.correlate.callgraph import reached_by
from streams.correlate.remembered import Remembered
from streams.correlate.weights import Weights
from streams.domain.incident import Cause, CauseKind

MAX_CAUSES = 5


@dataclass
class _Case:
    """What speaks for one place."""

    kind: CauseKind
    place: str
    score: float = 0.0
    reasons: list[str] = field(default_factory=list)

    def add(self, weight: float, reason: str) -> None:
        if weight >= 0.005:
            self.score += weight
            self.reasons.append(f"{reason} (+{weight:.2f})")


def rank(
    members: Sequence[Episode], graph: Remembered, deployments: Mapping[str, int], weights: Weights
) -> tuple[Cause, ...]:
    """The likeliest causes of an incident, best first, at most :data:`MAX_CAUSES`.

    Args:
        members: all episodes of the incident, at least one.
        graph: who suffers from whom, or did while the incident was open.
        deployments: service -> event time of its newest deployment.
        weights: see :class:`Weights`.
    """
    if all(member.family == "security" for member in members):
        cases = _attack(members, weights)
    else:
        places = Counter(member.service for member in members)
        cases = [_case(place, members, places, graph, deployments, weights) for place in _places(places, graph)]
        cases += _silence(members, places, graph, weights)
    cases.sort(key=lambda case: (-case.score, case.place))
    return tuple(Cause(case.kind, case.place, round(case.score, 4), tuple(case.reasons)) for case in cases[:MAX_CAUSES])


def _places(services: Iterable[str], graph: Remembered) -> list[str]:
    """Services with alerts, and everything below them that calls suffer from: it may send no alerts of its own."""
    return sorted(reached_by(services, graph.below))


def _case(
    place: str,
    members: Sequence[Episode],
    places: Mapping[str, int],
    graph: Remembered,
    deployments: Mapping[str, int],
    weights: Weights,
) -> _Case:
    own = [member for member in members if member.service == place]
    case = _Case(_kind(place, own, graph), _name(place, own), 0.0)
    depend = [service for service in places if service in graph.dependents(place)]
    share = len(depend) / len(places)
    case.add(weights.explains * share, f"{len(depend)} of {len(places)} services with alerts depend on it")
    if not graph.below(place):
        case.add(weights.nothing_below, "nothing that it calls suffers")
    case.add(weights.first * _earliness(place, own, members, graph), "it was among the first")
    special = sorted({member.transition.alertname for member in own if member.family == "resource"})
    if special:
        case.add(weights.own, f"it has trouble of its own: {', '.join(special)}")
    silent = sorted({member.agent for member in own if member.family == "silence"})
    if silent:
        case.add(weights.silent, f"it is silent: {', '.join(silent[:5])}")
    _deployed(case, place, members, deployments, weights)
    return case


def _kind(place: str, own: Sequence[Episode], graph: Remembered) -> CauseKind:
    if not own and not graph.calls(place):
        return "dependency"
    return "agent" if _name(place, own) != place else "service"


def _name(place: str, own: Sequence[Episode]) -> str:
    """The agent, where all alerts of the service that name an agent name the same."""
    agents = {member.agent for member in own if member.agent}
    return agents.pop() if len(agents) == 1 else place


def _earliness(place: str, own: Sequence[Episode], members: Sequence[Episode], graph: Remembered) -> float:
    """1 for the first onset, 0 for the last. What has no alerts began when the calls to it did."""
    begun = [member.transition.starts_at_ns for member in own]
    begun += graph.suffering_since(place) if not own else []
    return _since(min(begun), members) if begun else 0.0


def _since(begun_ns: int, members: Sequence[Episode]) -> float:
    onsets = [member.transition.starts_at_ns for member in members]
    first, last = min(onsets), max(onsets)
    return 1.0 if last == first else min(1.0, max(0.0, (last - begun_ns) / (last - first)))


def _deployed(
    case: _Case, place: str, members: Sequence[Episode], deployments: Mapping[str, int], weights: Weights
) -> None:
    at_ns = deployments.get(place)
    if at_ns is None:
        return
    before = (min(member.transition.starts_at_ns for member in members) - at_ns) / 1e9
    if -30 <= before <= weights.deployment_seconds:
        case.kind = "deployment"
        case.add(weights.deployed, f"it was deployed {max(0.0, before):.0f} s before the first alert")


def _silence(
    members: Sequence[Episode], places: Mapping[str, int], graph: Remembered, weights: Weights
) -> Iterator[_Case]:
    silent = [member for member in members if member.family == "silence"]
    agents = sorted({member.agent or member.service for member in silent})
    if len(agents) < 3:
        return
    case = _Case("silence", ",".join(agents))
    depend = set().union(*(graph.dependents(member.service) for member in silent)) & places.keys()
    share = len(depend) / len(places)
    case.add(weights.explains * share, f"{len(depend)} of {len(places)} services with alerts are or need silent agents")
    case.add(weights.nothing_below, "who is silent suffers from nothing that is seen")
    first_ns = min(member.transition.starts_at_ns for member in silent)
    case.add(weights.first * _since(first_ns, members), "they were among the first")
    case.add(weights.several_silent, f"{len(agents)} agents fell silent at once: a network, a host")
    yield case


def _attack(members: Sequence[Episode], weights: Weights) -> list[_Case]:
    """What was attacked: by number of alerts and by onset."""
    counts = Counter(member.agent or member.service for member in members)
    first_ns = min(member.transition.starts_at_ns for member in members)
    cases = []
    for place, count in sorted(counts.items()):
        own = [member for member in members if (member.agent or member.service) == place]
        case = _Case("agent" if own[0].agent else "service", place)
        case.add(weights.explains * count / len(members), f"{count} of {len(members)} security alerts are of it")
        if min(member.transition.starts_at_ns for member in own) == first_ns:
            case.add(weights.first, "it was the first")
        cases.append(case)
    return cases
