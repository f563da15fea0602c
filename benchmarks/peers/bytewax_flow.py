"""Bytewax: Kafka in, ``fold_window`` by event time, Kafka out; with recovery it keeps snapshots in SQLite."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import bytewax.operators.windowing as win
import orjson
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import cluster_main

from benchmarks.peers.task import LATENESS_NS, SIZE_NS, Marks, Task, parse, series_of, window

ALIGN = datetime(2023, 1, 1, tzinfo=UTC)
INFINITY = float("inf")
Row = tuple[int, float, float, float]
Pair = tuple[float, datetime]


def fold(row: Row, pair: Pair) -> Row:
    """One event more."""
    value = pair[0]
    return row[0] + 1, row[1] + value, min(row[2], value), max(row[3], value)


def merge(a: Row, b: Row) -> Row:
    """Two windows of one series; tumbling windows never need it."""
    return a[0] + b[0], a[1] + b[1], min(a[2], b[2]), max(a[3], b[3])


def flow_of(task: Task, marks: Marks) -> Dataflow:
    """The dataflow; it ends at the end of the topic."""
    brokers = [task.brokers]

    def keyed(message: Any) -> tuple[str, Pair]:
        marks.count()
        event = orjson.loads(message.value)
        return series_of(event), (event["value"], datetime.fromtimestamp(event["time_unix_nano"] / 1e9, UTC))

    def out(item: tuple[str, tuple[int, Row]]) -> KafkaSinkMessage[bytes, bytes]:
        series, (number, row) = item
        start_ns = (int(ALIGN.timestamp()) * 1_000_000_000) + number * SIZE_NS
        return KafkaSinkMessage(series.encode(), orjson.dumps(window(series, start_ns, *row)))

    flow = Dataflow("windows")
    source = kop.input("in", flow, brokers=brokers, topics=[task.topic], tail=False)
    series = op.map("parse", source.oks, keyed)
    windowed = win.fold_window(
        "window",
        series,
        win.EventClock(lambda pair: pair[1], wait_for_system_duration=timedelta(seconds=LATENESS_NS / 1e9)),
        win.TumblingWindower(length=timedelta(seconds=SIZE_NS / 1e9), align_to=ALIGN),
        lambda: (0, 0.0, INFINITY, -INFINITY),
        fold,
        merge,
        ordered=False,
    )
    kop.output("out", op.map("encode", windowed.down, out), brokers=brokers, topic=task.output)
    return flow


def run(task: Task) -> None:
    """To the end of the topic."""
    marks = Marks(task)
    recovery = None
    if task.variant == "recovery":
        folder = Path(task.folder) / "recovery"
        folder.mkdir()
        init_db_dir(folder, 1)
        recovery = RecoveryConfig(str(folder))
    epoch = timedelta(seconds=1) if recovery else None
    cluster_main(flow_of(task, marks), [], 0, epoch_interval=epoch, recovery_config=recovery)
    marks.last(marks.seen)


if __name__ == "__main__":
    run(parse(sys.argv[1]))
