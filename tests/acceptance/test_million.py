"""A million simulated events: every one is in exactly one count, every window is what plain Python makes of it."""

from __future__ import annotations

import math
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agents_emitter import events
from agents_emitter.simulator import simulate
from agents_emitter.simulator.reading import samples
from streams import topics
from streams.domain.series import resource_labels
from streams.domain.window import Window
from tests.pipeline import Pipeline, Record, Sent, Worker, decoded, eventually, open_pipeline

SECOND = 1_000_000_000
SEED = 7
SIZES = (10, 60, 300)
SIMULATED = 1_000_000
DUPLICATES = 0.05
DROPPED = 4_321
JITTER_NS = int(2.5 * SECOND)
"""A batch holds a second and is sent within the next: with it events are up to 4.5 s out of order, lateness is 5 s."""
MALFORMED = (b"", b"{", b"\x00\xff\xfe", b'{"v":1,"schema":"agents.metric/9"}', b'{"name":"x"}', b"[]", b"null")

pytestmark = pytest.mark.timeout(480)
Key = tuple[int, int, str, tuple[tuple[str, str], ...]]


@dataclass
class Load:
    """What is sent, and what must become of it."""

    records: list[Sent] = field(default_factory=list)
    fresh: list[bytes] = field(default_factory=list)  # metric batches, each once
    emitted: Counter[str] = field(default_factory=Counter)  # events by topic
    fates: Counter[str] = field(default_factory=Counter)  # of agents.metrics


def start_ns() -> int:
    """Two whole windows of 300 s, both over for long enough that an idle tick closes them."""
    now = time.time_ns() - 20 * SECOND
    return now - now % (300 * SECOND) - 600 * SECOND


def make_load(start: int) -> Load:
    rng = random.Random(SEED)
    load = Load()
    steady = list(simulate("burst_free", seed=SEED, start_ns=start, duration_seconds=590, events_per_second=1_700))
    normal = list(simulate("normal_day", seed=SEED + 1, start_ns=start + 30 * SECOND, duration_seconds=60))
    keyed = []
    for emission in steady + normal:
        at = emission.time_ns + int(rng.random() * JITTER_NS)
        sent = Sent(emission.topic, emission.key, emission.value)
        keyed.append((at, sent))
        load.emitted[emission.topic] += emission.events
        if emission.topic == topics.METRICS:
            load.fresh.append(emission.value)
            load.fates["aggregated"] += emission.events
        if rng.random() < DUPLICATES:
            keyed.append((at + int(rng.random() * 20 * SECOND), sent))
            load.emitted[emission.topic] += emission.events
            load.fates["duplicate"] += emission.events if emission.topic == topics.METRICS else 0
    load.records = [sent for _, sent in sorted(keyed, key=lambda pair: pair[0])]
    _spoil(load, rng)
    _add_late(load, [emission.key for emission in steady[:12]], start)
    return load


def _spoil(load: Load, rng: random.Random) -> None:
    for number in range(300):
        topic = rng.choice((topics.METRICS, topics.LOGS, topics.SPANS))
        sent = Sent(topic, f"broken-{number}".encode(), rng.choice(MALFORMED))
        load.records.insert(rng.randrange(len(load.records)), sent)
        load.emitted[topic] += 1
        load.fates["rejected"] += topic == topics.METRICS


def _add_late(load: Load, keys: list[bytes], start: int) -> None:
    """At the end of each log, from an agent that was cut off: events of an hour ago, and how many it lost."""
    series = [events.SeriesDefinition("agents.steps", "1", "counter")]
    for number, key in enumerate(keys):
        head = events.encode_metric_head({"service.name": "cut-off"}, series, f"cut-off-{number}")
        batch = events.encode_metric_batch(
            head,
            seq=0,
            dropped_total=DROPPED * (number + 1) // len(keys) - DROPPED * number // len(keys),
            base_time_unix_nano=start - 3600 * SECOND,
            index=[0] * 50,
            offset_ns=list(range(50)),
            value=[1.0] * 50,
        )
        load.records.append(Sent(topics.METRICS, key, batch))
        load.emitted[topics.METRICS] += 50
        load.fates["late"] += 50


@dataclass
class Run:
    """The load, after a worker has been through it."""

    load: Load
    pipeline: Pipeline
    worker: Worker
    published: list[Record]
    expected: dict[Key, list[float]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[Run]:
    load = make_load(start_ns())
    expected = brute_force(load)
    with open_pipeline(tmp_path_factory.mktemp("million"), cache_folder, partitions=4) as pipeline:
        pipeline.produce(load.records)
        worker = pipeline.worker("all").up()
        wanted = sum(load.emitted.values())

        def settled() -> bool:
            counted = sum(counts.total() for (topic, _), counts in worker.fates().items() if topic in load.emitted)
            closed = worker.total("streams_open_panes", topic=topics.METRICS) == 0
            return counted + DROPPED >= wanted and closed

        eventually(settled, "all events counted and all panes closed", 180)
        eventually(lambda: len(windows_of(pipeline.read(topics.WINDOWS))) >= len(expected), "all windows published")
        yield Run(load, pipeline, worker, pipeline.read(topics.WINDOWS), expected)


def brute_force(load: Load) -> dict[Key, list[float]]:
    """(size, start, name, labels) -> the values that belong there. Labels as the pipeline names them."""
    panes: dict[Key, list[float]] = defaultdict(list)
    names: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {}
    for value in load.fresh:
        for resource, series, time_ns, number in samples(value):
            key = f"{id(resource)}{id(series)}"
            known = names.get(key)
            if known is None:
                labels = tuple(sorted({**dict(resource_labels(resource)), **series.get("labels", {})}.items()))
                known = names[key] = (series["name"], labels)
            panes[10, time_ns - time_ns % (10 * SECOND), *known].append(number)
        names.clear()
    windows: dict[Key, list[float]] = defaultdict(list)
    for (_, start, name, labels), values in panes.items():
        for size in SIZES:
            windows[size, start - start % (size * SECOND), name, labels].extend(values)
    return windows


def windows_of(published: list[Record]) -> dict[Key, Window]:
    contents = {r.key: r.value or b"" for r in published if r.key is not None}
    found: dict[Key, Window] = {}
    for batch in decoded(contents):
        if batch.topic != topics.METRICS:
            continue
        for window in batch.rows():
            size = (window.end_ns - window.start_ns) // SECOND
            key = (size, window.start_ns, window.series.name, window.series.labels)
            assert key not in found, "an agent's series is in two partitions"
            found[key] = window
    return found


def test_every_event_is_in_exactly_one_count(run: Run) -> None:
    by_topic: dict[str, Counter[str]] = defaultdict(Counter)
    for (topic, _), counts in run.worker.fates().items():
        by_topic[topic].update(counts)
    dropped = int(run.worker.total("streams_emitter_dropped_total"))
    sent = sum(run.load.emitted.values())
    print(f"\nemitted {sent + dropped} (dropped by the emitter {dropped}):")
    for topic in run.load.emitted:
        print(f"  {topic}: {run.load.emitted[topic]} = {dict(by_topic[topic])}")
    assert sent + dropped >= SIMULATED
    assert dropped == DROPPED
    assert {t: by_topic[t].total() for t in run.load.emitted} == dict(run.load.emitted)
    assert by_topic[topics.METRICS] == run.load.fates
    for topic in (topics.LOGS, topics.SPANS):
        assert by_topic[topic]["rejected"] > 0
        # there are about a hundred logs: that none of their batches was chosen to be sent twice does happen
        assert by_topic[topic]["duplicate"] > 0 or topic == topics.LOGS


def test_windows_equal_a_brute_force(run: Run) -> None:
    found = windows_of(run.published)
    assert found.keys() == run.expected.keys()
    worst = 0.0
    for key, values in run.expected.items():
        window = found[key]
        values.sort()
        assert window.count == len(values)
        assert window.sum == math.fsum(values)
        assert (window.minimum, window.maximum) == (values[0], values[-1])
        for q, got in ((0.5, window.p50), (0.95, window.p95), (0.99, window.p99)):
            exact = values[math.floor(q * (len(values) - 1))]
            worst = max(worst, abs(got - exact) / abs(exact) if exact else abs(got))
    sizes = Counter(size for size, *_ in found)
    print(f"\nwindows by size {dict(sizes)}; worst relative error of a quantile {worst:.4f}")
    assert worst <= 0.02


def test_no_window_is_published_twice_without_a_restart(run: Run) -> None:
    keys = Counter(record.key for record in run.published if record.key is not None)
    assert max(keys.values()) == 1
