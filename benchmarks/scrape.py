"""What a scrape of ``/metrics`` costs and whether the stream goes on: part of ``python -m benchmarks.scale``.

A worker's HTTP server shows the folds of four partitions while the event loop of the same process applies runs of
batches as fast as it can; another process scrapes. The loop's pauses are the delays of a coroutine that wants to run
every millisecond.
"""

from __future__ import annotations

import asyncio
import http.client
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from prometheus_client import CollectorRegistry

from agents_emitter import events
from benchmarks.data import SECOND_NS, START_NS, batches
from streams.app.garbage import settle
from streams.app.metrics import MetricsPartition, window_spec
from streams.app.warmup import warm_up
from streams.domain.block import LogRecord
from streams.publish.http import WorkerServer
from streams.publish.prometheus import WindowCollector
from streams.settings import Settings

PARTITIONS: Final = 4
PER_METRIC: Final = 900
"""Label sets of one metric: below its budget."""
LINES_OF_A_HISTOGRAM: Final = 17
SCRAPES: Final = 8


class Shape(NamedTuple):
    """How many label sets of each kind are exported."""

    counters: int
    gauges: int
    histograms: int

    @property
    def lines(self) -> int:
        """Time series in Prometheus' sense: one line each."""
        return self.counters + self.gauges + LINES_OF_A_HISTOGRAM * self.histograms


SHAPES: Final = {
    "100k_time_series": Shape(37_000, 12_000, 3_000),
    "100k_label_sets": Shape(50_000, 25_000, 25_000),
}


def record(value: bytes, offset: int) -> LogRecord:
    """A record as decoding reads it."""
    return LogRecord(events.METRICS_TOPIC, 0, offset, START_NS // 10**6 + 10**6, None, value)


def exported(shape: Shape, partition: int) -> Iterator[events.SeriesDefinition]:
    """The partition's share of the label sets."""
    for kind, count in (("counter", shape.counters), ("gauge", shape.gauges), ("histogram", shape.histograms)):
        for i in range(partition, count, PARTITIONS):
            labels = (("operation", f"operation-{i % PER_METRIC}"), ("outcome", "success"))
            yield events.SeriesDefinition(f"agents.bench.{kind}{i // PER_METRIC}", "s", kind, labels)  # type: ignore[arg-type]


def folded(shape: Shape, partition: int, settings: Settings) -> MetricsPartition:
    """A partition whose fold holds its share."""
    part = MetricsPartition(events.METRICS_TOPIC, partition, window_spec(settings), 1_000_000)
    rows = list(exported(shape, partition))
    offset = 0
    for pane in range(3):
        for first in range(0, len(rows), 500):
            some = rows[first : first + 500]
            value = events.encode_metric_batch(
                events.encode_metric_head({"service.name": "bench"}, some, f"bench-{first}"),
                seq=pane,
                dropped_total=0,
                base_time_unix_nano=START_NS + pane * 10 * SECOND_NS,
                index=list(range(len(some))),
                offset_ns=[0] * len(some),
                value=[0.1234567 * (i % 97 + 1) for i in range(len(some))],
            )
            part.process([record(value, offset)], 0)
            offset += 1
    return part


def stream(part: MetricsPartition) -> Iterator[int]:
    """Applies runs for ever; yields the samples of each."""
    records = [r.value for r in batches(1_000_000)]
    offset = part.operator.applied
    while True:
        for first in range(0, len(records), 20):
            run = [record(v, offset + 1 + i) for i, v in enumerate(records[first : first + 20])]
            offset += len(run)
            part.process(run, 0)
            yield 500 * len(run)


class Loop:
    """The busy event loop and what it notices."""

    def __init__(self, part: MetricsPartition) -> None:
        self._part = part
        self.samples, self.worst_pause, self.stop = 0, 0.0, False

    async def work(self) -> None:
        """Applies runs."""
        for samples in stream(self._part):
            self.samples += samples
            if self.stop:
                return
            await asyncio.sleep(0)

    async def watch(self) -> None:
        """Notices pauses."""
        while not self.stop:
            begin = time.perf_counter()
            await asyncio.sleep(0.001)
            self.worst_pause = max(self.worst_pause, time.perf_counter() - begin - 0.001)

    def begin(self) -> None:
        """Counts anew."""
        self.samples, self.worst_pause = 0, 0.0


async def scraped(port: int, times: int, accept: str, encoding: str) -> tuple[list[float], int]:
    """Scrapes from another process; seconds of each, and bytes of one."""
    command = [sys.executable, "-m", "benchmarks.scrape", str(port), str(times), accept, encoding]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    output, _ = await process.communicate()
    *seconds, size = output.decode().split()
    return [float(s) for s in seconds], int(size)


async def measure(name: str) -> dict[str, Any]:
    """One shape: the loop alone, then with scrapes one after the other."""
    shape, settings = SHAPES[name], Settings()
    warm_up(window_spec(settings))
    folds = [folded(shape, p, settings) for p in range(PARTITIONS)]
    registry = CollectorRegistry()
    collector = WindowCollector([part.fold for part in folds])
    server = WorkerServer(registry, live=list, ready=list, more=collector.render)
    server.start()
    loop = Loop(MetricsPartition(events.METRICS_TOPIC, PARTITIONS, window_spec(settings), 1_000_000))
    tasks = [asyncio.create_task(loop.work()), asyncio.create_task(loop.watch())]
    settle()
    await asyncio.sleep(1.0)
    loop.begin()
    begin = time.perf_counter()
    await asyncio.sleep(4.0)
    alone, alone_pause = loop.samples / (time.perf_counter() - begin), loop.worst_pause
    found: dict[str, Any] = {}
    for label, accept, encoding in (
        ("text", "text/plain", "identity"),
        ("gzip", "text/plain", "gzip"),
        ("openmetrics", "application/openmetrics-text", "identity"),
    ):
        cpu = time.process_time()
        loop.begin()
        begin = time.perf_counter()
        seconds, size = await scraped(server.port, SCRAPES, accept, encoding)
        found |= {
            f"{label}_seconds_first": round(seconds[0], 3),
            f"{label}_seconds": round(sorted(seconds)[len(seconds) // 2], 3),
            f"{label}_bytes": size,
            f"{label}_loop_worst_pause_seconds": round(loop.worst_pause, 4),
            f"{label}_throughput_ratio": round(loop.samples / (time.perf_counter() - begin) / alone, 2),
            f"{label}_cpu_seconds": round(time.process_time() - cpu, 2),
        }
    loop.stop = True
    await asyncio.gather(*tasks)
    begin_cpu = time.process_time()
    seconds, _ = await scraped(server.port, SCRAPES, "text/plain", "identity")
    idle = {
        "idle_seconds": round(sorted(seconds)[len(seconds) // 2], 3),
        "idle_cpu_seconds": round((time.process_time() - begin_cpu) / SCRAPES, 3),
    }
    server.stop()
    return {
        "measure": "scrape",
        "shape": name,
        "lines": shape.lines,
        "label_sets": sum(shape),
        "alone_loop_worst_pause_seconds": round(alone_pause, 4),
        **found,
        **idle,
    }


def scrape_from_here(port: int, times: int, accept: str, encoding: str) -> None:
    for _ in range(times):
        begin = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        connection.request("GET", "/metrics", headers={"Accept": accept, "Accept-Encoding": encoding})
        size = len(connection.getresponse().read())
        print(time.perf_counter() - begin)
        connection.close()
    print(size)


if __name__ == "__main__":
    scrape_from_here(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
