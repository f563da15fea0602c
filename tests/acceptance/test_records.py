"""What a worker does with single records: a JSON line from anywhere, and records that nobody can use."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents_emitter import events
from agents_emitter.simulator import simulate
from streams import topics
from streams.domain.window import Window
from streams.publish.deadletter import DeadLetter, read_dead_letter
from tests.pipeline import Pipeline, Sent, Worker, decoded, eventually, open_pipeline

SECOND = 1_000_000_000
SETTINGS = {
    "pane_seconds": 1,
    "window_seconds": "1,5",
    "lateness_seconds": 1,
    "tick_interval_seconds": 0.2,
    "idle_seconds": 0.5,
}
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[Pipeline]:
    with open_pipeline(tmp_path_factory.mktemp("records"), cache_folder, partitions=2, **SETTINGS) as pipeline:
        yield pipeline


@pytest.fixture(scope="module")
def worker(pipeline: Pipeline) -> Worker:
    return pipeline.worker("all").up()


def rows(pipeline: Pipeline, name: str, size_seconds: float) -> list[Window]:
    """All windows of one metric and size."""
    batches = [b for b in decoded(pipeline.windows()) if b.size_seconds == size_seconds]
    return [window for batch in batches for window in batch.rows() if window.series.name == name]


def test_one_json_line_is_in_a_window_and_on_the_metrics_page(pipeline: Pipeline, worker: Worker) -> None:
    line = b'{"name": "shell.queue.length", "value": 42, "labels": {"queue": "mail"}}'
    pipeline.produce([Sent(topics.METRICS, None, line)])
    eventually(lambda: rows(pipeline, "shell.queue.length", 1), "the window of a JSON line")
    (window,) = rows(pipeline, "shell.queue.length", 1)
    assert (window.count, window.sum, window.minimum, window.maximum) == (1, 42, 42, 42)
    assert window.series.labels == (("queue", "mail"),)
    assert abs(window.start_ns - time.time_ns()) < 300 * SECOND  # without a time of its own the broker's counts
    eventually(lambda: worker.total("shell_queue_length_ratio", queue="mail") == 42, "the gauge on /metrics")


def test_a_line_from_kcat(pipeline: Pipeline, worker: Worker) -> None:
    """The README's command where kcat is installed, else what it would send: the bytes of the line, no key."""
    line = b'{"name": "shell.backups", "value": 3, "kind": "counter"}'
    kcat = shutil.which("kcat")
    if kcat:
        command = [kcat, "-P", "-b", pipeline.broker.bootstrap, "-t", topics.METRICS]
        subprocess.run(command, input=line + b"\n", check=True, timeout=30)
    else:
        pipeline.produce([Sent(topics.METRICS, None, line)])
    eventually(lambda: worker.total("shell_backups_total") == 3, "the counter on /metrics")


def kinds_of_malformed() -> list[bytes | None]:
    """Many ways of being unusable, and the reason that each must get."""
    series = [events.SeriesDefinition("m", "1", "gauge")]
    head = events.encode_metric_head({}, series, "p")
    body = {"seq": 0, "dropped_total": 0, "base_time_unix_nano": time.time_ns()}
    good = events.encode_metric_batch(head, **body, index=[0], offset_ns=[0], value=[1.0])
    return [
        None,
        b"",
        b"{",
        b"plain text",
        b"\xff\xfe\x00\x01",
        b"[]",
        b"[1, 2]",
        b"null",
        b"3",
        b'"text"',
        b"{}",
        b'{"name": "x"}',
        b'{"name": "x", "value": "y"}',
        b'{"name": "x", "value": null}',
        b'{"name": "", "value": 1}',
        b'{"name": "x", "value": 1, "kind": "strange"}',
        b'{"name": "x", "value": -1, "kind": "counter"}',
        b'{"v": 1, "schema": "agents.other/1"}',
        b'{"v": 9, "schema": "agents.metric/9"}',
        good[:-20],
        good.replace(b'"count":1', b'"count":7'),
        events.encode_metric_batch(head, **body, index=[3], offset_ns=[0], value=[1.0]),
        events.encode_span_batch({}, [], producer="p", seq=0),
        b"\n\x05" + bytes(200),
    ]


def test_a_third_of_the_records_is_malformed(pipeline: Pipeline, worker: Worker) -> None:
    emissions = list(simulate("burst_free", seed=3, start_ns=time.time_ns(), duration_seconds=10, batch_seconds=0.2))
    emissions = emissions[:600]
    kinds = kinds_of_malformed()
    before = len(dead_letters(pipeline))
    sent: list[Sent] = []
    for number, emission in enumerate(emissions):
        sent.append(Sent(emission.topic, emission.key, emission.value))
        if number % 2 == 0:
            sent.append(Sent(topics.METRICS, f"broken-{number}".encode(), kinds[number // 2 % len(kinds)]))
    counted = fates(worker)
    pipeline.produce(sent)
    expected = {s.key: s.value for s in sent if s.key and s.key.startswith(b"broken-")}
    good = sum(emission.events for emission in emissions)
    assert len(expected) * 3 == len(sent)

    eventually(lambda: len(dead_letters(pipeline)) - before >= len(expected), "dead letters")
    eventually(lambda: (fates(worker) - counted)["aggregated"] >= good, "the good events")
    letters = [letter for letter in dead_letters(pipeline) if letter.key in expected]
    found = fates(worker) - counted
    print(f"\n{len(sent)} records, {len(letters)} dead letters, {dict(Counter(x.reason for x in letters))}")
    print(f"good events {good}, fates {dict(found)}")
    assert {letter.key: letter.value for letter in letters} == expected
    assert len(letters) == len(expected)
    assert all(letter.reason and letter.topic == topics.METRICS and letter.offset >= 0 for letter in letters)
    originals = {(r.partition, r.offset): r.value for r in pipeline.read(topics.METRICS)}
    assert all(originals[x.partition, x.offset] == x.value for x in letters)
    assert found["aggregated"] == good
    assert found["late"] == found["duplicate"] == 0
    assert worker.running
    assert worker.ready()


def fates(worker: Worker) -> Counter[str]:
    counts: Counter[str] = Counter()
    for (topic, _), some in worker.fates().items():
        counts += some if topic == topics.METRICS else Counter()
    return counts


def dead_letters(pipeline: Pipeline) -> list[DeadLetter]:
    return [read_dead_letter(record) for record in pipeline.read(topics.DEAD_LETTERS)]
