"""All that a topic holds now."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from streams.records.cluster import Cluster


async def read_to_end(
    brokers: Cluster, begin: Mapping[TopicPartition, int], *, max_bytes: int, idle_seconds: float = 30.0
) -> AsyncIterator[ConsumerRecord]:
    """All records from given offsets to where each partition ends now.

    Args:
        brokers: the cluster.
        begin: where to start in each partition; offsets that retention has removed start at the first that is left.
        max_bytes: the largest record to expect.
        idle_seconds: raise TimeoutError when nothing arrives for so long.
    """
    if not begin:  # aiokafka's stop() raises CancelledError when it follows at once on assigning nothing
        return
    consumer = AIOKafkaConsumer(
        **brokers.arguments,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=max_bytes,
        fetch_max_bytes=4 * max_bytes,
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    try:
        partitions = list(begin)
        consumer.assign(partitions)
        first = await consumer.beginning_offsets(partitions)
        left = await consumer.end_offsets(partitions)
        for tp in partitions:
            consumer.seek(tp, max(begin[tp], first[tp]))
        idle = 0.0
        while left := {tp: end for tp, end in left.items() if await consumer.position(tp) < end}:
            batches: dict[Any, list[ConsumerRecord]] = await consumer.getmany(*left, timeout_ms=500, max_records=1000)
            idle = 0.0 if batches else idle + 0.5
            if idle > idle_seconds:
                raise TimeoutError(f"no data for {idle_seconds:g} s while reading {sorted(left)} back")
            for records in batches.values():
                for record in records:
                    yield record
    finally:
        await consumer.stop()
