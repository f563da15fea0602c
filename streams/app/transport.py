"""Kafka for Faust in runs: one Faust event per fetched run of records of a partition.

Stock Faust pays about 70 microseconds per Kafka record for two tasks, sensors and acknowledgements, whatever is in it.
Here an event's value is the block of a run's records and its offset is the last one's, so that cost is paid once per
run.

Offsets are not committed because an agent acknowledged: the operator says up to where the log is no longer needed
(:meth:`RunConsumer.hold`), and where to read again after a restart (:meth:`RunConsumer.resume_at`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import aiokafka
from aiokafka.errors import ConsumerStoppedError, IllegalStateError
from aiokafka.structs import TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from streams.app.fetch import BlockConsumer
from streams.domain.block import Block


class RunThread(driver.AIOKafkaConsumerThread):
    """The consumer's thread, with the fetch wait that Faust hard-codes to 1.5 s as a setting.

    One fetch is in flight per broker: the long poll of an exhausted partition holds up the others (measured: a factor
    of 4.7 in wall-clock throughput against 20 ms).
    """

    logger = driver.logger
    fetch_max_wait_ms = 20

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer.__class__ = BlockConsumer  # the driver names aiokafka's class itself
        consumer._fetch_max_wait_ms = self.fetch_max_wait_ms
        return consumer

    def look_again(self) -> None:
        """A read that waits sees what was fetched of partitions that it may hand on since (from another thread)."""
        if self._consumer is not None and self._consumer._fetcher is not None:
            with suppress(RuntimeError):  # the loop is closed: the worker ends
                self.thread_loop.call_soon_threadsafe(self._consumer._fetcher.look_again)

    def fetched_to(self, tp: TP) -> int | None:
        """The offset that is fetched next; None while there is none."""
        subscription = self._ensure_consumer()._subscription.subscription
        states = subscription.assignment._tp_state if subscription and subscription.assignment else {}
        state = states.get(tp)
        return state._position if state is not None else None


class RunConsumer(driver.Consumer):
    """Delivers runs and commits only what operators hold to be safe.

    Attributes:
        delivered: the last offset that was handed on, or that is nothing for readers.
        went_back: partitions where a fetch gave offsets below the one expected: (expected, given).
    """

    logger = driver.logger

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._held: dict[TP, int] = {}
        self.delivered: dict[TP, int] = {}
        self.went_back: dict[TP, tuple[int, int]] = {}
        self._stops = 0
        self._room = asyncio.Event()

    def _new_consumer_thread(self) -> RunThread:
        thread = RunThread(self, loop=self.loop, beacon=self.beacon)
        thread.fetch_max_wait_ms = self.transport.fetch_max_wait_ms
        return thread

    def hold(self, tp: TP, offset: int) -> None:
        """Lets the log be committed up to (not including) an offset: all before it is in a durable checkpoint."""
        self._held[tp] = offset

    def resume_at(self, offsets: Mapping[TP, int]) -> None:
        """Where to read from when the flow resumes, instead of the committed offsets: one for every owned partition.

        Without one a partition would go on where the fetcher stands, and what it had fetched and not delivered when the
        group changed would be lost.
        """
        self.delivered = {tp: offset - 1 for tp, offset in offsets.items()}
        self.went_back.clear()

    def stop_flow(self) -> None:
        """Nothing is handed on until the flow resumes; what was fetched before that is fetched again."""
        super().stop_flow()
        self._stops += 1

    def stand_still(self) -> None:
        """As :meth:`stop_flow`, and what waits for agents is forgotten: a restore begins.

        Faust stops the flow when partitions are taken away, but the resumption of the assignment before can come after
        that (its seek waited for the brokers), and records would go into state that is being restored.
        """
        self.stop_flow()
        self.transport.app.flow_control.clear()

    def ack(self, message: ConsumerMessage) -> bool:
        """Only ends the tracking of an event; commits follow :meth:`hold`."""
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return iter([tp for tp in self._held if topics is None or tp in topics or tp.topic in topics])

    def _new_offset(self, tp: TP) -> int | None:
        return self._held.pop(tp, None)

    def on_buffer_drop(self, tp: TP) -> None:
        """An agent has room again: its partition is read at once.

        A read waits for records of partitions that are not held back: for a second if they have none. Measured without
        this: all agents were idle for 0.6 s of it, twice in 5 s of catching up.
        """
        held_back = tp in self._buffered_partitions
        super().on_buffer_drop(tp)
        if held_back:
            self._room.set()
            self._thread.look_again()

    async def _wait_next_records(self, timeout: float) -> tuple[Any, set[TP] | None]:  # noqa: ASYNC109 - Faust's
        """The next records; Faust would sleep for a second where every partition is held back."""
        if self.flow_active and self._buffered_partitions and not self._get_active_partitions():
            self._room.clear()
            await self.wait_first(self._room.wait(), self.suspend_flow.wait(), timeout=timeout)
            return {}, set()
        found: tuple[Any, set[TP] | None] = await super()._wait_next_records(timeout)
        return found

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forgets what was held: the next owner commits from its own checkpoint."""
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            self._held.pop(tp, None)
            self.delivered.pop(tp, None)

    async def perform_seek(self) -> None:
        """Seeks every partition to the record after the last one delivered, or to its resume offset."""
        await super().perform_seek()
        for tp, offset in (await self._seek_delivered()).items():
            self._committed_offset[tp] = None
            self._read_offset[tp] = offset

    async def _seek_delivered(self) -> dict[TP, int]:
        assigned = self.assignment()
        resume = {tp: offset + 1 for tp, offset in self.delivered.items() if tp in assigned}
        if resume:
            await self.seek_wait({TopicPartition(tp.topic, tp.partition): o for tp, o in resume.items()})
        return resume

    async def _drain_messages(self, fetcher: Any) -> None:
        """Reads runs for ever and hands each to the agents of its topic."""
        while not (self._stopped.is_set() or fetcher._stopped.is_set()):
            try:
                await self._deliver(fetcher)
            except ConsumerStoppedError:
                if self.transport.app.should_stop:
                    return
                raise

    async def _deliver(self, fetcher: Any) -> None:
        stops = self._stops
        records, active = await self._wait_next_records(1.0)
        if records is None or self.should_stop or not self.flow_active:
            return  # each resumption seeks first
        if stops != self._stops:  # and resumed meanwhile: nobody can tell whether they were fetched before its seek
            with suppress(IllegalStateError):  # the group changes again
                await self._seek_delivered()
            return
        whole = True
        for aio_tp, fetched in records.items():
            tp = TP(aio_tp.topic, aio_tp.partition)
            for run in fetched:
                known = active is None or tp in active or tp in self._buffered_partitions
                if self._stopped_since(stops) or not known:
                    whole = False
                    break
                await self._deliver_run(tp, run, stops)
        if whole and not self._stopped_since(stops):
            self._pass_markers()

    def _stopped_since(self, stops: int) -> bool:
        return not self.flow_active or stops != self._stops

    def _pass_markers(self) -> None:
        """All that was fetched is delivered: what lies before the next fetch is nothing for readers.

        Markers at the log's end (of transactions) would else look like records that nobody processes, for ever.
        """
        for tp, delivered in self.delivered.items():
            position = self._thread.fetched_to(tp)
            if position is not None and position - 1 > delivered:
                self.delivered[tp] = position - 1

    async def _deliver_run(self, tp: TP, run: Block, stops: int) -> None:
        expected = self._read_offset[tp]
        if expected is not None and run.offset[0] < expected:  # aiokafka began anew: the log had no such offset
            self.went_back[tp] = (expected, int(run.offset[0]))
        fresh = run if expected is None or run.offset[0] >= expected else run[run.until(expected - 1) :]
        if not len(fresh):
            return
        await self.wait_first(self.callback(self._run_message(tp, fresh)), self.suspend_flow.wait())
        if not self._stopped_since(stops):
            self.delivered[tp] = int(fresh.offset[-1])
            self._read_offset[tp] = self.delivered[tp] + 1

    def _run_message(self, tp: TP, run: Block) -> ConsumerMessage:
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            int(run.offset[-1]),
            int(run.timestamp_ms[-1]) / 1000.0,
            0,
            None,
            None,
            run,
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )


class RunTransport(driver.Transport):
    """Install with ``app.transport = RunTransport(url, app)``."""

    Consumer = RunConsumer
    fetch_max_wait_ms = 20
