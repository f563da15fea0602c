"""SIGTERM under load: a clean end, and the next worker counts and publishes nothing a second time."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents_emitter.simulator import simulate
from streams import topics
from tests.pipeline import Pipeline, Sent, eventually, open_pipeline

ROUNDS = 3
AGO_NS = 6 * 3600 * 10**9
"""Behind the broker's clock for the whole test: an event from the future is rejected and closes nothing."""
SETTINGS = {
    "pane_seconds": 1,
    "window_seconds": "1,5",
    "lateness_seconds": 2,
    "tick_interval_seconds": 0.2,
    "idle_seconds": 0.5,
}

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]


class Load(threading.Thread):
    """Agents that go on as fast as the broker takes it: ten seconds of their time every second."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(daemon=True)
        self._pipeline, self._stop_asked = pipeline, threading.Event()
        self.sent = 0

    def run(self) -> None:
        start_ns = time.time_ns() - AGO_NS
        for number in range(10_000):
            if self._stop_asked.is_set():
                return
            emissions = simulate(
                "burst_free", seed=number, start_ns=start_ns + number * 10**9, duration_seconds=1, batch_seconds=0.1
            )
            metrics = [e for e in emissions if e.topic == topics.METRICS]
            self._pipeline.produce([Sent(e.topic, e.key, e.value) for e in metrics])
            self.sent += sum(e.events for e in metrics)

    def finish(self) -> int:
        self._stop_asked.set()
        self.join()
        return self.sent


@pytest.fixture
def pipeline(tmp_path: Path, cache_folder: Path) -> Iterator[Pipeline]:
    with open_pipeline(tmp_path, cache_folder, partitions=2, **SETTINGS) as pipeline:
        yield pipeline


def test_nothing_is_counted_or_published_again(pipeline: Pipeline) -> None:
    load = Load(pipeline)
    load.start()
    for _ in range(ROUNDS):
        worker = pipeline.worker("metrics").up()
        published = len(pipeline.read(topics.WINDOWS))
        eventually(lambda published=published: len(pipeline.read(topics.WINDOWS)) > published, "windows published")
        begin = time.monotonic()
        assert worker.terminate() == 0, worker.log_tail()
        print(f"\nended within {time.monotonic() - begin:.2f} s of SIGTERM")
        assert "unclean end" not in worker.log.read_text()
    sent = load.finish()

    last = pipeline.worker("metrics").up()
    counted = lambda: sum((c for (t, _), c in last.fates().items() if t == topics.METRICS), Counter())  # noqa: E731
    eventually(lambda: counted().total() >= sent, "everything counted")
    truth = pipeline.truth(pipeline.read(topics.METRICS))
    assert counted() == sum((c for (t, _), c in truth.counts().items() if t == topics.METRICS), Counter())
    assert counted().total() == sent
    keys = Counter(r.key for r in pipeline.read(topics.WINDOWS))
    assert [key for key, times in keys.items() if times > 1] == []
