"""Texts by number: each distinct text once, found from its bytes by compiled code.

Columns of spans hold numbers of texts instead of texts. Number 0 is the empty text.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.domain.jsonbytes import eight, put_bytes, same_bytes
from streams.domain.kernel import kernel

FULL: Final = -1
_EMPTY: Final = -1
_FNV: Final = np.uint64(0xCBF29CE484222325)
_PRIME: Final = np.uint64(0x100000001B3)
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)


class TextArrays(NamedTuple):
    """What compiled code sees of a :class:`Texts`.

    ``slots`` int32[a power of two], numbers by hash; ``hashes`` uint64[n]; ``start`` int64[n + 1], text i is
    ``raw[start[i]:start[i + 1]]``; ``raw`` uint8[b]; ``filled`` int64[1]: n.
    """

    slots: NDArray[np.int32]
    hashes: NDArray[np.uint64]
    start: NDArray[np.int64]
    raw: NDArray[np.uint8]
    filled: NDArray[np.int64]


@kernel
def hash_of(buf: Any, begin: int, end: int) -> Any:
    """A hash of bytes; bits 20 and up serve as a place in a table."""
    value = _FNV ^ np.uint64(end - begin)
    at, last = np.uint64(begin), np.uint64(end)
    while at + np.uint64(8) <= last:
        value = (value ^ eight(buf, at)) * _MIX
        value ^= value >> np.uint64(32)
        at += np.uint64(8)
    rest = np.uint64(0)
    while at < last:
        rest = (rest << np.uint64(8)) | np.uint64(buf[at])
        at += np.uint64(1)
    value = (value ^ rest) * _MIX
    return value ^ (value >> np.uint64(29))


@kernel
def intern_text(table: TextArrays, buf: Any, begin: int, end: int) -> int:
    """The number of ``buf[begin:end]``, given to it now where it is not known; :data:`FULL` when there is no room."""
    if begin == end:
        return 0
    value = hash_of(buf, begin, end)
    mask = table.slots.shape[0] - 1
    at = np.int64(value >> np.uint64(20)) & mask
    size = end - begin
    while table.slots[at] != _EMPTY:
        known = table.slots[at]
        first = table.start[known]
        alike = table.hashes[known] == value and table.start[known + 1] - first == size
        if alike and same_bytes(table.raw, first, buf, begin, size):
            return known
        at = (at + 1) & mask
    number = table.filled[0]
    first = table.start[number]
    if number >= table.hashes.shape[0] or first + size > table.raw.shape[0]:
        return FULL
    put_bytes(table.raw, first, buf, begin, end)
    table.start[number + 1] = first + size
    table.hashes[number] = value
    table.slots[at] = number
    table.filled[0] = number + 1
    return number


@kernel
def text_before(table: TextArrays, one: int, other: int) -> bool:
    """Whether a text sorts before another (by code points, which is the order of their UTF-8 bytes)."""
    a, b = table.start[one], table.start[other]
    size_a, size_b = table.start[one + 1] - a, table.start[other + 1] - b
    for i in range(min(size_a, size_b)):
        if table.raw[a + i] != table.raw[b + i]:
            return table.raw[a + i] < table.raw[b + i]
    return size_a < size_b


class Texts:
    """A table of texts.

    It grows with what it is given and forgets only by :meth:`keep`: its owner bounds it by keeping what is still in
    use when :attr:`outgrown` says so.
    """

    def __init__(self, count: int = 1024, size_bytes: int = 32_768) -> None:
        self._allocate(count, size_bytes)
        self._kept = 0
        self._strings: dict[int, str] = {0: ""}
        self._numbers: dict[str, int] = {"": 0}

    def _allocate(self, count: int, size_bytes: int) -> None:
        slots = 4
        while slots < 2 * count:
            slots *= 2
        start = np.zeros(count + 1, np.int64)
        self.arrays = TextArrays(
            np.full(slots, _EMPTY, np.int32),
            np.zeros(count, np.uint64),
            start,
            np.zeros(size_bytes, np.uint8),
            np.ones(1, np.int64),
        )

    def __len__(self) -> int:
        return int(self.arrays.filled[0])

    @property
    def outgrown(self) -> bool:
        """Whether it holds three times of what was kept last time, and more than a few."""
        return len(self) > max(4096, 3 * self._kept)

    def grow(self) -> None:
        """Makes room for twice as many texts of twice as many bytes; numbers stay."""
        old = self.arrays
        self._allocate(2 * len(old.hashes), 2 * len(old.raw))
        self._refill(old, np.arange(1, int(old.filled[0]), dtype=np.int64))

    def keep(self, used: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Forgets all texts but the used ones (bool[n]); returns the new number of each old one (-1: forgotten)."""
        old = self.arrays
        kept = np.flatnonzero(used[1:]) + 1
        place = np.full(len(self), -1, np.int32)
        place[0] = 0
        place[kept] = np.arange(1, len(kept) + 1, dtype=np.int32)
        size_bytes = int((old.start[kept + 1] - old.start[kept]).sum())
        self._allocate(max(1024, 2 * len(kept)), max(32_768, 2 * size_bytes))
        self._refill(old, kept)
        self._kept = len(kept)
        self._strings, self._numbers = {0: ""}, {"": 0}
        return place

    def _refill(self, old: TextArrays, numbers: NDArray[np.int64]) -> None:
        _copy(old, numbers, self.arrays)

    def number(self, text: str) -> int:
        """The number of a text."""
        known = self._numbers.get(text)
        if known is None:
            raw = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
            while (known := int(intern_text(self.arrays, raw, 0, len(raw)))) == FULL:
                self.grow()
            self._numbers[text] = known
        return known

    def text(self, number: int) -> str:
        """The text of a number."""
        known = self._strings.get(number)
        if known is None:
            known = self._strings[number] = self.raw(number).decode("utf-8", "surrogatepass")
        return known

    def raw(self, number: int) -> bytes:
        """Its UTF-8 bytes."""
        start = self.arrays.start
        return self.arrays.raw[start[number] : start[number + 1]].tobytes()


@kernel
def _copy(old: TextArrays, numbers: Any, table: TextArrays) -> None:
    for i in range(numbers.shape[0]):
        intern_text(table, old.raw, old.start[numbers[i]], old.start[numbers[i] + 1])
