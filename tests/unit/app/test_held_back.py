"""Partitions whose agents have no room: as soon as one has, it is read, whatever the others are waited for.

Seen in a worker that caught up: reading waited a second for records of idle partitions while all agents had long been
done with what had held the others back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from types import SimpleNamespace
from typing import Any

from aiokafka.structs import TopicPartition
from faust.types import TP

from streams import topics
from streams.app.fetch import BlockFetcher, BlockRecords, BlockResult, RawRecords
from streams.app.transport import RunConsumer, RunThread
from tests.unit.app.test_fetch import batch
from tests.unit.app.test_standstill import consumer_with

BUSY = TP(topics.METRICS, 0)
IDLE = TP(topics.METRICS, 1)
DEADLINE_SECONDS = 20.0
FOR_EVER_SECONDS = 10 * DEADLINE_SECONDS


class Thread:
    """The consumer's thread, asked to look again."""

    asked = 0

    def look_again(self) -> None:
        self.asked += 1


def in_time(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """A test that is asynchronous and has a deadline."""

    @wraps(test)
    def run() -> None:
        async def scenario() -> None:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await test()

        asyncio.run(scenario())

    return run


def consumer_of_two() -> RunConsumer:
    made = consumer_with(Thread(), "metrics")
    made.resume_flow()
    made._set_active_tps({BUSY, IDLE})
    return made


async def waiting_read(consumer: RunConsumer) -> asyncio.Task[Any]:
    """A read of partitions that are all held back."""
    for partition in (BUSY, IDLE):
        consumer.on_buffer_full(partition)
    read = asyncio.create_task(consumer._wait_next_records(FOR_EVER_SECONDS))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not read.done()
    return read


def fetcher_with(fetched: TopicPartition) -> BlockFetcher:
    """A fetcher that has a batch of a partition, and no connections."""
    fetcher = object.__new__(BlockFetcher)
    state = SimpleNamespace(paused=False, position=0, consumed_to=lambda _: None)
    assignment = SimpleNamespace(active=True, state_value=lambda _: state)
    records = BlockRecords(fetched, RawRecords(batch(0)), None, 0, None, None, True, 0)
    fetcher._records = {fetched: BlockResult(fetched, assignment=assignment, partition_records=records, backoff=0)}
    fetcher._subscriptions = SimpleNamespace(reassignment_in_progress=False, is_assigned=lambda _: True)
    fetcher._fetch_waiters, fetcher._wait_consume_future, fetcher._closed = set(), None, False
    fetcher._loop = asyncio.get_running_loop()
    return fetcher


@in_time
async def test_a_read_that_waits_for_others_hands_on_what_may_be_handed_on_since() -> None:
    fetcher, asked = fetcher_with(TopicPartition(*BUSY)), {TopicPartition(*IDLE)}
    read = asyncio.create_task(fetcher.fetched_records(asked, timeout=FOR_EVER_SECONDS))
    while not fetcher._fetch_waiters:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0)
    asked.add(TopicPartition(*BUSY))
    fetcher.look_again()
    found = await read
    assert [len(block) for block in found[TopicPartition(*BUSY)]] == [5]


@in_time
async def test_the_thread_asks_its_fetcher_from_another_thread() -> None:
    fetcher = SimpleNamespace(looked=asyncio.Event(), look_again=lambda: fetcher.looked.set())
    thread = object.__new__(RunThread)
    thread._consumer = None
    thread.look_again()  # not started yet
    thread._consumer = SimpleNamespace(_fetcher=fetcher)
    thread.thread_loop = asyncio.get_running_loop()
    await asyncio.to_thread(thread.look_again)
    await fetcher.looked.wait()


@in_time
async def test_room_for_a_partition_is_told_at_once() -> None:
    consumer = consumer_of_two()
    consumer.on_buffer_drop(BUSY)
    assert consumer._thread.asked == 0  # it was not held back
    consumer.on_buffer_full(BUSY)
    assert consumer._get_active_partitions() == {IDLE}
    consumer.on_buffer_drop(BUSY)
    assert consumer._thread.asked == 1
    assert consumer._get_active_partitions() == {BUSY, IDLE}


@in_time
async def test_where_all_are_held_back_the_first_with_room_is_waited_for() -> None:
    consumer = consumer_of_two()
    read = await waiting_read(consumer)
    consumer.on_buffer_drop(IDLE)
    assert await read == ({}, set())
    assert consumer._get_active_partitions() == {IDLE}


@in_time
async def test_a_flow_that_stops_ends_that_wait() -> None:
    consumer = consumer_of_two()
    read = await waiting_read(consumer)
    consumer.stop_flow()
    assert await read == ({}, set())
