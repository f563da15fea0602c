"""Spans per CPU second of one worker on the whole traces path, from a real broker through Faust.

``python -m benchmarks.spans --json`` prints one JSON line per path: decode, assembly by quiet time, samples of spans
and calls to agents.red, edges, traces published, checkpoint written, offsets committed. The data is produced before the
clock starts; each path runs in a process of its own with a broker of its own; compiling is not counted.

Paths: ``batch`` our span batches (the spans of one trace and process in a record); ``keyed`` OTLP protobuf of whole
traces on ``agents.spans`` (a collector that partitions by trace id); ``otlp`` the same on ``otlp_spans``, from where it
is re-keyed to ``agents.spans`` first: each span is read, written and read again.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from benchmarks.alone import alone
from benchmarks.broker import broker, fill
from benchmarks.data import Record, otlp_spans, span_batches
from streams import topics
from streams.app import rekey, traces
from streams.app.blob import choose
from streams.app.factory import make_runtime
from streams.app.rekey import RekeyPart
from streams.app.traces import TracesPart
from streams.app.warmup import warm_up_spans
from streams.records.cluster import cluster_of
from streams.records.end import read_to_end
from streams.settings import Settings
from streams.trace.assembly import TraceOperator

PATHS = {"batch": span_batches, "keyed": partial(otlp_spans, topic=topics.SPANS), "otlp": otlp_spans}
SPANS = {"batch": 600_000, "keyed": 600_000, "otlp": 600_000}
QUIET_SECONDS = 1.0
"""Shorter than the setting, for the data is produced in some ten seconds: traces leave while others arrive, as they do
when a worker reads what minutes have brought."""
OUTPUTS = (topics.TRACES, topics.RED, topics.EDGES)


def make_part(settings: Settings, topic: str, partition: int) -> TracesPart | RekeyPart:
    if topic in rekey.SOURCES:
        return RekeyPart(topic, partition, settings.partitions)
    return TracesPart(topic, partition, TraceOperator(quiet_seconds=QUIET_SECONDS), partitions=settings.partitions)


async def consume(settings: Settings, expected: int) -> dict[str, float]:
    """Runs the traces role until every span has a fate and what became due is published."""
    warm_up_spans()
    sources = (*traces.SOURCES, *rekey.SOURCES)
    runtime = make_runtime(settings, "traces", sources, partial(make_part, settings), choose)
    await runtime.app.start()
    while not runtime.ready:  # noqa: ASYNC110 - the poll ends with the first record
        await asyncio.sleep(0.001)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    print("CONSUME", file=sys.stderr, flush=True)
    cpu, wall = time.process_time(), time.perf_counter()
    while (seen := sum(p.counts.total() for p in parts(runtime))) < expected:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    open_traces = sum(p.operator.open_traces for p in parts(runtime))
    while any(p.operator.open_traces for p in parts(runtime)):  # noqa: ASYNC110 - the rest leaves by ticks
        await asyncio.sleep(0.05)
    await asyncio.gather(*(outbox.drained() for outbox in runtime._outboxes.values()))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    counts = sum((p.counts for p in parts(runtime)), Counter())
    figures = {
        "spans": seen,
        "spans_per_cpu_second": round(seen / cpu),
        "wall_spans_per_second": round(seen / wall),
        "fates": dict(counts),
        "open_at_end": open_traces,
        "cpu_seconds": round(cpu, 3),
        "wall_seconds": round(wall, 3),
    }
    await runtime.app.stop()
    return figures


def parts(runtime: Any) -> list[TracesPart]:
    return [part for part in runtime.parts.values() if isinstance(part, TracesPart)]


async def written(settings: Settings) -> dict[str, int]:
    """Records and bytes of each output topic."""
    found: Counter[str] = Counter()
    for topic in OUTPUTS:
        begin = {_partition(topic, p): 0 for p in range(settings.partitions)}
        async for record in read_to_end(cluster_of(settings), begin, max_bytes=topics.BY_NAME[topic].max_record_bytes):
            found[f"{topic} records"] += 1
            found[f"{topic} bytes"] += len(record.value or b"")
    return dict(found)


def _partition(topic: str, partition: int) -> Any:
    from aiokafka.structs import TopicPartition

    return TopicPartition(topic, partition)


def measure(path: str, spans: int, partitions: int) -> dict[str, Any]:
    """One path: fresh broker, data produced, then the worker."""
    with broker() as bootstrap:
        settings = Settings(brokers=bootstrap, partitions=partitions)
        records: Iterable[Record] = PATHS[path](spans)
        total = fill(settings, records)
        figures = asyncio.run(consume(settings, total))
        outputs = asyncio.run(written(settings))
    return {"path": path, **figures, **outputs}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="JSON lines only")
    parser.add_argument("--only", choices=sorted(SPANS), help="one path")
    parser.add_argument("--spans", type=int, help="spans instead of the path's default")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.in_process:
        print(json.dumps(measure(options.only, options.spans or SPANS[options.only], options.partitions)))
        return 0
    show([options.only] if options.only else list(SPANS), options.spans, options.partitions, as_json=options.json)
    return 0


def show(paths: Sequence[str], spans: int | None, partitions: int, *, as_json: bool) -> None:
    """One line per path, each measured in a process of its own."""
    for path in paths:
        arguments = ["--in-process", "--only", path, "--partitions", str(partitions)]
        arguments += ["--spans", str(spans)] if spans else []
        line = alone("spans", *arguments)
        print(line if as_json else _table_row(json.loads(line)), flush=True)


def _table_row(f: dict[str, Any]) -> str:
    return (
        f"{f['path']:6} {f['spans']:>9,} spans: {f['spans_per_cpu_second']:>8,} /CPU s, "
        f"{f['wall_spans_per_second']:>8,} /wall s"
    )


if __name__ == "__main__":
    sys.exit(main())
