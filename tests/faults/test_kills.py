"""kill -9 ten times while agents emit: windows, traces and counts are those of a run that nothing happened to."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agents_emitter.events import METRIC_SCHEMA
from agents_emitter.simulator import Emission, simulate
from agents_emitter.simulator.reading import samples
from streams import topics
from streams.app.sink import singly
from streams.app.traces import TracesPart
from streams.domain.trace import TraceRecord, decode_trace
from streams.trace import red
from streams.trace.assembly import TraceOperator
from tests.pipeline import (
    Pipeline,
    Record,
    Sent,
    Truth,
    Worker,
    decoded,
    eventually,
    one_content_per_key,
    open_pipeline,
)

SECOND = 1_000_000_000
SOURCES = (topics.METRICS, topics.LOGS, topics.RED)
KILLS = 10
SEED = 11
SETTINGS = {
    "pane_seconds": 1,
    "window_seconds": "1,5,10",
    "lateness_seconds": 3,
    "state_snapshot_windows": 3,
    "trace_quiet_seconds": 4,
    "session_timeout_seconds": 6,
    "heartbeat_seconds": 1,
    # a killed worker's place in the group is taken over at once: without it each restart waits for the session's end
    "instance_id": "one",
    "tick_interval_seconds": 0.2,
    "idle_seconds": 0.5,
}

pytestmark = [pytest.mark.faults, pytest.mark.timeout(480)]


class Agents(threading.Thread):
    """Emits a scenario in real time until told to stop, some batches twice; ends with a whole number of traces."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(daemon=True)
        self._pipeline, self._stop_asked = pipeline, threading.Event()
        self.events: Counter[str] = Counter()
        self.failure: BaseException | None = None

    def run(self) -> None:
        rng = random.Random(SEED)
        start_ns = time.time_ns()
        scenario = simulate(
            "model_outage", seed=SEED, start_ns=start_ns, duration_seconds=600, batch_seconds=0.5, heartbeat_seconds=1.0
        )
        try:
            for emission in scenario:
                while emission.time_ns > time.time_ns():
                    if self._stop_asked.wait(0.02):
                        return
                self._send(emission, 2 if rng.random() < 0.05 else 1)
        except BaseException as error:
            self.failure = error
            raise

    def _send(self, emission: Emission, times: int) -> None:
        self.events[emission.topic] += emission.events * times
        self._pipeline.produce([Sent(emission.topic, emission.key, emission.value)] * times)

    def finish(self) -> None:
        self._stop_asked.set()
        self.join()
        assert self.failure is None


@dataclass
class Chaos:
    """What ten kills left behind."""

    pipeline: Pipeline
    worker: Worker
    events: Counter[str]
    published: dict[bytes, bytes]
    truth: Truth
    log: dict[str, list[Record]]


@pytest.fixture(scope="module")
def chaos(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[Chaos]:
    rng = random.Random(SEED)
    with open_pipeline(tmp_path_factory.mktemp("kills"), cache_folder, partitions=2, **SETTINGS) as pipeline:
        agents = Agents(pipeline)
        agents.start()
        worker = pipeline.worker("all")
        for _ in range(KILLS):
            worker.start()
            if rng.random() < 0.8:  # the others die while they start or restore
                worker.wait_up()
            time.sleep(rng.uniform(0.1, 2.5))
            worker.kill()
        worker.up()
        agents.finish()
        chaos = Chaos(pipeline, worker, agents.events, {}, Truth(), {})
        eventually(lambda: settled(chaos), "everything applied and published", 120)
        yield chaos


def settled(chaos: Chaos) -> bool:
    """Nothing is left open, and what the log comes to is on ``agents.windows``."""
    worker = chaos.worker
    if not worker.ready():  # members that were killed leave the group late, and all is restored once more
        return False
    if worker.total("streams_open_panes") or worker.total("streams_open_traces"):
        return False
    if worker.total("streams_consumer_lag_records") or not chaos.worker.fates():
        return False
    chaos.published = chaos.pipeline.windows()  # before the log, which grows by ticks
    log = chaos.pipeline.read(topics.METRICS, topics.LOGS, topics.RED, topics.SPANS, topics.TRACES)
    chaos.log = {name: [r for r in log if r.topic == name] for name in {r.topic for r in log}}
    chaos.truth = chaos.pipeline.truth([r for name in SOURCES for r in chaos.log.get(name, [])])
    if not chaos.truth.fates.keys() <= worker.fates().keys() or not worker.ready():
        return False
    return chaos.truth.windows.keys() <= chaos.pipeline.windows().keys()


def test_windows_are_those_of_an_undisturbed_run(chaos: Chaos) -> None:
    records = [r for r in chaos.pipeline.read(topics.WINDOWS) if r.key]
    now = one_content_per_key(records)
    again = len(records) - len(now)
    print(f"\nevents {dict(chaos.events)}; {len(chaos.truth.windows)} window records, {again} published again")
    assert {key: now[key] for key in chaos.truth.windows} == chaos.truth.windows
    assert chaos.published.items() <= chaos.truth.windows.items()


def test_counts_are_those_of_an_undisturbed_run(chaos: Chaos) -> None:
    fates = {source: counts for source, counts in chaos.worker.fates().items() if source[0] in SOURCES and counts}
    expected = {source: counts for source, counts in chaos.truth.counts().items() if counts}
    print(f"\n{fates}")
    assert fates == expected
    for topic in (topics.METRICS, topics.LOGS):
        assert sum(counts.total() for (name, _), counts in fates.items() if name == topic) == chaos.events[topic]
    spans = sum((counts for (name, _), counts in chaos.worker.fates().items() if name == topics.SPANS), Counter())
    print(f"spans: {dict(spans)}")
    assert spans.total() == chaos.events[topics.SPANS]


def reference(log: list[Record]) -> tuple[dict[bytes, TraceRecord], set[bytes]]:
    """Last revision of each trace, and the RED batches, of one undisturbed run of the traces role."""
    records: list[Record] = []
    for partition in sorted({r.partition for r in log}):
        operator = TraceOperator(quiet_seconds=SETTINGS["trace_quiet_seconds"])
        part = TracesPart(topics.SPANS, partition, operator)
        for step in part.process([r for r in log if r.partition == partition], 0):
            records += [Record(o.topic, 0, 0, 0, o.key, o.value) for o in singly(step.results)]
    return last_revisions(records), metric_batches([r for r in records if r.topic == topics.RED])


def metric_batches(records: list[Record]) -> set[bytes]:
    """The other records with a key are exemplars: at most those of a second, of which a crash may lose some."""
    return {r.value for r in records if r.key and r.value and METRIC_SCHEMA.encode() in r.value[:100]}


def last_revisions(records: list[Record]) -> dict[bytes, TraceRecord]:
    found: dict[bytes, TraceRecord] = {}
    for record in records:
        if record.topic == topics.TRACES and record.key and record.value:
            trace = decode_trace(record.value)
            known = found.get(record.key)
            if known is None or trace.supersedes(known):
                found[record.key] = trace
    return found


def test_traces_are_those_of_an_undisturbed_run(chaos: Chaos) -> None:
    expected, batches = reference(chaos.log[topics.SPANS])
    found = last_revisions(chaos.log[topics.TRACES])
    again = len(chaos.log[topics.TRACES]) - len(found)
    print(f"\n{len(found)} traces, {again} records published again or revised, {len(batches)} RED batches")
    assert found.keys() == expected.keys()
    assert found == expected
    assert metric_batches(chaos.log[topics.RED]) == batches


def test_span_metrics_are_not_doubled(chaos: Chaos) -> None:
    spans = {span.span_id for trace in last_revisions(chaos.log[topics.TRACES]).values() for span in trace.spans}
    batches = metric_batches(chaos.log[topics.RED])
    sent = sum(
        number for value in batches for _, series, _, number in samples(value) if series["name"] == red.SPAN_CALLS
    )
    calls = sum(
        window.sum
        for batch in decoded(chaos.truth.windows)
        if batch.topic == topics.RED and batch.size_seconds == 1
        for window in batch.rows()
        if window.series.name == red.SPAN_CALLS
    )
    late = sum(counts["late"] for (name, _), counts in chaos.worker.fates().items() if name == topics.RED)
    print(f"\n{len(spans)} spans, {sent:.0f} calls sent, {calls:.0f} in windows, {late} late samples of any metric")
    assert sent == len(spans)
    # those of a partition that was idle when its worker died may be late there, and are counted
    assert calls <= sent <= calls + late
