"""A system of agents: the simulator's cells, or a random call graph that nobody has seen before."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

from agents_emitter.simulator.topology import build_topology

TOOLS: Final = ("web_search", "code_interpreter", "sql_query", "document_reader")
MODELS: Final = ("contoso", "northwind", "fabrikam")


@dataclass
class System:
    """Who is there and who calls whom.

    Attributes:
        agents: service -> its agent ids.
        calls: (client, server) -> calls in ten seconds; servers include tools and model providers.
        seen: the calls that tracing reports at all, with the share of them that is sampled.
    """

    agents: dict[str, list[str]]
    calls: dict[tuple[str, str], float]
    seen: dict[tuple[str, str], float] = field(default_factory=dict)

    def callers(self, place: str) -> list[str]:
        """Services that call a service, tool or provider."""
        return [client for client, server in self.calls if server == place]

    def callees(self, service: str) -> list[str]:
        """Whom a service calls."""
        return [server for client, server in self.calls if client == service]

    def dependents(self, place: str) -> set[str]:
        """All that call it, directly or through others."""
        found: set[str] = set()
        waiting = [place]
        while waiting:
            new = set(self.callers(waiting.pop())) - found
            found |= new
            waiting += sorted(new)
        return found

    @property
    def dependencies(self) -> list[str]:
        """Tools and providers that are called."""
        return sorted({server for _, server in self.calls} - self.agents.keys())


def system(rng: random.Random, *, cells: bool, least: int, unseen_ratio: float) -> System:
    """One system of ``least`` to 200 agents.

    Args:
        rng: of the run.
        cells: the simulator's topology instead of a random graph.
        least: at least so many agents.
        unseen_ratio: share of the calls that tracing never reports.
    """
    count = round(least * (200 / least) ** rng.random())
    made = _cells(rng, count) if cells else _random(rng, count)
    _dependencies(rng, made)
    sampled = rng.uniform(0.3, 1.0)
    made.seen = {call: sampled for call in made.calls if rng.random() >= unseen_ratio}
    return made


def _cells(rng: random.Random, count: int) -> System:
    topology = build_topology(count, max(5, round(count * rng.uniform(0.3, 1.0))))
    agents: dict[str, list[str]] = {}
    service_of = {agent.id: agent.service for agent in topology.agents}
    for name, service in service_of.items():
        agents.setdefault(service, []).append(name)
    pairs = sorted({(service_of[one], service_of[two]) for one, two in topology.edges})
    return System(agents, {pair: rng.uniform(5, 40) for pair in pairs if pair[0] != pair[1]})


def _random(rng: random.Random, count: int) -> System:
    """Layers without circles: each service is called by one to three that come before it, mostly shortly before."""
    services = [f"s{n}" for n in range(max(4, round(count * rng.uniform(0.4, 1.0))))]
    agents: dict[str, list[str]] = {service: [] for service in services}
    for n in range(max(count, len(services))):
        owner = services[n] if n < len(services) else rng.choice(services)
        agents[owner].append(f"{owner}-{len(agents[owner])}")
    calls = {}
    for n, service in enumerate(services[1:], 1):
        reach = services[max(0, n - rng.choice((3, 10, len(services)))) : n]
        for caller in rng.sample(reach, min(len(reach), rng.choice((1, 1, 2, 3)))):
            calls[caller, service] = rng.uniform(5, 40)
    return System(agents, calls)


def _dependencies(rng: random.Random, made: System) -> None:
    for service in made.agents:
        if rng.random() < 0.6:
            made.calls[service, rng.choice(MODELS)] = rng.uniform(5, 40)
        if rng.random() < 0.3:
            made.calls[service, rng.choice(TOOLS)] = rng.uniform(5, 40)
