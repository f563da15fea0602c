"""Kafka's record batches (message format 2) written at once, without a call per record.

The format: https://kafka.apache.org/documentation/#recordbatch
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from aiokafka.record.util import calc_crc32c
from numpy.typing import NDArray
from zstandard import ZstdCompressionParameters, ZstdCompressor

from streams.domain.bundle import Bundle
from streams.domain.jsonbytes import put_bytes
from streams.domain.kernel import kernel
from streams.domain.keys import places_of

MAX_BYTES: Final = 262_144
"""Of keys and values of a batch before compression; a record that is larger has a batch of its own."""
LEVEL: Final = 1
"""Of zstd. On trace records 1 writes 680 MB/s in a ninth of the room, aiokafka's 3 writes 480 MB/s in no less; on
batches of samples 450 and 300 MB/s."""
HASH_LOG: Final = 13
MIN_MATCH: Final = 7
"""A table that leaves room in the first cache (32 KB), and matches worth their number: least of four in turn, windows
of batches 0.156 to 0.115 us a sample and spans 1.79 to 1.54 us a span, for 3 and 2 % more bytes."""
_ZSTD: Final = 4
_HEAD: Final = struct.Struct(">qiibIhiqqqhii")
_HEAD_FROM_CRC: Final = struct.Struct(">hiqqqhii")
_NOT_COUNTED: Final = 12
"""Bytes at the begin of a batch that its length does not count."""
_RECORD_BYTES: Final = 32
"""More than the numbers of a record take."""
_NO_HEADERS: Final = b"\0"


class Content(NamedTuple):
    """What is written of a record."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class SendBatch:
    """A batch that is whole (in the place of aiokafka's BatchBuilder, for ``AIOKafkaProducer.send_batch``)."""

    def __init__(self, raw: bytes, records: int) -> None:
        self._raw, self._records = raw, records

    @classmethod
    def of(cls, records: Sequence[Content], time_ms: int) -> SendBatch:
        """A batch of at least one record."""
        return cls(encode_batch(records, time_ms), len(records))

    def append(self, **_: Any) -> None:
        """It takes nothing more."""

    def close(self) -> None:
        """It is closed."""

    def closed(self) -> bool:
        """It is."""
        return True

    def size(self) -> int:
        """In bytes."""
        return len(self._raw)

    def record_count(self) -> int:
        """How many records there are."""
        return self._records

    def _build(self) -> bytes:
        return self._raw


def fitting(sizes: Sequence[int], first: int) -> int:
    """The end of a batch that begins with the record ``first``, by the bytes of key and value of each."""
    end, total = first + 1, sizes[first]
    while end < len(sizes) and total + sizes[end] <= MAX_BYTES:
        total += sizes[end]
        end += 1
    return end


def encode_batch(records: Sequence[Content], time_ms: int) -> bytes:
    """A batch of at least one record with offsets from 0 on, all of one time, compressed with zstd."""
    tails = [_headers(r.headers) for r in records]
    pieces = [*(r.key for r in records), *(r.value for r in records), *tails]
    sizes = np.array([-1 if piece is None else len(piece) for piece in pieces]).reshape(3, -1)
    text = np.frombuffer(b"".join(filter(None, pieces)), np.uint8)
    places = np.cumsum([0, *np.maximum(sizes[:2], 0).sum(axis=1)])
    out = np.empty(len(text) + _RECORD_BYTES * len(records), np.uint8)
    return _whole(out[: write_records(text, sizes, places, out)], len(records), time_ms)


def _whole(written: NDArray[np.uint8], records: int, time_ms: int) -> bytes:
    """The batch of so many written records."""
    raw = _compressor().compress(written.data)
    rest = _HEAD_FROM_CRC.pack(_ZSTD, records - 1, time_ms, time_ms, -1, -1, -1, records)
    rest += raw
    length = _HEAD.size - _HEAD_FROM_CRC.size - _NOT_COUNTED + len(rest)
    return struct.pack(">qiibI", 0, length, 0, 2, calc_crc32c(rest)) + rest


def _compressor() -> ZstdCompressor:
    """Kept from batch to batch (a new one costs a tenth of the work); it is for one thread at a time."""
    known: ZstdCompressor | None = getattr(_of_thread, "compressor", None)
    if known is None:
        how = ZstdCompressionParameters.from_level(LEVEL, hash_log=HASH_LOG, min_match=MIN_MATCH)
        known = _of_thread.compressor = ZstdCompressor(compression_params=how)
    return known


_of_thread: Final = threading.local()
Piece = tuple[Bundle, NDArray[np.int64]]
"""Chosen records of a bundle: int64[n], their places, ascending."""


def by_partition(bundles: Iterable[Bundle], partitions: int) -> dict[int, list[Piece]]:
    """The records of each partition, by their keys."""
    found: dict[int, list[Piece]] = {}
    for bundle in bundles:
        places = places_of(bundle.keys, partitions)
        for partition in np.unique(places).tolist():
            found.setdefault(partition, []).append((bundle, np.flatnonzero(places == partition)))
    return found


def batches_of(pieces: Iterable[Piece], time_ms: int) -> Iterator[SendBatch]:
    """Batches of at least one record, in order, as full as they get."""
    out = np.empty(MAX_BYTES, np.uint8)
    at = count = 0
    for bundle, chosen in pieces:
        first = 0
        while first < len(chosen):
            at, until = write_chosen(bundle.keys, bundle.text, bundle.ends, chosen, first, out, at, count)
            count, first = count + until - first, until
            if first == len(chosen):
                break
            if count:
                yield SendBatch(_whole(out[:at], count, time_ms), count)
            else:
                out = np.empty(bundle.sizes[chosen[first]] + bundle.keys.shape[1] + _RECORD_BYTES, np.uint8)
            at = count = 0
    if count:
        yield SendBatch(_whole(out[:at], count, time_ms), count)


def _headers(headers: Sequence[tuple[str, bytes]]) -> bytes:
    if not headers:
        return _NO_HEADERS
    pieces = [_number(len(headers))]
    for name, value in headers:
        pieces += (_number(len(name.encode())), name.encode(), _number(len(value)), value)
    return b"".join(pieces)


def _number(value: int) -> bytes:
    """A number from 0 on, zigzag."""
    out = np.empty(10, np.uint8)
    return out[: _put(out, 0, value)].tobytes()


@kernel
def _put(out: Any, at: int, value: int) -> int:
    """Writes a zigzag number; returns the position after it."""
    rest = np.uint64((value << 1) ^ (value >> 63))
    while rest >= np.uint64(128):
        out[at] = rest & np.uint64(127) | np.uint64(128)
        rest >>= np.uint64(7)
        at += 1
    out[at] = rest
    return at + 1


@kernel
def _room(value: int) -> int:
    """How many bytes a number takes."""
    rest, size = np.uint64((value << 1) ^ (value >> 63)), 1
    while rest >= np.uint64(128):
        rest >>= np.uint64(7)
        size += 1
    return size


@kernel
def _put_begin(out: Any, at: int, r: int, length: int) -> int:
    """What stands before key, value and headers of record ``r``, which have so many bytes with their own lengths."""
    at = _put(out, at, 2 + _room(r) + length)
    out[at], out[at + 1] = 0, 0  # attributes; milliseconds after the batch's time
    return _put(out, at + 2, r)


@kernel
def write_records(
    text: NDArray[np.uint8], sizes: NDArray[np.int64], places: NDArray[np.int64], out: NDArray[np.uint8]
) -> int:
    """Writes r records.

    Args:
        text: uint8, all keys, then all values, then all headers as they are written.
        sizes: int64[3, r], the bytes of each (-1: none, no bytes).
        places: int64[3], where the first key, value and headers are; moved.
        out: uint8, with room for the text and 32 bytes more for each record.

    Returns:
        The bytes written.
    """
    at = 0
    for r in range(sizes.shape[1]):
        length = _room(sizes[0, r]) + _room(sizes[1, r])
        for part in range(3):
            length += max(sizes[part, r], 0)
        at = _put_begin(out, at, r, length)
        for part in range(3):
            size = sizes[part, r]
            if part < 2:
                at = _put(out, at, size)
            if size > 0:
                at = put_bytes(out, at, text, places[part], places[part] + size)
                places[part] += size
    return at


@kernel
def write_chosen(
    keys: NDArray[np.uint8],
    text: NDArray[np.uint8],
    ends: NDArray[np.int64],
    chosen: NDArray[np.int64],
    first: int,
    out: NDArray[np.uint8],
    at: int,
    before: int,
) -> tuple[int, int]:
    """Writes the chosen records of a bundle from ``first`` on, from ``at`` on, after ``before`` others of the batch.

    Returns:
        The position after them, and the place in ``chosen`` of the first for which there was no room.
    """
    width = keys.shape[1]
    for place in range(first, chosen.shape[0]):
        i, r = chosen[place], before + place - first
        size = ends[i + 1] - ends[i]
        if at + width + size + _RECORD_BYTES > out.shape[0]:
            return at, place
        at = _put(out, _put_begin(out, at, r, _room(width) + width + _room(size) + size + 1), width)
        for k in range(width):
            out[at + k] = keys[i, k]
        at = put_bytes(out, _put(out, at + width, size), text, ends[i], ends[i + 1])
        out[at] = 0  # no headers
        at += 1
    return at, chosen.shape[0]
