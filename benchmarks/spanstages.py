"""Where a span's CPU time goes in the traces role, stage by stage, without a broker.

``python -m benchmarks.spanstages --json`` prints one JSON line: CPU microseconds and minor page faults per span of
``fetch`` (record batches taken apart), ``process`` (decode, assembly, samples, records of traces) and ``send`` (record
batches made); and ``produce``, bytes per span that would go out. ``digest`` is of all results: the same before and
after a change that makes the same of the same. The data is that of :mod:`benchmarks.spans`, the code that of the
worker; what is missing is Kafka's protocol, Faust and the sockets.
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
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

from aiokafka.structs import TopicPartition

from agents_emitter.redaction import Redactor
from benchmarks.data import otlp_spans
from streams import topics
from streams.app.fetch import BlockRecords, RawRecords
from streams.app.garbage import settle
from streams.app.sendbatch import Content, SendBatch, encode_batch
from streams.app.sink import Sink, singly
from streams.app.traces import TracesPart
from streams.app.warmup import warm_up_spans
from streams.domain.block import Block
from streams.domain.keys import partitions_of
from streams.trace.assembly import TraceOperator

ARRIVAL_MS = 1_700_000_000_000
ARRIVALS_PER_SECOND = 60_000
QUIET_SECONDS = 1.0
FETCH_BYTES = 1_048_576
"""What a fetch brings of a partition at most, as the consumer asks for it."""
BATCH_BYTES = 262_144
LARGEST_BYTES = 16 * 1_048_576


class Fetched(NamedTuple):
    """What a fetch brings: record batches of one partition."""

    partition: int
    raw: bytes
    offset: int


def fetches(spans: int, partitions: int) -> list[Fetched]:
    """The source as fetches would bring it, partitions in turn."""
    waiting: list[list[tuple[Content, int]]] = [[] for _ in range(partitions)]
    logs: list[list[bytes]] = [[] for _ in range(partitions)]
    ends, made = [0] * partitions, 0
    records = list(otlp_spans(spans, topic=topics.SPANS))
    for turn, record in enumerate(records):
        place = turn % partitions
        waiting[place].append((Content(None, record.value), record.events))
        made += record.events
        if sum(len(c.value or b"") for c, _ in waiting[place]) > BATCH_BYTES:
            logs[place].append(_batch(waiting[place], ends[place], made))
            ends[place] += len(waiting[place])
            waiting[place] = []
    for place, rest in enumerate(waiting):
        if rest:
            logs[place].append(_batch(rest, ends[place], made))
    return list(_in_turn([list(_stretches(place, log)) for place, log in enumerate(logs)]))


def _batch(rows: list[tuple[Content, int]], offset: int, made: int) -> bytes:
    raw = bytearray(encode_batch([content for content, _ in rows], ARRIVAL_MS + made * 1000 // ARRIVALS_PER_SECOND))
    struct.pack_into(">q", raw, 0, offset)
    return bytes(raw)


def _stretches(partition: int, log: list[bytes]) -> Iterator[Fetched]:
    taken: list[bytes] = []
    for batch in [*log, b""]:
        if taken and (not batch or sum(map(len, taken)) + len(batch) > FETCH_BYTES):
            yield Fetched(partition, b"".join(taken), struct.unpack_from(">q", taken[0])[0])
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


def measure(spans: int, partitions: int) -> dict[str, Any]:
    """All stages over so many spans."""
    warm_up_spans()
    partitions_of([b"key"], partitions)
    source = fetches(spans, partitions)
    parts = [
        TracesPart(topics.SPANS, place, TraceOperator(quiet_seconds=QUIET_SECONDS), partitions=partitions)
        for place in range(partitions)
    ]
    producer = Producer(partitions)
    sink = Sink(SimpleNamespace(producer=producer), LARGEST_BYTES, Redactor())
    meter, loop, digest = Meter(), asyncio.new_event_loop(), hashlib.sha256()
    settle()
    for fetched in source:
        for block in meter.run("fetch", _blocks, fetched):
            now_ns = int(block.timestamp_ms[-1]) * 1_000_000
            for step in meter.run("process", parts[fetched.partition].process, block, now_ns):
                for output in singly(step.results):
                    digest.update(repr(output).encode())
                meter.run("send", loop.run_until_complete, sink.deliver([*step.results, *step.checkpoint]))
    loop.close()
    seen = sum(part.counts.total() for part in parts)
    return {
        "spans": seen,
        "us_per_span": {stage: round(1e6 * seconds / seen, 2) for stage, seconds in meter.seconds.items()},
        "faults_per_span": {stage: round(faults / seen, 2) for stage, faults in meter.faults.items()},
        "spans_per_cpu_second": round(seen / sum(meter.seconds.values())),
        "produce": {topic: round(size / seen) for topic, size in producer.sent_bytes.items()},
        "records": dict(producer.records),
        "digest": digest.hexdigest()[:16],
    }


def _blocks(fetched: Fetched) -> list[Block]:
    place = TopicPartition(topics.SPANS, fetched.partition)
    return list(BlockRecords(place, RawRecords(fetched.raw), None, fetched.offset, None, None, True, 0))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="a JSON line only")
    parser.add_argument("--spans", type=int, default=600_000)
    parser.add_argument("--partitions", type=int, default=4)
    options = parser.parse_args()
    found = measure(options.spans, options.partitions)
    print(json.dumps(found) if options.json else "\n".join(f"{name:22} {value}" for name, value in found.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
