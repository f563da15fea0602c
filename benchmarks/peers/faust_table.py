"""Stock Faust: a ``Record``, an agent and a windowed ``Table``, each update in the table's changelog.

The changelog is the output: ``on_window_close`` goes by the wall clock and closes windows of the first partition only,
so no window of these events would ever come out of it whole.
"""

from __future__ import annotations

import asyncio
import sys

import faust

from benchmarks.peers.task import SIZE_NS, Marks, Task, parse, series_of

SETTLE_SECONDS = 3.0


class Event(faust.Record, serializer="json"):
    """A single event."""

    name: str
    value: float
    time_unix_nano: int
    labels: dict[str, str]
    resource: dict[str, str]


async def run(task: Task) -> None:
    """Until every event is in the table and the changelog is written."""
    app = faust.App(
        "faust-table",
        broker=f"kafka://{task.brokers}",
        store="memory://",
        topic_partitions=task.partitions,
        topic_allow_declare=True,
        web_enabled=False,
        datadir=task.folder,
    )
    topic = app.topic(task.topic, value_type=Event, key_type=bytes)
    marks, finished = Marks(task), asyncio.Event()
    table = app.Table("windows", default=lambda: None, partitions=task.partitions)
    windows = table.tumbling(SIZE_NS / 1e9).relative_to(lambda event: event.value.time_unix_nano / 1e9)

    @app.agent(topic)
    async def aggregate(events):  # type: ignore[no-untyped-def]
        async for event in events:
            series = series_of({"resource": event.resource, "name": event.name, "labels": event.labels})
            row, value = windows[series].value(), event.value
            windows[series] = (
                [row[0] + 1, row[1] + value, min(row[2], value), max(row[3], value)]
                if row
                else [1, value, value, value]
            )
            if marks.count() == task.events:
                finished.set()

    await app.start()
    await finished.wait()
    await app.producer.flush()
    await app.consumer.commit()
    marks.last(marks.seen)
    await app.stop()


if __name__ == "__main__":
    asyncio.run(run(parse(sys.argv[1])))
