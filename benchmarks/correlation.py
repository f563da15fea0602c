"""Are alerts folded into the right incidents: ``python -m benchmarks.correlation --seeds 0:200 --json``.

Each seed is a system of 10 to 200 agents (the simulator's cells, or a random call graph nobody has seen), one of eight
scenarios in turn, and trouble beside it that has nothing to do with it. The alerts are those of the real rules
(``monitoring/thresholds.yml``) over simulated windows, so that the order in which they fire is that of their windows
and waits, not that of the trouble. ``--unseen`` of the calls are never traced, the rest is sampled and comes up to 30 s
late.
Known simplifications: no anomalies of detectors; faults that act at once are not neighbours (a service that calls both
would fail for both reasons, and no answer would be right).

``pairwise_f1`` is the mean over runs of F1 over pairs of alerts; ``cause_top1`` and ``cause_top3`` are over faults;
``unrelated_joined`` is the share of runs in which at least one alert is in an incident of another fault;
``notifications_reduced_ratio`` is 1 - notifications / alerts over the faults of all cascades; an alert that is not
folded within 30 s (``group_wait``) counts as notified, and so does an incident that later merges.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks.outbreak.fault import SCENARIOS
from benchmarks.outbreak.run import Outcome, run
from streams.correlate.rules import load_rules

THRESHOLDS = Path(__file__).parents[1] / "monitoring" / "thresholds.yml"


def figures(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """The numbers of the JSON line."""
    ranks = [rank for outcome in outcomes for rank in outcome.ranks]
    alerts, told = sum(o.alerts for o in outcomes), sum(o.told for o in outcomes)
    return {
        "pairwise_f1": round(sum(o.f1 for o in outcomes) / len(outcomes), 4),
        "cause_top1": round(sum(rank == 0 for rank in ranks) / max(1, len(ranks)), 4),
        "cause_top3": round(sum(rank < 3 for rank in ranks) / max(1, len(ranks)), 4),
        "unrelated_joined": round(sum(o.joined > 0 for o in outcomes) / len(outcomes), 4),
        "notifications_reduced_ratio": round(1 - told / max(1, alerts), 4),
        "runs": len(outcomes),
    }


def summary(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """All runs; notifications over cascades only."""
    cascades = [outcome for outcome in outcomes if outcome.scenario == "cascade"]
    reduced = figures(cascades)["notifications_reduced_ratio"] if cascades else 0.0
    return {**figures(outcomes), "notifications_reduced_ratio": reduced}


def main(arguments: Sequence[str]) -> int:
    """Runs the seeds and prints."""
    parser = argparse.ArgumentParser(prog="benchmarks.correlation", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="0:200", help="first:end")
    parser.add_argument("--json", action="store_true", help="the last line is JSON")
    parser.add_argument("--misses", action="store_true", help="name the runs that were not right")
    parser.add_argument("--unseen", type=float, default=0.02, help="share of calls that tracing never reports")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args(arguments)
    first, end = (int(part) for part in options.seeds.split(":"))
    rules = load_rules(THRESHOLDS.read_text(encoding="utf-8"))
    with ProcessPoolExecutor(options.processes) as pool:
        outcomes = list(
            pool.map(partial(run, rules=rules, unseen_ratio=options.unseen), range(first, end), chunksize=4)
        )
    names = ("pairwise_f1", "cause_top1", "cause_top3", "unrelated_joined", "notifications_reduced_ratio")
    print(f"{'scenario':15} {'runs':>5} {'alerts':>7} " + " ".join(f"{name[-16:]:>16}" for name in names))
    for scenario in SCENARIOS:
        mine = [outcome for outcome in outcomes if outcome.scenario == scenario]
        if mine:
            found = figures(mine)
            alerts = sum(outcome.alerts for outcome in mine)
            print(f"{scenario:15} {len(mine):5} {alerts:7} " + " ".join(f"{found[name]:16.4f}" for name in names))
    for outcome in outcomes if options.misses else ():
        if outcome.f1 < 0.95 or outcome.joined or any(outcome.ranks):
            print(outcome, round(outcome.f1, 3))
    if options.json:
        print(json.dumps(summary(outcomes)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
