"""A consumer without a group, whose partitions are assigned by hand: the reader knows where each goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from streams.errors import ServiceUnavailable
from streams.records.cluster import Cluster


@asynccontextmanager
async def groupless(brokers: Cluster, max_bytes: int) -> AsyncIterator[AIOKafkaConsumer]:
    """Started; stopped at the end. Where retention has overtaken an offset it goes on at the first that is left.

    Args:
        brokers: the cluster.
        max_bytes: the largest record to expect.

    Raises:
        ServiceUnavailable: no broker answers.
    """
    consumer = AIOKafkaConsumer(
        **brokers.arguments,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=max_bytes,
    )
    try:
        await consumer.start()
    except KafkaError as error:
        await consumer.stop()
        raise ServiceUnavailable(f"no broker answers at {brokers}: {error}") from error
    try:
        yield consumer
    finally:
        await consumer.stop()
