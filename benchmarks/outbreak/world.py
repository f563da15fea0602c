"""A run: windows through the real rules, edges and deployments, as the incident operator gets them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from benchmarks.outbreak.fault import Effect, Fault
from benchmarks.outbreak.system import System
from streams.correlate.operator import CorrelateOperator
from streams.correlate.rule import Rule
from streams.domain.alert import AlertTransition
from streams.domain.series import Series
from streams.domain.sketch import LOG_GAMMA, SMALLEST
from streams.domain.trace import CONNECTION_UNSET, Edge
from streams.domain.window import WindowBatch

WINDOW_NS: Final = 10 * 10**9
EPOCH_NS: Final = 1_700_000_000 * 10**9
AFTER: Final = 36
STEPS: Final = 30
"""Steps of an agent in ten seconds, on average."""


@dataclass
class World:
    """A system with its faults, moved on window by window."""

    made: System
    faults: Sequence[Fault]
    rules: Sequence[Rule]
    rng: random.Random
    _series: dict[tuple[str, ...], Series] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._operator = CorrelateOperator(self.rules)
        self._noise = np.random.default_rng(self.rng.getrandbits(32))
        self._busy = {a: self.rng.choice((0.5, 1.0, 1.0, 2.0)) * STEPS for s in self.made.agents.values() for a in s}
        self._front = {s for s in self.made.agents if not self.made.callers(s)}

    def windows(self) -> Iterator[tuple[int, list[AlertTransition], list[Edge]]]:
        """Number, transitions and edges of each window; edges come up to 30 s late."""
        late: dict[int, list[Edge]] = {}
        for number in range(max(fault.end for fault in self.faults) + AFTER):
            for edge in self._edges(number):
                late.setdefault(number + self.rng.choice((0, 0, 1, 2, 3)), []).append(edge)
            edges = late.pop(number, [])
            self.rng.shuffle(edges)
            yield number, self._transitions(number), edges

    def effect(self, service: str, number: int) -> Effect | None:
        """What a service suffers from in a window (attacks and memory leave its work alone)."""
        return self._found(service, number, ("failing", "slow", "silent"))

    def _found(self, service: str, number: int, modes: tuple[str, ...]) -> Effect | None:
        for fault in self.faults:
            effect = fault.effects.get(service)
            if effect is not None and effect.mode in modes and effect.onset <= number < fault.end:
                return effect
        return None

    def _transitions(self, number: int) -> list[AlertTransition]:
        rows: dict[Series, tuple[int, float, float]] = {}
        calls: dict[Series, tuple[int, float, float]] = {}
        for service, agents in self.made.agents.items():
            effect = self.effect(service, number)
            failed = total = 0
            for agent in agents:
                hit = effect if effect is not None and agent in effect.agents else None
                if hit is None or hit.mode != "silent":
                    some, all_ = self._agent(rows, service, agent, hit, number)
                    failed, total = failed + some, total + all_
            self._count(calls, "traces.span.metrics.calls", service, "", total - failed, code="UNSET")
            self._count(calls, "traces.span.metrics.calls", service, "", failed, code="ERROR")
        made = self._operator.apply(_batch(number, rows, "agents.metrics"))
        made += self._operator.apply(_batch(number, calls, "agents.red"))
        made += self._operator.advance(EPOCH_NS + (number + 1) * WINDOW_NS)
        self.rng.shuffle(made)  # partitions know no order among each other
        return sorted(made, key=lambda t: t.at_ns)

    def _agent(
        self, rows: dict[Series, tuple[int, float, float]], service: str, agent: str, hit: Effect | None, number: int
    ) -> tuple[int, int]:
        total = int(self._noise.poisson(self._busy[agent]))
        ratio = hit.strength if hit is not None and hit.mode == "failing" else 0.01
        failed = int(self._noise.binomial(total, ratio))
        self._count(rows, "agents.steps", service, agent, total - failed, outcome="success")
        self._count(rows, "agents.steps", service, agent, failed, outcome="failure")
        factor = hit.strength if hit is not None and hit.mode == "slow" else 1.0
        seconds = 0.06 * factor * float(self._noise.lognormal(0, 0.1))
        rows[self._of("agents.inference.duration", service, agent, "histogram")] = (total, seconds * total, seconds)
        rows[self._of("agents.heartbeat", service, agent, "gauge")] = (2, 2.0, 1.0)
        leaks = self._found(service, number, ("memory",))
        memory = 36_500_000.0 if leaks is not None and agent in leaks.agents else 20_000_000.0
        rows[self._of("agents.memory", service, agent, "gauge")] = (2, 2 * memory, memory)
        if service in self._front:
            late = factor if hit is not None else 1.0
            self._count(rows, "agents.coordination.requests", service, agent, total - failed, outcome="success")
            self._count(rows, "agents.coordination.requests", service, agent, failed, outcome="timeout")
            row = (total, 0.5 * late * total, 0.5 * late)
            rows[self._of("agents.coordination.duration", service, agent, "histogram")] = row
        self._attacks(rows, service, agent, number)
        return failed, total

    def _attacks(self, rows: dict[Series, tuple[int, float, float]], service: str, agent: str, number: int) -> None:
        attack = self._found(service, number, ("attacked",))
        if attack is not None and agent in attack.agents:
            self._count(rows, "agents.auth.attempts", service, agent, 50, outcome="failure")
            if self.rng.random() < 0.2:
                self._count(rows, "agents.security.events", service, agent, 1, severity="high")
            if self.rng.random() < 0.2:
                self._count(rows, "agents.access.violations", service, agent, 1, violation_type="denied")

    def _count(
        self, rows: dict[Series, tuple[int, float, float]], name: str, service: str, agent: str, count: int, **of: str
    ) -> None:
        if count:
            rows[self._of(name, service, agent, "counter", **of)] = (count, float(count), 1.0)

    def _of(self, name: str, service: str, agent: str, kind: str, **of: str) -> Series:
        key = (name, service, agent, *of.values())
        if key not in self._series:
            labels = {"service.name": service, "environment": "prod", "agent.id": agent, **of}
            if "code" in of:
                labels |= {"status.code": f"STATUS_CODE_{of['code']}", "span.kind": "SPAN_KIND_SERVER"}
            pairs = tuple(sorted((label, value) for label, value in labels.items() if value and label != "code"))
            self._series[key] = Series(name, "1", kind, pairs)
        return self._series[key]

    def _edges(self, number: int) -> Iterator[Edge]:
        """Calls to and from who is cut off are not seen: tracing needs both sides."""
        at_ns = EPOCH_NS + (number + 1) * WINDOW_NS - 10**9
        for (client, server), sampled in self.made.seen.items():
            count = int(self._noise.poisson(self.made.calls[client, server] * sampled))
            ratio, factor = self._calls_to(server, number)
            here = self.effect(client, number)
            silent = here is not None and here.mode == "silent" and len(here.agents) == len(self.made.agents[client])
            if count == 0 or ratio < 0 or silent:
                continue
            failed = int(self._noise.binomial(count, ratio))
            seconds = float(self._noise.gamma(count, 0.1 * factor))  # each call's time is exponential
            yield Edge(client, server, CONNECTION_UNSET, count, failed, seconds, seconds, at_ns, at_ns)

    def _calls_to(self, server: str, number: int) -> tuple[float, float]:
        """Share of failures (below 0: nothing is seen) and factor of slowness."""
        if server in self.made.agents:
            effect = self.effect(server, number)
            if effect is None:
                return 0.01, 1.0
            share = len(effect.agents) / len(self.made.agents[server])
            if effect.mode == "silent":
                return (-1.0, 1.0) if share == 1 else (0.01, 1.0)
            if effect.mode == "slow":
                return 0.01, 1 + (effect.strength - 1) * share
            return max(0.01, effect.strength * share), 1.0
        for fault in self.faults:
            if fault.dependency == server and fault.onset <= number < fault.end:
                return (0.01, fault.strength) if fault.mode == "slow" else (fault.strength, 1.0)
        return 0.01, 1.0


def _batch(number: int, rows: dict[Series, tuple[int, float, float]], topic: str) -> WindowBatch:
    """One closed window. A row is count, sum, and the value that all of its events had."""
    ordered = sorted(rows, key=lambda series: series.id)
    count = np.array([rows[s][0] for s in ordered], np.int64)
    value = np.array([rows[s][2] for s in ordered])
    bucket = [math.ceil(math.log(v / SMALLEST) / LOG_GAMMA) for v in value.tolist()]
    start_ns = EPOCH_NS + number * WINDOW_NS
    return WindowBatch(
        topic=topic,
        partition=0,
        start_ns=start_ns,
        end_ns=start_ns + WINDOW_NS,
        series=ordered,
        count=count,
        sum=np.array([rows[s][1] for s in ordered]),
        sum_low=np.zeros(len(ordered)),
        minimum=value,
        maximum=value,
        sum_squares=value * value * count,
        quantiles=np.repeat(value[:, None], 3, axis=1),
        sketch_start=np.arange(len(ordered) + 1, dtype=np.int32),
        sketch_bucket=np.array(bucket, np.int32),
        sketch_weight=count,
    )


Truth = Callable[[AlertTransition], str]


def truth_of(faults: Sequence[Fault]) -> Truth:
    """Which fault an alert is of: by its service, and by whether it speaks of security."""

    def truth(transition: AlertTransition) -> str:
        security = transition.alertname in ("AuthFailuresHigh", "SecurityAnomaly", "AccessViolation")
        service = transition.identity.get("service.name", "")
        for fault in faults:
            if service in fault.effects and (fault.mode == "attacked") == security:
                return fault.name
        return f"nobody's at {service}"

    return truth
