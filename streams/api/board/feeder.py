"""From the topics of alerts, incidents, anomalies and edges to the board's file, until it is told to stop.

No consumer group: partitions are assigned by hand and the file says where each goes on. A topic that ends before the
offset in the file is another topic of that name: the file is begun anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams import topics
from streams.api.board.writer import BoardWriter, Fetched, delete
from streams.errors import ServiceUnavailable

FETCH_RECORDS: Final = 2_000
FETCH_WAIT_MS: Final = 300
PRUNE_SECONDS: Final = 60.0


@dataclass
class BoardFeeder:
    """Feeds one file.

    Attributes:
        brokers: to ask first. path: of the file; its folder is made. retention_seconds: older rows are deleted.
        clock_ns: the time it is measured against.
        caught_up: set when everything that was there at the start is in the file.
    """

    brokers: str
    path: Path
    retention_seconds: float
    clock_ns: Callable[[], int]
    caught_up: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, stop: asyncio.Event) -> None:
        """Reads and writes until ``stop`` is set.

        Raises:
            ServiceUnavailable: no broker answers, or a topic is missing.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.brokers,
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # also where retention has overtaken the file
            max_partition_fetch_bytes=topics.BY_NAME[topics.INCIDENTS].max_record_bytes,
        )
        try:
            await consumer.start()
        except KafkaError as error:
            await consumer.stop()
            raise ServiceUnavailable(f"no broker answers at {self.brokers}: {error}") from error
        try:
            writer, ends = await self._positioned(consumer)
            try:
                await self._feed(consumer, writer, ends, stop)
            finally:
                writer.close()
        finally:
            await consumer.stop()

    async def _positioned(self, consumer: AIOKafkaConsumer) -> tuple[BoardWriter, dict[TopicPartition, int]]:
        writer = await asyncio.to_thread(BoardWriter, self.path)
        parts = await _partitions(self.brokers, writer.sources)
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        if any(writer.offsets().get((tp.topic, tp.partition), 0) > end for tp, end in ends.items()):
            writer.close()
            delete(self.path)
            writer = await asyncio.to_thread(BoardWriter, self.path)
        offsets = writer.offsets()
        for tp in parts:
            consumer.seek(tp, offsets.get((tp.topic, tp.partition), 0))
        return writer, ends

    async def _feed(
        self,
        consumer: AIOKafkaConsumer,
        writer: BoardWriter,
        ends: dict[TopicPartition, int],
        stop: asyncio.Event,
    ) -> None:
        loop = asyncio.get_running_loop()
        pruned = loop.time()
        while not stop.is_set():
            fetched = await consumer.getmany(timeout_ms=FETCH_WAIT_MS, max_records=FETCH_RECORDS)
            records = [
                Fetched(tp.topic, tp.partition, r.offset, r.timestamp, r.value)
                for tp, run in fetched.items()
                for r in run
            ]
            if records:
                await asyncio.to_thread(writer.write, records)
            if not self.caught_up.is_set() and await self._at(consumer, ends):
                self.caught_up.set()
            if loop.time() - pruned >= PRUNE_SECONDS:
                pruned = loop.time()
                await asyncio.to_thread(writer.prune, self.retention_seconds, self.clock_ns())

    @staticmethod
    async def _at(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> bool:
        return all([await consumer.position(tp) >= end for tp, end in ends.items()])


async def _partitions(brokers: str, names: tuple[str, ...]) -> list[TopicPartition]:
    client = AIOKafkaAdminClient(bootstrap_servers=brokers)
    try:
        await client.start()
        described = await client.describe_topics(list(names))
    except KafkaError as error:
        raise ServiceUnavailable(f"no broker answers at {brokers}: {error}") from error
    finally:
        await client.close()
    found = [TopicPartition(t["topic"], p["partition"]) for t in described for p in t["partitions"]]
    missing = set(names) - {tp.topic for tp in found}
    if missing:
        raise ServiceUnavailable(f"topic {min(missing)} is missing: run `streams topics create`")
    return sorted(found)
