"""Compiled: which batches of a run begin with the head that the last one of their key had."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streams.domain.block import Block
from streams.domain.jsonbytes import same_bytes
from streams.domain.kernel import kernel
from streams.domain.texts import hash_of

OTHER_HEAD: Final = -1
NO_BATCH: Final = -2
_NONE: Final = -1
_HASH_SHIFT: Final = 20


def keys_of(block: Block, places: NDArray[np.int32]) -> tuple[list[bytes], NDArray[np.int64]]:
    """The distinct keys of these records, empty for none, in the order they come; and int64[r], which each one has."""
    number, first = np.empty(len(places), np.int64), np.empty(len(places), np.int32)
    slots = np.full(1 << (2 * len(places)).bit_length(), _NONE, np.int32)
    starts, ends = block.key_start[places], block.key_end[places]
    found = _number_keys(block.text, starts, ends, slots, first, number)
    return [block.key(at) or b"" for at in places[first[:found]].tolist()], number


@kernel
def _number_keys(text: Any, starts: Any, ends: Any, slots: Any, first: Any, number: Any) -> int:
    """Numbers the keys; ``first`` has the place of the first record of each. Returns how many there are."""
    found = 0
    mask = slots.shape[0] - 1
    for r in range(starts.shape[0]):
        size = ends[r] - starts[r]  # 0 for none, as both are -1
        begin = max(starts[r], 0)
        at = np.int64(hash_of(text, begin, begin + size) >> np.uint64(_HASH_SHIFT)) & mask
        while slots[at] != _NONE:
            other = first[slots[at]]
            if ends[other] - starts[other] == size and same_bytes(text, begin, text, max(starts[other], 0), size):
                break
            at = (at + 1) & mask
        if slots[at] == _NONE:
            slots[at] = found
            first[found] = r
            found += 1
        number[r] = slots[at]
    return found


@kernel
def skip_heads(
    text: Any, start: Any, end: Any, head: Any, prefixes: Any, bounds: Any, first_bytes: Any, max_bytes: int, begin: Any
) -> None:
    """Where the bodies of batches begin, int64[r]: behind the head that is expected of each, :data:`OTHER_HEAD` where
    another one stands there, :data:`NO_BATCH` where a record does not begin as batches do, or is too long.

    Arrays:
        text: uint8. start, end: int64[r], the records in it, a start of -1 for none. head: int64[r], the head expected,
            -1 for none. prefixes: uint8, the heads' bytes joined; bounds: int64[h + 1], where each begins.
        first_bytes: uint8, what all heads begin with.
    """
    least = first_bytes.shape[0]
    for r in range(start.shape[0]):
        size = end[r] - start[r]
        begin[r] = NO_BATCH
        if start[r] < 0 or size < least or size > max_bytes or not same_bytes(text, start[r], first_bytes, 0, least):
            continue
        begin[r] = OTHER_HEAD
        h = head[r]
        if h < 0:
            continue
        long = bounds[h + 1] - bounds[h]
        if size >= long and same_bytes(text, start[r], prefixes, bounds[h], long):
            begin[r] = start[r] + long
