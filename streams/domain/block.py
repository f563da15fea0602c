"""A run of records of one partition as columns over one piece of text, so that nothing is made per record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from streams.domain.columns import Record

I64 = NDArray[np.int64]


class LogRecord(NamedTuple):
    """One record of a run; ``timestamp`` in milliseconds since the epoch."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, eq=False)
class Block(Sequence[LogRecord]):
    """r records in the order of the log.

    Attributes:
        text: uint8, in which all keys and values lie.
        offset, timestamp_ms: int64[r], ascending offsets; append time where the topic is stamped by the broker.
        key_start, key_end, start, end: int64[r], where key and value lie in ``text``; a start of -1 stands for none
            (its end is -1 as well).
    """

    topic: str
    partition: int
    text: NDArray[np.uint8]
    offset: I64
    timestamp_ms: I64
    key_start: I64
    key_end: I64
    start: I64
    end: I64

    def value(self, i: int) -> bytes | None:
        """The value of one record."""
        begin = int(self.start[i])
        return None if begin < 0 else self.text[begin : self.end[i]].tobytes()

    def key(self, i: int) -> bytes | None:
        """The key of one record."""
        begin = int(self.key_start[i])
        return None if begin < 0 else self.text[begin : self.key_end[i]].tobytes()

    def __len__(self) -> int:
        return len(self.offset)

    @overload
    def __getitem__(self, i: int) -> LogRecord: ...
    @overload
    def __getitem__(self, i: slice) -> Block: ...
    def __getitem__(self, i: int | slice) -> LogRecord | Block:
        if isinstance(i, slice):
            columns = ("offset", "timestamp_ms", "key_start", "key_end", "start", "end")
            return replace(self, **{name: getattr(self, name)[i] for name in columns})
        offset, stamp = int(self.offset[i]), int(self.timestamp_ms[i])  # the first raises IndexError, which ends a loop
        return LogRecord(self.topic, self.partition, offset, stamp, self.key(i), self.value(i))

    def until(self, offset: int) -> int:
        """How many records have at most this offset."""
        return int(np.searchsorted(self.offset, offset, side="right"))

    @classmethod
    def of(cls, records: Sequence[Record]) -> Block:
        """The same from records that were made one by one; a block is one already."""
        if isinstance(records, Block):
            return records
        keys = [record.key for record in records]
        values = [record.value for record in records]
        ends = list(accumulate((len(piece or b"") for piece in (*keys, *values)), initial=0))
        bounds = np.array(ends, np.int64)
        there = np.array([piece is not None for piece in (*keys, *values)], bool)
        start, end = np.where(there, bounds[:-1], -1), np.where(there, bounds[1:], -1)
        n = len(records)
        return cls(
            getattr(records[0], "topic", "") if n else "",
            getattr(records[0], "partition", 0) if n else 0,
            np.frombuffer(b"".join([piece or b"" for piece in (*keys, *values)]), np.uint8),
            np.array([record.offset for record in records], np.int64),
            np.array([record.timestamp for record in records], np.int64),
            start[:n],
            end[:n],
            start[n:],
            end[n:],
        )
