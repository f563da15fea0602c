"""What no consumer can beat: records fetched and thrown away, or JSON parsed and nothing else. No windows."""

from __future__ import annotations

import asyncio
import sys

import orjson
from aiokafka import AIOKafkaConsumer
from confluent_kafka import Consumer

from benchmarks.peers.task import Marks, Task, parse


async def aiokafka_raw(task: Task) -> None:
    """What aiokafka's ``getmany`` delivers."""
    consumer = AIOKafkaConsumer(
        task.topic, bootstrap_servers=task.brokers, auto_offset_reset="earliest", fetch_max_wait_ms=20
    )
    await consumer.start()
    marks, seen = Marks(task), 0
    marks.first()
    while seen < task.records:
        seen += sum(len(r) for r in (await consumer.getmany(timeout_ms=200, max_records=4_000)).values())
    marks.last(task.events)
    await consumer.stop()


def fetched(task: Task, marks: Marks) -> list[bytes]:
    """All values through confluent-kafka; the clocks run from the first."""
    consumer = Consumer(
        {"bootstrap.servers": task.brokers, "group.id": f"raw-{task.variant}", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([task.topic])
    values: list[bytes] = []
    while len(values) < task.records:
        messages = consumer.consume(1_000, timeout=1.0)
        if messages and not values:
            marks.first()
        values.extend(m.value() for m in messages)
    consumer.close()
    return values


def orjson_alone(task: Task) -> None:
    """``orjson.loads`` of values that are in memory."""
    marks = Marks(task)
    values = fetched(task, marks)
    marks.first()
    for value in values:
        orjson.loads(value)
    marks.last(task.events)


def confluent_raw(task: Task) -> None:
    """What confluent-kafka's ``consume`` delivers."""
    marks = Marks(task)
    fetched(task, marks)
    marks.last(task.events)


def main(text: str) -> None:
    task = parse(text)
    if task.variant == "aiokafka":
        asyncio.run(aiokafka_raw(task))
    elif task.variant == "orjson":
        orjson_alone(task)
    else:
        confluent_raw(task)


if __name__ == "__main__":
    main(sys.argv[1])
