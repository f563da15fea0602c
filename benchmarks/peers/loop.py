"""No framework: confluent-kafka, orjson and a dict per window. No state survives it; offsets are committed."""

from __future__ import annotations

import sys
from typing import Any

import orjson
from confluent_kafka import Consumer, Producer

from benchmarks.peers.task import LATENESS_NS, SIZE_NS, Marks, Task, parse, series_of, window

Open = dict[int, dict[str, list[float]]]
"""Open windows of a partition: start -> series -> [count, sum, minimum, maximum]."""


def run(task: Task) -> None:
    """Reads until every event is seen."""
    consumer = Consumer({"bootstrap.servers": task.brokers, "group.id": task.folder, "auto.offset.reset": "earliest"})
    consumer.subscribe([task.topic])
    producer, marks = Producer({"bootstrap.servers": task.brokers, "linger.ms": 5}), Marks(task)
    panes: list[Open] = [{} for _ in range(task.partitions)]
    seen = 0
    while seen < task.events:
        messages = consumer.consume(1_000, timeout=1.0)
        if messages and not seen:
            marks.first()
        for message in messages:
            add(panes[message.partition()], message.value(), producer, task.output)
        seen += len(messages)
        producer.poll(0)
    producer.flush()
    consumer.close()
    marks.last(seen)


def add(panes: Open, value: bytes, producer: Producer, output: str) -> None:
    """One event into its window; a new window closes those that no event can be late for."""
    event = orjson.loads(value)
    series, number, time_ns = series_of(event), event["value"], event["time_unix_nano"]
    start_ns = time_ns - time_ns % SIZE_NS
    pane = panes.get(start_ns)
    if pane is None:
        pane = panes[start_ns] = {}
        close(panes, time_ns - LATENESS_NS, producer, output)
    row = pane.get(series)
    if row is None:
        pane[series] = [1, number, number, number]
        return
    row[0] += 1
    row[1] += number
    if number < row[2]:
        row[2] = number
    if number > row[3]:
        row[3] = number


def close(panes: Open, before_ns: int, producer: Any, output: str) -> None:
    """Writes and forgets what ended before a time."""
    for start_ns in [s for s in panes if s + SIZE_NS <= before_ns]:
        for series, (count, total, low, high) in panes.pop(start_ns).items():
            body = orjson.dumps(window(series, start_ns, int(count), total, low, high))
            while True:
                try:
                    producer.produce(output, key=series, value=body)
                    break
                except BufferError:
                    producer.poll(0.1)


if __name__ == "__main__":
    run(parse(sys.argv[1]))
