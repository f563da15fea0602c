"""Numba: many packed metric batches to columns in one pass. No Python object is touched here.

The functions are compiled on first use and cached on disk beside this file (or in ``NUMBA_CACHE_DIR``). Positions are
unsigned where it matters: Numba then leaves out the check for negative indexes, which halves the time of the loops.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

COUNTER: Final = 1
CUMULATIVE: Final = 2
FLAG_BITS: Final = 2
"""A target is ``slot << FLAG_BITS | flags``; a series that cannot be used is ``-1 - position in REASONS``."""

OK: Final = 0
RUNNING_TOTAL: Final = 1
BAD_INDEX: Final = 2
BAD_VALUE: Final = 3
BAD_CLOCK: Final = 4
NEGATIVE: Final = 5
BAD_SERIES: Final = 6
"""States of one sample, in :func:`classify`'s output."""

SEQ, DROPPED, BASE, COUNT, INDEX, OFFSET, VALUE = range(7)
"""Columns of :func:`read_bodies`' rows: four numbers, then where the three base64 texts begin."""
BODY_COLUMNS: Final = 7

_INVALID: Final = 1 << 31


def _alphabet() -> NDArray[np.uint32]:
    table = np.full((4, 256), _INVALID, dtype=np.uint32)
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    for place in range(4):
        for value, letter in enumerate(letters):
            table[place, letter] = value << (18 - 6 * place)
    return table


ALPHABET: Final = _alphabet()
"""uint32[4, 256]: what a letter contributes to the 24 bits of its group of four, by its place; bit 31: no letter."""

_DROPPED: Final = np.frombuffer(b',"dropped_total":', dtype=np.uint8)
_BASE: Final = np.frombuffer(b',"base_time_unix_nano":', dtype=np.uint8)
_COUNT: Final = np.frombuffer(b',"count":', dtype=np.uint8)
_INDEX: Final = np.frombuffer(b',"index":"', dtype=np.uint8)
_OFFSET: Final = np.frombuffer(b'","offset_ns":"', dtype=np.uint8)
_VALUE: Final = np.frombuffer(b'","value":"', dtype=np.uint8)
_TAIL: Final = np.frombuffer(b'"}', dtype=np.uint8)


@njit(cache=True, nogil=True)
def skip_word(text: Any, at: int, end: int, word: Any) -> int:
    """Position after ``word`` if it stands at ``at``, else -1 (also for an ``at`` of -1)."""
    n = word.shape[0]
    if at < 0 or at + n > end:
        return -1
    for i in range(n):
        if text[at + i] != word[i]:
            return -1
    return at + n


@njit(cache=True, nogil=True)
def read_natural(text: Any, at: int, end: int) -> tuple[int, int]:
    """A JSON integer of 1 to 18 digits without sign or leading zero, and the position after it (-1: anything else)."""
    if at < 0:
        return 0, -1
    result = 0
    i = at
    while i < end and 48 <= text[i] <= 57:
        result = result * 10 + (text[i] - 48)
        i += 1
        if i - at > 18:
            return 0, -1
    if i == at or (text[at] == 48 and i - at > 1):
        return 0, -1
    return result, i


@njit(cache=True, nogil=True)
def base64_length(size: int) -> int:
    """Characters of base64, padding included."""
    return (size + 2) // 3 * 4


@njit(cache=True, nogil=True)
def read_bodies(text: Any, starts: Any, ends: Any, rows: Any, good: Any) -> int:
    """Bodies of packed batches exactly as ``events.encode_metric_batch`` writes them.

    Arrays:
        text: uint8, records joined. starts: int64[b], the first digit of ``seq``; ends: int64[b].
        rows: int64[b, BODY_COLUMNS], filled; good: bool[b], false where a body is anything else.

    Returns:
        Samples in the good ones.
    """
    total = 0
    for b in range(starts.shape[0]):
        end = ends[b]
        rows[b, SEQ], at = read_natural(text, starts[b], end)
        rows[b, DROPPED], at = read_natural(text, skip_word(text, at, end, _DROPPED), end)
        # Times of today have 19 digits: the last one apart, so that the sum cannot pass 64 bits unseen.
        at = skip_word(text, at, end, _BASE)
        base = 0
        if 0 <= at < end - 19 and 49 <= text[at] <= 57 and 48 <= text[at + 18] <= 57:
            base, after = read_natural(text, at, at + 18)
            digit = np.int64(text[at + 18]) - 48
            if after == at + 18 and base < (2**63 - 10) // 10:
                base = base * 10 + digit
                at += 19
            else:
                base, at = read_natural(text, at, end)
        else:
            base, at = read_natural(text, at, end)
        rows[b, BASE] = base
        count, at = read_natural(text, skip_word(text, at, end, _COUNT), end)
        if count > end:
            at = -1
        rows[b, COUNT] = count
        at = skip_word(text, at, end, _INDEX)
        rows[b, INDEX] = at
        at = skip_word(text, at + base64_length(2 * count) if at >= 0 else -1, end, _OFFSET)
        rows[b, OFFSET] = at
        at = skip_word(text, at + base64_length(8 * count) if at >= 0 else -1, end, _VALUE)
        rows[b, VALUE] = at
        at = skip_word(text, at + base64_length(8 * count) if at >= 0 else -1, end, _TAIL)
        good[b] = at == end
        if good[b]:
            total += count
    return total


@njit(cache=True, nogil=True)
def decode_base64(text: Any, start: int, size: int, alphabet: Any, out: Any, at: int) -> bool:
    """Standard base64 with padding from ``text[start:]``, exactly ``size`` bytes to ``out[at:]``.

    False for a character outside the alphabet, wrong padding or padding bits that are not zero. The caller knows that
    ``base64_length(size)`` characters are there.
    """
    seen = np.uint32(0)
    i = np.uint64(start)
    o = np.uint64(at)
    one, two, three, four = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
    whole = size // 3
    for _ in range(whole):
        word = (
            alphabet[0, text[i]]
            | alphabet[1, text[i + one]]
            | alphabet[2, text[i + two]]
            | alphabet[3, text[i + three]]
        )
        seen |= word
        out[o] = word >> np.uint32(16)
        out[o + one] = word >> np.uint32(8)
        out[o + two] = word
        i += four
        o += three
    rest = size - whole * 3
    if rest:
        word = alphabet[0, text[i]] | alphabet[1, text[i + one]]
        out[o] = word >> np.uint32(16)
        if rest == 2:
            word |= alphabet[2, text[i + two]]
            out[o + one] = word >> np.uint32(8)
        elif text[i + two] != 61:
            return False
        if text[i + three] != 61 or word & (np.uint32(0xFF) if rest == 2 else np.uint32(0xFFFF)):
            return False
        seen |= word
    return seen < np.uint32(_INVALID)


@njit(cache=True, nogil=True)
def classify(
    index: Any, base_ns: int, targets: Any, out_target: Any, out_time: Any, out_value: Any, out_state: Any
) -> int:
    """Resolve the samples of one batch in place; returns how many are not plain good samples.

    ``index`` holds the series numbers, ``targets`` the batch's series. On entry ``out_time`` holds offsets from
    ``base_ns`` and ``out_value`` the values.
    """
    odd = 0
    width = targets.shape[0]
    for k in range(index.shape[0]):
        number = np.int64(index[k])
        moment = base_ns + out_time[k]
        value = out_value[k]
        target = np.int64(-1)
        state = OK
        if number < 0 or number >= width:
            state = BAD_INDEX
        else:
            target = targets[np.uint64(number)]
            if target < 0:
                state = BAD_SERIES
            elif not np.isfinite(value):
                state = BAD_VALUE
            elif moment <= 0:
                state = BAD_CLOCK
            elif target & (COUNTER | CUMULATIVE):
                if value < 0 and target & COUNTER:
                    state = NEGATIVE
                elif target & CUMULATIVE:
                    state = RUNNING_TOTAL
        out_time[k] = moment
        out_target[k] = target
        out_state[k] = state
        if state != OK:
            odd += 1
    return odd


@njit(cache=True, nogil=True)
def unpack_batches(
    text: Any, rows: Any, good: Any, records: Any, first: Any, width: Any, targets: Any, alphabet: Any,
    out_index: Any, out_target: Any, out_time: Any, out_value: Any, out_state: Any, out_record: Any,
) -> int:  # fmt: skip
    """The columns of all good bodies, one after the other.

    Arrays:
        text, rows, good: from :func:`read_bodies`; ``good`` becomes false where a column is not base64
            (its samples stay in the output, to be cut out by the caller).
        records: int32[b], position of each batch's record in the run.
        first, width: int64[b], the batch's part of ``targets`` (int64, see :data:`FLAG_BITS`).
        alphabet: :data:`ALPHABET`.
        out_index: uint16[n]; out_target, out_time: int64[n]; out_value: float64[n]; out_state: uint8[n];
            out_record: int32[n].

    Returns:
        How many samples are not plain good ones.
    """
    index_bytes = out_index.view(np.uint8)
    time_bytes = out_time.view(np.uint8)
    value_bytes = out_value.view(np.uint8)
    odd = 0
    at = 0
    for b in range(rows.shape[0]):
        if not good[b]:
            continue
        n = rows[b, COUNT]
        good[b] = (
            decode_base64(text, rows[b, INDEX], 2 * n, alphabet, index_bytes, 2 * at)
            and decode_base64(text, rows[b, OFFSET], 8 * n, alphabet, time_bytes, 8 * at)
            and decode_base64(text, rows[b, VALUE], 8 * n, alphabet, value_bytes, 8 * at)
        )
        end = at + n
        out_record[at:end] = records[b]
        if good[b]:
            odd += classify(
                out_index[at:end],
                rows[b, BASE],
                targets[first[b] : first[b] + width[b]],
                out_target[at:end],
                out_time[at:end],
                out_value[at:end],
                out_state[at:end],
            )
        at = end
    return odd
