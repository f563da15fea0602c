"""Numba: single events that differ only in value and time, recognised by their remaining bytes.

A *skeleton* is the record's bytes without the digits of ``value`` and ``time_unix_nano``; the two places are its
*holes*. Nothing here understands JSON: what a skeleton means was found by parsing it in full once (``skeleton``).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

MAX_NUMBER: Final = 32
"""A value written with more characters is left to the full parse."""

MAX_DIGITS: Final = 19
NO_MATCH: Final = -(2**62)

_VALUE = np.frombuffer(b'"value":', dtype=np.uint8)
_TIME = np.frombuffer(b'"time_unix_nano":', dtype=np.uint8)


@njit(cache=True, nogil=True)
def _is(text: Any, at: int, end: int, word: Any) -> bool:
    n = word.shape[0]
    if at + n > end:
        return False
    for i in range(n):  # noqa: SIM110 - Numba compiles this loop
        if text[at + i] != word[i]:
            return False
    return True


@njit(cache=True, nogil=True)
def _number_end(text: Any, at: int, end: int) -> int:  # noqa: C901 - a grammar, rule by rule
    """End of a JSON number that starts at ``at``, or -1.

    JSON's grammar exactly, except that three digits of exponent are left to the full parse: they may overflow.
    """
    i = at
    if i < end and text[i] == 45:
        i += 1
    first = i
    while i < end and 48 <= text[i] <= 57:
        i += 1
    if i == first or (text[first] == 48 and i - first > 1):
        return -1
    if i < end and text[i] == 46:
        i += 1
        first = i
        while i < end and 48 <= text[i] <= 57:
            i += 1
        if i == first:
            return -1
    if i < end and (text[i] == 101 or text[i] == 69):
        i += 1
        if i < end and (text[i] == 43 or text[i] == 45):
            i += 1
        first = i
        while i < end and 48 <= text[i] <= 57:
            i += 1
        if i == first or i - first > 2:
            return -1
    return i


@njit(cache=True, nogil=True)
def find_holes(text: Any, start: int, end: int, holes: Any) -> bool:  # noqa: C901 - one scan, two names
    """Put start and end of the first value number and the first time number into ``holes`` (0 0 where no time is).

    A time hole is 1 to 19 digits without a leading zero, and may stand in quotes. False where there is no value hole or
    a number that is left to the full parse.
    """
    holes[0] = 0
    holes[2] = 0
    holes[3] = 0
    i = np.uint64(start)
    stop = np.uint64(end)
    one = np.uint64(1)
    while i < stop:
        if text[i] != 34:
            i += one
            continue
        if holes[0] == 0 and _is(text, np.int64(i), end, _VALUE):
            at = np.int64(i) + _VALUE.shape[0]
            if at < end and text[at] == 32:
                at += 1
            after = _number_end(text, at, end)
            if after < 0 or after - at > MAX_NUMBER:
                return False
            holes[0] = at
            holes[1] = after
            i = np.uint64(after)
        elif holes[2] == 0 and _is(text, np.int64(i), end, _TIME):
            at = np.int64(i) + _TIME.shape[0]
            if at < end and text[at] == 32:
                at += 1
            if at < end and text[at] == 34:
                at += 1
            after = at
            while after < end and 48 <= text[after] <= 57:
                after += 1
            if after == at or after - at > MAX_DIGITS or text[at] == 48:
                return False
            holes[2] = at
            holes[3] = after
            i = np.uint64(after)
        else:
            i += one
            continue
        if holes[0] != 0 and holes[2] != 0:
            break
    return holes[0] != 0


@njit(cache=True, nogil=True)
def squeeze(text: Any, start: int, end: int, holes: Any, out: Any) -> int:
    """Copy a record without its holes to ``out`` and fill up with zeros to whole words of 8 bytes; returns the length.

    ``out`` needs 8 bytes more than the record.
    """
    a0, a1, b0, b1 = holes[0], holes[1], holes[2], holes[3]
    if b0 == 0:
        b0, b1 = end, end
    if b0 < a0:
        a0, a1, b0, b1 = b0, b1, a0, a1
    n = a0 - start
    out[:n] = text[start:a0]
    m = b0 - a1
    out[n : n + m] = text[a1:b0]
    n += m
    m = end - b1
    out[n : n + m] = text[b1:end]
    n += m
    out[n : n + 8] = 0
    return n


@njit(cache=True, nogil=True)
def positions(holes: Any, start: int) -> tuple[int, int]:
    """Where value and time were cut out, in the squeezed text (-1: no time)."""
    value = holes[0] - start
    time = holes[2] - start
    if holes[2] == 0:
        return value, -1
    if time > value:
        return value, time - (holes[1] - holes[0])
    return value - (holes[3] - holes[2]), time


@njit(cache=True, nogil=True)
def hash_words(words: Any, count: int, size: int, value: int, time: int) -> int:
    """A 62-bit hash of a skeleton, two lanes; equality is always checked as well."""
    prime = np.uint64(0x9E3779B97F4A7C15)
    even = np.uint64(size) * prime
    odd = (np.uint64(value) << np.uint64(32)) ^ np.uint64(time)
    for i in range(count >> 1):
        even = (even ^ words[2 * i]) * prime
        even ^= even >> np.uint64(32)
        odd = (odd ^ words[2 * i + 1]) * prime
        odd ^= odd >> np.uint64(32)
    if count & 1:
        even = (even ^ words[count - 1]) * prime
    mixed = (even ^ (odd >> np.uint64(7)) ^ (odd << np.uint64(13))) * prime
    return np.int64((mixed ^ (mixed >> np.uint64(29))) >> np.uint64(2))


@njit(cache=True, nogil=True)
def find_slot(words: Any, size: int, value: int, time: int, code: int, place: Any, arena: Any) -> int:
    """Where a skeleton is in the open-addressing table, or ``-1 - position`` of the free place it would take.

    ``place`` is int64[2**k, 6]: hash, first word in the arena, size in bytes, value hole, time hole, target; size 0 =
    free. ``arena`` is uint64. There is always a free place.
    """
    mask = place.shape[0] - 1
    count = (size + 7) >> 3
    p = code & mask
    while place[p, 2] != 0:
        row = place[p]
        if row[0] == code and row[2] == size and row[3] == value and row[4] == time:
            stored = arena[row[1] : row[1] + count]
            different = np.uint64(0)
            for i in range(count):
                different |= stored[i] ^ words[i]
            if different == np.uint64(0):
                return p
        p = (p + 1) & mask
    return -1 - p


@njit(cache=True, nogil=True)
def match(
    text: Any,
    starts: Any,
    ends: Any,
    place: Any,
    arena: Any,
    scratch: Any,
    out_target: Any,
    out_time: Any,
    numbers: Any,
) -> int:
    """Match records with the known skeletons.

    Arrays:
        text: uint8, in which the records lie. starts, ends: int64[r], where.
        place, arena: the table of skeletons.
        scratch: uint64, at least 2 words longer than the longest record.
        out_target: int64[r], the target or :data:`NO_MATCH`. out_time: int64[r], 0 where the record gives none.
        numbers: uint8, receives a JSON array of the values of matched records; needs r + 2 bytes more than the records.

    Returns:
        Length of the JSON array in ``numbers``.
    """
    holes = np.zeros(4, dtype=np.int64)
    letters = scratch.view(np.uint8)
    numbers[0] = 91
    filled = 1
    for r in range(ends.shape[0]):
        start, end = starts[r], ends[r]
        out_target[r] = NO_MATCH
        out_time[r] = 0
        if find_holes(text, start, end, holes):
            size = squeeze(text, start, end, holes, letters)
            value, time = positions(holes, start)
            code = hash_words(scratch, (size + 7) >> 3, size, value, time)
            p = find_slot(scratch, size, value, time, code, place, arena)
            if p >= 0:
                moment = np.uint64(0)
                for i in range(holes[2], holes[3]):
                    moment = moment * np.uint64(10) + np.uint64(text[i] - 48)
                if moment < np.uint64(2**63):
                    out_target[r] = place[p, 5]
                    out_time[r] = np.int64(moment)
                    if filled > 1:
                        numbers[filled] = 44
                        filled += 1
                    width = holes[1] - holes[0]
                    numbers[filled : filled + width] = text[holes[0] : holes[1]]
                    filled += width
    numbers[filled] = 93
    return filled + 1
