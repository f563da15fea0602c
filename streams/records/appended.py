"""How many records a topic took, by its offsets: none is read."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from streams.errors import ServiceUnavailable
from streams.records.cluster import Cluster
from streams.records.partitions import partitions_of


async def appended(brokers: Cluster, topic: str, since_ms: int) -> int:
    """Records that a topic which is not compacted took since then (milliseconds since the epoch).

    Raises:
        ServiceUnavailable: no broker answers, or the topic is missing.
    """
    parts = await partitions_of(brokers, [topic])
    consumer = AIOKafkaConsumer(**brokers.arguments, enable_auto_commit=False)
    try:
        await consumer.start()
        consumer.assign(parts)
        begins = await consumer.offsets_for_times(dict.fromkeys(parts, max(since_ms, 0)))
        ends = await consumer.end_offsets(parts)
    except KafkaError as error:
        raise ServiceUnavailable(f"{topic} was not counted ({brokers}): {error!r}") from error
    finally:
        await consumer.stop()
    return sum(ends[part] - begin.offset for part, begin in begins.items() if begin is not None)
