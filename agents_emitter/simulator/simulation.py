"""From a scenario to records in order of time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agents_emitter.events import Columns
from agents_emitter.simulator.emission import Emission
from agents_emitter.simulator.interval import SECOND_NS, Interval
from agents_emitter.simulator.load import constant_load
from agents_emitter.simulator.run import Plan, Run
from agents_emitter.simulator.scenarios import BUILDERS
from agents_emitter.simulator.truth import Calls, GroundTruth

LOAD = "burst_free"
SCENARIOS: tuple[str, ...] = (*BUILDERS, LOAD)
"""The names that :func:`simulate` takes."""


class Simulation(Iterator[Emission]):
    """The records of a run; ``calls`` grows while they are taken and is exact when they are exhausted.

    Attributes:
        plan: what is simulated.
        calls: (client, server) agent ids -> how often called so far.
    """

    def __init__(self, plan: Plan) -> None:
        """Raises: ValueError for a plan that cannot be."""
        self.plan = plan
        self.calls: Mapping[tuple[str, str], Calls] = {}
        self._records = self._start()

    def _start(self) -> Iterator[Emission]:
        _check(self.plan)
        if self.plan.scenario == LOAD:
            return constant_load(self.plan)
        run = Run(self.plan)
        self.calls = run.calls
        return _records(run)

    def __next__(self) -> Emission:
        """The next record in order of ``time_ns``."""
        return next(self._records)


def _check(plan: Plan) -> None:
    if plan.duration_seconds < 0:
        raise ValueError(f"duration_seconds is negative: {plan.duration_seconds}")
    if plan.batch_seconds <= 0 or plan.heartbeat_seconds <= 0:
        raise ValueError("batch_seconds and heartbeat_seconds must be positive")
    if plan.fault_seconds is not None and not 0 <= plan.fault_seconds[0] < plan.fault_seconds[1]:
        raise ValueError(f"a fault begins at 0 s or later and ends after that, got {plan.fault_seconds}")
    if plan.events_per_second is not None and plan.events_per_second <= 0:
        raise ValueError(f"events_per_second must be positive, got {plan.events_per_second}")


def _records(run: Run) -> Iterator[Emission]:
    """Every agent sends once per batch, each at its own phase, until nothing is left."""
    batch_ns = round(run.plan.batch_seconds * SECOND_NS)
    processes = list(run.processes.values())
    phases = [batch_ns * (place + 1) // len(processes) for place in range(len(processes))]
    base_ns = run.interval.start_ns
    while base_ns < run.interval.end_ns or not all(process.empty for process in processes):
        run.advance(base_ns + batch_ns)
        for phase_ns, process in zip(phases, processes, strict=True):
            at_ns = base_ns + phase_ns
            run.beats[process.agent.id].until(at_ns, run.load(at_ns))
            yield from process.flush(at_ns)
        base_ns += batch_ns


def simulate(
    scenario: str,
    *,
    seed: int,
    start_ns: int,
    duration_seconds: float,
    agents: int = 12,
    events_per_second: float | None = None,
    batch_seconds: float = 1.0,
    services: int = 3,
    columns: Columns = "packed",
    heartbeat_seconds: float = 5.0,
    fault_seconds: tuple[float, float] | None = None,
) -> Simulation:
    """A seeded scenario as Kafka records in order of time, made while they are taken (constant memory).

    The same arguments give the same bytes. Tasks arrive in [start, start + duration); their traces end and are sent
    a few seconds later. A fault acts from about one third to about two thirds of the run, unless it is placed.

    Args:
        scenario: one of :data:`SCENARIOS`.
        seed: any integer.
        start_ns: nanoseconds since the epoch.
        duration_seconds: of event time, seconds to weeks; not negative.
        agents: at least 5; about 12 to a cell of agents that work together.
        events_per_second: samples, spans and logs together, on average (``burst_free``: samples, exactly). By default
            one task per second and cell, about 120 events/s (``burst_free``: 2,000). Heartbeats and gauges (8 samples
            an agent and beat) do not shrink with it.
        batch_seconds: how often each agent sends. What a record reports is up to so old when it is sent.
        services: at least 1; roles share services below 5.
        columns: ``packed`` or ``plain`` metric batches.
        heartbeat_seconds: how often each agent reports that it is alive, and its gauges.
        fault_seconds: half-open interval of the fault, in seconds from the start of the run.

    Raises:
        ValueError: an argument outside its range, or no scenario of that name.
    """
    return Simulation(
        Plan(
            scenario,
            seed=seed,
            start_ns=start_ns,
            duration_seconds=duration_seconds,
            agents=agents,
            events_per_second=events_per_second,
            batch_seconds=batch_seconds,
            services=services,
            columns=columns,
            heartbeat_seconds=heartbeat_seconds,
            fault_seconds=fault_seconds,
        )
    )


def ground_truth(
    scenario: str, *, seed: int, start_ns: int, duration_seconds: float, agents: int = 12, **how: Any
) -> GroundTruth:
    """The truth about the run that :func:`simulate` gives for the same arguments, without running it.

    Args:
        scenario: as for :func:`simulate`.
        seed: as for :func:`simulate`.
        start_ns: as for :func:`simulate`.
        duration_seconds: as for :func:`simulate`.
        agents: as for :func:`simulate`.
        **how: the other arguments of :func:`simulate`.

    Raises:
        ValueError: as for :func:`simulate`.
        TypeError: an argument that :func:`simulate` does not have.
    """
    plan = Plan(scenario, seed, start_ns, duration_seconds, agents, **how)
    _check(plan)
    return _truth(plan)


def _truth(plan: Plan) -> GroundTruth:
    topology = plan.topology()
    services = {agent.id: agent.service for agent in topology.agents}
    loaded = plan.scenario == LOAD
    edges = () if loaded else topology.edges
    interval: Interval = plan.interval
    return GroundTruth(
        scenario=plan.scenario,
        seed=plan.seed,
        start_ns=interval.start_ns,
        end_ns=interval.end_ns,
        agents=services,
        roles={agent.id: agent.role for agent in topology.agents},
        edges=edges,
        service_edges=tuple(dict.fromkeys((services[client], services[server]) for client, server in edges)),
        heartbeat_seconds=plan.heartbeat_seconds,
        faults=() if loaded else plan.conditions(topology).faults,
    )


def recount(
    scenario: str, *, seed: int, start_ns: int, duration_seconds: float, agents: int = 12, **how: Any
) -> dict[tuple[str, str], Calls]:
    """The calls of a whole run by (client, server), exactly, without encoding its records.

    Args:
        scenario: as for :func:`simulate`.
        seed: as for :func:`simulate`.
        start_ns: as for :func:`simulate`.
        duration_seconds: as for :func:`simulate`.
        agents: as for :func:`simulate`.
        **how: the other arguments of :func:`simulate`.
    """
    plan = Plan(scenario, seed, start_ns, duration_seconds, agents, **how)
    if plan.scenario == LOAD:
        return {}
    run = Run(plan)
    for until_ns in range(run.interval.start_ns, run.interval.end_ns, SECOND_NS):
        run.advance(until_ns)
        run.forget()
    run.advance(run.interval.end_ns)
    return run.calls
