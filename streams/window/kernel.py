# mypy: disable-error-code="no-untyped-def"
"""The compiled inner loops of windowing. Arrays in, arrays changed in place; no Python objects.

Compiled once per machine by Numba and kept on disk (``cache=True``). Sums are kept as an unevaluated pair (hi, lo) by
Knuth's two-sum, so that a window's sum is the correctly rounded one whatever the order of events, splits or merges
(relative error about 2**-105 before the final rounding).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit

from streams.domain.sketch import LAST_BUCKET, LOG_GAMMA, SMALLEST

BLOCK_BITS: Final = 4
BLOCK: Final = 1 << BLOCK_BITS
"""Sketch counters are kept in blocks of 16 neighbouring buckets, made when first hit."""
BUCKET_OFFSET: Final = (LAST_BUCKET // BLOCK + 1) * BLOCK
BLOCKS_PER_SLOT: Final = 256
assert (2 * BUCKET_OFFSET) // BLOCK < BLOCKS_PER_SLOT

ON_TIME: Final = 0
LATE: Final = 1
FUTURE: Final = 2
IGNORED: Final = 3
STALE: Final = 4

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True, inline="always")
def _bucket(value):
    magnitude = abs(value)
    if magnitude < SMALLEST:
        return 0
    number = math.ceil(math.log(magnitude / SMALLEST) / LOG_GAMMA)
    number = min(max(number, 1), LAST_BUCKET)
    return number if value > 0 else -number


@njit(cache=True, inline="always")
def _find(key, keys, rows, used):
    """The pool row of a (slot, block) key, made when absent; -1 when the table or the pool is full."""
    mask = keys.shape[0] - 1
    at = int((np.uint64(key) * _GOLDEN) >> np.uint64(20)) & mask
    while keys[at] != key:
        if keys[at] == -1:
            if used[0] * 2 >= keys.shape[0]:
                return -1
            keys[at] = key
            rows[at] = used[0]
            used[0] += 1
            break
        at = (at + 1) & mask
    return rows[at]


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
def add_samples(begin, slot, value, count, high, low, minimum, maximum, squares, keys, rows, pool, used):
    """Adds samples from ``begin`` on; returns how far it came (less than n: the sketch must grow first)."""
    for i in range(begin, slot.shape[0]):
        s = slot[i]
        v = value[i]
        at = _bucket(v) + BUCKET_OFFSET
        row = _find(s * BLOCKS_PER_SLOT + (at >> BLOCK_BITS), keys, rows, used)
        if row < 0:
            return i
        pool[row, at & (BLOCK - 1)] += 1
        count[s] += 1
        total = high[s] + v
        part = total - high[s]
        low[s] += (high[s] - (total - part)) + (v - part)
        high[s] = total
        minimum[s] = min(minimum[s], v)
        maximum[s] = max(maximum[s], v)
        squares[s] += v * v
    return slot.shape[0]


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
    slot, n, high_in, low_in, min_in, max_in, squares_in, start, bucket, weight,
    count, high, low, minimum, maximum, squares, keys, rows, pool, used,
):  # fmt: skip
    """Adds finished aggregates (a closed pane, a producer's histogram); sketch entries in CSR form, ascending.

    The caller has made room for :func:`blocks_of` more blocks.
    """
    for i in range(slot.shape[0]):
        s = slot[i]
        last, row = -1, -1
        for e in range(start[i], start[i + 1]):
            at = bucket[e] + BUCKET_OFFSET
            block = at >> BLOCK_BITS
            if block != last:
                row = _find(s * BLOCKS_PER_SLOT + block, keys, rows, used)
                last = block
            pool[row, at & (BLOCK - 1)] += weight[e]
        count[s] += n[i]
        v = high_in[i]
        total = high[s] + v
        part = total - high[s]
        low[s] += (high[s] - (total - part)) + (v - part) + low_in[i]
        high[s] = total
        minimum[s] = min(minimum[s], min_in[i])
        maximum[s] = max(maximum[s], max_in[i])
        squares[s] += squares_in[i]


@njit(cache=True)
def rehash(old_keys, old_rows, keys, rows):
    """Moves the sketch's index into a larger one."""
    mask = keys.shape[0] - 1
    for i in range(old_keys.shape[0]):
        key = old_keys[i]
        if key != -1:
            at = int((np.uint64(key) * _GOLDEN) >> np.uint64(20)) & mask
            while keys[at] != -1:
                at = (at + 1) & mask
            keys[at] = key
            rows[at] = old_rows[i]


@njit(cache=True)
def buckets_of(value):
    """Bucket numbers, int32[n], of values."""
    out = np.empty(value.shape[0], np.int32)
    for i in range(value.shape[0]):
        out[i] = _bucket(value[i])
    return out


@njit(cache=True)
def entries(keys, rows, pool, rank):
    """All non-empty sketch counters as (rank of the slot, bucket, weight), in no order."""
    size = 0
    for i in range(keys.shape[0]):
        if keys[i] != -1:
            for j in range(BLOCK):
                if pool[rows[i], j] != 0:
                    size += 1
    sort_key = np.empty(size, np.int64)
    weight = np.empty(size, np.int64)
    at = 0
    for i in range(keys.shape[0]):
        if keys[i] != -1:
            slot = keys[i] // BLOCKS_PER_SLOT
            block = keys[i] % BLOCKS_PER_SLOT
            for j in range(BLOCK):
                if pool[rows[i], j] != 0:
                    sort_key[at] = np.int64(rank[slot]) * (BLOCKS_PER_SLOT * BLOCK) + block * BLOCK + j
                    weight[at] = pool[rows[i], j]
                    at += 1
    return sort_key, weight


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
