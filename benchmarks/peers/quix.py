"""Quix Streams, two ways: ``group_by`` and a tumbling window, or an ``apply`` with state in one step.

Quix keeps windows by record key and ours is the agent, so its own windows need ``group_by``, which sends every event
through a topic. The other way holds the open window of each series in Quix's state (RocksDB and a changelog).
"""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

from quixstreams import Application, State
from quixstreams.dataframe.windows import Count, Max, Min, Sum

from benchmarks.peers.task import SIZE_NS, Marks, Task, parse, series_of, window

IDLE_SECONDS = 5.0
"""The application ends by itself when nothing comes for so long."""


def event_time(value: Any, headers: Any, timestamp: float, kind: Any) -> int:
    """Event time in milliseconds."""
    return int(value["time_unix_nano"] // 1_000_000)


def grouped(source: Any, marks: Marks) -> Any:
    """``group_by``, then the built-in window."""

    def flat(row: dict[str, Any], key: Any, timestamp: int, headers: Any) -> dict[str, Any]:
        return window(key, row["start"] * 1_000_000, row["count"], row["sum"], row["min"], row["max"])

    def series(event: dict[str, Any]) -> str:
        marks.count()
        return series_of(event)

    regrouped = source.group_by(series, name="series", key_serializer="str", key_deserializer="str")
    rows = (
        regrouped.tumbling_window(timedelta(seconds=SIZE_NS // 1_000_000_000), grace_ms=timedelta(seconds=5))
        .agg(count=Count(), sum=Sum("value"), min=Min("value"), max=Max("value"))
        .final()
    )
    return rows.apply(flat, metadata=True)


def stateful(source: Any, marks: Marks) -> Any:
    """``apply`` with state: the open window of each series; a newer one closes it."""

    def add(event: dict[str, Any], state: State) -> dict[str, Any] | None:
        marks.count()
        series, value, time_ns = series_of(event), event["value"], event["time_unix_nano"]
        start_ns = time_ns - time_ns % SIZE_NS
        row = state.get(series)
        if row is not None and row[0] == start_ns:
            state.set(series, [start_ns, row[1] + 1, row[2] + value, min(row[3], value), max(row[4], value)])
            return None
        state.set(series, [start_ns, 1, value, value, value])
        return None if row is None else window(series, *row)

    return source.apply(add, stateful=True).filter(lambda row: row is not None)


def run(task: Task) -> None:
    """Until nothing comes any more."""
    app = Application(
        broker_address=task.brokers,
        consumer_group=f"quix-{task.variant}",
        auto_offset_reset="earliest",
        state_dir=f"{task.folder}/state",
    )
    marks = Marks(task)
    source = app.dataframe(app.topic(task.topic, value_deserializer="json", timestamp_extractor=event_time))
    rows = grouped(source, marks) if task.variant == "group_by" else stateful(source, marks)
    rows.to_topic(app.topic(task.output, value_serializer="json", key_serializer="str"), key=lambda row: row["series"])
    app.run(timeout=IDLE_SECONDS)
    marks.last(marks.seen, waited_seconds=IDLE_SECONDS)


if __name__ == "__main__":
    run(parse(sys.argv[1]))
