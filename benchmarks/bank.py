"""How many series-windows the detector judges per second of CPU: ``python -m benchmarks.bank --json``.

Windows of ``--series`` series close one after the other, as batches, in the live operator with its shipped settings:
fates, scores, what was found and why, learning. The values are of five healthy kinds (``benchmarks/labelled/week.py``),
and the batches are made beforehand. Nothing is counted before the warm-up is over; the first round after it is called
young, the last old. ``--objects`` judges by objects in place of the bank. Bytes are all that the operator holds.
"""

from __future__ import annotations

import argparse
import json
import time
import tracemalloc
from typing import Any, Final

import numpy as np

from benchmarks.labelled.week import NORMAL, WINDOW_NS
from streams.detect import registry
from streams.detect.bank import ObjectBank
from streams.detect.operator import DEFAULT_WARMUP_WINDOWS, DetectOperator
from streams.detect.record import STATE
from streams.domain.series import Series
from streams.domain.window import WindowBatch

START_NS: Final = 1_700_000_000_000_000_000
ROUNDS: Final = 8


def batches(values: np.ndarray, first: int, series: tuple[Series, ...]) -> list[WindowBatch]:
    """One per row of values."""
    count = len(series)
    empty = (np.zeros(count + 1, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int64))
    made = []
    for place, row in enumerate(values, first):
        start = START_NS + place * WINDOW_NS
        figures = (np.ones(count, np.int64), row, np.zeros(count), row, row, row, np.stack((row, row, row), axis=1))
        made.append(WindowBatch("agents.metrics", 0, start, start + WINDOW_NS, series, *figures, *empty))
    return made


def judged_by(objects: bool) -> DetectOperator:
    """An operator with the shipped settings."""
    operator = DetectOperator()
    if objects:
        first, *rest = operator._roster.tiers
        bank = ObjectBank(lambda: registry.make(registry.DEFAULT, DEFAULT_WARMUP_WINDOWS))
        operator._roster.tiers = (first._replace(bank=bank), *rest)
    return operator


def measure(series: int, windows: int, *, objects: bool) -> dict[str, Any]:
    """All rounds, of ``windows`` windows each after the warm-up."""
    kinds = list(NORMAL.values())
    values = np.stack([kinds[n % len(kinds)](np.random.default_rng([11, n])) for n in range(series)], axis=1)
    names = tuple(Series("agents.memory", "By", "gauge", (("agent.id", f"a{n}"),)) for n in range(series))
    operator, rates, anomalies = judged_by(objects), [], 0
    for batch in batches(values[:DEFAULT_WARMUP_WINDOWS], 0, names):
        operator.apply(batch)
    for number in range(ROUNDS):
        first = DEFAULT_WARMUP_WINDOWS + number * windows
        made = batches(values[first : first + windows], first, names)
        begun = time.process_time()
        for batch in made:
            anomalies += len(operator.apply(batch).anomalies)
        rates.append(round(series * windows / (time.process_time() - begun)))
    return {
        "series": series,
        "windows": ROUNDS * windows,
        "anomalies": anomalies,
        "series_windows_per_cpu_second": round(len(rates) / sum(1 / rate for rate in rates)),
        "young": rates[0],
        "old": rates[-1],
        "best": max(rates),
    }


def bytes_per_series(series: int) -> float:
    """All that Python counts as allocated for an operator that has judged this many series (records never grow)."""
    names = tuple(Series("agents.memory", "By", "gauge", (("agent.id", f"a{n}"),)) for n in range(series))
    made = batches(np.random.default_rng(1).normal(50, 2, (30, series)), 0, names)
    tracemalloc.start()
    operator = DetectOperator()
    for batch in made:
        operator.apply(batch)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / len(operator)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--windows", type=int, default=500, help="of each of eight rounds")
    parser.add_argument("--objects", action="store_true", help="without compiled code")
    parser.add_argument("--json", action="store_true", help="the last line is JSON")
    chosen = parser.parse_args()
    report = measure(chosen.series, chosen.windows, objects=chosen.objects)
    if not chosen.objects:
        report |= {
            "bytes_per_record": STATE.itemsize,
            "bytes_per_series": max(round(bytes_per_series(n)) for n in (1000, 1024, 1500)),
        }
    print(json.dumps(report) if chosen.json else "\n".join(f"{name}: {value}" for name, value in report.items()))


if __name__ == "__main__":
    main()
