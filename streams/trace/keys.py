"""Keys of numbers that are remembered: what depends on a key alone is worked out once, not for each block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streams.domain.kernel import kernel
from streams.trace.store import NONE, mixed

_FIRST_KEYS: Final = 512


class Keys:
    """Distinct keys, numbered in the order in which they came. They are forgotten by :meth:`clear` only.

    Args:
        width: how many numbers make a key.
        values: how many numbers belong to each.
        name: is given a key that is new, and says these.

    Attributes:
        values: int32[more than there are keys, values].
    """

    def __init__(self, width: int, values: int, name: Callable[..., Sequence[int]]) -> None:
        self._width, self._of_each, self._name = width, values, name
        self.clear()

    def clear(self) -> None:
        """Forgets all of them."""
        self._count = 0
        self._make(_FIRST_KEYS)
        self.values: NDArray[np.int32] = np.empty((_FIRST_KEYS, self._of_each), np.int32)

    def _make(self, size: int) -> None:
        self._keys: NDArray[np.int64] = np.empty((size, self._width), np.int64)
        self._slots: NDArray[np.int32] = np.full(2 * size, NONE, np.int32)

    def __len__(self) -> int:
        return self._count

    def find(self, keys: NDArray[np.int64]) -> NDArray[np.int32]:
        """The numbers int32[n] of keys int64[n, width]; new ones are named in the order of their rows."""
        number, at, before = np.empty(len(keys), np.int32), 0, self._count
        while True:
            at, self._count = _find(keys, at, self._slots, self._keys, self._count, number)
            if at == len(keys):
                break
            self._grow()
        for new, key in enumerate(self._keys[before : self._count].tolist(), before):
            self.values[new] = self._name(*key)
        return number

    def _grow(self) -> None:
        old = self._keys[: self._count]
        self._make(2 * len(self._keys))
        _find(old, 0, self._slots, self._keys, 0, np.empty(len(old), np.int32))
        self.values = np.concatenate([self.values, np.empty_like(self.values)])


@kernel
def _find(keys: Any, at: int, slots: Any, known: Any, count: int, number: Any) -> tuple[int, int]:
    """From row ``at`` on, until a new key finds no room. Returns that row, or n, and how many keys there are."""
    mask, width = slots.shape[0] - 1, keys.shape[1]
    for row in range(at, keys.shape[0]):
        value = 0
        for i in range(width):
            value = mixed(np.uint64(value), np.uint64(keys[row, i]))
        place = value & mask
        while slots[place] != NONE:
            same = True
            for i in range(width):
                if known[slots[place], i] != keys[row, i]:
                    same = False
                    break
            if same:
                break
            place = (place + 1) & mask
        if slots[place] == NONE:
            if count == known.shape[0]:
                return row, count
            for i in range(width):
                known[count, i] = keys[row, i]
            slots[place] = count
            count += 1
        number[row] = slots[place]
    return keys.shape[0], count
