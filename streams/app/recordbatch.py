"""Kafka's record batches (message format 2) read into blocks, without an object per record.

The format: https://kafka.apache.org/documentation/#recordbatch
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import cramjam
import numpy as np
from aiokafka import codec
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition
from numba import njit
from numpy.typing import NDArray

from streams.domain.block import Block

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
_ROOM_BYTES: Final = 1_048_576


class Room:
    """Memory in which one batch after the other is decompressed, by one thread.

    Without it cramjam grows new memory for each, as zstd does not say how much it will be: twice the time.
    """

    def __init__(self) -> None:
        self._out = np.empty(_ROOM_BYTES, np.uint8)

    def decompress(self, data: memoryview) -> Any:
        """A batch of zstd; one that does not fit makes the room larger for those that follow."""
        try:
            size = cramjam.zstd.decompress_into(data, self._out.data)
        except cramjam.DecompressionError:
            found = cramjam.zstd.decompress(data)  # raises where it was not for the room
            self._out = np.empty(2 * len(found), np.uint8)
            return found
        return self._out[:size].tobytes()


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


def read_batch(
    tp: TopicPartition, buffer: bytes, head: Header, room: Room, *, check_crc: bool
) -> tuple[Any, NDArray[np.int64]]:
    """The records of one batch.

    Returns:
        The batch's bytes without its head, not compressed (a buffer), and the rows of :func:`read_records`.

    Raises:
        CorruptRecordException: the checksum is wrong or the records do not fill the batch.
        UnsupportedCodecError: compressed with something unknown.
    """
    if check_crc and calc_crc32c(memoryview(buffer)[head.begin + _CRC_FROM : head.end]) != head.crc:
        raise CorruptRecordException(f"the checksum of the batch at {_name(tp, head)} is wrong")
    data = _decompressed(memoryview(buffer)[head.begin + _HEADER.size : head.end], head.attributes & 7, room)
    text = np.frombuffer(data, np.uint8)
    if head.records < 0 or head.records * _SMALLEST_RECORD > len(text):
        raise CorruptRecordException(f"the batch at {_name(tp, head)} claims {head.records} records")
    rows = np.empty((6, head.records), np.int64)
    append_ms = head.max_timestamp if head.attributes & 8 else -1
    if read_records(text, head.base_offset, head.first_timestamp, append_ms, rows) != len(text):
        raise CorruptRecordException(f"the batch at {_name(tp, head)} cannot be taken apart")
    return data, rows


def block_of(tp: TopicPartition, batches: Sequence[tuple[Any, NDArray[np.int64]]]) -> Block:
    """Batches that follow each other as one block; their bytes are copied once."""
    data = b"".join([piece for piece, _ in batches])
    at = 0
    for piece, rows in batches:
        if at:
            rows[2:][rows[2:] >= 0] += at
        at += len(piece)
    return Block(tp.topic, tp.partition, data, *np.concatenate([rows for _, rows in batches], axis=1))


def _name(tp: TopicPartition, head: Header) -> str:
    return f"{tp.topic}/{tp.partition}/{head.base_offset}"


def _decompressed(data: memoryview, kind: int, room: Room) -> Any:
    if kind == 0:
        return data
    if kind == _ZSTD:
        return room.decompress(data)
    decode = _DECODE.get(kind)
    if decode is None:
        raise UnsupportedCodecError(f"compression {kind} is unknown")
    return decode(data)


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def read_records(text: Any, base_offset: int, first_ms: int, append_ms: int, rows: Any) -> int:
    """Offsets, times and places of all records of a batch.

    Args:
        text: uint8, the batch without its head, not compressed.
        base_offset: the batch's first offset.
        first_ms: the time that records count from.
        append_ms: the broker's append time, which counts instead; -1 where there is none.
        rows: int64[6, r], written: offset, time, start and end of key, start and end of value.

    Returns:
        The position after the last record; -1 where a record does not fit its length.
    """
    at = 0
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
