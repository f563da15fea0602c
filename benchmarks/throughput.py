"""Events per CPU second of one worker on the whole metrics path, from a real broker through Faust.

``python -m benchmarks.throughput --json`` prints one JSON line per path: decode, 10 s panes, 1 m and 5 m merges,
quantile sketch, windows published, checkpoint written, totals for Prometheus updated, offsets committed. The data is
produced before the clock starts; each path runs in a process of its own with a broker of its own; compiling is not
counted.
``spans`` is the traces role instead: :mod:`benchmarks.spans`.
``--peers`` runs other stream processors beside us on the same topic instead: :mod:`benchmarks.peers`.
``raw_events_per_cpu_second`` is the ceiling measured in the same run: aiokafka's ``getmany`` on the same topic, bytes
thrown away.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer

from benchmarks import spans
from benchmarks.alone import alone
from benchmarks.broker import broker, fill
from benchmarks.data import PATHS
from benchmarks.peers import standings
from streams.app.blob import choose
from streams.app.factory import make_runtime
from streams.app.garbage import settle
from streams.app.metrics import SOURCES, MetricsPartition, window_spec
from streams.app.warmup import warm_up
from streams.settings import Settings

EVENTS = {"batch": 4_000_000, "batch100": 8_000_000, "sparse100": 8_000_000, "single": 2_000_000, "otlp": 1_000_000}
PEER_EVENTS = 500_000


async def consume(
    settings: Settings, expected: int, look: Callable[[list[MetricsPartition]], None] = lambda _: None
) -> dict[str, float]:
    """Runs the metrics role until every event has a fate, ``look``s at it, and until every window is published."""
    spec = window_spec(settings)
    warm_up(spec)
    runtime = make_runtime(
        settings,
        "metrics",
        SOURCES,
        lambda topic, partition: MetricsPartition(topic, partition, spec, settings.state_snapshot_windows),
        choose,
    )
    await runtime.app.start()
    while not runtime.ready:  # noqa: ASYNC110 - the poll ends with the first record
        await asyncio.sleep(0.001)
    settle()
    print("CONSUME", file=sys.stderr, flush=True)  # for a profiler to begin
    cpu, wall = time.process_time(), time.perf_counter()
    while (seen := sum(p.operator.fates.total for p in parts(runtime))) < expected:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    series = sum(len(p.operator.table) for p in parts(runtime))
    look(parts(runtime))  # before a tick, which says today's time, lets the series of the past go
    await asyncio.gather(*(outbox.drained() for outbox in runtime._outboxes.values()))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    figures = {
        "events": seen,
        "events_per_cpu_second": round(seen / cpu),
        "wall_events_per_second": round(seen / wall),
        "series": series,
        "aggregated": sum(p.operator.fates.aggregated for p in parts(runtime)),
        "windows": sum(p.closed_total for p in parts(runtime)),
        "cpu_seconds": round(cpu, 3),
        "wall_seconds": round(wall, 3),
    }
    await runtime.app.stop()
    return figures


def parts(runtime: Any) -> list[MetricsPartition]:
    return [part for part in runtime.parts.values() if isinstance(part, MetricsPartition)]


async def raw(settings: Settings, topic: str, expected: int) -> dict[str, float]:
    """The ceiling: records fetched and thrown away."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=settings.brokers, auto_offset_reset="earliest", fetch_max_wait_ms=20
    )
    await consumer.start()
    cpu, wall, seen = time.process_time(), time.perf_counter(), 0
    while seen < expected:
        seen += sum(len(r) for r in (await consumer.getmany(timeout_ms=200, max_records=4000)).values())
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    await consumer.stop()
    return {"records": seen, "records_per_cpu_second": round(seen / cpu), "wall_records_per_second": round(seen / wall)}


def measure(path: str, events: int, partitions: int) -> dict[str, Any]:
    """One path: fresh broker, data produced, then the ceiling and the worker one after the other."""
    with broker() as bootstrap:
        settings = Settings(brokers=bootstrap, partitions=partitions)
        records = list(PATHS[path](events))
        total = fill(settings, records)
        ceiling = asyncio.run(raw(settings, records[0].topic, len(records)))
        figures = asyncio.run(consume(settings, total))
    per_record = total / len(records)
    raw_rate = round(ceiling["records_per_cpu_second"] * per_record)
    return {
        "path": path,
        **figures,
        "events_per_record": round(per_record),
        "raw_events_per_cpu_second": raw_rate,
        "ratio_to_raw": round(figures["events_per_cpu_second"] / raw_rate, 3),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="JSON lines only")
    parser.add_argument("--only", choices=[*sorted(EVENTS), "spans", "peers"], help="one path, or the peers")
    parser.add_argument("--peers", action="store_true", help="other stream processors beside us (minutes)")
    parser.add_argument("--events", type=int, help="events instead of the path's default")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peers or options.only == "peers":
        return contest(options.events or PEER_EVENTS, options.partitions, options.json)
    if options.in_process:
        print(json.dumps(measure(options.only, options.events or EVENTS[options.only], options.partitions)))
        return 0
    for path in [p for p in EVENTS if options.only in (None, p)]:
        arguments = ["--in-process", "--only", path, "--partitions", str(options.partitions)]
        arguments += ["--events", str(options.events)] if options.events else []
        line = alone("throughput", *arguments)
        print(line if options.json else _table_row(json.loads(line)), flush=True)
    if options.only in (None, "spans"):
        spans.show(["keyed", "batch", "otlp"], options.events, options.partitions, as_json=options.json)
    return 0


def contest(events: int, partitions: int, as_json: bool) -> int:
    """Peers as a table, or one JSON object; 1 if we are absent or our windows are not the right ones."""
    rows: list[dict[str, Any]] = []
    shown = sys.stderr if as_json else sys.stdout
    print(standings.heading(), file=shown, flush=True)
    for row in standings.measure(events, partitions):
        rows.append(row)
        print(standings.table_row(standings.ratios(rows)[-1]), file=shown, flush=True)
    rows = standings.ratios(rows)
    claims = standings.claims(rows)
    for claim in claims:
        print(standings.claim_row(claim), file=shown)
    if as_json:
        print(json.dumps({"peers": rows, "claims": claims}))
    return 0 if all(row.get("equal") for row in rows if row["name"] == standings.OURS.name) else 1


def _table_row(f: dict[str, Any]) -> str:
    return (
        f"{f['path']:9} {f['events']:>9,} events of {f['series']:,} series: {f['events_per_cpu_second']:>10,} /CPU s, "
        f"{f['wall_events_per_second']:>10,} /wall s; ceiling {f['raw_events_per_cpu_second']:,} /CPU s"
    )


if __name__ == "__main__":
    sys.exit(main())
