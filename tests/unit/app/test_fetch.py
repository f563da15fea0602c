"""Blocks say of a fetched stretch what aiokafka's own records say."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition
from zstandard import ZstdCompressor

from streams.app import fetch
from streams.app.fetch import BlockConsumer, BlockFetcher, BlockRecords, RawRecords, with_globals
from streams.app.recordbatch import Memory, Room
from streams.domain.block import Block

TP = TopicPartition("t", 3)
RECORDS: list[tuple[bytes | None, bytes | None]] = [
    (b"k", b"value"),
    (None, b"x" * 300),
    (b"", b""),
    (b"key", None),
    (b"k" * 200, b'{"a":1}'),
]


def batch(base: int = 0, *, codec: int = 0, attributes: int = 0, records: Any = RECORDS) -> bytes:
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1 << 20)
    for i, (key, value) in enumerate(records):
        builder.append(i, 1_000 + i, key, value, [("h", b"1")] if i % 2 else [])
    raw = bytearray(builder.build())
    struct.pack_into(">q", raw, 0, base)
    if attributes:
        struct.pack_into(">h", raw, 21, attributes)
        from aiokafka.record.util import calc_crc32c

        struct.pack_into(">I", raw, 17, calc_crc32c(bytes(raw[21:])))
    return bytes(raw)


def theirs(buffer: bytes, offset: int = 0) -> list[tuple[Any, ...]]:
    records = PartitionRecords(TP, MemoryRecords(buffer), None, offset, None, None, True, 0)
    return [(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value) for r in records]


def ours(buffer: bytes, offset: int = 0) -> tuple[list[tuple[Any, ...]], BlockRecords]:
    records = BlockRecords(TP, RawRecords(buffer), None, offset, None, None, True, 0)
    return [tuple(record) for block in records for record in block], records


@pytest.mark.parametrize("codec", [0, 1, 3, 4])
def test_the_same_records_as_aiokafka(codec: int) -> None:
    buffer = batch(10, codec=codec) + batch(20, codec=codec)
    found, records = ours(buffer, 10)
    assert found == theirs(buffer, 10)
    assert len(found) == 2 * len(RECORDS)
    assert records.next_fetch_offset == 25


def test_a_batch_that_is_larger_than_the_room_is_read_like_the_others() -> None:
    large = [(b"k", b"abc" * 700_000)]
    buffer = batch(codec=4) + batch(5, codec=4, records=large) + batch(6, codec=4) + batch(11, codec=4, records=large)
    found, records = ours(buffer)
    assert found == theirs(buffer)
    assert (len(found), records.next_fetch_offset) == (12, 12)


def test_append_time_counts_where_the_broker_stamps() -> None:
    buffer = batch(attributes=8)
    found, _ = ours(buffer)
    assert found == theirs(buffer)
    assert {row[3] for row in found} == {1_004}


def test_records_before_the_wanted_offset_are_left_out() -> None:
    buffer = batch(10)
    found, _ = ours(buffer, 13)
    assert [row[2] for row in found] == [13, 14]
    assert found == theirs(buffer, 13)


def test_a_batch_that_is_not_whole_waits_for_the_next_fetch() -> None:
    buffer = batch(0) + batch(5)[:-1]
    found, records = ours(buffer)
    assert len(found) == 5
    assert records.next_fetch_offset == 5


def test_markers_of_transactions_are_passed_over() -> None:
    found, records = ours(batch(0, attributes=0x30, records=[(b"\0\0\0\1", b"\0\0\0\0\0\0")]) + batch(1))
    assert [row[2] for row in found] == [1, 2, 3, 4, 5]
    assert records.next_fetch_offset == 6


def test_what_is_good_comes_before_the_error() -> None:
    bad = bytearray(batch(5))
    bad[-1] ^= 1
    records = BlockRecords(TP, RawRecords(batch(0) + bytes(bad)), None, 0, None, None, True, 0)
    assert len(next(records)) == 5
    assert records.exhausted
    assert records.next_fetch_offset == 5
    again = BlockRecords(TP, RawRecords(bytes(bad)), None, 5, None, None, True, 0)
    with pytest.raises(CorruptRecordException, match="t/3/5"):
        next(again)


def test_lengths_that_lie_are_an_error_and_not_a_crash() -> None:
    for position in range(61, 90):
        raw = bytearray(batch())
        raw[position] = 0x7F
        try:
            found = list(BlockRecords(TP, RawRecords(bytes(raw)), None, 0, None, None, False, 0))
        except CorruptRecordException:
            continue
        assert sum(len(block) for block in found) <= len(RECORDS)


def test_a_count_that_lies_is_an_error() -> None:
    raw = bytearray(batch())
    struct.pack_into(">i", raw, 57, 2_000_000_000)
    with pytest.raises(CorruptRecordException, match="claims"):
        next(BlockRecords(TP, RawRecords(bytes(raw)), None, 0, None, None, False, 0))


def test_the_formats_of_old_brokers() -> None:
    builder = LegacyRecordBatchBuilder(1, 0, 1 << 20)
    for i, (key, value) in enumerate(RECORDS):
        builder.append(i, 1_000 + i, key, value)
    buffer = bytes(builder.build())
    found, records = ours(buffer)
    assert found == theirs(buffer)
    assert records.next_fetch_offset == 5


def test_a_stretch_is_cut_at_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "RUN_BYTES", 10)
    records = BlockRecords(TP, RawRecords(batch(0) + batch(5)), None, 0, None, None, True, 0)
    assert [len(block) for block in records] == [5, 5]


def test_aiokafka_still_takes_a_response_apart_as_we_know_it() -> None:
    assert BlockFetcher._proc_fetch_request.__globals__["PartitionRecords"] is BlockRecords
    assert BlockConsumer.start.__globals__["Fetcher"] is BlockFetcher
    with pytest.raises(TypeError, match="NoSuchName"):
        with_globals(theirs, NoSuchName=1)


def test_blocks_are_cut_and_joined() -> None:
    buffer = batch(10)
    (block,) = BlockRecords(TP, RawRecords(buffer), None, 10, None, None, True, 0)
    assert [r.offset for r in block[2:]] == [12, 13, 14]
    assert block.until(12) == 3
    assert [tuple(r) for r in Block.of(list(block))] == [tuple(r) for r in block]


def test_zstd_in_several_frames_is_one_batch() -> None:
    room = Room(16)
    frames = b"".join(ZstdCompressor().compress(piece) for piece in (b"abc" * 100, b"", b"def" * 100))
    assert room.write(memoryview(frames), 4).tobytes() == b"abc" * 100 + b"def" * 100


@pytest.mark.parametrize("size", [15, 16, 17, 31, 32, 33, 100])
def test_batches_lie_behind_each_other_whatever_the_room(size: int) -> None:
    """Also where one fills it to the last byte."""
    room, text = Room(16), b""
    for kind, piece in ((0, b"a" * size), (4, b"b" * size), (0, b""), (4, b"c" * size)):
        text += piece
        room.used = len(room.write(memoryview(ZstdCompressor().compress(piece) if kind else piece), kind))
        assert room.text.tobytes() == text


def test_zstd_that_is_none_is_said_to_be_corrupt() -> None:
    with pytest.raises(CorruptRecordException, match="zstd"):
        Room(16).write(memoryview(b"nothing of the kind"), 4)
    with pytest.raises(UnsupportedCodecError, match="7"):
        Room(16).write(memoryview(b""), 7)


def test_memory_is_written_again_only_when_nobody_reads_it() -> None:
    memory = Memory()
    first = memory.take(1_000_000)
    place = first.ctypes.data
    part = first[10:20]
    text = memoryview(first[20:30])
    del first
    assert memory.take(1_000_000).ctypes.data != place
    del part
    assert memory.take(500_000).ctypes.data != place  # the one taken meanwhile, or new: the buffer is still read
    del text
    again = [memory.take(500_000) for _ in range(3)]
    assert place in {piece.ctypes.data for piece in again}
    assert len({piece.ctypes.data for piece in again}) == 3


def test_memory_that_is_kept_is_bounded() -> None:
    memory = Memory()
    taken = [memory.take(300_000) for _ in range(20)]
    assert len({piece.ctypes.data for piece in taken}) == 20
    kept = [id(piece) for piece in memory._kept]
    memory.take(9_000_000)
    memory.take(1_000)
    assert [id(piece) for piece in memory._kept] == kept
    assert len(kept) == 16
