"""Numba: JSON written into a byte array, a value at a time. Each function returns the position after what it wrote."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from streams.domain.kernel import kernel, move_bytes

INVALID: Final = -1
LONGEST_NUMBER: Final = 32
_EXACT: Final = 2.0**53
_DIGITS: Final = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
_PAIRS: Final = np.frombuffer(b"".join(b"%02d" % i for i in range(100)), np.uint8)
_POWERS: Final = np.array([10**i for i in range(20)], np.uint64)
_DECIMALS: Final = 10.0 ** np.arange(18)


@kernel
def eight(buf: Any, at: Any) -> Any:
    """Eight bytes as a number, the first one lowest (``at`` unsigned; one load instruction)."""
    value = np.uint64(buf[at])
    for i in range(1, 8):
        value |= np.uint64(buf[at + np.uint64(i)]) << np.uint64(8 * i)
    return value


@kernel
def put_eight(out: Any, at: Any, value: Any) -> None:
    """The reverse of :func:`eight`."""
    for i in range(8):
        out[at + np.uint64(i)] = np.uint8((value >> np.uint64(8 * i)) & np.uint64(0xFF))


@kernel
def is_plain(value: Any) -> bool:
    """Whether a JSON string holds these eight bytes as they are: ASCII, no control, quote or backslash.

    A byte is zero where ``(x - 0x01..) & ~x & 0x80..`` has its bit; here x is 0 for what is looked for.
    """
    ones, high = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
    quote, escape = value ^ (ones * np.uint64(34)), value ^ (ones * np.uint64(92))
    found = (quote - ones) & ~quote
    found |= (escape - ones) & ~escape
    found |= (value - ones * np.uint64(0x20)) & ~value
    return ((found | value) & high) == np.uint64(0)


@kernel
def put_bytes(out: Any, at: int, buf: Any, begin: int, end: int) -> int:
    """Bytes as they are."""
    size = np.int64(end) - np.int64(begin)
    if size <= 0:
        return np.int64(at)
    move_bytes(out, np.int64(at), buf, np.int64(begin), size)
    return np.int64(at) + size


@kernel
def same_bytes(one: Any, at: int, other: Any, begin: int, size: int) -> bool:
    """Whether ``one[at:at + size]`` and ``other[begin:begin + size]`` are the same."""
    a, b, left = np.uint64(at), np.uint64(begin), np.uint64(size)
    if left < np.uint64(8):
        for i in range(size):  # noqa: SIM110 - compiled
            if one[a + np.uint64(i)] != other[b + np.uint64(i)]:
                return False
        return True
    while left > np.uint64(8):
        if eight(one, a) != eight(other, b):
            return False
        a, b, left = a + np.uint64(8), b + np.uint64(8), left - np.uint64(8)
    back = np.uint64(8) - left  # the last eight overlap with those before
    return eight(one, a - back) == eight(other, b - back)


@kernel
def put_word(out: Any, at: int, word: Any) -> int:
    """A constant."""
    return put_bytes(out, at, word, 0, word.shape[0])


@kernel
def utf8_end(buf: Any, at: int, end: int) -> int:
    """The position after the character of several bytes that begins at ``at``; :data:`INVALID` where it is none."""
    first = buf[at]
    if 0xC2 <= first <= 0xDF:
        size, low, high = 2, 0x80, 0xBF
    elif 0xE0 <= first <= 0xEF:
        size = 3
        low = 0xA0 if first == 0xE0 else 0x80
        high = 0x9F if first == 0xED else 0xBF
    elif 0xF0 <= first <= 0xF4:
        size = 4
        low = 0x90 if first == 0xF0 else 0x80
        high = 0x8F if first == 0xF4 else 0xBF
    else:
        return INVALID
    if at + size > end or buf[at + 1] < low or buf[at + 1] > high:
        return INVALID
    for i in range(at + 2, at + size):
        if buf[i] < 0x80 or buf[i] > 0xBF:
            return INVALID
    return at + size


@kernel
def put_text(out: Any, at: int, buf: Any, begin: int, end: int) -> int:
    """A JSON string of UTF-8 bytes, at most six bytes for each; :data:`INVALID` where they are no UTF-8."""
    to, at_in, last = np.uint64(at), np.uint64(begin), np.uint64(end)
    out[to] = 34
    to += np.uint64(1)
    while at_in < last:
        if last - at_in >= np.uint64(8):
            word = eight(buf, at_in)
            if is_plain(word):
                put_eight(out, to, word)
                to += np.uint64(8)
                at_in += np.uint64(8)
                continue
        elif at_in - np.uint64(begin) >= np.uint64(8):
            back = np.uint64(8) - (last - at_in)
            word = eight(buf, at_in - back)
            if is_plain(word):  # the last eight; those of them that are written already stand there as they are
                put_eight(out, to - back, word)
                to += last - at_in
                break
        byte = buf[at_in]
        if byte < 0x80 and byte >= 0x20 and byte != 34 and byte != 92:
            out[to] = byte
            to += np.uint64(1)
            at_in += np.uint64(1)
            continue
        if byte >= 0x80:
            after = utf8_end(buf, np.int64(at_in), end)
            if after < 0:
                return INVALID
            to = np.uint64(put_bytes(out, np.int64(to), buf, np.int64(at_in), after))
            at_in = np.uint64(after)
            continue
        to = np.uint64(_put_escaped(out, np.int64(to), byte))
        at_in += np.uint64(1)
    out[to] = 34
    return np.int64(to) + 1


@kernel
def _put_escaped(out: Any, at: int, byte: int) -> int:
    out[at] = 92
    if byte >= 0x20:
        out[at + 1] = byte
        return at + 2
    out[at + 1], out[at + 2], out[at + 3] = 117, 48, 48
    out[at + 4], out[at + 5] = _DIGITS[byte >> 4], _DIGITS[byte & 15]
    return at + 6


@kernel
def put_integer(out: Any, at: int, value: int) -> int:
    """A decimal integer."""
    left = np.uint64(value)
    if value < 0:
        out[at] = 45
        at += 1
        left = np.uint64(0) - left
    size = 17 if left >= _POWERS[16] else 9 if left >= _POWERS[8] else 1
    while size < 20 and left >= _POWERS[size]:
        size += 1
    i = np.uint64(at + size)
    while left >= np.uint64(10):
        rest = left // np.uint64(100)
        pair = (left - rest * np.uint64(100)) * np.uint64(2)
        i -= np.uint64(2)
        out[i], out[i + np.uint64(1)] = _PAIRS[pair], _PAIRS[pair + np.uint64(1)]
        left = rest
    if i > np.uint64(at):
        out[i - np.uint64(1)] = np.uint8(48) + np.uint8(left)
    return at + size


@kernel
def put_real(out: Any, at: int, value: float) -> int:
    """A number with at most 17 decimals that reads back as ``value``; :data:`INVALID` where there is no such one.

    With m and 10**p exact, m / 10**p is the double nearest to the decimal number, so equality shows that the text reads
    back as the value.
    """
    if not abs(value) < 1e15:
        return INVALID
    for places in range(18):
        scaled = np.rint(abs(value) * _DECIMALS[places])
        if scaled >= _EXACT:
            return INVALID
        if scaled / _DECIMALS[places] == abs(value):
            if math.copysign(1.0, value) < 0:
                out[at] = 45
                at += 1
            return _decimal(out, at, np.int64(scaled), places)
    return INVALID


@kernel
def _decimal(out: Any, at: int, scaled: int, places: int) -> int:
    unit = np.int64(1)
    for _ in range(places):
        unit *= 10
    at = put_integer(out, at, scaled // unit)
    out[at] = 46
    at += 1
    rest = scaled % unit
    for i in range(at + places - 1, at - 1, -1):
        out[i] = np.uint8(48 + rest % 10)
        rest //= 10
    if places == 0:
        out[at] = 48
        at += 1
    return at + places


@kernel
def _put_eight_digits(out: Any, at: Any, number: Any) -> None:
    """Hexadecimal digits of 32 bits: spread to a byte each, then 39 more for those that are letters."""
    spread = (number | (number << np.uint64(16))) & np.uint64(0x0000FFFF0000FFFF)
    spread = (spread | (spread << np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)
    spread = (spread | (spread << np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    ones = np.uint64(0x0101010101010101)
    letters = ((spread + ones * np.uint64(6)) >> np.uint64(4)) & ones
    spread += ones * np.uint64(48) + letters * np.uint64(39)
    for i in range(8):
        out[at + np.uint64(i)] = np.uint8((spread >> np.uint64(56 - 8 * i)) & np.uint64(0xFF))


@kernel
def put_id(out: Any, at: int, number: Any) -> int:
    """Sixteen hexadecimal digits."""
    _put_eight_digits(out, np.uint64(at), number >> np.uint64(32))
    _put_eight_digits(out, np.uint64(at) + np.uint64(8), number & np.uint64(0xFFFFFFFF))
    return at + 16


@kernel
def read_id(buf: Any, at: int) -> tuple[Any, bool]:
    """A number from sixteen lower-case hexadecimal digits, and whether they are that."""
    number = np.uint64(0)
    for i in range(at, at + 16):
        byte = buf[i]
        if 48 <= byte <= 57:
            digit = byte - 48
        elif 97 <= byte <= 102:
            digit = byte - 87
        else:
            return number, False
        number = (number << np.uint64(4)) | np.uint64(digit)
    return number, True
