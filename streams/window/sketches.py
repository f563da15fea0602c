"""What a pane keeps of its events, compiled: figures and sketches by slot. Arrays in, arrays changed in place.

Sums are kept as an unevaluated pair (hi, lo) by
Knuth's two-sum, so that a window's sum is the correctly rounded one whatever the order of events, splits or merges
(relative error about 2**-105 before the final rounding).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streams.domain.kernel import kernel, large_kernel
from streams.domain.sketch import LARGEST, LAST_BUCKET, LOG_GAMMA, SMALLEST

FEW: Final = 32
"""So many events of a slot are kept as bucket numbers: a list of 64 bytes in the place of about 1,000 of counters."""
COUNTED: Final = FEW + 1
"""Stands where the length of the list would: the slot has counters."""
BLOCK_BITS: Final = 4
BLOCK: Final = 1 << BLOCK_BITS
"""Counters are kept in blocks of 16 neighbouring buckets, made when first hit."""
BUCKET_OFFSET: Final = (LAST_BUCKET // BLOCK + 1) * BLOCK
BLOCKS: Final = 2 * BUCKET_OFFSET // BLOCK
"""Blocks that one series can have at most."""
FAN: Final = FEW // 2
"""Each slot finds its blocks through so many chains: a block's is its number modulo FAN. A chain is longer than one
only where a series' values lie a factor of 8,000 apart or on both sides of zero. Before there are blocks the slot's
list lies where the chains will begin, two numbers of 16 bits in the place of one of 32."""

HIGH: Final = 0
LOW: Final = 1
MINIMUM: Final = 2
MAXIMUM: Final = 3
SQUARES: Final = 4
COUNT: Final = 5
SQUARES_OF_TOTALS: Final = 6
SQUARES_OF_HISTOGRAMS: Final = 7
"""A run is added by kind: samples, totals, histograms. Each kind has a sum of squares of its own, so that its rounding
depends on the order of the log and not on where the runs were cut (sums are pairs of numbers and need no such care)."""
STATS: Final = 8
"""A slot's figures are one cache line, float64[8]; its count is the int64 view of element 5. Zeros when untouched."""

# Buckets by table instead of by logarithm: a cell is 1/64 of a power of two, so at most one bucket edge lies in it.
_CELL_SHIFT: Final = 46
_SMALLEST_BITS: Final = int(np.array(SMALLEST).view(np.int64))
_LARGEST_BITS: Final = int(np.array(LARGEST).view(np.int64))
_MAGNITUDE: Final = 2**63 - 1
_FIRST_CELL: Final = _SMALLEST_BITS >> _CELL_SHIFT
_UPPER: Final = SMALLEST * np.exp(np.arange(LAST_BUCKET + 1) * LOG_GAMMA)
_UPPER_BITS: Final = _UPPER.view(np.int64)
_CELL_EDGES: Final = (np.arange(_FIRST_CELL, (_LARGEST_BITS >> _CELL_SHIFT) + 1, dtype=np.int64) << _CELL_SHIFT).view(
    np.float64
)
_BUCKET_OF_CELL: Final = np.maximum(np.searchsorted(_UPPER, _CELL_EDGES, side="left"), 1).astype(np.int32)


@kernel
def _bucket(bits: Any) -> Any:
    """The bucket number of a finite value given by its bits."""
    magnitude = bits & _MAGNITUDE
    if magnitude < _SMALLEST_BITS:
        return 0
    number = np.int64(LAST_BUCKET)
    if magnitude < _LARGEST_BITS:
        number = np.int64(_BUCKET_OF_CELL[(magnitude >> _CELL_SHIFT) - _FIRST_CELL])
        if magnitude > _UPPER_BITS[number]:
            number += 1
    return number if bits >= 0 else -number


@kernel
def _find(slot: Any, block: Any, directory: Any, tag: Any, following: Any, used: Any) -> Any:
    """The pool row of a slot's block, made when absent; -1 when the pool is full. Rows are stored plus one."""
    row = directory[slot, block & (FAN - 1)] - 1
    while row >= 0 and tag[row] != block:
        row = following[row] - 1
    if row >= 0:
        return row
    row = used[0]
    if row >= tag.shape[0]:
        return -1
    used[0] = row + 1
    tag[row] = block
    following[row] = directory[slot, block & (FAN - 1)]
    directory[slot, block & (FAN - 1)] = row + 1
    return row


@kernel
def _count(
    slot: Any, many: Any, numbers: Any, directory: Any, tag: Any, following: Any, pool: Any, used: Any, spare: Any,
) -> None:  # fmt: skip
    """Makes counters of a slot's list of so many numbers; the pool has room for as many blocks."""
    for k in range(many):
        spare[k] = numbers[slot, k]
    for chain in range(FAN):
        directory[slot, chain] = 0
    for k in range(many):
        at = spare[k] + BUCKET_OFFSET
        pool[_find(slot, at >> BLOCK_BITS, directory, tag, following, used), at & (BLOCK - 1)] += 1


@large_kernel
def add_samples(
    begin: Any, end: Any, number: Any, squares: Any, index: Any, slot: Any, value: Any, bits: Any, stats: Any, counts:
    Any, listed: Any, numbers: Any, directory: Any, tag: Any, following: Any, pool: Any, used: Any, spare: Any,
) -> Any:  # fmt: skip
    """Adds the samples of pane ``number`` in ``[begin, end)``; returns how far it came (the pool must grow first).

    ``bits`` is ``value`` and ``counts`` is ``stats`` seen as int64; ``squares`` is the column that takes the squares.
    """
    for i in range(begin, end):
        if index[i] != number:
            continue
        s = slot[i]
        v = value[i]
        bucket = _bucket(bits[i])
        many = listed[s]
        if many < FEW:
            numbers[s, many] = bucket
            listed[s] = many + 1
        else:
            if many == FEW:
                if used[0] + FEW > tag.shape[0]:
                    return i
                _count(s, FEW, numbers, directory, tag, following, pool, used, spare)
                listed[s] = COUNTED
            at = bucket + BUCKET_OFFSET
            row = _find(s, at >> BLOCK_BITS, directory, tag, following, used)
            if row < 0:
                return i
            pool[row, at & (BLOCK - 1)] += 1
        if counts[s, COUNT] == 0:
            stats[s, MINIMUM] = v
            stats[s, MAXIMUM] = v
        else:
            stats[s, MINIMUM] = min(stats[s, MINIMUM], v)
            stats[s, MAXIMUM] = max(stats[s, MAXIMUM], v)
        counts[s, COUNT] += 1
        high = stats[s, HIGH]
        total = high + v
        part = total - high
        stats[s, LOW] += (high - (total - part)) + (v - part)
        stats[s, HIGH] = total
        stats[s, squares] += v * v
    return end


@kernel
def _add_sketch(
    s: Any, first: Any, end: Any, bucket: Any, weight: Any, listed: Any, numbers: Any, directory: Any, tag: Any,
    following: Any, pool: Any, used: Any, spare: Any,
) -> bool:  # fmt: skip
    """Adds sketch entries ``[first, end)`` to a slot; False where the pool must grow first."""
    many = np.int64(listed[s])
    events = 0
    for e in range(first, end):
        events += weight[e]
    if many + events <= FEW:
        for e in range(first, end):
            for _ in range(weight[e]):
                numbers[s, many] = bucket[e]
                many += 1
        listed[s] = many
        return True
    if used[0] + (end - first) + FEW > tag.shape[0]:
        return False
    if many < COUNTED:
        _count(s, many, numbers, directory, tag, following, pool, used, spare)
        listed[s] = COUNTED
    last, row = -1, -1
    for e in range(first, end):
        at = bucket[e] + BUCKET_OFFSET
        block = at >> BLOCK_BITS
        if block != last:
            row = _find(s, block, directory, tag, following, used)
            last = block
        pool[row, at & (BLOCK - 1)] += weight[e]
    return True


@large_kernel
def add_aggregates(
    begin: Any, squares: Any, slot: Any, n: Any, high_in: Any, low_in: Any, min_in: Any, max_in: Any, squares_in: Any,
    start: Any, bucket: Any, weight: Any, stats: Any, counts: Any, listed: Any, numbers: Any, directory: Any, tag:
    Any, following: Any, pool: Any, used: Any, spare: Any,
) -> Any:  # fmt: skip
    """Adds finished aggregates (a closed pane, a producer's histogram) from ``begin`` on; sketch entries in CSR form,
    ascending. Returns how far it came (the pool must grow first).

    ``squares`` is the column that takes the squares.
    """
    for i in range(begin, slot.shape[0]):
        s = slot[i]
        if not _add_sketch(
            s, start[i], start[i + 1], bucket, weight,
            listed, numbers, directory, tag, following, pool, used, spare,
        ):  # fmt: skip
            return i
        if counts[s, COUNT] == 0:
            stats[s, MINIMUM] = min_in[i]
            stats[s, MAXIMUM] = max_in[i]
        else:
            stats[s, MINIMUM] = min(stats[s, MINIMUM], min_in[i])
            stats[s, MAXIMUM] = max(stats[s, MAXIMUM], max_in[i])
        counts[s, COUNT] += n[i]
        v = high_in[i]
        high = stats[s, HIGH]
        total = high + v
        part = total - high
        stats[s, LOW] += (high - (total - part)) + (v - part) + low_in[i]
        stats[s, HIGH] = total
        stats[s, squares] += squares_in[i]
    return slot.shape[0]


def buckets_of(value: NDArray[np.float64]) -> NDArray[np.int32]:
    """Bucket numbers, int32[n], of finite values."""
    out = np.empty(value.shape[0], np.int32)
    _write_buckets(value.view(np.int64), out)
    return out


@kernel
def _write_buckets(bits: Any, out: Any) -> None:
    for i in range(bits.shape[0]):
        out[i] = _bucket(bits[i])


@kernel
def gather(place: Any, n: Any, dense: Any, touched: Any) -> Any:
    """Adds to a place of the dense counters; returns its block."""
    dense[place] += n
    block = place >> BLOCK_BITS
    touched[block] = 1
    return block


@kernel
def write_dense(lowest: Any, highest: Any, dense: Any, touched: Any, at: Any, bucket: Any, weight: Any) -> Any:
    """Writes what is in the dense counters between two blocks as entries, ascending, and clears them.

    Returns the position after them.
    """
    for block in range(lowest, highest + 1):
        if touched[block]:
            touched[block] = 0
            for place in range(block * BLOCK, (block + 1) * BLOCK):
                n = dense[place]
                dense[place] = 0
                bucket[at] = place - BUCKET_OFFSET  # written over where the counter is 0: no branch
                weight[at] = n
                at += n != 0
    return at


@kernel
def _close_list(s: Any, many: Any, numbers: Any, dense: Any, touched: Any, at: Any, bucket: Any, weight: Any) -> Any:
    """Writes a slot's list as entries, ascending; returns the position after them."""
    lowest, highest = BLOCKS, 0
    for k in range(many):
        block = gather(np.int64(numbers[s, k]) + BUCKET_OFFSET, 1, dense, touched)
        lowest = min(lowest, block)
        highest = max(highest, block)
    return write_dense(lowest, highest, dense, touched, at, bucket, weight)


@kernel
def _close_counters(
    s: Any, directory: Any, tag: Any, following: Any, pool: Any, blocks: Any, rows: Any, at: Any, bucket: Any, weight:
    Any,
) -> Any:  # fmt: skip
    """Writes a slot's counters as entries, ascending; returns the position after them."""
    found = 0
    for chain in range(FAN):
        row = directory[s, chain] - 1
        while row >= 0:
            k = found
            while k > 0 and blocks[k - 1] > tag[row]:
                blocks[k] = blocks[k - 1]
                rows[k] = rows[k - 1]
                k -= 1
            blocks[k] = tag[row]
            rows[k] = row
            found += 1
            row = following[row] - 1
    for k in range(found):
        for j in range(BLOCK):
            n = pool[rows[k], j]
            bucket[at] = blocks[k] * BLOCK + j - BUCKET_OFFSET  # written over where the counter is 0: no branch
            weight[at] = n
            at += n != 0
    return at


@kernel
def in_order(order: Any, counts: Any, slot: Any) -> Any:
    """Writes those slots of ``order`` that have events; returns how many there are."""
    found = 0
    for k in range(order.shape[0]):
        slot[found] = order[k]
        found += counts[order[k], COUNT] > 0
    return found


@kernel
def close_stats(
    slot: Any, stats: Any, counts: Any, count: Any, high: Any, low: Any, minimum: Any, maximum: Any, squares: Any,
) -> None:  # fmt: skip
    """Writes the figures of the given slots as columns; sums correctly rounded, ``low`` is what rounding left out."""
    for k in range(slot.shape[0]):
        s = slot[k]
        count[k] = counts[s, COUNT]
        total = stats[s, HIGH] + stats[s, LOW]
        high[k] = total
        low[k] = stats[s, LOW] - (total - stats[s, HIGH])
        minimum[k] = stats[s, MINIMUM]
        maximum[k] = stats[s, MAXIMUM]
        squares[k] = stats[s, SQUARES] + stats[s, SQUARES_OF_TOTALS] + stats[s, SQUARES_OF_HISTOGRAMS]


@large_kernel
def close_sketches(
    slot: Any, blocks: Any, rows: Any, dense: Any, touched: Any, start: Any, bucket: Any, weight: Any,
    listed: Any, numbers: Any, directory: Any, tag: Any, following: Any, pool: Any,
) -> Any:  # fmt: skip
    """The sketches of the given slots in CSR form, entries ascending; returns how many entries there are.

    Shapes: ``start`` int32[n + 1], written; ``bucket`` int32[m] and ``weight`` int64[m], written, with room for every
    number listed and every counter of every block in use, and for BLOCK more; ``blocks``, ``rows`` int64[BLOCKS],
    written over; ``dense`` int64[BLOCKS * BLOCK], ``touched`` uint8[BLOCKS], zeros before and after.
    """
    at = 0
    for i in range(slot.shape[0]):
        s = slot[i]
        start[i] = at
        if listed[s] <= FEW:
            at = _close_list(s, np.int64(listed[s]), numbers, dense, touched, at, bucket, weight)
        else:
            at = _close_counters(s, directory, tag, following, pool, blocks, rows, at, bucket, weight)
    start[slot.shape[0]] = at
    return at


@large_kernel
def quantiles(
    start: Any, bucket: Any, weight: Any, count: Any, minimum: Any, maximum: Any, value_of: Any, q: Any, out: Any,
) -> None:  # fmt: skip
    """Nearest-rank quantiles (rank floor(q * (n - 1))) from sketches in CSR form, clamped to the exact extremes.

    Shapes: ``value_of`` float64[2 * BUCKET_OFFSET], the value of bucket b at b + BUCKET_OFFSET; ``q`` ascending;
    ``out`` float64[n, q], written.
    """
    for i in range(count.shape[0]):
        seen = 0
        e = start[i]
        for k in range(q.shape[0]):
            target = int(q[k] * (count[i] - 1))
            while e < start[i + 1] and seen + weight[e] <= target:
                seen += weight[e]
                e += 1
            if e < start[i + 1]:
                out[i, k] = min(max(value_of[bucket[e] + BUCKET_OFFSET], minimum[i]), maximum[i])
            else:
                out[i, k] = maximum[i]
