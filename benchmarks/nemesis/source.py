"""Agents that report numbered values until they are told to stop, and remember what the broker took."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import Producer

from agents_emitter import events
from benchmarks.nemesis.spans import Tracer
from benchmarks.nemesis.truth import LANE

SECOND_NS: Final = 1_000_000_000
AGENTS: Final = 8
PERIOD_SECONDS: Final = 0.25
SAMPLES: Final = 2
"""Of each lane in a batch."""
HIGH: Final = 1e9
"""Added to an agent's level while it is high."""
LEVEL: Final = "level-"
_HIGH_SECONDS: Final = 8.0
_SILENT_SECONDS: Final = 3.0
_SPREAD_NS: Final = 300_000_000
_AGAIN, _HELD_BACK, _IN_PARTS = 0.03, 0.05, 0.3
"""Shares of batches that are sent twice, of those that are sent after the next one, and of traces in two batches."""


def lanes(agent: int) -> list[events.SeriesDefinition]:
    """What one agent reports: counters, histograms and the level that alerts are about."""

    def series(name: str, unit: str, kind: events.Kind, lane: str) -> events.SeriesDefinition:
        return events.SeriesDefinition(name, unit, kind, ((LANE, lane),))

    return [
        series("nemesis.steps", "{step}", "counter", f"steps-{agent}-0"),
        series("nemesis.steps", "{step}", "counter", f"steps-{agent}-1"),
        series("nemesis.sizes", "By", "histogram", f"sizes-{agent}"),
        series("nemesis.level", "1", "gauge", f"{LEVEL}{agent}"),
    ]


def is_high(agent: int, since_start_ns: int) -> bool:
    """Each agent's level is high for 8 s of every 24 to 31 s."""
    return (since_start_ns / SECOND_NS) % (24 + agent) > 24 + agent - _HIGH_SECONDS


def is_silent(partition: int, since_start_ns: int) -> bool:
    """All agents of a partition say nothing for 3 s of every 15 to 18 s: ticks close its windows then."""
    every = 15 + partition
    return (since_start_ns / SECOND_NS) % every > every - _SILENT_SECONDS


@dataclass
class Agent:
    """One agent's numbering: of its batches, and of the values of each lane (1, 2, 3 ...)."""

    number: int
    head: bytes
    seq: int = 0
    values: list[int] = field(default_factory=lambda: [0, 0, 0, 0])

    def batch(self, rng: random.Random, start_ns: int, now_ns: int) -> bytes:
        """The next batch: values in order, times within 0.3 s before now in any order."""
        index, offsets, value = [], [], []
        for lane in range(len(self.values)):
            for _ in range(SAMPLES):
                self.values[lane] += 1
                offset = -rng.randrange(_SPREAD_NS)
                high = lane == 3 and is_high(self.number, now_ns + offset - start_ns)
                index.append(lane)
                offsets.append(offset)
                value.append(self.values[lane] + HIGH * high)
        seq, self.seq = self.seq, self.seq + 1
        return events.encode_metric_batch(
            self.head, seq=seq, dropped_total=0, base_time_unix_nano=now_ns, index=index, offset_ns=offsets, value=value
        )


class Source(threading.Thread):
    """Produces metrics and traces in real time.

    ``acknowledged`` counts the sends of each (producer, number) of metrics that the broker has, ``spans`` those of
    spans.
    """

    def __init__(self, bootstrap: str, seed: int, *, partitions: int) -> None:
        super().__init__(daemon=True, name="source")
        self._rng, self._partitions = random.Random(seed), partitions
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.timeout.ms": 600_000,
                "reconnect.backoff.max.ms": 500,
                "log_level": 2,
            }
        )
        self._ended = threading.Event()
        self.agents = [self._agent(number) for number in range(AGENTS)]
        self.tracers = [Tracer(number) for number in range(AGENTS)]
        self.acknowledged: Counter[tuple[str, int]] = Counter()
        self.spans: Counter[tuple[str, int]] = Counter()
        self.failures: list[str] = []
        self.start_ns = time.time_ns()

    def _agent(self, number: int) -> Agent:
        resource = {"service.name": "nemesis", "gen_ai.agent.id": f"agent-{number}"}
        return Agent(number, events.encode_metric_head(resource, lanes(number), f"producer-{number}"))

    def run(self) -> None:
        """Emits until :meth:`finish`."""
        held: dict[int, tuple[bytes, int]] = {}
        while not self._ended.wait(PERIOD_SECONDS):
            for agent in self.agents:
                if is_silent(agent.number % self._partitions, time.time_ns() - self.start_ns):
                    continue
                self._trace(agent.number)
                made = agent.batch(self._rng, self.start_ns, time.time_ns()), agent.seq - 1
                if agent.number not in held and self._rng.random() < _HELD_BACK:
                    held[agent.number] = made
                    continue
                self._metrics(agent.number, *made)
                if agent.number in held:
                    self._metrics(agent.number, *held.pop(agent.number))
            self._producer.poll(0)
        for number, made in held.items():
            self._metrics(number, *made)

    def _metrics(self, number: int, value: bytes, seq: int) -> None:
        batch = (f"producer-{number}", seq)
        self._send(events.METRICS_TOPIC, f"agent-{number}", value, number, self.acknowledged, batch)

    def _trace(self, number: int) -> None:
        tracer, parts = self.tracers[number], 1 + (self._rng.random() < _IN_PARTS)
        for sent in tracer.trace(time.time_ns(), parts=parts):
            batch = (tracer.producer, sent.seq)
            self._send(events.SPANS_TOPIC, f"{sent.trace + 1:032x}", sent.value, tracer.traces, self.spans, batch)

    def _send(
        self, topic: str, key: str, value: bytes, place: int, counts: Counter[tuple[str, int]], batch: tuple[str, int]
    ) -> None:
        def delivered(error: Any, _: Any) -> None:
            if error is None:
                counts[batch] += 1
            else:
                self.failures.append(str(error))

        for _ in range(2 if self._rng.random() < _AGAIN else 1):
            self._producer.produce(
                topic, key=key.encode(), value=value, partition=place % self._partitions, on_delivery=delivered
            )

    def finish(self, seconds: float = 60.0) -> int:
        """Ends and waits for the broker; returns how many sends it did not take."""
        self._ended.set()
        self.join()
        return int(self._producer.flush(seconds)) + len(self.failures)
