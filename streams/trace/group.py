"""Rows with equal keys, found by compiled code: what depends on the key alone is then worked out once for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.domain.kernel import kernel
from streams.trace.store import NONE, mixed


def groups(columns: Sequence[NDArray[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64], list[list[int]]]:
    """Groups n rows by integer columns.

    Returns:
        int64[n], the group of each row; int64[g], the first row of each; the keys. Groups are in order of first
        appearance.
    """
    keys = np.empty((len(columns[0]), len(columns)), np.int64)
    for i, column in enumerate(columns):
        keys[:, i] = column
    return groups_of(keys)


def groups_of(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], list[list[int]]]:
    """The same for int64[n, columns]."""
    n = len(keys)
    table = np.full(1 << max(2, (2 * n).bit_length()), NONE, np.int64)
    group, first = np.empty(n, np.int64), np.empty(n, np.int64)
    count = _group(keys, table, group, first)
    return group, first[:count], keys[first[:count]].tolist()


@kernel
def _group(keys: Any, table: Any, group: Any, first: Any) -> int:
    mask, width, count = table.shape[0] - 1, keys.shape[1], 0
    for row in range(keys.shape[0]):
        value = np.int64(0)
        for i in range(width):
            value = mixed(np.uint64(value), np.uint64(keys[row, i]))
        at = value & mask
        while table[at] != NONE:
            known = first[table[at]]
            same = True
            for i in range(width):
                if keys[known, i] != keys[row, i]:
                    same = False
                    break
            if same:
                break
            at = (at + 1) & mask
        if table[at] == NONE:
            table[at] = count
            first[count] = row
            count += 1
        group[row] = table[at]
    return count
