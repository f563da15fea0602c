"""A supervised worker comes back when it dies, ends when it is asked to, and what follows it repeats nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from agents_emitter.simulator import simulate
from streams import topics
from tests.pipeline import Pipeline, Sent, Worker, eventually, open_pipeline

SETTINGS = {
    "pane_seconds": 1,
    "window_seconds": "1,5",
    "lateness_seconds": 2,
    "tick_interval_seconds": 0.2,
    "idle_seconds": 0.5,
    "instance_id": "one",
}
pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[Pipeline]:
    with open_pipeline(tmp_path_factory.mktemp("supervision"), cache_folder, **SETTINGS) as pipeline:
        yield pipeline


def worker_pids(supervisor: Worker) -> list[int]:
    """The processes that the supervisor runs."""
    return [child.pid for child in psutil.Process(supervisor.pid).children()]


def test_a_killed_worker_is_restarted_and_a_signal_is_passed_on(pipeline: Pipeline) -> None:
    supervisor = pipeline.worker("metrics", supervised=True).up()
    (first,) = worker_pids(supervisor)
    os.kill(first, signal.SIGKILL)
    eventually(lambda: worker_pids(supervisor) not in ([], [first]), "another worker")
    eventually(supervisor.ready, "ready again")
    (second,) = worker_pids(supervisor)

    assert supervisor.terminate() == 0
    assert not psutil.pid_exists(second)
    text = supervisor.log.read_text()
    assert "worker ended with -9; restart in 0.5 s" in text


def test_sigterm_under_load_ends_in_time_and_nothing_is_processed_twice(pipeline: Pipeline) -> None:
    emissions = list(
        simulate("burst_free", seed=5, start_ns=time.time_ns(), duration_seconds=5, events_per_second=100_000)
    )
    first = pipeline.worker("metrics").up()
    pipeline.produce([Sent(e.topic, e.key, e.value) for e in emissions])
    eventually(lambda: first.total("streams_events_total", topic=topics.METRICS) > 0, "some progress")
    begin = time.monotonic()
    assert first.terminate() == 0
    seconds = time.monotonic() - begin
    done = first.total("streams_events_total", topic=topics.METRICS)

    second = pipeline.worker("metrics").up()
    sent = sum(e.events for e in emissions)
    eventually(lambda: second.total("streams_events_total", topic=topics.METRICS) >= sent, "the rest")
    eventually(lambda: second.total("streams_open_panes") == 0, "all panes closed")
    truth = pipeline.truth(pipeline.read(topics.METRICS))
    eventually(lambda: truth.windows.keys() <= pipeline.windows().keys(), "all windows published")
    now = pipeline.windows()
    assert {key: now[key] for key in truth.windows} == truth.windows
    fates = {source: counts for source, counts in second.fates().items() if source[0] == topics.METRICS and counts}
    assert fates == {source: counts for source, counts in truth.counts().items() if counts}
    print(f"\nended after {seconds:.1f} s with {done:.0f} of {sent} events counted; then {second.fates()}")
    assert seconds < 5


def test_a_worker_that_was_stopped_past_its_session_ends_before_it_does_anything(pipeline: Pipeline) -> None:
    supervisor = pipeline.worker("alerts", supervised=True, session_timeout_seconds=6).up()
    (stopped,) = worker_pids(supervisor)
    os.kill(stopped, signal.SIGSTOP)
    time.sleep(7.0)  # the fault itself, not a wait for a result
    os.kill(stopped, signal.SIGCONT)
    eventually(lambda: worker_pids(supervisor) not in ([], [stopped]), "another worker")
    eventually(supervisor.ready, "ready again")

    assert supervisor.terminate() == 0
    text = supervisor.log.read_text()
    assert "this process was stopped for" in text
    assert "worker ended with 70; restart in 0.5 s" in text
