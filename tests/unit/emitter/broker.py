"""A broker in memory behind the transport protocol, which tests can take down, make slow or picky."""

from __future__ import annotations

import asyncio
import base64
import struct
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from agents_emitter import Emitter
from agents_emitter.transport import Transport, Undeliverable

DEADLINE_SECONDS = 20.0


class Record(NamedTuple):
    topic: str
    key: bytes
    value: bytes

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = orjson.loads(self.value)
        return body


class Broker:
    """Keeps every record it accepted, in order. ``missing`` topics fail late; over ``limit_bytes`` is refused."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.attempts: list[Record] = []
        self.connects = 0
        self.up = True
        self.answers = True
        self.loses_acknowledgements = False
        self.missing: set[str] = set()
        self.limit_bytes = 10**9
        self.threads: set[int] = set()

    async def connect(self) -> Transport:
        if not self.up:
            raise ConnectionRefusedError
        self.connects += 1
        return _Connection(self)

    def of(self, topic: str) -> list[Record]:
        """Accepted records of a topic, each once: repeats of a producer's seq are left out."""
        seen: dict[tuple[str, int], Record] = {}
        for record in list(self.records):
            if record.topic == topic:
                body = record.body
                seen.setdefault((body["producer"], body["seq"]), record)
        return list(seen.values())

    def samples(self) -> list[tuple[str, dict[str, str], float]]:
        """(name, labels, value) of all samples that arrived."""
        return [sample for record in self.of("agents.metrics") for sample in samples_of(record.body)]


class _Connection:
    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def send(self, topic: str, key: bytes, value: bytes) -> None:
        broker = self._broker
        broker.threads.add(threading.get_ident())
        record = Record(topic, key, value)
        broker.attempts.append(record)
        await asyncio.sleep(0)
        if len(value) > broker.limit_bytes:
            raise Undeliverable
        if topic in broker.missing:
            before = len(broker.records)
            while topic in broker.missing and len(broker.records) == before:  # noqa: ASYNC110
                await asyncio.sleep(0.005)  # as aiokafka, which looks for a missing topic for long
            raise ConnectionResetError
        if not broker.up:
            raise ConnectionResetError
        while not broker.answers:  # noqa: ASYNC110  set from another thread
            await asyncio.sleep(0.005)
        broker.records.append(record)
        if broker.loses_acknowledgements:
            raise ConnectionResetError

    async def close(self) -> None:
        pass


def unpack(text: str, code: str, size: int) -> list[Any]:
    data = base64.b64decode(text)
    return list(struct.unpack(f"<{len(data) // size}{code}", data))


def samples_of(body: dict[str, Any]) -> list[tuple[str, dict[str, str], float]]:
    index, values = unpack(body["index"], "H", 2), unpack(body["value"], "d", 8)
    assert body["count"] == len(index) == len(values) == len(unpack(body["offset_ns"], "q", 8))
    series = [body["series"][i] for i in index]
    return [(s["name"], s.get("labels", {}), v) for s, v in zip(series, values, strict=True)]


def emitter_for(broker: Broker, **arguments: Any) -> Emitter:
    """An emitter on the broker in memory, impatient, without the process sampler."""
    given: dict[str, Any] = {
        "connect": broker.connect,
        "service_name": "service",
        "agent_id": "agent-1",
        "process_interval_seconds": 0,
        "flush_interval_seconds": 0.01,
        "backoff_seconds": 0.005,
        "backoff_limit_seconds": 0.02,
        "exit_timeout_seconds": 10.0,
    }
    return Emitter(None, **{**given, **arguments})


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for a condition; fail when it does not come true before the deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.005)


def agree(emitter: Emitter) -> bool:
    """The identity of the accounts, for each kind."""
    stats = emitter.stats()
    kinds = (stats.samples, stats.spans, stats.logs, stats.points)
    return all(k.emitted == k.delivered + k.dropped + k.buffered for k in kinds)
