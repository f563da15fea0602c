"""What bands of the hour of the week are worth: ``python -m benchmarks.bands --json``.

Seeded series with a day, a weekend and noise of their own, four weeks of one-minute windows. Three weeks are learnt, in
the fourth each window is held against its band before it is learnt. Beside it a band of all hours (what a series has
while it is provisional). In each hour of the fourth week the value is a fault with a chance of one in fifty: half more,
or two fifths less.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streams.detect.week import Normal, Week

F64 = NDArray[np.float64]
MINUTE_NS: Final = 60 * 10**9
WEEK: Final = 7 * 1440
LEARNT: Final = 3 * WEEK
MINUTES: Final = 4 * WEEK


def _load(rng: np.random.Generator) -> F64:
    """A day's swing and a weekend."""
    at = np.arange(MINUTES)
    weekend = np.where(at // 1440 % 7 >= 5, rng.uniform(0.4, 0.9), 1.0)
    found: F64 = (1 + rng.uniform(0.3, 0.8) * np.sin(2 * np.pi * (at / 1440 + rng.random()))) * weekend
    return found


KINDS: Final[dict[str, Callable[[np.random.Generator], F64]]] = {
    "rates": lambda rng: rng.poisson(rng.uniform(50, 1000) * _load(rng)) / 60,
    "durations": lambda rng: rng.gamma(200, 0.001, MINUTES) * (0.6 + 0.4 * _load(rng)),
    "memory": lambda rng: 1e7 * (2 + _load(rng)) + rng.normal(0, 2e5, MINUTES),
    "without season": lambda rng: rng.normal(100, 5, MINUTES),
}


def judge(values: F64, faulty: NDArray[np.bool_]) -> dict[str, list[float]]:
    """Of one series' last week: which normal windows lie inside, which faults outside, how wide the bands are."""
    week = Week()
    found: dict[str, list[float]] = {f"{a}_{b}": [] for a in ("inside", "found", "width") for b in ("hour", "all")}
    for minute, value in enumerate(values.tolist()):
        at_ns = minute * MINUTE_NS
        if minute >= LEARNT:
            for name, normal in (("hour", week.normal(at_ns)), ("all", week.over_all())):
                assert normal is not None
                found[f"found_{name}" if faulty[minute] else f"inside_{name}"].append(
                    _holds(normal, value, faulty[minute])
                )
                found[f"width_{name}"].append(normal.reach / abs(normal.mean))
        week.learn(value, at_ns)
    return found


def _holds(normal: Normal, value: float, faulty: bool) -> bool:
    return (abs(value - normal.mean) > normal.reach) == faulty


def measure(series: int) -> dict[str, Any]:
    """The shares of all series of each kind."""
    report: dict[str, Any] = {}
    begun = time.process_time()
    for place, (kind, make) in enumerate(KINDS.items()):
        rows = []
        for number in range(series):
            rng = np.random.default_rng([place, number])
            values = make(rng)
            hours = np.repeat(rng.random(MINUTES // 60) < 0.02, 60) & (np.arange(MINUTES) >= LEARNT)
            values[hours] *= rng.choice((1.5, 0.6))
            rows.append(judge(values, hours))
        means = {name: [one for row in rows for one in row[name]] for name in rows[0]}
        report[kind] = {name: round(float(np.mean(all_)), 4) for name, all_ in means.items()}
    seconds = time.process_time() - begun
    return {"by_kind": report, "cpu_us_per_window": round(seconds / (MINUTES * series * len(KINDS)) * 1e6, 2)}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=10, help="of each kind")
    parser.add_argument("--json", action="store_true", help="the last line is JSON")
    chosen = parser.parse_args()
    report = measure(chosen.series)
    if chosen.json:
        print(json.dumps(report))
        return
    for kind, shares in report["by_kind"].items():
        print(f"{kind:<15}" + ", ".join(f"{name} {share}" for name, share in shares.items()))
    print(f"{report['cpu_us_per_window']} us of CPU per window")


if __name__ == "__main__":
    main()
