"""Kafka's record batches (message format 2) read into blocks, without an object per record.

The format: https://kafka.apache.org/documentation/#recordbatch
"""

from __future__ import annotations

import struct
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from aiokafka import codec
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition
from numpy.typing import NDArray
from zstandard import ZstdDecompressor, ZstdError

from streams.domain.block import Block
from streams.domain.kernel import kernel, large_kernel
from streams.domain.room import reserved

MAGIC: Final = 2
LENGTH_BYTES: Final = 12
"""What stands before the part that a batch's length counts."""
_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_CRC_FROM: Final = 21
_SMALLEST_RECORD: Final = 7
_DECODE: Final[Mapping[int, Callable[[Any], Any]]] = {
    1: codec.gzip_decode,
    2: codec.snappy_decode,
    3: codec.lz4_decode,
}
_ZSTD: Final = 4
_KEPT: Final = 16
"""About as many as wait for a stream. Of 157 blocks of 8,000,000 samples in batches of 100, 53 needed new memory with 8
pieces and 19 with 16."""
_LEAST_BYTES: Final = 262_144
_MOST_BYTES: Final = 8_388_608
_UNREAD: Final = 2
"""References to memory that nobody reads: of the list, of the count itself."""


class Memory(threading.local):
    """Memory of blocks that nobody reads any more, to be written again, for each thread apart.

    New memory of this size is cleared by the kernel: 2 to 3 % of all work, and several times that in the large pages
    that NumPy asks for (:func:`streams.domain.room.reserved`). Whether somebody still reads it says the count of its
    references (arrays and buffers over it hold one each): where it is too high the memory is not used again, and that
    is all. Bounded: :data:`_KEPT` pieces of :data:`_LEAST_BYTES` to :data:`_MOST_BYTES`.
    """

    def __init__(self) -> None:
        self._kept: list[NDArray[np.uint8]] = []

    def take(self, size_bytes: int) -> NDArray[np.uint8]:
        """At least so much, with anything in it."""
        for at in range(len(self._kept)):
            if len(self._kept[at]) >= size_bytes and sys.getrefcount(self._kept[at]) == _UNREAD:
                self._kept.append(self._kept.pop(at))
                return self._kept[-1]
        if size_bytes < _LEAST_BYTES:
            return np.empty(size_bytes, np.uint8)
        made = reserved(size_bytes, np.dtype(np.uint8))
        if size_bytes <= _MOST_BYTES:
            self._kept = [*self._kept[1 - _KEPT :], made]
        return made


_memory: Final = Memory()


class Room:
    """Memory in which the batches of one block lie behind each other; their text is written to it at once.

    Libraries that give new memory for each batch cost a copy of all of it, and zstd does not say how much it will be.
    """

    def __init__(self, size_bytes: int) -> None:
        """So much to begin with; it grows to twice the size where that is not enough."""
        self._out = _memory.take(max(size_bytes, 1))
        self._unzip = ZstdDecompressor()
        self.used = 0

    @property
    def text(self) -> NDArray[np.uint8]:
        """What was written and kept."""
        return self._out[: self.used]

    def write(self, data: memoryview, kind: int) -> NDArray[np.uint8]:
        """Writes a batch of this compression behind what is kept; returns both. It is kept where ``used`` says so.

        Raises:
            UnsupportedCodecError: the compression is unknown.
            CorruptRecordException: it is none of this kind.
        """
        if kind == _ZSTD:
            return self._write_zstd(data)
        if kind and kind not in _DECODE:
            raise UnsupportedCodecError(f"compression {kind} is unknown")
        raw = _DECODE[kind](data) if kind else data
        end = self.used + len(raw)
        while end > len(self._out):
            self._grow(self.used)
        self._out[self.used : end] = np.frombuffer(raw, np.uint8)
        return self._out[:end]

    def _write_zstd(self, data: memoryview) -> NDArray[np.uint8]:
        end = self.used
        try:
            with self._unzip.stream_reader(data, read_across_frames=True) as reader:
                while True:
                    if end == len(self._out):
                        self._grow(end)
                    size = reader.readinto(self._out[end:].data)
                    if not size:
                        break
                    end += size
        except ZstdError as error:
            raise CorruptRecordException(f"a batch of zstd that cannot be read: {error}") from error
        return self._out[:end]

    def _grow(self, kept: int) -> None:
        larger = _memory.take(2 * len(self._out))
        larger[:kept] = self._out[:kept]
        self._out = larger


class Header(NamedTuple):
    """The head of a batch; ``end`` is the position of the next one."""

    begin: int
    end: int
    base_offset: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    first_timestamp: int
    max_timestamp: int
    records: int

    @property
    def next_offset(self) -> int:
        """The offset after the batch."""
        return self.base_offset + self.last_offset_delta + 1

    @property
    def control(self) -> bool:
        """A marker of a transaction: nothing for readers."""
        return bool(self.attributes & 0x20)


def read_header(buffer: bytes, begin: int) -> Header | None:
    """The head of the batch at ``begin``; None where the rest of the buffer does not hold a whole batch.

    Of a batch in an older format only ``magic``, ``begin`` and ``end`` mean something.
    """
    if len(buffer) < begin + _HEADER.size:
        return None
    base, length, _, magic, crc, attributes, delta, first, last, _, _, _, count = _HEADER.unpack_from(buffer, begin)
    end = begin + LENGTH_BYTES + length
    if end > len(buffer):
        return None
    return Header(begin, end, base, magic, crc, attributes, delta, first, last, count)


def read_batch(tp: TopicPartition, buffer: bytes, head: Header, room: Room, *, check_crc: bool) -> NDArray[np.int64]:
    """The records of one batch, as :func:`read_records` has them; their text is in the room.

    Raises:
        CorruptRecordException: the checksum is wrong or the records do not fill the batch.
        UnsupportedCodecError: compressed with something unknown.
    """
    if check_crc and calc_crc32c(memoryview(buffer)[head.begin + _CRC_FROM : head.end]) != head.crc:
        raise CorruptRecordException(f"the checksum of the batch at {_name(tp, head)} is wrong")
    text = room.write(memoryview(buffer)[head.begin + _HEADER.size : head.end], head.attributes & 7)
    if head.records < 0 or head.records * _SMALLEST_RECORD > len(text) - room.used:
        raise CorruptRecordException(f"the batch at {_name(tp, head)} claims {head.records} records")
    rows = np.empty((6, head.records), np.int64)
    append_ms = head.max_timestamp if head.attributes & 8 else -1
    if read_records(text, room.used, head.base_offset, head.first_timestamp, append_ms, rows) != len(text):
        raise CorruptRecordException(f"the batch at {_name(tp, head)} cannot be taken apart")
    room.used = len(text)
    return rows


def block_of(tp: TopicPartition, room: Room, batches: Sequence[NDArray[np.int64]]) -> Block:
    """The batches of a room as one block."""
    text = room.text
    text.flags.writeable = False  # as that of blocks made of records: Numba would compile all that reads it twice
    return Block(tp.topic, tp.partition, text, *np.concatenate(batches, axis=1))


def _name(tp: TopicPartition, head: Header) -> str:
    return f"{tp.topic}/{tp.partition}/{head.base_offset}"


@kernel
def _varint(text: Any, at: int) -> Any:
    """A zigzag number and the position after it, -1 where there is none."""
    number = np.uint64(0)
    for shift in range(0, 70, 7):
        if at < 0 or at >= text.shape[0]:
            return np.int64(0), -1
        byte = np.uint64(text[at])
        at += 1
        number |= (byte & np.uint64(127)) << np.uint64(shift)
        if byte < 128:
            return np.int64(number >> np.uint64(1)) ^ -np.int64(number & np.uint64(1)), at
    return np.int64(0), -1


@large_kernel
def read_records(text: Any, at: int, base_offset: int, first_ms: int, append_ms: int, rows: Any) -> int:
    """Offsets, times and places of all records of a batch.

    Args:
        text: uint8, ends with the batch without its head, not compressed.
        at: where that begins.
        base_offset: the batch's first offset.
        first_ms: the time that records count from.
        append_ms: the broker's append time, which counts instead; -1 where there is none.
        rows: int64[6, r], written: offset, time, start and end of key, start and end of value.

    Returns:
        The position after the last record; -1 where a record does not fit its length.
    """
    for r in range(rows.shape[1]):
        length, at = _varint(text, at)
        stop = at + length
        if at < 0 or length < 0 or stop > text.shape[0]:
            return -1
        delta_ms, at = _varint(text, at + 1)
        delta, at = _varint(text, at)
        rows[0, r] = base_offset + delta
        rows[1, r] = append_ms if append_ms >= 0 else first_ms + delta_ms
        for part in (2, 4):
            size, at = _varint(text, at)
            if at < 0 or size > stop - at:
                return -1
            if size < 0:
                rows[part, r] = -1
                rows[part + 1, r] = -1
            else:
                rows[part, r] = at
                at += size
                rows[part + 1, r] = at
        if at >= stop:
            return -1
        at = stop  # headers lie between
    return at
