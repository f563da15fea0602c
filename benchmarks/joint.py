"""Is a detector of several features at once worth it: ``python -m benchmarks.joint --json``.

An agent's five features follow its load, as they do when all is well. A joint fault is thirty windows in which one of
them takes values it often has, at a load at which it never has them. The detector that ships judges each feature alone;
so does, beside it, what the pipeline does with vectors (:mod:`streams.detect.joint`). River's HalfSpaceTrees and an
exponentially weighted Mahalanobis distance judge the vector behind the same gate, each with the threshold that is best
for it on this very corpus. A fault is found in its first ten windows; every other window that passes, and is not one of
the twenty after it, is a false alarm.
``--week AGENTS`` counts false alarms of the vectors on that many healthy agents of each kind over seven days of 10 s
windows instead.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from river import anomaly

from benchmarks.labelled.agents import false_alarms, judged, of_load
from streams.detect.bank import NoveltyBank
from streams.detect.operator import DEFAULT_THRESHOLD, DEFAULT_WARMUP_WINDOWS
from streams.detect.peak import RecentPeak
from streams.detect.watch import GATE_WINDOWS

LENGTH: Final = 3_000
START: Final = 2_000
FAULT_WINDOWS: Final = 30
WITHIN: Final = 10
AFTER: Final = 20
FORGET: Final = 0.999
FEATURES: Final = ("requests", "latency", "cpu", "tokens", "queue")
FAULTS: Final[dict[str, tuple[int, float, float]]] = {
    "slow though idle": (1, 0.1, 0.9),
    "busy without work": (2, 0.1, 0.9),
    "work without tokens": (3, 0.9, 0.1),
    "queue though idle": (4, 0.15, 0.8),
}
"""Which feature takes at which load (share of its range) the values of which other load."""

Vectors = np.ndarray
Judge = Callable[[Sequence[Vectors]], list[np.ndarray]]


class Run(NamedTuple):
    """One agent; the fault is ``vectors[start : start + FAULT_WINDOWS]``."""

    fault: str
    vectors: Vectors
    start: int


def run(fault: str, seed: int) -> Run:
    """A load that swings with a period of an hour; the fault comes after :data:`START`, when the load suits it."""
    rng = np.random.default_rng([seed, *fault.encode()])
    at = np.arange(LENGTH)
    wander = np.convolve(rng.normal(0, 0.05, LENGTH + 50), np.ones(51) / 7, mode="valid")
    load = np.clip(0.5 + 0.45 * np.sin(2 * np.pi * (at / 360 + rng.random())) + wander, 0, 1)
    feature, here, there = FAULTS[fault]
    start = START + int(np.argmin(np.abs(load[START : LENGTH - 400] - here)))
    vectors = of_load(load, rng)
    span = slice(start, start + FAULT_WINDOWS)
    vectors[span, feature] = of_load(np.full(FAULT_WINDOWS, there), rng)[:, feature]
    return Run(fault, vectors, start)


def alone(vectors: Vectors) -> np.ndarray:
    """Ours, each feature by itself: the highest score of each window."""
    return np.max([_novelty(column) for column in vectors.T], axis=0)


def _novelty(values: np.ndarray) -> np.ndarray:
    seconds = np.arange(len(values)) * 10.0 % 86_400
    said = NoveltyBank(DEFAULT_WARMUP_WINDOWS).follow(np.ascontiguousarray(values), seconds, np.isfinite(values))
    return np.asarray(said["score"])


def ships(vectors: Sequence[Vectors]) -> list[np.ndarray]:
    """Ours, on what the others do not tell of each feature: 1 where an anomaly goes out."""
    passed, _ = judged(vectors)
    return [np.isin(np.arange(LENGTH), windows).astype(float) for windows in passed]


def each(judge: Callable[[Vectors], np.ndarray]) -> Judge:
    """One agent after the other."""
    return lambda vectors: [judge(one) for one in vectors]


def mahalanobis(vectors: Vectors) -> np.ndarray:
    """Distance from an exponentially weighted mean, in its covariance."""
    scale = np.abs(vectors[:60]).mean(axis=0)
    mean, covariance, scores = np.zeros(vectors.shape[1]), np.eye(vectors.shape[1]), []
    for at, vector in enumerate(vectors / scale):
        away = vector - mean
        scores.append(float(away @ np.linalg.solve(covariance + 1e-9 * np.eye(len(away)), away)) ** 0.5)
        weight = max(1 / (at + 1), 1 - FORGET)
        mean = mean + weight * away
        covariance = (1 - weight) * (covariance + weight * np.outer(away, away))
    return _gated(scores)


def trees(vectors: Vectors) -> np.ndarray:
    """River's HalfSpaceTrees, told the range of each feature in the warm-up."""
    warm = vectors[:DEFAULT_WARMUP_WINDOWS]
    limits = {
        name: (float(low), float(high)) for name, low, high in zip(FEATURES, warm.min(0), warm.max(0), strict=True)
    }
    model, scores = anomaly.HalfSpaceTrees(n_trees=25, height=8, window_size=250, limits=limits, seed=1), []
    for vector in vectors.tolist():
        x = dict(zip(FEATURES, vector, strict=True))
        scores.append(model.score_one(x))
        model.learn_one(x)
    return _gated(scores)


def _gated(scores: list[float]) -> np.ndarray:
    peak, passed = RecentPeak(GATE_WINDOWS), []
    for at, score in enumerate(scores):
        passed.append(score if at >= DEFAULT_WARMUP_WINDOWS and score > peak.maximum else 0.0)
        peak.push(score)
    return np.array(passed)


DETECTORS: Final[dict[str, tuple[Judge, float | None]]] = {
    "each feature alone (ships)": (each(alone), DEFAULT_THRESHOLD),
    "each feature less what the others tell (ships)": (ships, DEFAULT_THRESHOLD),
    "Mahalanobis, gate": (each(mahalanobis), None),
    "HalfSpaceTrees 25x8, gate": (each(trees), None),
}


def figures(runs: list[Run], scores: list[np.ndarray], threshold: float) -> dict[str, Any]:
    """Recall by fault, and false alarms."""
    found: dict[str, list[bool]] = {}
    false = 0
    for one, scored in zip(runs, scores, strict=True):
        passed = scored >= threshold
        found.setdefault(one.fault, []).append(bool(passed[one.start : one.start + WITHIN].any()))
        passed[one.start : one.start + FAULT_WINDOWS + AFTER] = False
        false += int(passed.sum())
    recall = float(np.mean([hit for hits in found.values() for hit in hits]))
    return {
        "threshold": round(threshold, 4),
        "found_ratio": round(recall, 3),
        "false_per_10000": round(false / (len(runs) * (LENGTH - DEFAULT_WARMUP_WINDOWS)) * 10_000, 2),
        "by_fault": {name: round(float(np.mean(hits)), 2) for name, hits in found.items()},
    }


def best(runs: list[Run], scores: list[np.ndarray]) -> float:
    """The threshold with the most found, a false alarm in 10,000 windows counted as a twentieth of all faults."""
    every = np.concatenate(scores)
    candidates = np.unique(np.quantile(every[every > 0], 1 - np.geomspace(1e-3, 0.5, 30)))
    judged = [(figures(runs, scores, float(threshold)), float(threshold)) for threshold in candidates]
    return max(judged, key=lambda pair: pair[0]["found_ratio"] - 0.05 * pair[0]["false_per_10000"])[1]


def compare(seeds: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Figures of each detector on all faults."""
    runs = [run(fault, seed) for fault in FAULTS for seed in range(seeds)]
    for name, (judge, threshold) in DETECTORS.items():
        begun = time.process_time()
        scores = judge([one.vectors for one in runs])
        rate = round(len(runs) * LENGTH / (time.process_time() - begun))
        chosen = best(runs, scores) if threshold is None else threshold
        yield name, {**figures(runs, scores, chosen), "vectors_per_cpu_second": rate}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=6, help="agents with each fault")
    parser.add_argument("--week", type=int, metavar="AGENTS", help="count false alarms of a healthy week instead")
    parser.add_argument("--json", action="store_true", help="the last line is JSON")
    chosen = parser.parse_args()
    report: dict[str, Any] = {}
    for name, row in false_alarms(chosen.week) if chosen.week else compare(chosen.seeds):
        report[name] = row
        print(f"{name:<48}{row}", flush=True)
    if chosen.json:
        print(json.dumps(report))


if __name__ == "__main__":
    main()
