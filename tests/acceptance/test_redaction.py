"""1,000 events of our emitter and 1,000 records of others, something to hide in every field of them: what is published,
stored, shown and logged shows none of it.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agents_emitter import Emitter
from benchmarks.page import page
from streams import topics
from tests.pipeline import Sent, eventually, open_pipeline
from tests.planted import Garden, emit, identity, records

pytestmark = pytest.mark.timeout(300)
SETTINGS = {
    "pane_seconds": 1,
    "window_seconds": "1,5",
    "lateness_seconds": 1,
    "tick_interval_seconds": 0.2,
    "idle_seconds": 0.5,
    "trace_quiet_seconds": 1,
}
SOURCES = {topics.METRICS, topics.SPANS, topics.LOGS, topics.OTLP_METRICS, topics.OTLP_SPANS, topics.OTLP_LOGS}


def test_nothing_that_was_planted_is_seen_again(tmp_path: Path, cache_folder: Path) -> None:
    with open_pipeline(tmp_path, cache_folder, partitions=2, **SETTINGS) as pipeline:
        ours, theirs = Garden(11), Garden(12)
        with Emitter(pipeline.broker.bootstrap, **identity(ours)) as emitter:
            emit(emitter, ours, 1_000)
            assert emitter.flush(60)
            sent = emitter.stats().delivered
        sources = pipeline.read(*SOURCES)
        assert [seen for r in sources for seen in ours.seen_in((r.key or b"") + (r.value or b""))] == []
        count = pipeline.produce(
            Sent(topic, theirs.secret().text.encode(), value) for topic, value in records(theirs, 1_000, time.time_ns())
        )
        worker = pipeline.worker("all").up()
        eventually(lambda: sum(sum(f.values()) for f in worker.fates().values()) >= sent + count, "all have a fate")
        eventually(lambda: pipeline.read(topics.DEAD_LETTERS, topics.TRACES, topics.RED), "something was published")
        eventually(lambda: worker.total("streams_windows_closed_total") > 100, "windows closed")
        eventually(lambda: len(pipeline.read(topics.TRACES)) > 100, "traces left")
        for garden in (ours, theirs):
            for record in pipeline.read(*set(topics.BY_NAME) - SOURCES):
                everything = b" ".join([record.key or b"", record.value or b"", *(v for _, v in record.headers)])
                assert garden.seen_in(everything) == [], (record.topic, everything[:2000])
            assert garden.seen_in(page(worker.port, "/metrics")[1].encode()) == []
        assert worker.total("streams_redactions_total") > 1_000
        assert worker.terminate() == 0
        log = next(tmp_path.glob("worker-*.log")).read_bytes()
        assert ours.seen_in(log) == theirs.seen_in(log) == []
