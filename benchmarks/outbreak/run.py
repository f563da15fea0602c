"""One seed: a system, its faults, the operator, and what of its incidents was right."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from benchmarks.outbreak.fault import SCENARIOS, Fault, plan
from benchmarks.outbreak.system import system
from benchmarks.outbreak.world import EPOCH_NS, WINDOW_NS, World, truth_of
from streams.correlate.incidents import IncidentOperator
from streams.correlate.rule import Rule
from streams.correlate.weights import Weights
from streams.domain.alert import AlertTransition
from streams.domain.incident import Cause, Incident

GROUP_WAIT_NS: Final = 3 * WINDOW_NS
"""An alert that is folded within Alertmanager's group_wait is not notified."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run came to.

    Attributes:
        pairs: true positives, false positives and false negatives over pairs of alerts.
        ranks: for each fault with alerts the rank of its cause, 0 = first, 99 = not among them.
        joined: alerts that share an incident with alerts of another fault, and are not its majority.
        alerts, told: of the scenario's faults: alerts, and notifications about them with correlation.
    """

    seed: int
    scenario: str
    services: int
    alerts: int
    pairs: tuple[int, int, int]
    ranks: tuple[int, ...]
    joined: int
    told: int

    @property
    def f1(self) -> float:
        """Pairwise F1; 1 when there was no pair and none was made."""
        true, false, missed = self.pairs
        return 2 * true / (2 * true + false + missed) if sum(self.pairs) else 1.0


def run(seed: int, rules: Sequence[Rule], weights: Weights | None = None, unseen_ratio: float = 0.02) -> Outcome:
    """The run of a seed: the same seed gives the same outcome. Scenarios take turns; so do the kinds of systems."""
    scenario = SCENARIOS[seed % len(SCENARIOS)]
    rng = random.Random(seed)
    faults = None
    while faults is None:
        least = 40 if scenario == "two_faults" else 10
        made = system(rng, cells=bool(seed // len(SCENARIOS) % 2), least=least, unseen_ratio=unseen_ratio)
        faults = plan(scenario, made, rng)
    world = World(made, faults, rules, rng)
    watch = _Watch(IncidentOperator(weights))
    deployments = _deployments(made.agents, faults, rng)
    for number, transitions, edges in world.windows():
        for service in deployments.get(number, ()):
            watch.operator.deployed(service, EPOCH_NS + number * WINDOW_NS)
        before = rng.random() < 0.5
        for edge in edges if before else ():
            watch.see(watch.operator.edge(edge))
        for transition in transitions:
            watch.alert(transition)
        for edge in () if before else edges:
            watch.see(watch.operator.edge(edge))
    return _outcome(seed, scenario, len(made.agents), faults, watch)


def _deployments(services: dict[str, list[str]], faults: Sequence[Fault], rng: random.Random) -> dict[int, list[str]]:
    """The one that did it, and others that did nothing."""
    found: dict[int, list[str]] = {}
    for fault in faults:
        if fault.deployed is not None:
            found.setdefault(fault.deployed, []).append(next(iter(fault.effects)))
    reached = {service for fault in faults for service in fault.effects}
    for service in rng.sample(sorted(services), min(2, len(services))):
        if service not in reached:
            found.setdefault(rng.randint(10, 60), []).append(service)
    return found


class _Watch:
    """What a reader of ``agents.incidents`` knows, and when each alert was folded."""

    def __init__(self, operator: IncidentOperator) -> None:
        self.operator = operator
        self.incidents: dict[str, Incident] = {}
        self.causes: dict[str, tuple[Cause, ...]] = {}
        self.fired: dict[str, AlertTransition] = {}
        self.home: dict[str, str] = {}
        self.folded: dict[str, int] = {}
        self.led: dict[str, int] = {}
        self.merged: dict[str, int] = {}

    def alert(self, transition: AlertTransition) -> None:
        if transition.state == "firing":
            self.fired.setdefault(transition.fingerprint, transition)
        self.see(self.operator.alert(transition))

    def see(self, told: Sequence[Incident]) -> None:
        for incident in told:
            self.incidents[incident.incident_id] = incident
            if incident.status == "merged":
                self.merged[incident.incident_id] = self.operator.now_ns
                continue
            self.causes[incident.incident_id] = incident.causes
            if len(incident.members) > 1:
                self.led.setdefault(incident.incident_id, self.operator.now_ns)
            for member in incident.members:
                self.home[member.fingerprint] = incident.incident_id
                if member.suppressed:
                    self.folded.setdefault(member.fingerprint, self.operator.now_ns)

    def told(self, fingerprints: Sequence[str]) -> int:
        """Notifications about these alerts: incidents of several, and those that were not folded in time."""
        alone = sum(self.folded.get(f, 1 << 62) - self.fired[f].at_ns >= GROUP_WAIT_NS for f in fingerprints)
        homes = {self.home[f] for f in fingerprints if f in self.home}
        passing = {n for n, at_ns in self.merged.items() if at_ns - self.led.get(n, at_ns) >= GROUP_WAIT_NS}
        return len(self.led.keys() & (homes | passing)) + alone


def _outcome(seed: int, scenario: str, services: int, faults: Sequence[Fault], watch: _Watch) -> Outcome:
    truth = truth_of(faults)
    rows = [(truth(first), watch.home.get(name, name)) for name, first in watch.fired.items()]
    pairs = Counter((a[0] == b[0], a[1] == b[1]) for a, b in combinations(rows, 2))
    majority = {home: Counter(t for t, h in rows if h == home).most_common(1)[0][0] for _, home in rows}
    joined = sum(majority[home] != true for true, home in rows)
    ranks = []
    for fault in faults:
        homes = Counter(home for true, home in rows if true == fault.name)
        if homes and not fault.background:
            ranks.append(_rank(fault, watch.causes.get(homes.most_common(1)[0][0], ())))
    chief = {fault.name for fault in faults if not fault.background}
    mine = [name for name, first in watch.fired.items() if truth(first) in chief]
    counted = (pairs[True, True], pairs[False, True], pairs[True, False])
    return Outcome(seed, scenario, services, len(mine), counted, tuple(ranks), joined, watch.told(mine))


def _rank(fault: Fault, causes: Sequence[Cause]) -> int:
    for rank, cause in enumerate(causes):
        named = cause.place.split(",")
        if cause.kind == "silence":
            right = len(set(named) & fault.roots) >= 0.8 * len(named)
        else:
            right = cause.place in fault.roots and not fault.name.startswith("partition")
        if right and (fault.deployed is None or cause.kind == "deployment"):
            return rank
    return 99
