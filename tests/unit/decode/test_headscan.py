"""Batches are told by the head that the last one of their key had."""

from __future__ import annotations

import numpy as np
import pytest

from streams.decode.headscan import NO_BATCH, OTHER_HEAD, keys_of, skip_heads
from streams.domain.block import Block
from tests.unit.decode.runs import Row

FIRST = b"{head"
KEYS = [b"a", None, b"agent-1", b"agent-2", b"a", b"", b"agent-1", b"a" * 300, None, b"a" * 300]


def places(block: Block) -> np.ndarray:
    return np.arange(len(block), dtype=np.int32)


def test_keys_are_numbered_in_the_order_they_come() -> None:
    block = Block.of([Row(b"v", key) for key in KEYS])
    keys, number = keys_of(block, places(block))
    assert keys == [b"a", b"", b"agent-1", b"agent-2", b"a" * 300]
    assert [keys[n] for n in number] == [key or b"" for key in KEYS]


def test_chosen_records_only() -> None:
    block = Block.of([Row(b"v", key) for key in KEYS])
    keys, number = keys_of(block, np.array([3, 9, 7], np.int32))
    assert (keys, number.tolist()) == ([b"agent-2", b"a" * 300], [0, 1, 1])
    assert keys_of(block, np.empty(0, np.int32))[0] == []


@pytest.mark.parametrize(
    ("value", "head", "begin"),
    [
        (b"{head-1|body", 0, 8),
        (b"{head-2|body", 0, OTHER_HEAD),
        (b"{head-2|body", 1, 8),
        (b"{head-1|", 0, 8),
        (b"{head-1", 0, OTHER_HEAD),
        (b"{head-1|body", -1, OTHER_HEAD),
        (b"{body", 0, NO_BATCH),
        (b"{hea", 0, NO_BATCH),
        (b"", 0, NO_BATCH),
        (None, 0, NO_BATCH),
        (b"{head-1|" + b"b" * 100, 0, NO_BATCH),
    ],
)
def test_where_the_body_begins(value: bytes | None, head: int, begin: int) -> None:
    block = Block.of([Row(b"{head-1|before"), Row(value), Row(b"|what follows in memory")])
    found = np.empty(3, np.int64)
    prefixes = np.frombuffer(b"{head-1|{head-2|", np.uint8)
    expected = np.array([0, head, -1])
    start_bytes = np.frombuffer(FIRST, np.uint8)
    skip_heads(block.text, block.start, block.end, expected, prefixes, np.array([0, 8, 16]), start_bytes, 64, found)
    assert found.tolist() == [block.start[0] + 8, block.start[1] + begin if begin >= 0 else begin, NO_BATCH]
