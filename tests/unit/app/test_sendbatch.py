"""Batches that are written at once hold what aiokafka reads from its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.app.sendbatch import MAX_BYTES, Content, SendBatch, batches_of, by_partition, encode_batch, fitting
from streams.domain.bundle import Bundle

TIME_MS = 1_700_000_000_123
RECORDS = [
    Content(b"k", b"value"),
    Content(None, b"x" * 300),
    Content(b"", b""),
    Content(b"key", None),
    Content(b"k" * 200, b'{"a":1}' * 40_000, [("reason", b"because"), ("topic", b"t" * 100)]),
    *[Content(b"%d" % i, b"v") for i in range(200)],
]


def read(raw: bytes) -> list[tuple[Any, ...]]:
    records = MemoryRecords(raw)
    batch = records.next_batch()
    assert batch.validate_crc()
    assert not records.has_next()
    return [(r.offset, r.timestamp, r.key, r.value, list(r.headers)) for r in batch]


def theirs(records: list[Content]) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 4, 0, -1, -1, -1, 1 << 30)
    for i, record in enumerate(records):
        builder.append(i, TIME_MS, record.key, record.value, list(record.headers))
    return bytes(builder.build())


@pytest.mark.parametrize("records", [RECORDS, RECORDS[:1], RECORDS[3:4]])
def test_the_same_records_as_aiokafka(records: list[Content]) -> None:
    assert read(encode_batch(records, TIME_MS)) == read(theirs(records))


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            Content,
            st.none() | st.binary(max_size=70),
            st.none() | st.binary(max_size=9_000),
            st.lists(st.tuples(st.text(max_size=4), st.binary(max_size=70)), max_size=2),
        ),
        min_size=1,
        max_size=70,
    )
)
def test_any_records(records: list[Content]) -> None:
    assert read(encode_batch(records, TIME_MS)) == read(theirs(records))


def test_it_says_what_the_producer_asks() -> None:
    batch = SendBatch.of(RECORDS, TIME_MS)
    assert batch.record_count() == len(RECORDS)
    assert batch.closed()
    assert batch.append(timestamp=None, key=b"k", value=b"v", headers=[]) is None
    assert batch.size() == len(batch._build())


def test_a_batch_is_cut_by_bytes_and_never_empty() -> None:
    assert fitting([MAX_BYTES + 1, 1], 0) == 1
    assert fitting([MAX_BYTES - 1, 1, 1], 0) == 2
    assert fitting([1, 1, 1], 1) == 3


def bundle_of(records: list[tuple[bytes, bytes]]) -> Bundle:
    ends = np.cumsum([0, *(len(value) for _, value in records)])
    text = bytearray().join(value for _, value in records)
    keys = np.frombuffer(b"".join(key for key, _ in records), np.uint8).reshape(len(records), -1)
    return Bundle(keys, np.frombuffer(text, np.uint8), ends)


def sent(bundles: list[Bundle], partitions: int) -> dict[int, list[list[tuple[Any, ...]]]]:
    """Of each partition the records of each batch."""
    found = by_partition(bundles, partitions)
    return {
        partition: [read(batch._build()) for batch in batches_of(pieces, TIME_MS)]
        for partition, pieces in found.items()
    }


def keyed(sizes: list[int], first: int = 0) -> list[tuple[bytes, bytes]]:
    return [(b"%032d" % (first + i), b"%d" % i * size) for i, size in enumerate(sizes)]


@pytest.mark.parametrize(
    "bundles",
    [
        [keyed([1])],
        [keyed([0, 130, 20_000, 3] * 50), keyed([7] * 300, 1000)],
        [keyed([10, MAX_BYTES + 5, 10]), keyed([2 * MAX_BYTES], 100)],
        [keyed([MAX_BYTES // 2 + 1] * 20)],
    ],
    ids=["one", "several bundles in a batch", "larger than a batch", "many batches"],
)
def test_a_bundle_is_the_same_as_its_records(bundles: list[list[tuple[bytes, bytes]]]) -> None:
    expected: dict[int, list[tuple[bytes, bytes]]] = {}
    for key, value in (record for records in bundles for record in records):
        place = DefaultPartitioner()(key, [0, 1, 2], [0, 1, 2])
        expected.setdefault(place, []).append((key, value))
    found = sent([bundle_of(records) for records in bundles], 3)
    assert {
        place: [(key, value) for batch in batches for _, _, key, value, _ in batch] for place, batches in found.items()
    } == expected
    for batch in (batch for batches in found.values() for batch in batches):
        assert [record[0] for record in batch] == list(range(len(batch)))
        assert {(record[1], *record[4]) for record in batch} == {(TIME_MS,)}
        assert len(batch) == 1 or sum(len(record[3]) for record in batch) <= MAX_BYTES


def test_batches_of_bundles_are_full() -> None:
    (batches,) = sent([bundle_of(keyed([1_000] * 100, first)) for first in (0, 100, 200, 300)], 1).values()
    assert [len(batch) for batch in batches] == sorted((len(batch) for batch in batches), reverse=True)
    assert sum(len(batch) for batch in batches) == 400
    assert len(batches) == 3
