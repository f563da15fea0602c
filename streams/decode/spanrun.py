"""The fast way of a run's records into rows: compiled code over all bytes at once, then resources by their bytes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streams.decode.screen import acquit, suspects
from streams.decode.spanjson import read_batch
from streams.decode.spankeys import KNOWN
from streams.decode.spantarget import GROW, OK, Target
from streams.decode.spanwire import read_request
from streams.domain import conventions
from streams.domain.block import Block
from streams.domain.jsonbytes import same_bytes
from streams.domain.kernel import kernel
from streams.domain.room import longer, reserved
from streams.domain.spanrows import SPAN, SpanTables
from streams.domain.texts import hash_of

FAST: Final = 0
SLOW: Final = 1
_ROWS: Final = 65_536
_BYTES: Final = 64 * 1_048_576
"""Room at first: more than a run of usual records takes, and used only as far as it is filled."""


@kernel
def _read(buf: Any, bounds: Any, first: int, ways: Any, target: Target, before: Any) -> int:
    """Reads records from ``first`` on; returns the one that needs more room, or how many there are.

    ``ways`` uint8[r]: :data:`SLOW` for records that are not to be read here; changed where one cannot be.
    """
    filled = target.filled
    for record in range(first, ways.shape[0]):
        if ways[record] == SLOW:
            continue
        begin, end = bounds[0, record], bounds[1, record]
        for i in range(4):
            before[i] = filled[i]
        if buf[begin] == 123:
            outcome = read_batch(buf, begin, end, record, target)
        else:
            outcome = read_request(buf, begin, end, record, target)
        if outcome == OK:
            continue
        for i in range(4):
            filled[i] = before[i]
        if outcome == GROW:
            return record
        ways[record] = SLOW
    return ways.shape[0]


@kernel
def _distinct(buf: Any, bounds: Any, blocks: Any, table: Any, group: Any, first: Any) -> int:
    """Groups blocks by their bytes and by whether their record is JSON; returns how many groups there are.

    ``table`` int32[a power of two], filled with -1; ``group``, ``first`` int32[k], filled here.
    """
    mask, count = table.shape[0] - 1, 0
    for i in range(blocks.shape[0]):
        begin, size, is_json = blocks[i, 1], blocks[i, 2] - blocks[i, 1], buf[bounds[0, blocks[i, 0]]] == 123
        at = np.int64(hash_of(buf, begin, begin + size) >> np.uint64(20)) & mask
        while table[at] >= 0:
            known = first[table[at]]
            alike = blocks[known, 2] - blocks[known, 1] == size and (buf[bounds[0, blocks[known, 0]]] == 123) == is_json
            if alike and same_bytes(buf, blocks[known, 1], buf, begin, size):
                break
            at = (at + 1) & mask
        if table[at] < 0:
            table[at] = count
            first[count] = i
            count += 1
        group[i] = table[at]
    return count


@kernel
def set_resources(rows: Any, numbers: Any, group: Any) -> None:
    """Puts the number of its group in the place of each row's block."""
    for i in range(rows.shape[0]):
        rows[i].resource = numbers[group[rows[i].resource]]


class RunReader:
    """Buffers that are used again for each run: what :meth:`read` fills is good until the next call."""

    def __init__(self, tables: SpanTables) -> None:
        self.tables = tables
        self.buf = np.zeros(0, np.uint8)
        self.bounds = np.zeros((2, 0), np.int64)
        self._rows = reserved(_ROWS, SPAN)
        self._bodies = reserved(_BYTES, np.dtype(np.uint8))
        self._blocks = np.empty((256, 3), np.int64)
        self._heads = np.empty((256, 4), np.int64)
        self._filled = np.zeros(4, np.int64)
        self._known = np.zeros(KNOWN, np.int64)
        self.suspect = np.zeros(0, np.bool_)

    @property
    def rows(self) -> NDArray[Any]:
        """SPAN[n]; ``resource`` is the number of a block."""
        return self._rows[: self._filled[0]]

    @property
    def bodies(self) -> NDArray[np.uint8]:
        """Bodies of the rows that are not ``slow``."""
        return self._bodies[: self._filled[1]]

    @property
    def blocks(self) -> NDArray[np.int64]:
        """Of each resource: record, begin and end in :attr:`buf`."""
        return self._blocks[: self._filled[2]]

    @property
    def heads(self) -> NDArray[np.int64]:
        """Of each batch: record, producer's text, seq, dropped_total."""
        return self._heads[: self._filled[3]]

    def resources(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Blocks with the same bytes: int32[k], the group of each block, and the first block of each group."""
        size = len(self.blocks)
        table = np.full(1 << (2 * size + 1).bit_length(), -1, np.int32)
        group, first = np.empty(size, np.int32), np.empty(size, np.int32)
        count = _distinct(self.buf, self.bounds, self.blocks, table, group, first)
        return group, self.blocks[first[:count]]

    def read(self, block: Block, ways: NDArray[np.uint8]) -> None:
        """Reads the records that ``ways`` says are :data:`FAST`; marks those that must go the other way.

        Those in which redaction may find something must: :attr:`suspect`, bool[r].
        """
        self.buf = block.text
        self.bounds = np.stack([block.start, block.end])  # a record without a value is empty: -1 to -1
        self.suspect = np.empty(len(block), np.bool_)
        suspects(self.buf, self.bounds, self.suspect)
        acquit(self.buf, self.bounds, ways, self.suspect)
        ways[self.suspect] = SLOW
        self._filled[:] = 0
        at, asked = 0, 0
        while (stopped := _read(self.buf, self.bounds, at, ways, self._target(), np.zeros(4, np.int64))) < len(block):
            asked = asked + 1 if stopped == at else 1
            at = stopped
            self._make_room(int(block.end[at] - block.start[at]), asked)

    def _target(self) -> Target:
        other = self.tables.texts.number(conventions.OTHER_ERROR)
        texts = self.tables.texts.arrays
        tables = (self._rows, self._bodies, self._blocks, self._heads, self._filled, self._known)
        return Target(*tables, texts, other)

    def _make_room(self, size: int, asked: int) -> None:
        """Room for a record of so many bytes: of the table that is likely to be full, of all when asked again."""
        rows, used, blocks, heads = self._filled.tolist()
        full = [
            rows + size // 44 + 1 > len(self._rows),
            used + 8 * size + 65_536 > len(self._bodies),
            blocks + size // 64 + 64 > len(self._blocks),
            heads + 1 > len(self._heads),
        ]
        if asked > 1 or not any(full):
            self.tables.texts.grow()
        if asked > 1 or full[0]:
            self._rows = longer(self._rows, rows, size // 44 + 1)
        if asked > 1 or full[1]:
            self._bodies = longer(self._bodies, used, 8 * size + 65_536)
        if asked > 1 or full[2]:
            self._blocks = _longer(self._blocks, size // 64 + 64)
        if full[3]:
            self._heads = _longer(self._heads, 1)


def _longer(table: NDArray[Any], least: int) -> NDArray[Any]:
    grown = np.empty((len(table) + max(len(table), least), *table.shape[1:]), table.dtype)
    grown[: len(table)] = table
    return grown
