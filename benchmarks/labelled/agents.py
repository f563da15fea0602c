"""Seven normal days of agents with several features: how often is one called strange for the company of the others?"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
from scipy.signal import lfilter

from benchmarks.labelled.week import NORMAL, WINDOW_NS, WINDOWS, _day, _episodes
from streams.detect.joint import Joint, Seen
from streams.detect.operator import DEFAULT_THRESHOLD, DEFAULT_WARMUP_WINDOWS
from streams.domain.selector import Selector
from streams.domain.series import Series
from streams.domain.vector import Feature, Vector

START_NS: Final = 1_700_000_000 * 10**9
F64 = np.ndarray


def of_load(load: F64, rng: np.random.Generator) -> F64:
    """float64[windows, 5] at a load in [0, 1]: requests, latency, cpu, tokens, queue."""
    noise = rng.normal(0, 1, (len(load), 5))
    return np.stack(
        (
            100 * load * (1 + 0.03 * noise[:, 0]) + 5,
            0.2 * (1 + 2 * load) * (1 + 0.04 * noise[:, 1]),
            10 + 70 * load + 2 * noise[:, 2],
            4_000 * load * (1 + 0.05 * noise[:, 3]) + 300,
            30 * load**2 + 2 + 0.7 * noise[:, 4],
        ),
        axis=1,
    )


def _wander(rng: np.random.Generator, kept: float, step: float) -> F64:
    return np.asarray(lfilter([1], [1, -kept], rng.normal(0, step, WINDOWS)))


def _mean_of(counts: F64, median: float, spread: float, rng: np.random.Generator) -> F64:
    """Means of so many skewed durations; NaN where there are none."""
    mean = median * np.exp(spread**2 / 2)
    variance = mean**2 * (np.exp(spread**2) - 1)
    made = rng.gamma(np.maximum(counts, 1) * mean**2 / variance, variance / mean) / np.maximum(counts, 1)
    return np.asarray(np.where(counts > 0, made, np.nan))


def _following(rng: np.random.Generator) -> F64:
    """All features follow the load, not all of them in a straight line."""
    return of_load(np.clip(0.65 * _day(rng) + _wander(rng, 0.99, 0.005), 0.02, 1), rng)


def _working(rng: np.random.Generator) -> F64:
    """Tasks one by one, 2 to 100 in a window: steps, inference, model, tokens, cpu, memory."""
    usual = 10 ** rng.uniform(0.3, 2)
    tasks = rng.poisson(usual * _day(rng) * np.exp(_wander(rng, 0.98, 0.03)))
    tokens = np.nan_to_num(_mean_of(tasks, 700, 0.5, rng)) * tasks / 10
    cpu = np.clip(0.1 + 0.06 * tasks / usual + _wander(rng, 0.8, 0.01), 0.005, 1)
    memory = 2e7 + _wander(rng, 0.9, 1.2e5)
    durations = [_mean_of(tasks, median, spread, rng) for median, spread in ((0.022, 0.4), (0.15, 0.3))]
    return np.stack((tasks / 10, *durations, tokens, cpu, memory), axis=1)


def _apart(rng: np.random.Generator) -> F64:
    """Nothing to do with each other: one series of each kind of ``benchmarks.anomaly --week``."""
    return np.stack([make(rng) for make in NORMAL.values()], axis=1)


def _heavy(rng: np.random.Generator) -> F64:
    """Heavy tails that share a day."""
    day = _day(rng)
    return np.stack([rng.lognormal(0, 0.6, WINDOWS) * day for _ in range(4)], axis=1)


AGENTS: Final[dict[str, Callable[[np.random.Generator], F64]]] = {
    "following": _following,
    "working": _working,
    "apart": _apart,
    "heavy": _heavy,
}


def judged(agents: Sequence[F64]) -> tuple[list[list[int]], Counter[str]]:
    """Windows in which each agent had an anomaly, by the detector that ships, and fates.

    Args:
        agents: of each float64[windows, features]; NaN where a feature was not reported.
    """
    vectors = np.stack(agents, axis=1)
    there, numbers = np.isfinite(vectors), np.nan_to_num(vectors)
    features = tuple(Feature(f"f{k}", Selector(f"f{k}"), "mean") for k in range(numbers.shape[2]))
    vector = Vector("agent", features, ("agent.id",))
    joint = Joint(vector, threshold=DEFAULT_THRESHOLD, warmup_windows=DEFAULT_WARMUP_WINDOWS, max_groups=len(agents))
    groups = [Series("agent", "1", "gauge", (("agent.id", str(number)),)) for number in range(len(agents))]
    passed: list[list[int]] = [[] for _ in agents]
    fates: Counter[str] = Counter()
    for at in range(len(numbers)):
        start_ns = START_NS + at * WINDOW_NS
        seen = Seen(groups, numbers[at], there[at], ["1"] * len(features), start_ns, start_ns + WINDOW_NS, True)
        found = joint.apply(seen)
        fates.update(scored=found.scored, warming_up=found.warming_up, incomplete=found.incomplete)
        for anomaly in found.anomalies:
            passed[int(anomaly.series.label("agent.id"))].append(at)
    return passed, fates


def false_alarms(agents: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Anomalies, and findings that 3 of 5 windows confirm, per agent and week, by kind of agent.

    Args:
        agents: of each kind.
    """
    for place, (kind, make) in enumerate(AGENTS.items()):
        made = [make(np.random.default_rng([9, place, number])) for number in range(agents)]
        begun = time.process_time()
        passed, fates = judged(made)
        seconds = time.process_time() - begun
        alarms = [_episodes(windows) for windows in passed]
        row = {
            "vectors": agents * WINDOWS,
            **fates,
            "anomalies_per_agent_week": round(sum(map(len, passed)) / agents, 3),
            "alarms_per_agent_week": round(sum(alarms) / agents, 4),
            "alarms_worst_agent": max(alarms),
            "vectors_per_cpu_second": round(agents * WINDOWS / seconds),
        }
        yield kind, row
