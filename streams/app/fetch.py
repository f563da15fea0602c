"""aiokafka's consumer with blocks: each fetched stretch of a partition becomes one :class:`Block`.

aiokafka makes a record object, with the objects in it, per record: 1.5 us of CPU each, more than all the rest of a
single event's way. Its fetcher is used as it is, but for the three classes that take a response apart. They are swapped
by giving its method other globals (aiokafka is pinned exactly; tests/unit/app/test_fetch.py sees when that breaks).
"""

from __future__ import annotations

from types import FunctionType
from typing import Any, Final

import numpy as np
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer import consumer as consumer_module
from aiokafka.consumer import fetcher as fetcher_module
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.errors import KafkaError
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition
from numpy.typing import NDArray

from streams.app.recordbatch import MAGIC, Header, Room, block_of, read_batch, read_header
from streams.domain.block import Block

RUN_BYTES: Final = 4_194_304
"""A block is closed when it reaches this many bytes: bounds how long the event loop is held, and memory."""
_LIKELY_RATIO: Final = 8
"""Of compression, for the first guess at a block's memory; pages that are not touched cost nothing."""
_BATCH_BYTES: Final = 1_048_576


class RawRecords:
    """A fetched stretch, not taken apart yet (in the place of aiokafka's MemoryRecords)."""

    def __init__(self, buffer: bytes) -> None:
        self.buffer = buffer
        self._inner = MemoryRecords(buffer)
        self.has_next = self._inner.has_next
        self.size_in_bytes = self._inner.size_in_bytes


class BlockRecords:
    """Iterates over the blocks of a fetched stretch (in the place of aiokafka's PartitionRecords).

    Attributes:
        next_fetch_offset: the offset after the blocks that were taken. exhausted: all were.
    """

    def __init__(
        self,
        tp: TopicPartition,
        records: RawRecords,
        aborted_transactions: Any,
        fetch_offset: int,
        key_deserializer: Any,
        value_deserializer: Any,
        check_crcs: bool,
        isolation_level: int,
    ) -> None:
        """The arguments are aiokafka's. Nothing is deserialized; what aborted transactions wrote is read too."""
        self._tp, self._buffer, self._check_crcs = tp, records.buffer, check_crcs
        self._older = (aborted_transactions, key_deserializer, value_deserializer, isolation_level)
        self._at = 0
        self.next_fetch_offset = fetch_offset
        self.exhausted = False

    def __iter__(self) -> BlockRecords:
        return self

    def __next__(self) -> Block:
        first_offset = self.next_fetch_offset
        batches: list[NDArray[np.int64]] = []
        room = Room(min(_LIKELY_RATIO * (len(self._buffer) - self._at), RUN_BYTES + _BATCH_BYTES))
        while room.used < RUN_BYTES and (head := self._header(first=not batches)) is not None:
            if head.magic < MAGIC:
                return self._older_format()
            batch = self._batch(head, room, first=not batches)
            if batch is not None:
                batches.append(batch)
        if not batches:
            raise StopIteration
        block = block_of(self._tp, room, batches)
        return block[block.until(first_offset - 1) :] if block.offset[0] < first_offset else block

    def _header(self, *, first: bool) -> Header | None:
        """The next batch; None where the block ends."""
        head = None if self.exhausted else read_header(self._buffer, self._at)
        if head is None:
            self.exhausted = True
        elif head.magic < MAGIC and not first:
            return None
        return head

    def _batch(self, head: Header, room: Room, *, first: bool) -> NDArray[np.int64] | None:
        """Takes a batch; None where there is nothing in it for readers, or nothing that can be read."""
        try:
            batch = None
            if not head.control:
                batch = read_batch(self._tp, self._buffer, head, room, check_crc=self._check_crcs)
        except KafkaError:
            self.exhausted = True
            if first:
                raise
            return None  # what came before goes first; the batch is fetched again and the error met then
        self._at, self.next_fetch_offset = head.end, head.next_offset
        return batch if head.records and not head.control else None

    def _older_format(self) -> Block:
        """All that is left, in a format that brokers before 0.11 wrote: one object per record."""
        aborted, key, value, isolation = self._older
        rest = MemoryRecords(self._buffer[self._at :])
        records = PartitionRecords(
            self._tp, rest, aborted, self.next_fetch_offset, key, value, self._check_crcs, isolation
        )
        found = list(records)
        self.next_fetch_offset, self.exhausted = records.next_fetch_offset, True
        if not found:
            raise StopIteration
        return Block.of(found)


class BlockResult(FetchResult):
    """A fetched stretch that is handed out block by block."""

    _partition_records: Any

    def getall(self, max_records: int | None = None) -> list[Block]:
        """At most one block, whatever ``max_records`` is."""
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        records: BlockRecords = self._partition_records
        block = next(records, None)
        self._update_position()
        if records.exhausted:
            self._partition_records = None
        return [] if block is None else [block]


def with_globals(function: Any, **names: Any) -> Any:
    """The same function with other values for some of the names it looks up in its module."""
    missing = set(names) - set(function.__code__.co_names)
    if missing:
        raise TypeError(f"{function.__qualname__} of aiokafka does not use {', '.join(sorted(missing))} any more")
    twin = FunctionType(function.__code__, {**function.__globals__, **names}, function.__name__, function.__defaults__)
    twin.__kwdefaults__ = function.__kwdefaults__
    return twin


class BlockFetcher(Fetcher):
    """Fetches blocks."""

    def look_again(self) -> None:
        """Wakes who waits in ``fetched_records``: the partitions that were asked for have changed since."""
        for waiter in list(self._fetch_waiters):
            self._notify(waiter)

    _proc_fetch_request = with_globals(
        Fetcher._proc_fetch_request, MemoryRecords=RawRecords, PartitionRecords=BlockRecords, FetchResult=BlockResult
    )
    fetched_records = with_globals(Fetcher.fetched_records, FetchResult=BlockResult)


class BlockConsumer(AIOKafkaConsumer):
    """A consumer whose ``getmany`` gives a list of at most one block per partition; ``getone`` is not for it."""

    start = with_globals(AIOKafkaConsumer.start, Fetcher=BlockFetcher)

    async def stop(self) -> None:
        """Leaves the group, also as a static member.

        aiokafka lets a static member go without a word, and its partitions stand still until the session ends (9 s
        measured; 0.5 s with the word). A static membership is for members that die: they come back under their name.
        """
        if self._coordinator is not None:
            self._coordinator._group_instance_id = None
        await super().stop()


assert consumer_module.Fetcher is fetcher_module.Fetcher
