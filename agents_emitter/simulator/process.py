"""A simulated agent process: what it has measured and not yet sent, and how it becomes records.

An agent is one process after another: a deployment or a restart begins a new *life* with its own producer id and
sequence numbers. What is buffered is bounded by what the running traces will still report (a trace ends within about
a minute), so memory does not grow with the simulated time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any, Final, NamedTuple

from agents_emitter import events
from agents_emitter.events import Columns, SeriesDefinition
from agents_emitter.simulator.emission import Emission
from agents_emitter.simulator.topology import Agent

MAX_SAMPLES_PER_RECORD: Final = 8_192
"""About 200 kB packed: below the broker's limit of 1 MB with room for the plain form."""
MAX_LOGS_PER_RECORD: Final = 512

_by_time = itemgetter(0)


class Life(NamedTuple):
    """One process of an agent: from when (0: before the beginning), which version, and why it started."""

    from_ns: int
    version: str
    deployment: str
    event: str = "start"


class Silence(NamedTuple):
    """Half-open interval in which the agent's process does not exist: it reports nothing and answers nobody."""

    start_ns: int
    end_ns: int


NEVER: Final = Silence(0, 0)


class Process:
    """Buffers of one agent and their encoding."""

    def __init__(self, agent: Agent, seed: int, lives: tuple[Life, ...], silence: Silence, columns: Columns) -> None:
        """Args: ``lives`` in order of time, at least one; ``silence`` is :data:`NEVER` for a healthy agent."""
        self.agent = agent
        self.key = agent.id.encode()
        self.silence = silence
        self.samples: list[tuple[int, SeriesDefinition, float]] = []
        self.spans: list[tuple[int, str, Mapping[str, Any]]] = []
        self.logs: list[tuple[int, Mapping[str, Any]]] = []
        self._seed = seed
        self._columns: Columns = columns
        self._lives = lives
        self._life = 0
        self._begin()

    def _begin(self) -> None:
        life = self._lives[self._life]
        suffix = f"-{self._life + 1}" if self._life else ""
        self.producer = f"sim-{self._seed}-{self.agent.id}{suffix}"
        self.resource = {
            "service.name": self.agent.service,
            "service.version": life.version,
            "service.instance.id": self.producer,
            "deployment.environment.name": "simulation",
            "deployment.id": life.deployment,
            "gen_ai.agent.id": self.agent.id,
            "gen_ai.agent.name": self.agent.role,
            "agents.type": self.agent.role,
        }
        self._places: dict[SeriesDefinition, int] = {}
        self._head = b""
        self._seq = dict.fromkeys((events.METRICS_TOPIC, events.SPANS_TOPIC, events.LOGS_TOPIC), 0)

    @property
    def starts(self) -> tuple[Life, ...]:
        """Every life, so that the start of each can be reported."""
        return self._lives

    @property
    def empty(self) -> bool:
        """Nothing is waiting to be sent."""
        return not (self.samples or self.spans or self.logs)

    def alive(self, start_ns: int, end_ns: int) -> bool:
        """Whether the process existed through all of [start, end]."""
        return end_ns < self.silence.start_ns or start_ns >= self.silence.end_ns

    def sample(self, time_ns: int, definition: SeriesDefinition, value: float) -> None:
        """One measurement, unless the process does not exist then."""
        if self.alive(time_ns, time_ns):
            self.samples.append((time_ns, definition, value))

    def flush(self, until_ns: int) -> Iterator[Emission]:
        """Records with everything that happened before ``until_ns``, sent at that time.

        What happened before a new life began is sent under the old one's producer id.
        """
        while self._life + 1 < len(self._lives) and self._lives[self._life + 1].from_ns <= until_ns:
            yield from self._send(self._lives[self._life + 1].from_ns, until_ns)
            self._life += 1
            self._begin()
        yield from self._send(until_ns, until_ns)

    def _send(self, before_ns: int, at_ns: int) -> Iterator[Emission]:
        samples, self.samples = _split(self.samples, before_ns)
        spans, self.spans = _split(self.spans, before_ns)
        logs, self.logs = _split(self.logs, before_ns)
        for first in range(0, len(samples), MAX_SAMPLES_PER_RECORD):
            yield self._metric_record(samples[first : first + MAX_SAMPLES_PER_RECORD], at_ns)
        yield from self._span_records(spans, at_ns)
        for first in range(0, len(logs), MAX_LOGS_PER_RECORD):
            part = [log for _, log in logs[first : first + MAX_LOGS_PER_RECORD]]
            value = events.encode_log_batch(
                self.resource, part, producer=self.producer, seq=self._next_seq(events.LOGS_TOPIC)
            )
            yield Emission(at_ns, events.LOGS_TOPIC, self.key, value, len(part))

    def _next_seq(self, topic: str) -> int:
        seq = self._seq[topic]
        self._seq[topic] = seq + 1
        return seq

    def _metric_record(self, samples: list[tuple[int, SeriesDefinition, float]], at_ns: int) -> Emission:
        places = self._places
        known = len(places)
        index = [places.setdefault(definition, len(places)) for _, definition, _ in samples]
        if len(places) > known:
            self._head = events.encode_metric_head(self.resource, tuple(places), self.producer)
        base = samples[0][0]
        value = events.encode_metric_batch(
            self._head,
            seq=self._next_seq(events.METRICS_TOPIC),
            dropped_total=0,
            base_time_unix_nano=base,
            index=index,
            offset_ns=[time_ns - base for time_ns, _, _ in samples],
            value=[value for _, _, value in samples],
            columns=self._columns,
        )
        return Emission(at_ns, events.METRICS_TOPIC, self.key, value, len(samples))

    def _span_records(self, spans: list[tuple[int, str, Mapping[str, Any]]], at_ns: int) -> Iterator[Emission]:
        by_trace: dict[str, list[Mapping[str, Any]]] = {}
        for _, trace_id, span in spans:
            by_trace.setdefault(trace_id, []).append(span)
        for trace_id, part in by_trace.items():
            value = events.encode_span_batch(
                self.resource, part, producer=self.producer, seq=self._next_seq(events.SPANS_TOPIC)
            )
            yield Emission(at_ns, events.SPANS_TOPIC, trace_id.encode(), value, len(part))


def _split(items: list[Any], before_ns: int) -> tuple[list[Any], list[Any]]:
    """(due, sorted by time; the rest)."""
    due = [item for item in items if item[0] < before_ns]
    due.sort(key=_by_time)
    return due, [item for item in items if item[0] >= before_ns] if len(due) < len(items) else []
