"""What goes wrong where and when: each fault with all that it reaches. Time in windows of ten seconds."""

from __future__ import annotations

import random
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Final, Literal

from benchmarks.outbreak.system import System

Mode = Literal["failing", "slow", "silent", "memory", "attacked"]
SCENARIOS: Final = (
    "cascade",
    "slow_tool",
    "model_outage",
    "bad_deploy",
    "two_faults",
    "security_burst",
    "agent_silence",
    "partition",
)
BEGIN: Final = 36
"""Windows of health before: six minutes, of which calls learn what is usual."""


@dataclass
class Effect:
    """What happens to a service from a window on. ``strength``: share of failures, or factor of slowness."""

    mode: Mode
    onset: int
    strength: float
    agents: list[str]


@dataclass
class Fault:
    """One cause and its effects.

    Attributes:
        name: of the fault in this run. roots: names of the cause that count as found.
        dependency: tool or provider where it began ("" for a service). mode: what calls to it do.
        effects: service -> what happens to it. end: first window that is well again.
        deployed: window of the deployment that did it, or None.
        background: of no interest to the ranking of causes.
    """

    name: str
    roots: set[str]
    dependency: str
    mode: Mode
    onset: int
    end: int
    strength: float
    effects: dict[str, Effect] = field(default_factory=dict)
    deployed: int | None = None
    background: bool = False


def plan(scenario: str, made: System, rng: random.Random) -> list[Fault] | None:
    """The faults of a run; None when this system has no place for them."""
    end = BEGIN + rng.randint(60, 90)
    if scenario == "two_faults":
        kinds = [rng.choice(("cascade", "slow_tool", "model_outage", "bad_deploy")) for _ in range(2)]
    else:
        kinds = ["cascade" if scenario == "security_burst" else scenario]
    faults: list[Fault] = []
    for kind in kinds:
        begin = BEGIN + rng.randint(0, 18 if faults else 6)
        found = next(filter(None, (_try(kind, made, rng, begin, end, faults) for _ in range(40))), None)
        if found is None:
            return None
        faults.append(found)
    if scenario == "security_burst":
        faults.append(_attack(made, rng, end))
    return faults + _background(made, rng, end, faults)


def reached(faults: list[Fault]) -> set[str]:
    """All services with an effect."""
    return {service for fault in faults for service in fault.effects}


def _apart(made: System, services: Set[str], faults: list[Fault]) -> bool:
    """No call between these services and those of other faults."""
    taken = reached(faults) | {fault.dependency for fault in faults if fault.dependency}
    near = services | {c for s in services for c in (*made.callers(s), *made.callees(s))}
    return not near & taken


def _try(kind: str, made: System, rng: random.Random, begin: int, end: int, others: list[Fault]) -> Fault | None:
    name = f"{kind}-{len(others)}"
    strength = rng.uniform(0.3, 0.9)
    if kind in ("slow_tool", "model_outage"):
        places = [d for d in made.dependencies if made.callers(d) and d.islower()]
        tools = {"web_search", "code_interpreter", "sql_query", "document_reader"}
        places = [p for p in places if (p in tools) == (kind == "slow_tool")]
        if not places:
            return None
        place = rng.choice(places)
        mode: Mode = "slow" if kind == "slow_tool" else "failing"
        fault = Fault(name, {place}, place, mode, begin, end, 6.0 if mode == "slow" else strength)
        for caller in made.callers(place):
            if rng.random() < 0.9:
                fault.effects[caller] = _effect(made, rng, caller, mode, begin + rng.randint(0, 2), fault.strength)
    else:
        fault = _at_service(kind, name, made, rng, begin, end, strength)
    _spread(made, rng, fault, depend=0.8 if not others else 0.5)
    return fault if fault.effects and _apart(made, fault.effects.keys() | {fault.dependency}, others) else None


def _at_service(kind: str, name: str, made: System, rng: random.Random, begin: int, end: int, strength: float) -> Fault:
    service = rng.choice([s for s in sorted(made.agents) if made.callers(s)])
    if kind == "partition":
        return _partition(name, made, rng, begin, end, service)
    mode: Mode = "silent" if kind == "agent_silence" else "failing"
    fault = Fault(name, {service}, "", mode, begin, end, 1.0 if mode == "silent" else strength)
    effect = _effect(made, rng, service, mode, begin, fault.strength)
    if mode == "silent":
        effect.agents = [rng.choice(made.agents[service])]
    fault.roots |= set(effect.agents)
    fault.effects[service] = effect
    if kind == "bad_deploy":
        fault.deployed = begin - rng.randint(0, 12)
    return fault


def _partition(name: str, made: System, rng: random.Random, begin: int, end: int, first: str) -> Fault:
    """A part of the system that hangs together is cut off: nobody hears of it."""
    size = max(3, round(len(made.agents) * rng.uniform(0.05, 0.25)))
    cut, edge = {first}, [first]
    while edge and len(cut) < size:
        for callee in made.callees(edge.pop(0)):
            if callee in made.agents and callee not in cut and len(cut) < size:
                cut.add(callee)
                edge.append(callee)
    spare = sorted(made.agents.keys() - cut)
    while sum(len(made.agents[s]) for s in cut) < 3:
        cut.add(spare.pop(rng.randrange(len(spare))))
    fault = Fault(name, set(), "", "silent", begin, end, 1.0)
    for service in sorted(cut):
        fault.effects[service] = Effect("silent", begin, 1.0, list(made.agents[service]))
        fault.roots |= set(made.agents[service])
    return fault


def _effect(made: System, rng: random.Random, service: str, mode: Mode, onset: int, strength: float) -> Effect:
    agents = [agent for agent in made.agents[service] if rng.random() < 0.85]
    return Effect(mode, onset, strength, agents or [rng.choice(made.agents[service])])


def _spread(made: System, rng: random.Random, fault: Fault, *, depend: float) -> None:
    """From callees to callers, each a while later and a bit milder, as far as callers depend on it."""
    waiting = sorted(fault.effects)
    while waiting:
        place = waiting.pop(0)
        effect = fault.effects[place]
        for caller in made.callers(place):
            strength = effect.strength * rng.uniform(0.7, 1.0)
            strong = strength > (2.0 if effect.mode == "slow" else 0.12)
            if caller in fault.effects or rng.random() > depend or not strong:
                continue
            mode: Mode = "slow" if effect.mode == "slow" else "failing"
            if effect.mode == "silent":
                strength = rng.uniform(0.2, 0.8)
            fault.effects[caller] = _effect(made, rng, caller, mode, effect.onset + rng.randint(0, 6), strength)
            waiting.append(caller)


def _attack(made: System, rng: random.Random, end: int) -> Fault:
    """Against one to three services, healthy or not, while the other fault acts."""
    begin = BEGIN + rng.randint(10, 40)
    targets = rng.sample(sorted(made.agents), rng.choice((1, 1, 2, 3)))
    fault = Fault("attack", set(targets), "", "attacked", begin, min(end, begin + rng.randint(12, 30)), 1.0)
    for place, target in enumerate(targets):
        agent = rng.choice(made.agents[target])
        fault.effects[target] = Effect("attacked", begin + place * rng.randint(0, 3), 1.0, [agent])
        fault.roots.add(agent)
    return fault


def _background(made: System, rng: random.Random, end: int, faults: list[Fault]) -> list[Fault]:
    """What goes wrong at the same time and has nothing to do with it.

    Memory anywhere that is not reached (also next to it); failures only where no call leads to what is reached.
    """
    found: list[Fault] = []
    for n in range(rng.choice((0, 1, 1, 2, 3))):
        mode: Mode = "failing" if rng.random() < 0.3 else "memory"
        free = sorted(made.agents.keys() - reached(faults + found))
        if mode == "failing":
            free = [s for s in free if _apart(made, {s}, faults + found)]
        if not free:
            continue
        service = rng.choice(free)
        fault = Fault(f"background-{n}", {service}, "", mode, rng.randint(20, BEGIN + 30), end, 0.5, background=True)
        fault.effects[service] = Effect(mode, fault.onset, 0.5, [rng.choice(made.agents[service])])
        found.append(fault)
    return found
