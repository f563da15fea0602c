"""Where an event's CPU time goes, stage by stage, without a broker.

``python -m benchmarks.stages --json`` prints one JSON line: CPU microseconds and minor page faults per event of
``fetch`` (record batches taken apart), ``process`` (decode and the work of the role) and ``send`` (record batches
made); and ``produce``, bytes per event that would go out. ``digest`` is of all results: the same before and after a
change that makes the same of the same. ``--path spans`` (the default) is the traces role over the data of
:mod:`benchmarks.spans`, every other path the metrics role over that of :mod:`benchmarks.throughput`. The code is that
of the worker; what is missing is Kafka's protocol, Faust and the sockets.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import resource
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

from aiokafka.structs import TopicPartition

from agents_emitter.redaction import Redactor
from benchmarks.data import PATHS, Record, otlp_spans
from streams import topics
from streams.app.fetch import BlockRecords, RawRecords
from streams.app.garbage import settle
from streams.app.metrics import MetricsPartition, window_spec
from streams.app.sendbatch import Content, SendBatch, encode_batch
from streams.app.sink import Sink, singly
from streams.app.traces import TracesPart
from streams.app.warmup import warm_up, warm_up_spans
from streams.domain.block import Block
from streams.domain.keys import partitions_of
from streams.settings import Settings
from streams.trace.assembly import TraceOperator

ARRIVAL_MS: Final = 1_700_000_000_000
ARRIVALS_PER_SECOND: Final = 60_000
LONG_AFTER_MS: Final = 2 * 10**12
"""Samples arrive long after their time, as data does that was produced for a benchmark."""
QUIET_SECONDS: Final = 1.0
FETCH_BYTES: Final = 1_048_576
"""What a fetch brings of a partition at most, as the consumer asks for it."""
BATCH_BYTES: Final = 262_144
LARGEST_BYTES: Final = 16 * 1_048_576
EVENTS: Final = {
    "spans": 600_000,
    "batch": 4_000_000,
    "batch100": 2_000_000,
    "sparse100": 2_000_000,
    "single": 1_000_000,
    "otlp": 1_000_000,
}


class Fetched(NamedTuple):
    """What a fetch brings: record batches of one partition."""

    topic: str
    partition: int
    raw: bytes
    offset: int


class Placed(NamedTuple):
    """A record, its partition, and when the broker takes it."""

    record: Record
    partition: int
    arrival_ms: int


def source(path: str, events: int, partitions: int) -> Iterator[Placed]:
    """The path's data: records of spans in turn, all others by key."""
    if path == "spans":
        made = 0
        for turn, record in enumerate(otlp_spans(events, topic=topics.SPANS)):
            made += record.events
            yield Placed(record, turn % partitions, ARRIVAL_MS + made * 1000 // ARRIVALS_PER_SECOND)
        return
    records = list(PATHS[path](events))
    places = partitions_of([record.key for record in records], partitions)
    for record, place in zip(records, places.tolist(), strict=True):
        yield Placed(record, place, LONG_AFTER_MS)


def fetches(rows: Iterable[Placed], partitions: int) -> list[Fetched]:
    """The source as fetches would bring it, partitions in turn."""
    waiting: list[list[Placed]] = [[] for _ in range(partitions)]
    logs: list[list[bytes]] = [[] for _ in range(partitions)]
    ends, sizes = [0] * partitions, [0] * partitions
    for row in rows:
        topic, place, here = row.record.topic, row.partition, waiting[row.partition]
        here.append(row)
        sizes[place] += len(row.record.value)
        if sizes[place] > BATCH_BYTES:
            logs[place].append(_batch(here, ends[place]))
            ends[place] += len(here)
            sizes[place] = 0
            here.clear()
    for place, rest in enumerate(waiting):
        if rest:
            logs[place].append(_batch(rest, ends[place]))
    return list(_in_turn([list(_stretches(topic, place, log)) for place, log in enumerate(logs)]))


def _batch(rows: list[Placed], offset: int) -> bytes:
    contents = [Content(row.record.key or None, row.record.value) for row in rows]
    raw = bytearray(encode_batch(contents, rows[-1].arrival_ms))
    struct.pack_into(">q", raw, 0, offset)
    return bytes(raw)


def _stretches(topic: str, partition: int, log: list[bytes]) -> Iterator[Fetched]:
    taken: list[bytes] = []
    for batch in [*log, b""]:
        if taken and (not batch or sum(map(len, taken)) + len(batch) > FETCH_BYTES):
            yield Fetched(topic, partition, b"".join(taken), struct.unpack_from(">q", taken[0])[0])
            taken = []
        taken.append(batch)


def _in_turn(lists: list[list[Fetched]]) -> Iterator[Fetched]:
    for place in range(max(map(len, lists))):
        yield from (one[place] for one in lists if place < len(one))


class Meter:
    """CPU seconds and minor page faults by stage."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    def run(self, stage: str, work: Callable[..., Any], *args: Any) -> Any:
        """Does the work and books what it took."""
        faults, begin = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.process_time()
        found = work(*args)
        self.seconds[stage] += time.process_time() - begin  # type: ignore[assignment]
        self.faults[stage] += resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
        return found


class Producer:
    """Takes batches and forgets them."""

    def __init__(self, partitions: int) -> None:
        self._partitions = set(range(partitions))
        self.sent_bytes: Counter[str] = Counter()
        self.records: Counter[str] = Counter()

    def _ensure_producer(self) -> Producer:
        return self

    async def partitions_for(self, topic: str) -> set[int]:
        """As many as the source has, of every topic."""
        return self._partitions

    async def send_batch(self, batch: SendBatch, topic: str, *, partition: int) -> Any:
        """Acknowledged at once."""
        self.sent_bytes[topic] += batch.size()
        self.records[topic] += batch.record_count()
        done = asyncio.get_running_loop().create_future()
        done.set_result(SimpleNamespace(offset=0))
        return done


def parts_of(path: str, topic: str, partitions: int) -> list[Any]:
    """The partitions of the path's role, warm."""
    if path == "spans":
        warm_up_spans()
        made = [TraceOperator(quiet_seconds=QUIET_SECONDS) for _ in range(partitions)]
        return [TracesPart(topic, place, one, partitions=partitions) for place, one in enumerate(made)]
    settings = Settings()
    spec = window_spec(settings)
    warm_up(spec)
    return [MetricsPartition(topic, place, spec, settings.state_snapshot_windows) for place in range(partitions)]


def seen_by(part: Any) -> int:
    """Events that have a fate."""
    return int(part.operator.fates.total if isinstance(part, MetricsPartition) else part.counts.total())


def measure(path: str, events: int, partitions: int) -> dict[str, Any]:
    """All stages over so many events."""
    fetched_all = fetches(source(path, events, partitions), partitions)
    parts = parts_of(path, fetched_all[0].topic, partitions)
    producer = Producer(partitions)
    sink = Sink(SimpleNamespace(producer=producer), LARGEST_BYTES, Redactor())
    meter, loop, digest = Meter(), asyncio.new_event_loop(), hashlib.sha256()
    settle()
    for fetched in fetched_all:
        for block in meter.run("fetch", _blocks, fetched):
            now_ns = int(block.timestamp_ms[-1]) * 1_000_000
            for step in meter.run("process", parts[fetched.partition].process, block, now_ns):
                for output in singly(step.results):
                    digest.update(repr(output).encode())
                meter.run("send", loop.run_until_complete, sink.deliver([*step.results, *step.checkpoint]))
    loop.close()
    seen = sum(map(seen_by, parts))
    return {
        "path": path,
        "events": seen,
        "us_per_event": {stage: round(1e6 * seconds / seen, 3) for stage, seconds in meter.seconds.items()},
        "faults_per_event": {stage: round(faults / seen, 3) for stage, faults in meter.faults.items()},
        "events_per_cpu_second": round(seen / sum(meter.seconds.values())),
        "produce": {topic: round(size / seen, 1) for topic, size in producer.sent_bytes.items()},
        "records": dict(producer.records),
        "digest": digest.hexdigest()[:16],
    }


def _blocks(fetched: Fetched) -> list[Block]:
    place = TopicPartition(fetched.topic, fetched.partition)
    return list(BlockRecords(place, RawRecords(fetched.raw), None, fetched.offset, None, None, True, 0))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="a JSON line only")
    parser.add_argument("--path", choices=sorted(EVENTS), default="spans")
    parser.add_argument("--events", type=int, help="events instead of the path's default")
    parser.add_argument("--partitions", type=int, default=4)
    options = parser.parse_args()
    found = measure(options.path, options.events or EVENTS[options.path], options.partitions)
    print(json.dumps(found) if options.json else "\n".join(f"{name:22} {value}" for name, value in found.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
