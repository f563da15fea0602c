"""Which partitions get a tick: those whose own time stands still, whether or not records come."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from faust.types import TP

from streams import topics
from streams.app.runtime import Runtime
from streams.publish.health import unobserved
from streams.settings import Settings

PARTITION = TP(topics.METRICS, 0)
SECOND = 1_000_000_000


class Consumer:
    """A partition that is read to its end."""

    def __init__(self) -> None:
        self.delivered = {PARTITION: 0}

    def highwater(self, tp: TP) -> int:
        return self.delivered[tp] + 1

    def hold(self, *_: object) -> None: ...


class App:
    def __init__(self) -> None:
        self.consumer = Consumer()


@dataclass
class FakePart:
    """A part whose time moves by ``step_ns`` a run."""

    step_ns: int
    time_ns: int = 1
    committable: int | None = None
    runs: int = 0

    def process(self, *_: object) -> list[Any]:
        self.runs += 1
        self.time_ns += self.step_ns
        return []

    def next_tick_ns(self) -> int:
        return 0


@dataclass
class FakeSink:
    ticks: int = 0

    async def deliver(self, outputs: list[Any]) -> None:
        self.ticks += len(outputs)


@dataclass
class Bench:
    part: FakePart
    now: list[float] = field(default_factory=lambda: [0.0])
    sink: FakeSink = field(default_factory=FakeSink)

    def __post_init__(self) -> None:
        self.runtime = Runtime(
            App(), "metrics", (topics.METRICS,), _never, _never, Settings(idle_seconds=1.0), unobserved(),
            clock_ns=lambda: 100 * SECOND, monotonic=lambda: self.now[0],
        )  # fmt: skip
        self.runtime.ready = True
        self.runtime.sink = self.sink  # type: ignore[assignment]
        self.runtime.parts[PARTITION] = self.part  # type: ignore[assignment]
        self.runtime._outboxes[PARTITION] = object()  # type: ignore[assignment]
        self.runtime._last_moved[PARTITION] = 0.0

    def record(self, offset: int) -> None:
        asyncio.run(self.runtime.process(PARTITION, _Run(offset)))  # type: ignore[arg-type]

    def tick(self) -> int:
        asyncio.run(self.runtime.tick())
        return self.sink.ticks


class _Run:
    """What the runtime asks of a block."""

    def __init__(self, offset: int) -> None:
        self.offset = np.array([offset])
        self.timestamp_ms = np.array([0])


def _never(*_: Any) -> Any:
    raise AssertionError


@pytest.mark.parametrize(("step_ns", "ticks"), [(0, 1), (SECOND, 0)])
def test_records_that_do_not_move_time_leave_a_partition_idle(step_ns: int, ticks: int) -> None:
    bench = Bench(FakePart(step_ns))
    for offset in range(8):
        bench.now[0] += 0.25
        bench.record(offset)
    assert bench.part.runs == 8
    assert bench.tick() == ticks


def test_a_partition_without_records_is_idle() -> None:
    bench = Bench(FakePart(SECOND))
    bench.record(0)
    bench.now[0] = 0.9
    assert bench.tick() == 0
    bench.now[0] = 1.1
    assert bench.tick() == 1
