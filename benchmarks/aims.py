"""Whether each path is as fast as it shall be, on whatever machine: ratios to a loop without a framework beside it.

``python -m benchmarks.aims --json`` prints one JSON line per path. Machines differ, and shared ones change within
minutes; so events per CPU second are held against those of confluent-kafka, orjson and a dict on single events
(:mod:`benchmarks.peers.loop`), run right before and right after the path: ``times_loop`` is the ratio to their mean.
The aims were set where that loop did 357,000: ``aim_times_loop`` is the aim over it. ``holds`` compares the two;
``holds_here`` compares with the aim as it was set; ``wall_ratio`` is events per wall second over those per CPU second.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from agents_emitter.events import METRICS_TOPIC
from benchmarks.alone import alone
from benchmarks.broker import broker, fill
from benchmarks.data import singles
from benchmarks.peers.contest import Peer, Source, run
from streams.services.jars import default_cache_folder
from streams.settings import Settings

LOOP_EVENTS: Final = 500_000
LOOP_AT_AIMS: Final = 357_000
"""Events per CPU second of the loop on the machine where the aims were set."""
PARTITIONS: Final = 4
AIMS: Final = {"batch": 4_000_000, "batch100": 2_500_000, "single": 400_000, "otlp": 300_000, "keyed": 150_000}
"""Events per CPU second that a path shall do: samples, events, points, spans keyed by trace id."""
WALL_RATIO_AIM: Final = 0.8
WITHOUT_AIM: Final = ("sparse100",)
PATHS: Final = (*AIMS, *WITHOUT_AIM)


@contextmanager
def loop() -> Iterator[Callable[[], float]]:
    """A filled broker, and what runs the loop on it: events per CPU second."""
    cache_folder = default_cache_folder(os.environ)
    with broker() as brokers:
        fill(Settings(brokers=brokers, partitions=PARTITIONS), singles(LOOP_EVENTS))
        source = Source(METRICS_TOPIC, PARTITIONS, LOOP_EVENTS, LOOP_EVENTS, {}, 0)
        turns = iter(range(10**6))

        def once() -> float:
            row = run(Peer("no framework", "loop", f"turn-{next(turns)}"), source, brokers, cache_folder)
            if "absent" in row:
                raise SystemExit(f"the loop without a framework: {row['absent']}")
            return float(row["events_per_cpu_second"])

        yield once


def path_figures(path: str) -> dict[str, Any]:
    """What the path's own benchmark prints, in a process of its own."""
    module = "spans" if path == "keyed" else "throughput"
    found: dict[str, Any] = json.loads(alone(module, "--in-process", "--only", path))
    return found


def judged(path: str, figures: dict[str, Any], loops: Sequence[float]) -> dict[str, Any]:
    """A path's figures beside those of the loop.

    Args:
        path: one of ``PATHS``.
        figures: of the path's own benchmark.
        loops: events per CPU second of the loop before and after it.
    """
    unit = "spans" if path == "keyed" else "events"
    rate, wall = figures[f"{unit}_per_cpu_second"], figures[f"wall_{unit}_per_second"]
    beside = sum(loops) / len(loops)
    row = {"path": path, "per_cpu_second": rate, "loop_per_cpu_second": [round(one) for one in loops]}
    row |= {"times_loop": round(rate / beside, 2), "wall_ratio": round(wall / rate, 2)}
    if path in AIMS:
        aim = AIMS[path] / LOOP_AT_AIMS
        row |= {"aim_times_loop": round(aim, 2), "holds": rate / beside >= aim, "holds_here": rate >= AIMS[path]}
    return row | {"wall_holds": wall / rate >= WALL_RATIO_AIM}


def measure(paths: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A row of :func:`judged` per path, as they end."""
    with loop() as once:
        before = once()
        for path in paths:
            figures, after = path_figures(path), once()
            yield judged(path, figures, (before, after))
            before = after


def table_row(row: dict[str, Any]) -> str:
    """A line for people."""
    aim = f"aim {row['aim_times_loop']:.2f}, {'holds' if row['holds'] else 'MISSED'}" if "holds" in row else "no aim"
    return (
        f"{row['path']:9} {row['per_cpu_second']:>10,} /CPU s, {row['times_loop']:.2f} times the loop ({aim}), "
        f"by the wall {row['wall_ratio']:.0%}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="JSON lines only")
    parser.add_argument("--only", choices=PATHS, action="append", help="these paths")
    options = parser.parse_args()
    for row in measure(options.only or PATHS):
        print(json.dumps(row) if options.json else table_row(row), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
