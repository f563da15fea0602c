"""From topics to the file of a read model, until it is told to stop.

No consumer group: partitions are assigned by hand and the file says where each goes on. A topic that ends before the
offset in the file is another topic of that name: the file is begun anew.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams import topics
from streams.api.board.writer import Fetched, delete
from streams.records.cluster import Cluster
from streams.records.consumer import groupless
from streams.records.partitions import partitions_of

FETCH_RECORDS: Final = 2_000
FETCH_WAIT_MS: Final = 300
PRUNE_SECONDS: Final = 60.0


class Writer(Protocol):
    """The only writer of a file: rows and the offsets they came from are one transaction."""

    @property
    def sources(self) -> tuple[str, ...]:
        """The topics it takes."""

    def offsets(self) -> dict[tuple[str, int], int]:
        """(topic, partition) -> the offset to go on from."""

    def write(self, records: Sequence[Fetched]) -> None:
        """Takes records in the order of each partition; those it has already are passed over."""

    def prune(self, seconds: float, now_ns: int) -> None:
        """Deletes what is older than so many seconds."""

    def close(self) -> None:
        """Ends the connection."""


@dataclass
class Feeder:
    """Feeds one file.

    Attributes:
        brokers: to ask first. path: of the file; its folder is made. open: its writer.
        retention_seconds: older rows are deleted. clock_ns: the time it is measured against.
        history_seconds: records that were appended before that long are passed over; infinite: none is.
        caught_up: set when everything that was there at the start is in the file.
    """

    brokers: Cluster
    path: Path
    open: Callable[[Path], Writer]
    retention_seconds: float
    clock_ns: Callable[[], int]
    history_seconds: float = math.inf
    caught_up: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, stop: asyncio.Event) -> None:
        """Reads and writes until ``stop`` is set.

        Raises:
            ServiceUnavailable: no broker answers, or a topic is missing.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        async with groupless(self.brokers, topics.BY_NAME[topics.WINDOWS].max_record_bytes) as consumer:
            writer, ends = await self._positioned(consumer)
            try:
                await self._feed(consumer, writer, ends, stop)
            finally:
                writer.close()

    async def _positioned(self, consumer: AIOKafkaConsumer) -> tuple[Writer, dict[TopicPartition, int]]:
        writer = await asyncio.to_thread(self.open, self.path)
        parts = await partitions_of(self.brokers, writer.sources)
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        if any(writer.offsets().get((tp.topic, tp.partition), 0) > end for tp, end in ends.items()):
            writer.close()
            delete(self.path)
            writer = await asyncio.to_thread(self.open, self.path)
        offsets, least = writer.offsets(), await self._least(consumer, parts, ends)
        for tp in parts:
            consumer.seek(tp, max(offsets.get((tp.topic, tp.partition), 0), least[tp]))
        return writer, ends

    async def _least(
        self, consumer: AIOKafkaConsumer, parts: list[TopicPartition], ends: dict[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        """Where the history that counts begins."""
        if math.isinf(self.history_seconds):
            return dict.fromkeys(parts, 0)
        since_ms = self.clock_ns() // 1_000_000 - round(self.history_seconds * 1000)
        found = await consumer.offsets_for_times(dict.fromkeys(parts, max(since_ms, 0)))
        places = {tp: found.get(tp) for tp in parts}
        return {tp: ends[tp] if place is None else place.offset for tp, place in places.items()}

    async def _feed(
        self,
        consumer: AIOKafkaConsumer,
        writer: Writer,
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
