"""``python -m streams worker`` as a child of a benchmark, and live batches for it."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
import psutil
from confluent_kafka import Producer
from prometheus_client.parser import text_string_to_metric_families

from agents_emitter import events
from benchmarks.data import AGENTS, POOL, SERIES_PER_AGENT, definitions, resource, values
from benchmarks.page import page
from streams.services.ports import free_port
from streams.services.process import ChildProcess, wait_until

START_SECONDS: Final = 120.0
BATCH_SECONDS: Final = 0.1
MAX_SAMPLES: Final = 500
"""Of a record, as the emitter's batches: larger ones flatter the worker."""


class Worker(ChildProcess):
    """One worker without a supervisor."""

    def __init__(self, folder: Path, variables: Mapping[str, str], *, role: str = "metrics") -> None:
        self.port = free_port()
        super().__init__(
            f"worker {role}",
            [sys.executable, "-m", "streams", "worker", "--role", role, "--no-supervise"],
            log=folder / f"worker-{self.port}.log",
            variables={**variables, "STREAMS_HTTP_PORT": str(self.port)},
        )
        self._last: dict[tuple[str, int], Counter[str]] = {}

    def up(self) -> float:
        """Starts it; returns the seconds until it was ready."""
        begin = time.monotonic()
        self.start()
        self.wait_ready(self.is_ready, seconds=START_SECONDS)
        return time.monotonic() - begin

    def is_ready(self) -> bool:
        """Partitions are restored, records flow."""
        return page(self.port, "/health/ready")[0] == 200

    def total(self, name: str, **labels: str) -> float:
        """Sum of a metric's samples with these labels; 0 where nobody answers."""
        text = page(self.port, "/metrics")[1]
        samples = [s for f in text_string_to_metric_families(text) for s in f.samples if s.name == name]
        return sum(s.value for s in samples if labels.items() <= s.labels.items())

    def fates(self) -> dict[tuple[str, int], Counter[str]]:
        """(topic, partition) -> events by fate; what it said last where nobody answers."""
        found: dict[tuple[str, int], Counter[str]] = {}
        for line in page(self.port, "/metrics")[1].splitlines():
            if line.startswith("streams_events_total{"):
                sample = next(iter(next(iter(text_string_to_metric_families(line + "\n"))).samples))
                counts = found.setdefault((sample.labels["topic"], int(sample.labels["partition"])), Counter())
                counts[sample.labels["fate"]] = int(sample.value)
        self._last = found or self._last
        return self._last

    def counted(self) -> Counter[int]:
        """Partition of ``agents.metrics`` -> events that have a fate."""
        fates = self.fates().items()
        return Counter({p: counts.total() for (topic, p), counts in fates if topic == events.METRICS_TOPIC})

    def cpu_seconds(self) -> float:
        """CPU time of the process so far."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def terminate(self, seconds: float = 60.0) -> tuple[int, float]:
        """SIGTERM; returns the exit code and the seconds it took."""
        begin = time.monotonic()
        psutil.Process(self.pid).terminate()
        return self.wait(seconds=seconds), time.monotonic() - begin


@contextmanager
def killed(*workers: Worker) -> Iterator[None]:
    """Whatever happens, the workers are gone at the end."""
    try:
        yield
    finally:
        for worker in workers:
            worker.kill()


def eventually(condition: Any, what: str, seconds: float = 120.0) -> float:
    """Waits for a condition; returns the seconds it took."""
    begin = time.monotonic()
    wait_until(condition, seconds=seconds, what=what)
    return time.monotonic() - begin


class Sent(NamedTuple):
    """What a feed has produced so far."""

    events: int
    batches: int


class Feed(threading.Thread):
    """Agents that send every 100 ms, in batches of at most 500 samples that all have the time of sending.

    The batches are packed once; only number and time change, so that the feed takes little of the machine.

    Args:
        brokers: bootstrap servers.
        events_per_second: of all agents together.
        name: unique for each feed of a topic: producers' numbers begin at 0.
    """

    def __init__(self, brokers: str, events_per_second: int, name: str, *, agents: int = AGENTS) -> None:
        super().__init__(daemon=True)
        wanted = max(1, round(events_per_second * BATCH_SECONDS / agents))
        self.records = -(-wanted // MAX_SAMPLES)
        self.samples = wanted // self.records
        rows = definitions(SERIES_PER_AGENT)
        self._heads = [events.encode_metric_head(resource(a), rows, f"{name}-{a}") for a in range(agents)]
        pool, tail = values(1, POOL), {}
        for agent in range(agents):
            body = {
                "count": self.samples,
                "index": events.pack("H", [i % SERIES_PER_AGENT for i in range(self.samples)]),
                "offset_ns": events.pack("q", [0] * self.samples),
                "value": events.pack("d", [pool[(agent * 7919 + i) % POOL] for i in range(self.samples)]),
            }
            tail[agent] = orjson.dumps(body)[1:]
        self._tails = tail
        self._producer = Producer({"bootstrap.servers": brokers, "linger.ms": 0, "compression.type": "lz4"})
        self._stop_asked = threading.Event()
        self.sent = Sent(0, 0)
        self.late_seconds = 0.0

    def run(self) -> None:
        """Until told to stop."""
        begin, round_ = time.monotonic(), 0
        while not self._stop_asked.wait(max(0.0, begin + round_ * BATCH_SECONDS - time.monotonic())):
            self.late_seconds = max(self.late_seconds, time.monotonic() - begin - round_ * BATCH_SECONDS)
            self.send(round_)
            round_ += 1

    def send(self, number: int, time_ns: int | None = None) -> None:
        """What every agent has to say in one beat."""
        now_ns = time.time_ns() if time_ns is None else time_ns
        for seq in range(number * self.records, (number + 1) * self.records):
            middle = b',"seq":%d,"dropped_total":0,"base_time_unix_nano":%d,' % (seq, now_ns)
            for agent, head in enumerate(self._heads):
                self._produce(f"agent-{agent}".encode(), head + middle + self._tails[agent])
        batches = self.records * len(self._heads)
        self.sent = Sent(self.sent.events + self.samples * batches, self.sent.batches + batches)

    def _produce(self, key: bytes, value: bytes) -> None:
        try:
            self._producer.produce(events.METRICS_TOPIC, value, key=key)
        except BufferError:  # the client's queue is full: the broker is behind
            self._producer.flush(60)
            self._produce(key, value)
        self._producer.poll(0)

    def finish(self) -> Sent:
        """Stops and waits until the broker has all."""
        self._stop_asked.set()
        if self.is_alive():
            self.join()
        self._producer.flush(60)
        return self.sent
