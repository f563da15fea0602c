"""The feeder of the trace read model beside a real broker: killed at random moments, its rows equal the topic's."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from streams import topics
from streams.api.tracequery import Filter, TraceReader
from streams.api.tracewriter import Fetched, TraceWriter
from streams.domain.trace import encode_trace
from streams.errors import ServiceUnavailable
from streams.services.process import ChildProcess
from tests.pipeline import Pipeline, Sent, open_pipeline
from tests.unit.api.test_tracestore import made

pytestmark = [pytest.mark.integration, pytest.mark.faults]

TRACES = 10_000
SPANS = 20


@contextmanager
def feeder(pipeline: Pipeline) -> Iterator[ChildProcess]:
    """``streams traces feed`` as a process of its own; kill -9 at the end."""
    child = ChildProcess(
        "feeder",
        [sys.executable, "-m", "streams", "traces", "feed"],
        log=pipeline.folder / "feeder.log",
        variables=pipeline.variables,
        folder=pipeline.folder,
    )
    child.start()
    try:
        yield child
    finally:
        child.kill()


def rows(path: Path) -> dict[str, tuple[int, int]]:
    """Trace id -> spans and errors, of all pages; nothing while there is no file."""
    try:
        reader = TraceReader(path)
    except ServiceUnavailable:
        return {}
    found, cursor = {}, ""
    try:
        while True:
            page = reader.page(Filter(), limit=1_000, cursor=cursor)
            found.update({t.trace_id: (t.span_count, t.error_count) for t in page.traces})
            cursor = page.next_cursor
            if not cursor:
                return found
    finally:
        reader.close()


def records() -> Iterator[Sent]:
    """200,000 spans; every tenth trace has a shorter record before, and every twentieth one again after."""
    for number in range(TRACES):
        whole = made(number, revision=1, spans=SPANS)
        key = whole.trace_id.encode()
        if number % 10 == 0:
            yield Sent(topics.TRACES, key, encode_trace(made(number)))
        yield Sent(topics.TRACES, key, encode_trace(whole))
        if number % 20 == 0:
            yield Sent(topics.TRACES, key, encode_trace(made(number)))


def complete(path: Path, offsets: dict[int, int]) -> bool:
    """Whether the rows hold the whole topic."""
    if not rows(path):
        return False
    with closing(sqlite3.connect(path.as_uri() + "?mode=ro", uri=True)) as db:
        return dict(db.execute("SELECT partition, next_offset FROM offsets").fetchall()) == offsets


@pytest.mark.timeout(600)
def test_a_feeder_that_is_killed_goes_on_where_its_rows_end(tmp_path: Path, cache_folder: Path) -> None:
    seeded = random.Random(5)
    path = tmp_path / "traces.sqlite3"
    settings = {"trace_store_path": path, "trace_store_seconds": 315_360_000}
    with open_pipeline(tmp_path, cache_folder, partitions=3, **settings) as pipeline:
        pipeline.produce(records())
        offsets: dict[int, int] = {}
        for record in pipeline.read(topics.TRACES):
            offsets[record.partition] = record.offset + 1
        kills = 0
        while not complete(path, offsets):
            before = len(rows(path))
            with feeder(pipeline) as child:
                child.wait_ready(lambda b=before: len(rows(path)) > b or complete(path, offsets), seconds=90)
                time.sleep(seeded.random() * 0.3)  # the moment of the kill: anywhere in a transaction
            kills += 1
        assert kills >= 3
        expected = {t.trace_id: (t.span_count, t.error_count) for t in (made(n, spans=SPANS) for n in range(TRACES))}
        assert rows(path) == expected
        reader = TraceReader(path)
        assert reader.trace(made(40).trace_id) == made(40, revision=1, spans=SPANS)
        assert len(reader.page(Filter(agent="agent-1", status="error"), limit=1_000).traces) == 334
        with feeder(pipeline) as child:
            pipeline.produce([Sent(topics.TRACES, b"last", encode_trace(made(TRACES)))])
            child.wait_ready(lambda: made(TRACES).trace_id in rows(path), seconds=90)
            os.kill(child.pid, signal.SIGTERM)
            assert child.wait(seconds=30) == 0


def test_a_topic_that_was_made_again_is_read_from_its_begin(tmp_path: Path, cache_folder: Path) -> None:
    path = tmp_path / "traces.sqlite3"
    writer = TraceWriter(path, topics.TRACES)
    writer.write([Fetched(0, 1_000, encode_trace(made(7)))])
    writer.close()
    settings = {"trace_store_path": path, "trace_store_seconds": 315_360_000}
    with open_pipeline(tmp_path, cache_folder, partitions=1, **settings) as pipeline:
        pipeline.produce([Sent(topics.TRACES, b"k", encode_trace(made(8)))])
        with feeder(pipeline) as child:
            child.wait_ready(lambda: rows(path).keys() == {made(8).trace_id}, seconds=90)
