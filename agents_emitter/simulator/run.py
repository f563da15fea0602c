"""One simulated run: arrivals become traces, processes buffer, nothing is encoded yet.

Constant memory: a run keeps what its running traces will still report, one queue per agent.
"""

from __future__ import annotations

from typing import NamedTuple

from agents_emitter.events import Columns
from agents_emitter.simulator.attack import attack
from agents_emitter.simulator.beat import Beat
from agents_emitter.simulator.conditions import Conditions
from agents_emitter.simulator.interval import SECOND_NS, Interval, fault_interval
from agents_emitter.simulator.process import Process
from agents_emitter.simulator.scenarios import BUILDERS
from agents_emitter.simulator.season import SEASON_FROM_SECONDS, season_factor
from agents_emitter.simulator.seeds import stream
from agents_emitter.simulator.topology import Topology, build_topology
from agents_emitter.simulator.trace import World
from agents_emitter.simulator.truth import Calls
from agents_emitter.simulator.workflow import run_workflow

WORKFLOWS_PER_SECOND_PER_CELL = 1.0
LEAST_WORKFLOW_SHARE = 0.05
SAMPLES_PER_BEAT = 8
CALIBRATION_WORKFLOWS = 60


class Plan(NamedTuple):
    """What is to be simulated; see :func:`agents_emitter.simulator.simulate` for the arguments."""

    scenario: str
    seed: int
    start_ns: int
    duration_seconds: float
    agents: int = 12
    events_per_second: float | None = None
    batch_seconds: float = 1.0
    services: int = 3
    columns: Columns = "packed"
    heartbeat_seconds: float = 5.0
    fault_seconds: tuple[float, float] | None = None

    @property
    def interval(self) -> Interval:
        """[start, end) of the run."""
        return Interval(self.start_ns, self.start_ns + round(self.duration_seconds * SECOND_NS))

    def topology(self) -> Topology:
        """The agents and their calls."""
        return build_topology(self.agents, self.services)

    def conditions(self, topology: Topology) -> Conditions:
        """The world of the scenario, with its faults placed by the seed.

        Raises:
            ValueError: no scenario of that name.
        """
        if self.scenario not in BUILDERS:
            raise ValueError(f"no scenario {self.scenario!r}; there are {', '.join((*BUILDERS, 'burst_free'))}")
        rng = stream(self.seed, "fault", self.scenario)
        placed = fault_interval(*self.interval, rng)
        if self.fault_seconds is not None:
            placed = Interval(*(self.start_ns + round(seconds * SECOND_NS) for seconds in self.fault_seconds))
        return BUILDERS[self.scenario](topology, placed, rng)

    def seasonal(self) -> bool:
        """Whether the load follows day and week."""
        return self.scenario == "normal_day" or self.duration_seconds >= SEASON_FROM_SECONDS


class Run:
    """The state of a running simulation."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.interval = plan.interval
        self.topology = plan.topology()
        self.conditions = plan.conditions(self.topology)
        self.processes = {agent.id: self._process(agent.id) for agent in self.topology.agents}
        self.calls: dict[tuple[str, str], Calls] = {}
        self.beats = self._beats()
        self._arrivals = stream(plan.seed, "arrivals")
        self._world = World(self.conditions, self.processes, self.calls, stream(plan.seed, "work"))
        self._outside = self._world._replace(rng=stream(plan.seed, "attacks"))  # independent of how a run is sliced
        self._rate = workflow_rate(plan, self.topology)
        self._next_arrival_ns = self._gap(self.interval.start_ns)
        self._next_attack_ns = self.interval.start_ns

    def _process(self, agent_id: str) -> Process:
        agent = next(a for a in self.topology.agents if a.id == agent_id)
        conditions = self.conditions
        return Process(agent, self.plan.seed, conditions.lives(agent), conditions.silence(agent), self.plan.columns)

    def _beats(self) -> dict[str, Beat]:
        period_ns = round(self.plan.heartbeat_seconds * SECOND_NS)
        return {
            name: Beat(process, self.conditions, self.interval, period_ns, stream(self.plan.seed, "beat", name))
            for name, process in self.processes.items()
        }

    def load(self, time_ns: int) -> float:
        """Arrival rate relative to the mean."""
        season = season_factor(time_ns) if self.plan.seasonal() else 1.0
        return season * self.conditions.load_factor(time_ns)

    def _gap(self, time_ns: int) -> int:
        """The next arrival of a Poisson process whose rate changes slowly against its gaps."""
        return time_ns + 1 + int(self._arrivals.expovariate(self._rate * self.load(time_ns)) * SECOND_NS)

    def advance(self, until_ns: int) -> None:
        """Everything that begins before a moment (and the end of the run)."""
        until_ns = min(until_ns, self.interval.end_ns)
        while self._next_arrival_ns < until_ns:
            at = self._next_arrival_ns
            cell = self._arrivals.choice(self.topology.cells)
            session = run_workflow(self._world, cell, at)
            if session is not None:
                self.beats[cell.coordinator.id].session(session)
            self._next_arrival_ns = self._gap(at)
        self._attack(until_ns)

    def _attack(self, until_ns: int) -> None:
        while self._next_attack_ns < until_ns:
            at, rate = self._next_attack_ns, self.conditions.attacks_per_second(self._next_attack_ns)
            if rate:
                attack(self._outside, self.processes[self.conditions.attacked()].agent, at)
                self._next_attack_ns = at + 1 + int(self._outside.rng.expovariate(rate) * SECOND_NS)
            else:
                self._next_attack_ns = at + SECOND_NS // 10

    def forget(self) -> None:
        """Drops what is buffered: for whoever only counts."""
        for process in self.processes.values():
            process.samples.clear()
            process.spans.clear()
            process.logs.clear()


def workflow_rate(plan: Plan, topology: Topology) -> float:
    """Workflows per second that give the wanted events per second over the whole run.

    The events of one workflow are measured on a few healthy ones. Heartbeats and gauges do not shrink with the
    wanted rate: at least 5 % of it is workflows.
    """
    cells = len(topology.cells)
    if plan.events_per_second is None:
        return WORKFLOWS_PER_SECOND_PER_CELL * cells
    beats = len(topology.agents) * SAMPLES_PER_BEAT / plan.heartbeat_seconds
    wanted = max(plan.events_per_second - beats, plan.events_per_second * LEAST_WORKFLOW_SHARE)
    return wanted / _events_per_workflow(topology)


def _events_per_workflow(topology: Topology) -> float:
    conditions = Conditions()
    processes = {a.id: Process(a, 0, conditions.lives(a), conditions.silence(a), "packed") for a in topology.agents}
    world = World(conditions, processes, {}, stream(0, "calibration"))
    for number in range(CALIBRATION_WORKFLOWS):
        run_workflow(world, topology.cells[number % len(topology.cells)], number * SECOND_NS)
    total = sum(len(p.samples) + len(p.spans) + len(p.logs) for p in processes.values())
    return total / CALIBRATION_WORKFLOWS
