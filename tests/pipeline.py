"""A pipeline under test: a broker of its own, workers as processes, and plain reads of what they publish.

What they publish is held against :func:`undisturbed`: the pure window operator over the source log as the broker holds
it, ticks included. So a test may kill, stop and move workers as it likes: the log says what had to come out.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.page import page
from streams import topics
from streams.app.admin import create_topics
from streams.app.metrics import red_spec, window_spec
from streams.decode.run import HeadCache, decode_run
from streams.domain.window import WindowBatch, decode_window_batch, encode_window_batch, split
from streams.services.kafka import KafkaService
from streams.services.ports import free_port
from streams.services.process import ChildProcess
from streams.settings import Settings
from streams.window.fates import Fates
from streams.window.operator import WindowOperator, WindowSpec

ROOT = Path(__file__).parents[1]
START_SECONDS = 90.0
"""A worker imports Faust, Numba and NumPy; beside a full test run on two cores that takes its time."""
SETTLE_SECONDS = 90.0
POLL_SECONDS = 0.15


class Sent(NamedTuple):
    """A record to produce; ``partition`` -1: by key, as Kafka's own clients do."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int = -1


class Record(NamedTuple):
    """A record as it lies in the log (what decoding reads, and the dead letters' headers)."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class Sample(NamedTuple):
    """One line of /metrics."""

    name: str
    labels: Mapping[str, str]
    value: float


class Worker(ChildProcess):
    """``python -m streams worker`` as a process of its own; ``crash``: it kills itself there, ``point:passage``."""

    def __init__(
        self, role: str, folder: Path, variables: Mapping[str, str], *, supervised: bool = False, crash: str = ""
    ) -> None:
        self.port = free_port()
        program = ["benchmarks.nemesis.crash", "--at", crash, "--"] if crash else ["streams"]
        command = [sys.executable, "-m", *program, "worker", "--role", role]
        super().__init__(
            f"worker {role}",
            command if supervised else [*command, "--no-supervise"],
            log=folder / f"worker-{role}-{self.port}.log",
            variables={**variables, "STREAMS_HTTP_PORT": str(self.port), "PYTHONPATH": str(ROOT)},
            folder=folder,
        )
        self.last: list[Sample] = []

    def up(self) -> Worker:
        """Starts and waits until it is ready: partitions restored, records flow."""
        self.start()
        self.wait_up()
        return self

    def wait_up(self) -> None:
        """Waits until it is ready; fails as soon as it has ended."""
        eventually(lambda: not self.running or self.ready(), f"{self.name} is ready", START_SECONDS)
        assert self.running, f"ended with {self.returncode}; its log ends with:\n{self.log_tail()}"

    def ready(self) -> bool:
        return page(self.port, "/health/ready")[0] == 200

    def samples(self) -> list[Sample]:
        """What it serves now; the last answer where it no longer serves."""
        status, text = page(self.port, "/metrics")
        if status != 200:
            return self.last
        self.last = [Sample(s.name, s.labels, s.value) for f in text_string_to_metric_families(text) for s in f.samples]
        return self.last

    def total(self, name: str, **labels: str) -> float:
        """Sum of a metric over all label sets that hold these labels."""
        return sum(s.value for s in self.samples() if s.name == name and labels.items() <= s.labels.items())

    def fates(self) -> dict[tuple[str, int], Counter[str]]:
        """(topic, partition) -> events by fate, zeros left out; one scrape."""
        found: dict[tuple[str, int], Counter[str]] = {}
        for s in self.samples():
            if s.name == "streams_events_total":
                counts = found.setdefault((s.labels["topic"], int(s.labels["partition"])), Counter())
                if s.value:
                    counts[s.labels["fate"]] = int(s.value)
        return found

    def terminate(self, *, seconds: float = 30.0) -> int:
        """SIGTERM; returns the exit code."""
        os.kill(self.pid, signal.SIGTERM)
        return self.wait(seconds=seconds)


def run_command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """``python -m streams`` of this checkout, with these variables more; ends within two minutes."""
    line = [sys.executable, "-m", "streams", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(line, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@dataclass
class Pipeline:
    """One broker with the pipeline's topics; workers that are still running at the end are killed."""

    broker: KafkaService
    folder: Path
    partitions: int
    variables: dict[str, str]
    workers: list[Worker] = field(default_factory=list)

    def worker(self, role: str, *, supervised: bool = False, crash: str = "", **settings: object) -> Worker:
        """A worker that is not started yet; settings by name (``lateness_seconds=2``)."""
        more = {f"STREAMS_{name.upper()}": str(value) for name, value in settings.items()}
        made = Worker(role, self.folder, {**self.variables, **more}, supervised=supervised, crash=crash)
        self.workers.append(made)
        return made

    def command(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """``streams`` as a person calls it; ends within two minutes."""
        return run_command(*arguments, **{**self.variables, **variables})

    @cached_property
    def producer(self) -> Producer:
        """One for all records: they keep their order, also over a retry."""
        return Producer(
            {
                "bootstrap.servers": self.broker.bootstrap,
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "linger.ms": 5,
                "message.max.bytes": 8_000_000,
                "queue.buffering.max.messages": 1_000_000,
                "log_level": 2,
            }
        )

    def produce(self, records: Iterable[Sent]) -> int:
        """Sends records in order and waits until the broker has all of them."""
        failures: list[Any] = []

        def delivered(error: Any, _: Any) -> None:
            if error is not None:
                failures.append(error)

        producer, count = self.producer, 0
        for record in records:
            producer.produce(
                record.topic, key=record.key, value=record.value, partition=record.partition, on_delivery=delivered
            )
            count += 1
            if count % 500 == 0:
                producer.poll(0)
        assert producer.flush(60) == 0
        assert not failures, failures[:3]
        return count

    def read(self, *names: str) -> list[Record]:
        """All records of topics up to where each partition ends now, in the order of each partition."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.broker.bootstrap,
                "group.id": "reader",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.message.max.bytes": 16_777_216,
                "fetch.wait.max.ms": 10,
            }
        )
        try:
            return sorted(_read(consumer, names), key=lambda r: (r.topic, r.partition, r.offset))
        finally:
            consumer.close()

    def windows(self) -> dict[bytes, bytes]:
        """Key to content of ``agents.windows``; the same key always has the same content."""
        return one_content_per_key(self.read(topics.WINDOWS))

    def truth(self, records: Sequence[Record]) -> Truth:
        """What source logs come to by the workers' settings."""
        spec = window_spec(Settings.from_environ(self.variables))
        truth = undisturbed([r for r in records if r.topic != topics.RED], spec)
        red = undisturbed([r for r in records if r.topic == topics.RED], red_spec(spec))
        return Truth(truth.windows | red.windows, truth.fates | red.fates)


def _read(consumer: Consumer, names: Sequence[str]) -> Iterator[Record]:
    metadata = consumer.list_topics(timeout=30).topics
    left = {(name, p) for name in names for p in metadata[name].partitions}
    consumer.assign([TopicPartition(name, p, OFFSET_BEGINNING) for name, p in left])
    while left:
        for message in consumer.consume(1000, timeout=0.2):
            error = message.error()
            if error is None:
                headers = message.headers() or []
                yield Record(
                    message.topic(),
                    message.partition(),
                    message.offset(),
                    message.timestamp()[1],
                    message.key(),
                    message.value(),
                    headers,
                )
            else:
                assert error.code() == KafkaError._PARTITION_EOF, error
                left.discard((message.topic(), message.partition()))


def one_content_per_key(records: Iterable[Record]) -> dict[bytes, bytes]:
    """Deduplicated by key; fails where two records of one key differ. Ticks have no key."""
    found: dict[bytes, bytes] = {}
    for record in records:
        if record.key is None:
            continue
        assert record.value is not None
        assert found.setdefault(record.key, record.value) == record.value, f"two contents of {record.key!r}"
    return found


@dataclass
class Truth:
    """What one source log comes to: windows by key, events by fate, per partition."""

    windows: dict[bytes, bytes] = field(default_factory=dict)
    fates: dict[tuple[str, int], Fates] = field(default_factory=dict)

    def counts(self) -> dict[tuple[str, int], Counter[str]]:
        """Fates as a worker's /metrics shows them."""
        found = {}
        for source, fates in self.fates.items():
            rejected = fates.rejected.total()
            counts = Counter(fates.snapshot() | {"rejected": rejected})
            found[source] = +counts
        return found


def undisturbed(records: Sequence[Record], spec: WindowSpec, *, run_records: int = 1_000) -> Truth:
    """The pure operator over a source log, in one process that nothing happens to."""
    truth = Truth()
    logs: dict[tuple[str, int], list[Record]] = {}
    for record in records:
        logs.setdefault((record.topic, record.partition), []).append(record)
    for (topic, partition), log in logs.items():
        operator, heads = WindowOperator(topic, partition, spec), HeadCache()
        for first in range(0, len(log), run_records):
            columns = decode_run(log[first : first + run_records], operator.table, heads, hint=topic)
            for batch in operator.apply(columns).closed:
                truth.windows.update({part.key: encode_window_batch(part) for part in split(batch)})
        truth.fates[topic, partition] = operator.fates
    return truth


def decoded(windows: Mapping[bytes, bytes]) -> list[WindowBatch]:
    """Window records as values."""
    return [decode_window_batch(value) for value in windows.values()]


@contextmanager
def open_pipeline(folder: Path, cache_folder: Path, *, partitions: int = 2, **settings: object) -> Iterator[Pipeline]:
    """A broker with the topics of the pipeline; settings of all workers by name."""
    with KafkaService(folder / "kafka", cache_folder=cache_folder) as broker:
        variables = {f"STREAMS_{name.upper()}": str(value) for name, value in settings.items()}
        variables |= {"STREAMS_BROKERS": broker.bootstrap, "STREAMS_PARTITIONS": str(partitions)}
        variables |= {"STREAMS_THRESHOLDS_PATH": str(ROOT / "monitoring" / "thresholds.yml")} | variables
        asyncio.run(create_topics(Settings.from_environ(variables)))
        pipeline = Pipeline(broker, folder, partitions, variables)
        try:
            yield pipeline
        finally:
            for worker in pipeline.workers:
                worker.kill()


def eventually(condition: Callable[[], object], what: str, seconds: float = SETTLE_SECONDS) -> None:
    """Polls a condition that costs something (a scrape, a read of a topic), so not as often as it could."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(POLL_SECONDS)
