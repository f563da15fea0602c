"""Seeded scenarios of a multi-agent system with known ground truth: same seed, same bytes.

A pure generator (:func:`simulate`) and a thin shell that sends its records in time (:func:`pace`)::

    for emission in simulate("cascade", seed=1, start_ns=0, duration_seconds=60):
        producer.send(emission.topic, key=emission.key, value=emission.value)

``python -m agents_emitter.simulator --help`` sends a scenario to a broker.
"""

from __future__ import annotations

from agents_emitter.simulator.emission import Emission
from agents_emitter.simulator.pacing import follow, pace
from agents_emitter.simulator.simulation import SCENARIOS, Simulation, ground_truth, recount, simulate
from agents_emitter.simulator.truth import Calls, Fault, GroundTruth

__all__ = [
    "Calls",
    "Emission",
    "Fault",
    "GroundTruth",
    "SCENARIOS",
    "Simulation",
    "follow",
    "ground_truth",
    "pace",
    "recount",
    "simulate",
]
