"""Slow growth found early: our drift beside River's change detectors: ``python -m benchmarks.drift --json``.

Seeded healthy series of 3,000 windows (noise, a value that wanders and is pulled back, a rhythm of six hours), then 60
windows of growth by so many usual steps a window. ``found``: said within the 60, ``lag``: windows until then (median);
``false``: findings that begin in the healthy part after its first 750 windows, per 10,000. River's detectors get values
in units of the spread of the first 250, which their thresholds are for.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from river import drift

from streams.detect.drift import TAIL, Drift

F64 = NDArray[np.float64]
HEALTHY: Final = 3_000
WARMUP: Final = 750
GROWTH: Final = 60
SCALE_WINDOWS: Final = 250


def _wanders(rng: np.random.Generator) -> F64:
    found, value = np.empty(HEALTHY), 0.0
    for place, shock in enumerate(rng.normal(0, 0.15, HEALTHY).tolist()):
        value += shock - 0.1 * value
        found[place] = 20 + value
    return found


KINDS: Final[dict[str, Callable[[np.random.Generator], F64]]] = {
    "noise": lambda rng: 20 + rng.normal(0, 0.5, HEALTHY),
    "wanders": _wanders,
    "rhythm": lambda rng: 20 + 5 * np.sin(np.arange(HEALTHY) / 344 + rng.random() * 6) + rng.normal(0, 0.2, HEALTHY),
}
STEPS: Final = (0.5, 1.0, 2.0, 4.0)
"""Growth a window, in standard deviations of the step between two windows."""


def ours(values: F64) -> Iterator[bool]:
    """Whether each window is part of a drift."""
    made = Drift()
    for value in values.tolist():
        yield made.judge(value, GROWTH)[0] <= TAIL
        made.learn(value)


def rivers(make: Callable[[], Any]) -> Callable[[F64], Iterator[bool]]:
    """One of River's detectors."""

    def judge(values: F64) -> Iterator[bool]:
        made, first = make(), values[:SCALE_WINDOWS]
        for value in ((values - first.mean()) / first.std()).tolist():
            made.update(value)
            yield made.drift_detected

    return judge


DETECTORS: Final[dict[str, Callable[[F64], Iterator[bool]]]] = {
    "ours": ours,
    "River PageHinkley": rivers(drift.PageHinkley),
    "River PageHinkley, threshold 20": rivers(lambda: drift.PageHinkley(delta=0.5, threshold=20)),
    "River ADWIN": rivers(drift.ADWIN),
}


def measure(seeds: int) -> dict[str, Any]:
    """The figures of every detector by kind and growth."""
    report: dict[str, Any] = {}
    for name, judge in DETECTORS.items():
        report[name] = {}
        for place, (kind, make) in enumerate(KINDS.items()):
            false, lags = 0, {step: [] for step in STEPS}  # type: dict[float, list[int]]
            for seed in range(seeds):
                healthy = make(np.random.default_rng([place, seed]))
                for step in STEPS:
                    growth = healthy[-1] + np.arange(1, GROWTH + 1) * step * float(np.diff(healthy).std())
                    told = np.array(list(judge(np.concatenate([healthy, growth]))))
                    lags[step] += (np.flatnonzero(told[HEALTHY:])[:1] + 1).tolist()
                false += int(np.count_nonzero(told[WARMUP + 1 : HEALTHY] & ~told[WARMUP : HEALTHY - 1]))
            row = {"false": round(false / seeds / (HEALTHY - WARMUP) * 10_000, 2)}
            for step in STEPS:
                row[f"found {step:g}"] = round(len(lags[step]) / seeds, 2)
                row[f"lag {step:g}"] = float(np.median(lags[step])) if lags[step] else None
            report[name][kind] = row
    return report


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=30, help="series of each kind")
    parser.add_argument("--json", action="store_true", help="the last line is JSON")
    chosen = parser.parse_args()
    report = measure(chosen.seeds)
    if chosen.json:
        print(json.dumps(report))
        return
    for name, kinds in report.items():
        for kind, row in kinds.items():
            print(f"{name:<33}{kind:<9}" + ", ".join(f"{figure} {value}" for figure, value in row.items()))


if __name__ == "__main__":
    main()
