"""How the metrics path scales: ``python -m benchmarks.scale --json`` prints one JSON line per case.

``workers``: one worker for all agents, then two with half of them each, on brokers of their own; by the wall clock, so
that two times need a core for each worker and some for the brokers.
``series``: 10 samples per series and pane, 1,000 to 100,000 series (1,000,000 with ``--large``): events per CPU second,
bytes per series of an open pane, growth of the process per series.
``scrape``: :mod:`benchmarks.scrape`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Final

import psutil

from benchmarks import scrape
from benchmarks.alone import alone
from benchmarks.broker import broker, fill
from benchmarks.data import batches, sparse
from benchmarks.throughput import consume
from streams.app.metrics import MetricsPartition, window_spec
from streams.app.warmup import warm_up
from streams.settings import Settings
from streams.window.pane import Pane

PER_PANE: Final = 10
EVENTS: Final = 3_000_000
WORKER_EVENTS: Final = 16_000_000
START_SECONDS: Final = 12.0
"""For both workers to be imported and warm before either begins."""
SERIES: Final = (1_000, 10_000, 100_000)
LARGE: Final = 1_000_000
HEADROOM: Final = 1_000


def pane_bytes(pane: Pane) -> int:
    """Memory of an open pane."""
    return sum(getattr(column, "nbytes", 0) for column in vars(pane).values())


def series(count: int, events: int, partitions: int) -> dict[str, Any]:
    """One number of series, in this process."""
    panes = max(10, events // (PER_PANE * count))
    with broker(heap_mib=1024) as brokers:
        settings = Settings(brokers=brokers, partitions=partitions, series_limit=count + HEADROOM)
        total = fill(settings, sparse(count, panes))
        before = psutil.Process().memory_info().rss
        size: list[int] = []
        used: list[int] = []

        def look(parts: list[MetricsPartition]) -> None:
            panes = [pane for part in parts for pane in part.operator.panes.values()]
            size.extend(pane_bytes(pane) for pane in panes)
            used.extend(len(pane.slots()) for pane in panes)

        figures = asyncio.run(consume(settings, total, look))
        grown = psutil.Process().memory_info().rss - before
    return {
        "measure": "series",
        **figures,
        "open_pane_bytes_per_series": round(sum(size) / max(1, sum(used))),
        "process_bytes_per_series": round(grown / count),
    }


def two_workers(events: int) -> dict[str, Any]:
    """One worker with four partitions, then two with two each, the same events in both cases."""
    rates = {}
    for count in (1, 2):
        with ExitStack() as stack:
            sets = [stack.enter_context(broker(heap_mib=512)) for _ in range(count)]
            for number, brokers in enumerate(sets):
                mine = [record for i, record in enumerate(batches(events)) if i % count == number]
                fill(Settings(brokers=brokers, partitions=4 // count), mine)
            at = time.time() + START_SECONDS
            with ThreadPoolExecutor(count) as pool:
                begun = [pool.submit(_worker, brokers, 4 // count, events // count, at) for brokers in sets]
                ends = [future.result() for future in begun]
        rates[count] = events / (max(ends) - at)
    return {
        "measure": "workers",
        "events": events,
        "one_wall_events_per_second": round(rates[1]),
        "two_wall_events_per_second": round(rates[2]),
        "ratio": round(rates[2] / rates[1], 2),
    }


def _worker(brokers: str, partitions: int, events: int, at: float) -> float:
    """A worker in a process of its own; returns when (seconds since the epoch) it was done."""
    share = json.dumps([brokers, partitions, events, at])
    return float(alone("scale", "--share", share))


def share(brokers: str, partitions: int, events: int, at: float) -> None:
    """What such a process does: waits for the common start, reads all, says when it was done."""
    settings = Settings(brokers=brokers, partitions=partitions)
    warm_up(window_spec(settings))
    time.sleep(max(0.0, at - time.time()))
    ends: list[float] = []
    asyncio.run(consume(settings, events, lambda _: ends.append(time.time())))
    print(ends[0])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="JSON lines (the only form there is)")
    parser.add_argument("--only", choices=("workers", "series", "scrape"), help="one case")
    parser.add_argument("--large", action="store_true", help="1,000,000 series too (about 8 GB and some minutes)")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--share", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.share:
        share(*json.loads(options.share))
        return 0
    if options.one:
        print(json.dumps(series(options.one, EVENTS, 4)))
        return 0
    if options.only in (None, "workers"):
        print(json.dumps(two_workers(WORKER_EVENTS)), flush=True)
    if options.only in (None, "series"):
        for count in (*SERIES, LARGE) if options.large else SERIES:
            subprocess.run([sys.executable, "-m", "benchmarks.scale", "--one", str(count)], check=True)
    if options.only in (None, "scrape"):
        for shape in scrape.SHAPES:
            print(json.dumps(asyncio.run(scrape.measure(shape))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
