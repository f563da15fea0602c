"""What a topic still holds from a time on, read once, without a group and without a commit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from streams import topics
from streams.errors import ServiceUnavailable
from streams.records.cluster import Cluster, cluster_of
from streams.records.end import read_to_end
from streams.records.partitions import partitions_of
from streams.settings import Settings

MS_NS = 1_000_000
T = TypeVar("T")


class Past(NamedTuple, Generic[T]):
    """A record, and what its value says."""

    record: ConsumerRecord
    body: T


class History(Generic[T]):
    """The records of a topic, read by ``decode``; those it refuses (ValueError, KeyError, TypeError) are passed over.

    Attributes:
        unreadable: how many those were.
    """

    def __init__(self, topic: str, decode: Callable[[bytes], T]) -> None:
        self.topic, self._decode = topic, decode
        self.unreadable = 0

    async def since(self, settings: Settings, since_ns: int) -> AsyncIterator[Past[T]]:
        """Records appended since then, in the order of each partition.

        Raises:
            ServiceUnavailable: no broker answers, or the topic is missing.
        """
        async for record in _records(settings, self.topic, since_ns):
            try:
                body = self._decode(record.value)
            except (ValueError, KeyError, TypeError):
                self.unreadable += 1
                continue
            yield Past(record, body)


async def _records(settings: Settings, topic: str, since_ns: int) -> AsyncIterator[ConsumerRecord]:
    partitions = await partitions_of(cluster_of(settings), [topic])
    try:
        begin = await _begin(cluster_of(settings), partitions, since_ns // MS_NS)
        async for record in read_to_end(cluster_of(settings), begin, max_bytes=topics.BY_NAME[topic].max_record_bytes):
            if record.value is not None:
                yield record
    except (KafkaError, TimeoutError) as error:
        raise ServiceUnavailable(f"cannot read {topic} at {settings.brokers}: {error}") from error


async def _begin(brokers: Cluster, partitions: Sequence[TopicPartition], since_ms: int) -> dict[TopicPartition, int]:
    """Where each partition's records of that time begin; partitions without any are left out."""
    consumer = AIOKafkaConsumer(**brokers.arguments, enable_auto_commit=False)
    await consumer.start()
    try:
        wanted = dict.fromkeys(partitions, max(since_ms, 0))
        consumer.assign(list(wanted))
        found = await consumer.offsets_for_times(wanted)
        return {tp: place.offset for tp, place in found.items() if place is not None}
    finally:
        await consumer.stop()
