"""Is each kind of fault found at once: ``python -m benchmarks.faultkinds --seeds 0:200 --json``.

Each seed simulates a system with each fault of the simulator, after a quarter of an hour of health (the same for all
faults: it goes through the line once). The records go through the shipped rules and the default detector. A fault is
found by an anomaly of a series that it is known to move, or by an alert of a rule that it is expected to raise (pending
counts: a page waits longer on purpose), of one of the agents it affects, in one of the first three windows of 10 s in
which it acts. ``chance`` is how often the same was there in the three windows before: what is found without a fault.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Any, Final, NamedTuple

from agents_emitter.simulator import Emission, Fault, ground_truth, simulate
from benchmarks.line import Line
from streams.correlate.rule import Rule
from streams.correlate.rules import load_rules
from streams.domain.series import Series
from streams.window.operator import SECOND_NS

THRESHOLDS: Final = Path(__file__).parents[1] / "monitoring" / "thresholds.yml"
START_NS: Final = 1_700_000_000 * SECOND_NS
WINDOW_NS: Final = 10 * SECOND_NS
HEALTHY_SECONDS: Final = 900.0
SAME_SECONDS: Final = HEALTHY_SECONDS - 20
"""Until then nothing can have heard of a fault."""
FAULT_SECONDS: Final = 300.0
WARMUP_WINDOWS: Final = 60
WINDOWS: Final = 3
ENOUGH_SECONDS: Final = HEALTHY_SECONDS + (WINDOWS + 3) * 10
"""Simulated so far: the last window that counts has closed."""
KINDS: Final = (
    "slow_tool",
    "memory_leak",
    "model_outage",
    "cascade",
    "security_burst",
    "agent_silence",
    "bad_deployment",
)


class Outcome(NamedTuple):
    """One run: by what the fault was found (nothing: not), in which window, and whether something was there before."""

    kind: str
    seed: int
    by: tuple[str, ...]
    window: int
    chance: bool


def run(seed: int, rules: Sequence[Rule], kinds: Sequence[str]) -> list[Outcome]:
    """All kinds of one seed."""
    healthy = Line(rules, warmup_windows=WARMUP_WINDOWS)
    healthy.play(takewhile(lambda e: e.time_ns < _at(SAME_SECONDS), _records(kinds[0], seed)))
    return [_faulty(copy.deepcopy(healthy), kind, seed) for kind in kinds]


def _at(seconds: float) -> int:
    return START_NS + round(seconds * 1e9)


def _shape() -> dict[str, Any]:
    end = HEALTHY_SECONDS + FAULT_SECONDS
    return {"start_ns": START_NS, "duration_seconds": end, "fault_seconds": (HEALTHY_SECONDS, end)}


def _records(kind: str, seed: int) -> Iterator[Emission]:
    return simulate(kind, seed=seed, **_shape())


def _faulty(line: Line, kind: str, seed: int) -> Outcome:
    (fault,) = ground_truth(kind, seed=seed, **_shape()).faults
    later = dropwhile(lambda e: e.time_ns < _at(SAME_SECONDS), _records(kind, seed))
    line.play(takewhile(lambda e: e.time_ns < _at(ENOUGH_SECONDS), later))
    signs = sorted(_signs(line, fault))
    first_ns = fault.start_ns - fault.start_ns % WINDOW_NS
    after = [(at, by) for at, by in signs if first_ns < at <= first_ns + WINDOWS * WINDOW_NS]
    before = [at for at, _ in signs if first_ns - WINDOWS * WINDOW_NS < at <= first_ns]
    window = (after[0][0] - first_ns) // WINDOW_NS if after else 0
    return Outcome(kind, seed, tuple(sorted({by for _, by in after})), window, bool(before))


def _signs(line: Line, fault: Fault) -> Iterator[tuple[int, str]]:
    """(event time, what) of everything that points at the fault."""
    for anomaly in line.found:
        if any(_moves(metric, where, anomaly.series) for metric, where in fault.metrics):
            yield anomaly.end_ns, f"anomaly {anomaly.series.name}"
    expected = set(fault.expected_alerts) - {"MetricAnomaly"}  # its anomalies are counted as such
    for transition in line.made:
        who = transition.identity.get("agent.id")
        ours = (who is None or who in fault.affected) and transition.alertname in expected
        if ours and transition.state != "resolved":
            yield transition.at_ns, f"rule {transition.alertname}"


def _moves(metric: str, where: Any, series: Series) -> bool:
    return series.name == metric and all(series.label(label) == value for label, value in where.items())


def figures(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Of one kind, or of all."""
    found = [outcome for outcome in outcomes if outcome.by]
    by = Counter(one for outcome in found for one in outcome.by)
    return {
        "runs": len(outcomes),
        "found_ratio": round(len(found) / max(1, len(outcomes)), 4),
        "chance_ratio": round(sum(outcome.chance for outcome in outcomes) / max(1, len(outcomes)), 4),
        "windows_mean": round(sum(outcome.window for outcome in found) / max(1, len(found)), 2),
        "by": {name: round(count / max(1, len(outcomes)), 3) for name, count in by.most_common(5)},
    }


def main(arguments: Sequence[str]) -> int:
    """Runs the seeds and prints."""
    parser = argparse.ArgumentParser(prog="benchmarks.faultkinds", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="0:200", help="first:end")
    parser.add_argument("--kinds", default=",".join(KINDS), help="faults of the simulator")
    parser.add_argument("--json", action="store_true", help="the last line is JSON")
    parser.add_argument("--misses", action="store_true", help="name the runs that found nothing")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args(arguments)
    first, end = (int(part) for part in options.seeds.split(":"))
    kinds = options.kinds.split(",")
    rules = load_rules(THRESHOLDS.read_text(encoding="utf-8"))
    with ProcessPoolExecutor(options.processes) as pool:
        jobs = pool.map(partial(run, rules=rules, kinds=kinds), range(first, end))
        outcomes = [outcome for of_seed in jobs for outcome in of_seed]
    report = {kind: figures([o for o in outcomes if o.kind == kind]) for kind in kinds}
    for kind, row in report.items():
        print(f"{kind:<16}" + ", ".join(f"{name} {value}" for name, value in row.items()))
    if options.misses:
        print("\n".join(f"{o.kind} {o.seed}" for o in outcomes if not o.by))
    if options.json:
        print(json.dumps(report))
    return 0 if all(row["found_ratio"] >= 0.95 for row in report.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
