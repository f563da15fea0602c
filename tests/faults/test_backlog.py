"""The traces role is away for longer than the lateness of span metrics: its backlog finds the windows open."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.nemesis.spans import SPANS, Tracer
from streams import topics
from streams.trace.red import SPAN_CALLS
from tests.pipeline import Pipeline, Sent, Worker, decoded, eventually, open_pipeline

PARTITIONS = 2
AWAY_SECONDS = 20.0
SETTINGS = {
    "pane_seconds": 1,
    "window_seconds": "1,5",
    "lateness_seconds": 1,  # and ten more for spans
    "tick_interval_seconds": 0.2,
    "idle_seconds": 0.5,
    "session_timeout_seconds": 6,
    "heartbeat_seconds": 1,
    "instance_id": "one",
}

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]


@pytest.fixture
def pipeline(tmp_path: Path, cache_folder: Path) -> Iterator[Pipeline]:
    with open_pipeline(tmp_path, cache_folder, partitions=PARTITIONS, **SETTINGS) as pipeline:
        yield pipeline


class Agents(threading.Thread):
    """Four agents that end a trace every quarter of a second, on all partitions."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(daemon=True)
        self._pipeline, self._ended = pipeline, threading.Event()
        self.tracers = [Tracer(number) for number in range(4)]

    def run(self) -> None:
        while not self._ended.wait(0.25):
            self._pipeline.produce(
                Sent(topics.SPANS, b"%d" % sent.trace, sent.value, tracer.traces % PARTITIONS)
                for tracer in self.tracers
                for sent in tracer.trace(time.time_ns(), parts=1)
            )

    def finish(self) -> int:
        """Ends; returns how many spans there were."""
        self._ended.set()
        self.join()
        return SPANS * sum(tracer.traces for tracer in self.tracers)


def calls(pipeline: Pipeline) -> float:
    return sum(
        window.sum
        for batch in decoded(pipeline.windows())
        if batch.topic == topics.RED and batch.size_seconds == 1
        for window in batch.rows()
        if window.series.name == SPAN_CALLS
    )


def red(worker: Worker) -> Counter[str]:
    return sum((counts for (topic, _), counts in worker.fates().items() if topic == topics.RED), Counter())


def test_no_sample_of_a_backlog_is_late(pipeline: Pipeline) -> None:
    metrics, traces = pipeline.worker("metrics").up(), pipeline.worker("traces").up()
    agents = Agents(pipeline)
    agents.start()
    eventually(lambda: calls(pipeline) > 0, "the first windows of spans")
    before = calls(pipeline)
    traces.kill()
    time.sleep(AWAY_SECONDS)  # the fault itself, not a wait for a result
    held = calls(pipeline)
    pipeline.worker("traces").up()
    eventually(lambda: calls(pipeline) > held + 40, "windows go on")
    spans = agents.finish()
    eventually(lambda: calls(pipeline) + red(metrics)["late"] >= spans, "all spans in windows")
    print(f"\n{spans} spans; in windows {before:.0f} before, {held:.0f} after the outage, {calls(pipeline):.0f} now")
    assert calls(pipeline) == spans
    assert red(metrics)["late"] == 0
    truth = pipeline.truth(pipeline.read(topics.RED))
    assert truth.windows.items() <= pipeline.windows().items()
