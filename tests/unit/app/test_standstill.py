"""A flow that stops and goes on while a fetch or a delivery is under way: nothing counts as delivered that was not.

The order that lost records (seen with 100 kills): the resumption of one assignment came after the next one had stopped
the flow, so runs went by while their partitions were restored, and were passed over afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.errors import IllegalStateError
from aiokafka.structs import TopicPartition
from faust.types import TP

from streams import topics
from streams.app.factory import make_app
from streams.app.runtime import Runtime
from streams.app.transport import RunConsumer
from streams.domain.block import Block, LogRecord
from streams.settings import Settings
from tests.unit.app.test_gap import PARTITION, run_of, runtime

SPANS = TP(topics.SPANS, 1)


async def _nothing(*_: Any) -> None:
    """Of a group that does not change here."""


def consumer_with(thread: Any, role: str, callback: Callable[..., Any] = _nothing) -> RunConsumer:
    """A consumer with something else in the place of its thread."""
    consumer = RunConsumer(make_app(Settings(), role).transport, callback, _nothing, _nothing)
    consumer._thread.thread_loop.close()
    consumer._thread = thread
    return consumer


class Thread:
    """The consumer's thread: where the fetcher stands."""

    position = 6634

    def fetched_to(self, _: TP) -> int:
        return self.position


class Line:
    """A consumer that has delivered up to 6362, whose fetch gives 6363 and 6364; ``during`` runs at a moment."""

    def __init__(self) -> None:
        self.seeks: list[dict[TopicPartition, int]] = []
        self.got: list[int] = []
        self.during: dict[str, Callable[[], None]] = {}
        self.consumer = consumer = consumer_with(Thread(), "traces", self._callback)
        consumer._wait_next_records = self._fetch  # type: ignore[method-assign]
        consumer.seek_wait = self._seek  # type: ignore[method-assign]
        consumer.assignment = lambda: {SPANS}  # type: ignore[method-assign]
        consumer.resume_at({SPANS: 6363})
        consumer._read_offset[SPANS] = 6363
        consumer.resume_flow()
        self.fetched: dict[TopicPartition, list[Block]] = {TopicPartition(*SPANS): [run_of(6363, 6364)]}

    def restart(self) -> None:
        """A rebalance in a moment: Faust stops the flow and resumes it."""
        self.consumer.stop_flow()
        self.consumer.resume_at({SPANS: 6363})
        self.consumer.resume_flow()

    async def _fetch(self, _: float) -> tuple[Any, Any]:
        self.during.get("fetch", lambda: None)()
        return self.fetched, {SPANS}

    async def _callback(self, message: Any) -> None:
        self.during.get("callback", lambda: None)()
        self.got.append(message.offset)

    async def _seek(self, where: dict[TopicPartition, int]) -> None:
        self.seeks.append(where)
        self.during.get("seek", lambda: None)()

    async def deliver(self) -> None:
        await self.consumer._deliver(None)


def delivered(moment: str, what: Callable[[Line], Callable[[], None]], fetched: bool = True) -> Line:
    async def run() -> Line:
        line = Line()
        line.during[moment] = what(line)
        if not fetched:
            line.fetched = {}
        await line.deliver()
        return line

    return asyncio.run(run())


def test_what_is_fetched_while_the_flow_goes_is_delivered() -> None:
    line = delivered("fetch", lambda _: lambda: None)
    assert (line.got, line.seeks) == ([6364], [])
    assert line.consumer.delivered[SPANS] == 6633, "all was handed on: the fetcher's position counts"


@pytest.mark.parametrize("fetched", [True, False], ids=["a run", "nothing"])
def test_what_was_fetched_before_a_stop_is_fetched_again(fetched: bool) -> None:
    line = delivered("fetch", lambda line: line.restart, fetched)
    assert line.got == []
    assert line.seeks == [{TopicPartition(*SPANS): 6363}]
    assert line.consumer.delivered[SPANS] == 6362, "the fetcher's position is from before"


def test_a_stopped_flow_delivers_and_seeks_nothing() -> None:
    line = delivered("fetch", lambda line: line.consumer.stop_flow)
    assert (line.got, line.seeks, line.consumer.delivered[SPANS]) == ([], [], 6362)


def test_a_run_under_way_when_the_flow_stops_is_not_delivered_though_the_flow_goes_on_again() -> None:
    line = delivered("callback", lambda line: line.restart)
    assert line.consumer.delivered[SPANS] == 6362
    assert line.consumer._read_offset[SPANS] == 6363


def test_a_group_that_changes_while_it_seeks_back_is_no_crash() -> None:
    def seek(line: Line) -> Callable[[], None]:
        def gone() -> None:
            raise IllegalStateError("No current assignment")

        line.during["seek"] = gone
        return line.restart

    assert delivered("fetch", seek).got == []


def test_a_restore_stands_still_first_and_forgets_what_waits_for_agents() -> None:
    async def run() -> None:
        line = Line()
        cleared: list[bool] = []
        line.consumer.transport.app.flow_control.clear = lambda: cleared.append(line.consumer.flow_active)
        line.consumer.stand_still()
        assert (cleared, line.consumer.flow_active) == ([False], False)

    asyncio.run(run())


def begun() -> tuple[Runtime, list[str]]:
    """A runtime whose consumer and restore note their order."""
    made, consumer, _ = runtime()
    order: list[str] = []
    consumer.stand_still = lambda: order.append("still")  # type: ignore[attr-defined]

    async def restore() -> None:
        order.append("restore")

    made._restore_all = restore  # type: ignore[method-assign]
    return made, order


def test_nothing_is_delivered_before_a_restore_begins() -> None:
    async def run() -> list[str]:
        made, order = begun()
        await made.assigned()
        return order

    assert asyncio.run(run()) == ["still", "restore"]


def test_a_run_that_comes_while_its_partition_is_restored_is_not_applied() -> None:
    async def run() -> None:
        made, _, part = runtime()
        made.ready = False
        await made.process(PARTITION, run_of(10, 11))
        assert (part.seen, made._next[PARTITION]) == ([], 10)

    asyncio.run(run())


def test_a_run_that_was_under_way_when_its_partition_was_restored_does_not_move_it() -> None:
    async def run() -> None:
        made, _, part = runtime()
        other = type(part)()

        def restored(_: list[LogRecord], __: int) -> list[Any]:
            made.parts[PARTITION], made._next[PARTITION] = other, 5  # type: ignore[assignment]
            return []

        part.process = restored  # type: ignore[method-assign,assignment]
        await made.process(PARTITION, run_of(10, 11))
        assert made._next[PARTITION] == 5

    asyncio.run(run())
