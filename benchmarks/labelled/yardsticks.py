"""Simple detectors, as anyone would write them with River: what ours is measured against."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from river import anomaly, stats

from streams.detect.peak import RecentPeak
from streams.detect.replay import WARMUP_VALUES

Judge = Callable[[np.ndarray], list[float]]
GATE_VALUES: Final = 120


def deviation(values: np.ndarray) -> list[float]:
    """River's StandardAbsoluteDeviation."""
    model = anomaly.StandardAbsoluteDeviation()

    def one(value: float) -> float:
        score = model.score_one(None, value)
        model.learn_one(None, value)
        return float(score)

    return _streamed(values, one)


def gaussian(values: np.ndarray) -> list[float]:
    """River's GaussianScorer over the last 500 values, as distance (its probability saturates at 1)."""
    window = stats.Mean(), stats.Var()
    ring: list[float] = []

    def one(value: float) -> float:
        mean, variance = window
        sigma = math.sqrt(max(variance.get(), 0.0))
        score = abs(value - mean.get()) / sigma if sigma > 0 else 0.0
        ring.append(value)
        mean.update(value)
        variance.update(value)
        if len(ring) > 500:
            oldest = ring.pop(0)
            mean.revert(oldest)
            variance.revert(oldest)
        return score

    return _streamed(values, one)


def ewma(values: np.ndarray) -> list[float]:
    """Distance from an exponentially weighted mean, in its deviations."""
    mean, variance = stats.EWMean(0.05), stats.EWVar(0.05)

    def one(value: float) -> float:
        sigma = math.sqrt(max(variance.get() or 0.0, 0.0))
        score = abs(value - (mean.get() or 0.0)) / sigma if sigma > 0 else 0.0
        mean.update(value)
        variance.update(value)
        return score

    return _streamed(values, one)


def gated(judge: Judge) -> Judge:
    """The same behind our gate: a score counts only if it beats the last 120."""

    def judged(values: np.ndarray) -> list[float]:
        peak, scores = RecentPeak(GATE_VALUES), []
        for score in judge(values):
            scores.append(score if score > peak.maximum else 0.0)
            peak.push(score)
        return scores

    return judged


def _streamed(values: np.ndarray, one: Callable[[float], float]) -> list[float]:
    scores = []
    for place, value in enumerate(values.tolist()):
        score = 0.0 if math.isnan(value) else one(value)
        scores.append(score if place >= WARMUP_VALUES else 0.0)
    return scores


YARDSTICKS: Final[dict[str, Judge]] = {
    "standard absolute deviation": deviation,
    "gaussian, 500 values": gaussian,
    "EWMA deviation": ewma,
    "standard absolute deviation + gate": gated(deviation),
    "gaussian, 500 values + gate": gated(gaussian),
    "EWMA deviation + gate": gated(ewma),
}
