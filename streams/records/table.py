"""A compacted topic of one partition as a table: the newest record of each key, and one record more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from streams import topics
from streams.errors import ServiceUnavailable
from streams.records.cluster import Cluster
from streams.records.end import read_to_end

Row = TypeVar("Row")


async def newest(
    brokers: Cluster, topic: str, decode: Callable[[bytes], Row], key_of: Callable[[Row], bytes]
) -> dict[bytes, Row]:
    """The newest record of each key; what ``decode`` refuses is left out (who relays the topic has told of it).

    Raises:
        ServiceUnavailable: no broker answers, or the topic is missing.
    """
    found: dict[bytes, Row] = {}
    begin = {TopicPartition(topic, 0): 0}
    try:
        async for record in read_to_end(brokers, begin, max_bytes=topics.BY_NAME[topic].max_record_bytes):
            try:
                row = decode(record.value or b"")
            except ValueError:
                continue
            found[key_of(row)] = row
    except (KafkaError, TimeoutError) as error:
        raise ServiceUnavailable(f"{topic} was not read ({brokers}): {error!r}") from error
    return found


async def write(
    brokers: Cluster, topic: str, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]] = ()
) -> None:
    """Writes one record and waits until the brokers have it.

    Raises:
        ServiceUnavailable: no broker answers, or the topic is missing.
    """
    producer = AIOKafkaProducer(**brokers.arguments, acks="all", request_timeout_ms=10_000)
    try:
        await producer.start()
        await producer.send_and_wait(topic, value, key=key, headers=list(headers))
    except KafkaError as error:
        raise ServiceUnavailable(f"{topic} was not written ({brokers}): {error!r}") from error
    finally:
        await producer.stop()
