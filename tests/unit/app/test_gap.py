"""A running worker: offsets that are passed over, and offsets that come again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from faust.types import TP

from streams import topics
from streams.app.blob import choose
from streams.app.outbox import Outbox
from streams.app.runtime import Runtime
from streams.app.topicids import Topic, TopicIds
from streams.domain.block import Block, LogRecord
from streams.errors import StateEpochError
from streams.publish.health import unobserved
from streams.settings import Settings

PARTITION = TP(topics.RED, 0)


class Consumer:
    """A log that begins at ``begin`` and ends before ``end``."""

    def __init__(self) -> None:
        self.begin, self.end, self.asked = 0, 1000, 0
        self.went_back: dict[TP, tuple[int, int]] = {}

    async def earliest_offsets(self, tp: TP) -> dict[TP, int]:
        self.asked += 1
        return {tp: self.begin}

    async def highwaters(self, tp: TP) -> dict[TP, int]:
        return {tp: self.end}


class App:
    def __init__(self) -> None:
        self.consumer = Consumer()


class Part:
    """Keeps the first offset of each run and the losses, in order."""

    committable = None
    time_ns = 0

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []

    def skip(self, offsets: int) -> None:
        self.seen.append(("lost", offsets))

    def process(self, records: Sequence[LogRecord], _: int) -> list[Any]:
        self.seen.append(("run", records[0].offset))
        return []


class Ids(TopicIds):
    def __init__(self) -> None:
        super().__init__("", ())

    async def ask(self) -> dict[str, Topic]:
        return {topics.RED: Topic("id", 1), topics.STATE: Topic("state", 1)}


def runtime() -> tuple[Runtime, Consumer, Part]:
    app, part = App(), Part()
    made = Runtime(app, "metrics", (topics.RED,), lambda *_: part, choose, Settings(), unobserved(), ids=Ids())  # type: ignore[arg-type,return-value]
    made.parts[PARTITION] = part  # type: ignore[assignment]
    made._outboxes[PARTITION] = Outbox(made.sink, made._failed)
    made._next[PARTITION] = 10
    made.ready = True
    return made, app.consumer, part


def run_of(*offsets: int) -> Block:
    return Block.of([LogRecord(topics.RED, 0, offset, 0, None, b"") for offset in offsets])


@pytest.mark.parametrize(
    ("begin", "seen"),
    [
        (0, [("run", 10), ("run", 20)]),  # markers, or compaction
        (12, [("run", 10), ("run", 20)]),  # retention is behind the reading
        (15, [("run", 10), ("lost", 3), ("run", 20)]),
        (30, [("run", 10), ("lost", 8), ("run", 20)]),  # and goes on
    ],
)
def test_offsets_that_were_passed_over_are_lost_where_retention_has_been(
    begin: int, seen: list[tuple[str, int]]
) -> None:
    async def run() -> None:
        made, consumer, part = runtime()
        consumer.begin = begin
        await made.process(PARTITION, run_of(10, 11))
        assert consumer.asked == 0
        await made.process(PARTITION, run_of(20))
        assert part.seen == seen
        assert made._next[PARTITION] == 21
        await made._drop()

    asyncio.run(run())


@pytest.mark.parametrize(("end", "fails"), [(400, True), (500, False), (900, False)])
def test_offsets_that_come_again_mean_that_the_log_was_cut(end: int, fails: bool) -> None:
    async def run() -> None:
        made, consumer, _ = runtime()
        consumer.end = end
        await made.check_sources()
        assert made.failure is None
        consumer.went_back[PARTITION] = (500, 0)
        await made.check_sources()
        assert isinstance(made.failure, StateEpochError) is fails
        assert consumer.went_back == {}
        await made._drop()

    asyncio.run(run())
