"""Batches that are written at once hold what aiokafka reads from its own."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.app.sendbatch import MAX_BYTES, Content, SendBatch, encode_batch, fitting

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
    batch = SendBatch(RECORDS, TIME_MS)
    assert batch.record_count() == len(RECORDS)
    assert batch.closed()
    assert batch.append(timestamp=None, key=b"k", value=b"v", headers=[]) is None
    assert batch.size() == len(batch._build())


def test_a_batch_is_cut_by_bytes_and_never_empty() -> None:
    assert fitting([MAX_BYTES + 1, 1], 0) == 1
    assert fitting([MAX_BYTES - 1, 1, 1], 0) == 2
    assert fitting([1, 1, 1], 1) == 3
