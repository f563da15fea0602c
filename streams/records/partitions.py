"""Which partitions topics have."""

from __future__ import annotations

from collections.abc import Iterable

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams.errors import ServiceUnavailable
from streams.records.cluster import Cluster


async def partitions_of(brokers: Cluster, names: Iterable[str]) -> list[TopicPartition]:
    """All partitions of some topics, sorted.

    Raises:
        ServiceUnavailable: no broker answers, or a topic is missing.
    """
    wanted = list(names)
    client = AIOKafkaAdminClient(**brokers.arguments)
    try:
        await client.start()
        described = await client.describe_topics(wanted)
    except KafkaError as error:
        raise ServiceUnavailable(f"no broker answers at {brokers}: {error}") from error
    finally:
        await client.close()
    found = [TopicPartition(t["topic"], p["partition"]) for t in described for p in t["partitions"]]
    missing = set(wanted) - {tp.topic for tp in found}
    if missing:
        raise ServiceUnavailable(f"topic {min(missing)} is missing at {brokers}: run `streams topics create`")
    return sorted(found)
