"""How often a gate is wrong: ``python -m benchmarks.gates --json``.

Seeded pairs of versions beside each other, as panes of log-normal durations with what real traffic has: load that
swings over time, shifts that hit both versions at once, panes that are slow as a whole, a canary's share that grows.
Equal pairs must not fail (false fail at most 1 %), a candidate whose durations are 20 % longer must (at least 95 %).
"""

from __future__ import annotations

import argparse
import json
import math

import numpy as np

from streams.domain.selector import Selector
from streams.domain.sketch import LOG_GAMMA, SMALLEST
from streams.gate.profile import Comparison, Profile, Source
from streams.gate.samples import Pane
from streams.gate.verdict import Evidence, judge

PANE_NS = 10_000_000_000
P95 = Comparison(
    "p95", Source("p95", (Selector("latency"),)), "s", "lower", 0.1, 0.01, 30, 200, "concurrent", 7200, True
)
MEAN = Comparison(
    "mean", Source("mean", (Selector("latency"),)), "s", "lower", 0.1, 0.01, 30, 200, "concurrent", 7200, True
)
ERRORS = Comparison(
    "errors",
    Source("ratio", (Selector("bad"),), (Selector("all"),)),
    "ratio",
    "lower",
    0.02,
    0.01,
    30,
    200,
    "concurrent",
    7200,
    True,
)
PROFILE = Profile("benchmark", 120, (), (P95, MEAN, ERRORS))


def pane(values: np.ndarray, errors: float, rng: np.random.Generator) -> tuple[Pane, Pane]:
    """Durations as a pane, and the same requests as a pane of an error ratio."""
    buckets, weights = np.unique(np.ceil(np.log(values / SMALLEST) / LOG_GAMMA).astype(int), return_counts=True)
    sketch = dict(zip(buckets.tolist(), weights.tolist(), strict=True))
    durations = Pane(len(values), float(values.sum()), float(values.max()), 0.0, sketch)
    return durations, Pane(1, float(rng.binomial(len(values), errors)), 0.0, float(len(values)))


def pair(seed: int, slower: float, more_errors: float, panes: int, rate: float) -> dict[str, Evidence]:
    """One comparison's evidence."""
    rng = np.random.default_rng(seed)
    sides: list[dict[int, tuple[Pane, Pane]]] = [{}, {}]
    shift_at, shift = rng.integers(panes), float(rng.choice([1.0, 1.0, 1.6, 2.5]))
    sigma, first, last = rng.uniform(0.3, 0.9), rng.uniform(0.05, 0.5), rng.uniform(0.2, 0.5)
    for i in range(panes):
        common = math.exp(0.3 * math.sin(2 * math.pi * i / panes) + rng.normal(0, 0.1)) * (
            shift if i >= shift_at else 1
        )
        share = first + (last - first) * i / panes
        count = rng.poisson(rate * (1 + 0.5 * math.sin(2 * math.pi * i / panes)))
        trouble = 0.01 * (3 if i >= shift_at and shift > 1 else 1)
        for side, factor, part in ((0, 1.0, 1 - share), (1, slower, share)):
            n = rng.binomial(count, part)
            own = math.exp(rng.normal(0, 0.05))  # a neighbour, a garbage collection: this version in this pane only
            if n:
                values = 0.2 * common * own * factor * rng.lognormal(0, sigma, n)
                sides[side][i * PANE_NS] = pane(values, trouble + (more_errors if side else 0), rng)
    return {
        name: Evidence({t: p[k] for t, p in sides[1].items()}, {t: p[k] for t, p in sides[0].items()}, {})
        for name, k in (("p95", 0), ("mean", 0), ("errors", 1))
    }


def shares(seeds: range, slower: float, more_errors: float, panes: int, rate: float) -> dict[str, float]:
    """Share of seeds with each verdict."""
    found = {"pass": 0, "fail": 0, "inconclusive": 0}
    end_ns = panes * PANE_NS
    for seed in seeds:
        found[judge(PROFILE, pair(seed, slower, more_errors, panes, rate), end_ns, end_ns, 10).status] += 1
    return {status: round(n / len(seeds), 4) for status, n in found.items()}


def main() -> None:
    """Prints a table, or with ``--json`` one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--panes", type=int, default=180, help="10 s each")
    parser.add_argument("--rate", type=float, default=200, help="requests of both versions in a pane")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    seeds = range(args.seeds)
    figures = {
        "equal": shares(seeds, 1.0, 0.0, args.panes, args.rate),
        "slower_20_percent": shares(seeds, 1.2, 0.0, args.panes, args.rate),
        "errors_5_points": shares(seeds, 1.0, 0.05, args.panes, args.rate),
        "faster_20_percent": shares(seeds, 0.8, 0.0, args.panes, args.rate),
    }
    line = {
        "seeds": args.seeds,
        "panes": args.panes,
        "rate": args.rate,
        "false_fail_ratio": figures["equal"]["fail"],
        "regression_found_ratio": figures["slower_20_percent"]["fail"],
        **figures,
    }
    if args.json:
        print(json.dumps(line))
        return
    for name, verdicts in figures.items():
        print(f"{name:20s}", "  ".join(f"{status} {share:.1%}" for status, share in verdicts.items()))


if __name__ == "__main__":
    main()
