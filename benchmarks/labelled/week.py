"""Seven normal days of the live configuration: how often does it cry wolf?"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from streams.detect.operator import DEFAULT_THRESHOLD, DEFAULT_WARMUP_WINDOWS
from streams.detect.registry import DEFAULT, make

WINDOW_NS: Final = 10_000_000_000
WINDOWS: Final = 7 * 8_640
K, N = 3, 5
"""Of the rule MetricAnomaly: what a person is told of."""


def _day(rng: np.random.Generator) -> np.ndarray:
    """Load over a week: a day's swing, a weekend, a phase of its own."""
    at = np.arange(WINDOWS)
    weekend = np.where(at // 8_640 % 7 >= 5, 0.7, 1.0)
    return np.asarray((1 + 0.4 * np.sin(2 * np.pi * (at / 8_640 + rng.random()))) * weekend)


NORMAL: Final[dict[str, Callable[[np.random.Generator], np.ndarray]]] = {
    "requests": lambda rng: rng.poisson(rng.uniform(5, 200) * _day(rng)) / 10,
    "durations": lambda rng: rng.gamma(20, 0.01, WINDOWS) * (0.7 + 0.3 * _day(rng)),
    "heavy durations": lambda rng: rng.lognormal(-2, 0.4, WINDOWS) * (0.7 + 0.3 * _day(rng)),
    "memory": lambda rng: 1e9 * (1 + 0.1 * _day(rng)) + np.cumsum(rng.normal(0, 1e5, WINDOWS)),
    "errors": lambda rng: rng.binomial(50, 0.01, WINDOWS) / 50,
}


def false_alarms(series: int) -> dict[str, Any]:
    """Anomalies and findings that 3 of 5 windows confirm, per series and week, by kind of series."""
    anomalies: Counter[str] = Counter()
    episodes: Counter[str] = Counter()
    worst, begun = 0, time.process_time()
    kinds = list(NORMAL)
    for number in range(series):
        kind = kinds[number % len(kinds)]
        passed = _passed(NORMAL[kind](np.random.default_rng([7, number])))
        anomalies[kind] += len(passed)
        confirmed = _episodes(passed)
        episodes[kind] += confirmed
        worst = max(worst, confirmed)
    seconds = time.process_time() - begun
    of_kind = {kind: len(range(place, series, len(kinds))) or 1 for place, kind in enumerate(kinds)}
    return {
        "series": series,
        "windows": series * WINDOWS,
        "anomalies_per_series_week": round(anomalies.total() / series, 3),
        "alarms_per_series_week": round(episodes.total() / series, 4),
        "alarms_worst_series": worst,
        "anomalies_by_kind": {kind: round(anomalies[kind] / of_kind[kind], 2) for kind in kinds},
        "series_windows_per_cpu_second": round(series * WINDOWS / seconds),
    }


def _passed(values: np.ndarray) -> list[int]:
    detector, passed = make(DEFAULT, DEFAULT_WARMUP_WINDOWS), []
    for place, value in enumerate(values.tolist()):
        if detector.score(value, place * WINDOW_NS).score >= DEFAULT_THRESHOLD:
            passed.append(place)
        detector.learn(value, place * WINDOW_NS)
    return passed


def _episodes(passed: list[int]) -> int:
    """How often at least K of N windows passed, counted once until N windows are quiet."""
    count, silent_until = 0, -1
    for i in range(K - 1, len(passed)):
        if passed[i] - passed[i - K + 1] < N:
            count += passed[i] > silent_until
            silent_until = passed[i] + N
    return count
