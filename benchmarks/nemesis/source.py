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
_SPREAD_NS: Final = 300_000_000
_AGAIN, _HELD_BACK = 0.03, 0.05
"""Shares of batches that are sent twice, and that are sent after the next one."""


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
    """Produces in real time. ``acknowledged`` counts the sends of each (producer, number) that the broker has."""

    def __init__(self, bootstrap: str, seed: int, *, partitions: int, topic: str = events.METRICS_TOPIC) -> None:
        super().__init__(daemon=True, name="source")
        self._rng, self._topic, self._partitions = random.Random(seed), topic, partitions
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
        self.acknowledged: Counter[tuple[str, int]] = Counter()
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
                made = agent.batch(self._rng, self.start_ns, time.time_ns()), agent.seq - 1
                if agent.number not in held and self._rng.random() < _HELD_BACK:
                    held[agent.number] = made
                    continue
                self._send(agent.number, *made)
                if agent.number in held:
                    self._send(agent.number, *held.pop(agent.number))
            self._producer.poll(0)
        for number, made in held.items():
            self._send(number, *made)

    def _send(self, number: int, value: bytes, seq: int) -> None:
        def delivered(error: Any, _: Any) -> None:
            if error is None:
                self.acknowledged[f"producer-{number}", seq] += 1
            else:
                self.failures.append(str(error))

        key = f"agent-{number}".encode()
        for _ in range(2 if self._rng.random() < _AGAIN else 1):
            self._producer.produce(
                self._topic, key=key, value=value, partition=number % self._partitions, on_delivery=delivered
            )

    def finish(self, seconds: float = 60.0) -> int:
        """Ends and waits for the broker; returns how many sends it did not take."""
        self._ended.set()
        self.join()
        return int(self._producer.flush(seconds)) + len(self.failures)
