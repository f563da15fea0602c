# mypy: disable-error-code="no-untyped-def"
"""The compiled inner loops of windowing. Arrays in, arrays changed in place; no Python objects.

Compiled once per machine by Numba and kept on disk (``cache=True``). Sums are kept as an unevaluated pair (hi, lo) by
Knuth's two-sum, so that a window's sum is the correctly rounded one whatever the order of events, splits or merges
(relative error about 2**-105 before the final rounding).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from streams.domain.sketch import LARGEST, LAST_BUCKET, LOG_GAMMA, SMALLEST

BLOCK_BITS: Final = 4
BLOCK: Final = 1 << BLOCK_BITS
"""Sketch counters are kept in blocks of 16 neighbouring buckets, made when first hit."""
BUCKET_OFFSET: Final = (LAST_BUCKET // BLOCK + 1) * BLOCK
BLOCKS: Final = 2 * BUCKET_OFFSET // BLOCK
"""Blocks that one series can have at most."""
FAN: Final = 16
"""Each slot finds its blocks through so many chains: a block's is its number modulo FAN. A chain is longer than one
only where a series' values lie a factor of 8,000 apart or on both sides of zero."""

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

_LOOK_BACK: Final = 64

ON_TIME: Final = 0
LATE: Final = 1
FUTURE: Final = 2
IGNORED: Final = 3
STALE: Final = 4

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


@njit(cache=True, inline="always")
def _bucket(bits):
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


@njit(cache=True, inline="always")
def _find(slot, block, directory, tag, following, used):
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


@njit(cache=True)
def fates(record, time_ns, append_ns, ignored, tick_ns, state, pane_ns, lateness_ns, future_ns, fate):
    """Decides each sample of a run in log order and moves the watermark.

    The watermark follows the largest event time seen, but never runs ahead of the broker's append time: one clock that
    is fast cannot close the windows of others.

    Shapes: ``record`` int32[n], ascending; ``time_ns`` int64[n]; ``append_ns`` int64[r]; ``ignored`` bool[r], records
    that are not to be used (duplicates); ``tick_ns`` int64[r], time of a tick record or -1; ``state`` int64[1], the
    watermark, changed in place; ``fate`` uint8[n], written.
    """
    at = 0
    n = record.shape[0]
    for r in range(append_ns.shape[0]):
        before = state[0]
        largest = tick_ns[r]
        horizon = append_ns[r] + future_ns
        while at < n and record[at] == r:
            t = time_ns[at]
            if ignored[r]:
                fate[at] = IGNORED
            elif t > horizon:
                fate[at] = FUTURE
            else:
                end = t - t % pane_ns + pane_ns
                if end <= before:
                    fate[at] = LATE
                else:
                    fate[at] = ON_TIME
                largest = max(largest, t)
            at += 1
        if largest >= 0:
            state[0] = max(before, min(largest, append_ns[r]) - lateness_ns)


@njit(cache=True)
def panes_of(time_ns, fate, pane_ns, index, start_ns, first, last):
    """Numbers the panes of the samples that are on time; returns how many there are.

    A pane may have two numbers where a run goes back and forth over more than :data:`_LOOK_BACK` panes.

    Shapes: ``index`` int32[n], written: the number of a sample's pane, -1 for one that is not on time; ``start_ns``
    int64[n], ``first`` and ``last`` int64[n], written as far as panes are found: start of each pane, positions of its
    first and last sample.
    """
    found = 0
    for i in range(time_ns.shape[0]):
        if fate[i] != ON_TIME:
            index[i] = -1
            continue
        t = time_ns[i]
        k = found - 1
        if k < 0 or t < start_ns[k] or t >= start_ns[k] + pane_ns:
            start = t - t % pane_ns
            oldest = max(found - _LOOK_BACK, 0)
            while k >= oldest and start_ns[k] != start:
                k -= 1
            if k < oldest:
                k = found
                found += 1
                start_ns[k] = start
                first[k] = i
        last[k] = i
        index[i] = k
    return found


@njit(cache=True)
def add_samples(
    begin, end, number, squares, index, slot, value, bits, stats, counts, directory, tag, following, pool, used
):  # fmt: skip
    """Adds the samples of pane ``number`` in ``[begin, end)``; returns how far it came (the pool must grow first).

    ``bits`` is ``value`` and ``counts`` is ``stats`` seen as int64; ``squares`` is the column that takes the squares.
    """
    for i in range(begin, end):
        if index[i] != number:
            continue
        s = slot[i]
        v = value[i]
        at = _bucket(bits[i]) + BUCKET_OFFSET
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


@njit(cache=True)
def blocks_of(start, bucket):
    """How many sketch blocks finished aggregates touch (their entries are in ascending order)."""
    found = 0
    for i in range(start.shape[0] - 1):
        last = -1
        for e in range(start[i], start[i + 1]):
            block = (bucket[e] + BUCKET_OFFSET) >> BLOCK_BITS
            if block != last:
                found += 1
                last = block
    return found


@njit(cache=True)
def add_aggregates(
    squares, slot, n, high_in, low_in, min_in, max_in, squares_in, start, bucket, weight,
    stats, counts, directory, tag, following, pool, used,
):  # fmt: skip
    """Adds finished aggregates (a closed pane, a producer's histogram); sketch entries in CSR form, ascending.

    The caller has made room for :func:`blocks_of` more blocks. ``squares`` is the column that takes the squares.
    """
    for i in range(slot.shape[0]):
        s = slot[i]
        last, row = -1, -1
        for e in range(start[i], start[i + 1]):
            at = bucket[e] + BUCKET_OFFSET
            block = at >> BLOCK_BITS
            if block != last:
                row = _find(s, block, directory, tag, following, used)
                last = block
            pool[row, at & (BLOCK - 1)] += weight[e]
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


@njit(cache=True)
def buckets_of(value):
    """Bucket numbers, int32[n], of finite values."""
    bits = value.view(np.int64)
    out = np.empty(value.shape[0], np.int32)
    for i in range(value.shape[0]):
        out[i] = _bucket(bits[i])
    return out


@njit(cache=True)
def close_sketches(slot, directory, tag, following, pool, start, bucket, weight):
    """The sketches of the given slots in CSR form, entries ascending; returns how many entries there are.

    Shapes: ``start`` int32[n + 1], written; ``bucket`` int32[m] and ``weight`` int64[m], written, with room for every
    counter of every block in use.
    """
    blocks = np.empty(BLOCKS, np.int64)
    rows = np.empty(BLOCKS, np.int64)
    at = 0
    for i in range(slot.shape[0]):
        start[i] = at
        found = 0
        for chain in range(FAN):
            row = directory[slot[i], chain] - 1
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
    start[slot.shape[0]] = at
    return at


@njit(cache=True)
def quantiles(start, bucket, weight, count, minimum, maximum, value_of, q, out):
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
