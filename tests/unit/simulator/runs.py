"""Runs of the simulator, read back with plain Python."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson

from agents_emitter import events
from agents_emitter.simulator import Emission, GroundTruth, Simulation, ground_truth, simulate
from agents_emitter.simulator.reading import samples

START_NS = 1_700_000_000_000_000_000
"""A Tuesday, 22:13 UTC."""
SECOND_NS = 1_000_000_000

Labels = dict[str, str]


@dataclass
class Sample:
    """One sample with the labels of its series and its resource."""

    agent: str
    resource: Labels
    name: str
    labels: Labels
    time_ns: int
    value: float


@dataclass
class Reading:
    """Everything of a run."""

    truth: GroundTruth
    simulation: Simulation
    emissions: list[Emission] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    spans: list[tuple[Labels, dict[str, Any]]] = field(default_factory=list)
    logs: list[tuple[Labels, dict[str, Any]]] = field(default_factory=list)

    @property
    def traces(self) -> dict[str, list[tuple[Labels, dict[str, Any]]]]:
        """Spans by trace id."""
        found: dict[str, list[tuple[Labels, dict[str, Any]]]] = defaultdict(list)
        for resource, span in self.spans:
            found[span["traceId"]].append((resource, span))
        return found

    def select(self, name: str, **labels: str) -> list[Sample]:
        """Samples of a metric whose own labels include these (dots as double underscores)."""
        wanted = {key.replace("__", "."): value for key, value in labels.items()}
        return [s for s in self.samples if s.name == name and wanted.items() <= s.labels.items()]

    def inside(self, found: list[Sample]) -> list[Sample]:
        """Those during the (only) fault."""
        fault = self.truth.faults[0]
        return [s for s in found if fault.start_ns <= s.time_ns < fault.end_ns]

    def outside(self, found: list[Sample]) -> list[Sample]:
        """Those before and after the fault."""
        fault = self.truth.faults[0]
        return [s for s in found if not fault.start_ns <= s.time_ns < fault.end_ns]


def read(scenario: str, **how: Any) -> Reading:
    """Runs and reads a scenario; by default seed 3, ten minutes, twelve agents."""
    settings = {"seed": 3, "start_ns": START_NS, "duration_seconds": 600.0, **how}
    found = Reading(ground_truth(scenario, **settings), simulate(scenario, **settings))
    for emission in found.simulation:
        found.emissions.append(emission)
        _take(found, emission)
    return found


@lru_cache(maxsize=16)
def shared(scenario: str) -> Reading:
    """The default run of a scenario, read once for all tests (they do not change it); a short one of the load."""
    return read(scenario, duration_seconds=20.0) if scenario == "burst_free" else read(scenario)


def _take(found: Reading, emission: Emission) -> None:
    if emission.topic == events.METRICS_TOPIC:
        for resource, series, time_ns, value in samples(emission.value):
            agent = resource["gen_ai.agent.id"]
            found.samples.append(Sample(agent, resource, series["name"], series.get("labels", {}), time_ns, value))
        return
    body = orjson.loads(emission.value)
    if emission.topic == events.SPANS_TOPIC:
        found.spans.extend((body["resource"], span) for span in body["spans"])
    else:
        found.logs.extend((body["resource"], log) for log in body["logs"])


def count(found: list[Sample], label: str) -> Counter[str]:
    """Sum of values by one label."""
    sums: Counter[str] = Counter()
    for sample in found:
        sums[sample.labels.get(label, "")] += int(sample.value)
    return sums
