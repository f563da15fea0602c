"""From ``agents.traces`` to the read model's file, until it is told to stop.

No consumer group: partitions are assigned by hand and the file says where each goes on, so that rows and offsets cannot
disagree. Partitions that are added later are seen at the next start. A topic that ends before the offset in the file is
another topic of that name: the file is begun anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaConsumer

from streams import topics
from streams.api.tracewriter import Fetched, Retention, TraceWriter, delete
from streams.records.cluster import Cluster
from streams.records.consumer import groupless
from streams.records.partitions import partitions_of

FETCH_RECORDS: Final = 1_000
FETCH_WAIT_MS: Final = 500
PRUNE_SECONDS: Final = 10.0


@dataclass
class TraceFeeder:
    """Feeds one file.

    Attributes:
        brokers: to ask first. path: of the file; its folder is made.
        retention: applied every :data:`PRUNE_SECONDS`. clock_ns: the time it is measured against.
    """

    brokers: Cluster
    path: Path
    retention: Retention
    clock_ns: Callable[[], int]

    async def run(self, stop: asyncio.Event) -> None:
        """Reads and writes until ``stop`` is set.

        Raises:
            ServiceUnavailable: no broker answers, or the topic is missing.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        async with groupless(self.brokers, topics.BY_NAME[topics.TRACES].max_record_bytes) as consumer:
            writer = await self._positioned(consumer)
            try:
                await self._feed(consumer, writer, stop)
            finally:
                writer.close()

    async def _positioned(self, consumer: AIOKafkaConsumer) -> TraceWriter:
        partitions = await partitions_of(self.brokers, [topics.TRACES])
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        writer = await asyncio.to_thread(TraceWriter, self.path, topics.TRACES)
        if any(writer.offsets().get(tp.partition, 0) > end for tp, end in ends.items()):
            writer.close()
            delete(self.path)
            writer = await asyncio.to_thread(TraceWriter, self.path, topics.TRACES)
        offsets = writer.offsets()
        for tp in partitions:
            consumer.seek(tp, offsets.get(tp.partition, 0))
        return writer

    async def _feed(self, consumer: AIOKafkaConsumer, writer: TraceWriter, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        pruned = -PRUNE_SECONDS
        while not stop.is_set():
            fetched = await consumer.getmany(timeout_ms=FETCH_WAIT_MS, max_records=FETCH_RECORDS)
            records = [Fetched(tp.partition, r.offset, r.value) for tp, run in fetched.items() for r in run]
            if records:
                await asyncio.to_thread(writer.write, records)
            if loop.time() - pruned >= PRUNE_SECONDS:
                pruned = loop.time()
                await asyncio.to_thread(writer.prune, self.retention, self.clock_ns())
