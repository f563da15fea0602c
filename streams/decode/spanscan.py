"""Numba: values of JSON text that our emitter writes, one at a time.

Each reader takes the text, a position and the end, and gives the position after what it read, RECORD for anything that
is not valid or not written by ``agents_emitter``: white space, escapes of code points, exponents, integers of more than
64 bits, null, nested objects. A position of RECORD may be passed on: the answer is RECORD again.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from streams.decode import spankeys
from streams.decode.spankeys import name_number
from streams.decode.spantarget import OK, RECORD, keep_integer, keep_text
from streams.domain.jsonbytes import eight, is_plain, read_id, utf8_end
from streams.domain.kernel import kernel

_TRUE: Final = np.frombuffer(b"true", np.uint8)
_FALSE: Final = np.frombuffer(b"false", np.uint8)
_ESCAPES: Final = np.frombuffer(b'"\\/bfnrt', np.uint8)
_LONGEST_INTEGER: Final = 18


@kernel
def read_word(buf: Any, at: int, end: int, word: Any) -> int:
    """The position after ``word``, RECORD where it is not there."""
    n = word.shape[0]
    if at < 0 or at + n > end:
        return RECORD
    for i in range(n):
        if buf[at + i] != word[i]:
            return RECORD
    return at + n


@kernel
def read_string(buf: Any, at: int, end: int) -> tuple[int, bool]:
    """The position after the string that begins at ``at``, and whether it has escapes; RECORD where it is none."""
    if at < 0 or at >= end or buf[at] != 34:
        return RECORD, False
    place, last = np.uint64(at + 1), np.uint64(end)
    escaped = False
    while place < last:
        if last - place >= np.uint64(8) and is_plain(eight(buf, place)):
            place += np.uint64(8)
            continue
        byte = buf[place]
        if byte == 34:
            return np.int64(place) + 1, escaped
        if byte >= 0x20 and byte < 0x80 and byte != 92:
            place += np.uint64(1)
        elif byte < 0x20:
            return RECORD, False
        elif byte == 92:
            escaped = True
            if place + np.uint64(1) >= last or not _is_escape(buf[place + np.uint64(1)]):
                return RECORD, False
            place += np.uint64(2)
        else:
            after = utf8_end(buf, np.int64(place), end)
            if after < 0:
                return RECORD, False
            place = np.uint64(after)
    return RECORD, False


@kernel
def _is_escape(byte: int) -> bool:
    for i in range(_ESCAPES.shape[0]):  # noqa: SIM110 - compiled
        if byte == _ESCAPES[i]:
            return True
    return False


@kernel
def read_integer(buf: Any, at: int, end: int) -> tuple[int, int]:
    """An integer of at most 18 digits, and the position after it; RECORD for anything else (a fraction too)."""
    if at < 0 or at >= end:
        return 0, RECORD
    negative = buf[at] == 45
    first = at + 1 if negative else at
    at, value = first, np.int64(0)
    while at < end and 48 <= buf[at] <= 57:
        if at - first >= _LONGEST_INTEGER + 1:
            return 0, RECORD
        value = value * 10 + np.int64(buf[at] - 48)
        at += 1
    digits = at - first
    if digits == 0 or (digits > 1 and buf[first] == 48) or (digits > _LONGEST_INTEGER and value < 0):
        return 0, RECORD
    if at < end and (buf[at] == 46 or buf[at] == 101 or buf[at] == 69):
        return 0, RECORD
    return -value if negative else value, at


@kernel
def _fraction(buf: Any, at: int, end: int) -> int:
    """The position after a number with decimals and no exponent; RECORD for anything else."""
    if at < end and buf[at] == 45:
        at += 1
    first = at
    while at < end and 48 <= buf[at] <= 57:
        at += 1
    if at == first or (at - first > 1 and buf[first] == 48) or at >= end or buf[at] != 46:
        return RECORD
    first = at + 1
    at += 1
    while at < end and 48 <= buf[at] <= 57:
        at += 1
    if at == first or (at < end and (buf[at] == 101 or buf[at] == 69)):
        return RECORD
    return at


@kernel
def _scalar(buf: Any, at: int, end: int, known: Any, place: int) -> tuple[int, int]:
    """The position after a string, number or bool, and OK; or what went wrong."""
    first = buf[at] if at < end else 0
    if first == 34:
        after, escaped = read_string(buf, at, end)
        if after < 0 or (place and escaped):
            return 0, RECORD
        return after, OK if place == 0 or keep_text(known, place, buf, at + 1, after - 1) else RECORD
    if first == 116 or first == 102:
        after = read_word(buf, at, end, _TRUE) if first == 116 else read_word(buf, at, end, _FALSE)
        return after, RECORD if after < 0 or place else OK
    value, after = read_integer(buf, at, end)
    if after >= 0:
        return after, OK if place == 0 or keep_integer(known, place, value) else RECORD
    after = _fraction(buf, at, end)
    return after, RECORD if after < 0 or place else OK


@kernel
def read_value(buf: Any, at: int, end: int, known: Any, place: int) -> tuple[int, int]:
    """The same for a scalar or a list of them."""
    if at >= end or buf[at] != 91:
        return _scalar(buf, at, end, known, place)
    if place:
        return 0, RECORD
    at += 1
    if at < end and buf[at] == 93:
        return at + 1, OK
    while at < end:
        at, outcome = _scalar(buf, at, end, known, 0)
        if outcome != OK:
            return 0, outcome
        if at < end and buf[at] == 93:
            return at + 1, OK
        if at >= end or buf[at] != 44:
            return 0, RECORD
        at += 1
    return 0, RECORD


@kernel
def id_end(buf: Any, at: int, end: int, digits: int) -> int:
    """The position after a string of so many hexadecimal digits, not all of them zero."""
    if at + digits + 2 > end or buf[at] != 34 or buf[at + digits + 1] != 34:
        return RECORD
    total = np.uint64(0)
    for place in range(at + 1, at + 1 + digits, 16):
        part, good = read_id(buf, place)
        if not good:
            return RECORD
        total |= part
    return at + digits + 2 if total != 0 else RECORD


@kernel
def read_key(buf: Any, at: int, end: int) -> tuple[int, int]:
    """The field whose name begins at ``at`` (-1: not one of ours) and the position of its value."""
    after, escaped = read_string(buf, at, end)
    if after < 0 or escaped or after >= end or buf[after] != 58:
        return -1, RECORD
    return spankeys.FIELD[name_number(buf, at + 1, after - 1)], after + 1


@kernel
def object_end(buf: Any, at: int, end: int) -> int:
    """The position after an object: brackets outside strings are counted; its reader finds out whether it is valid."""
    if at < 0 or at >= end or buf[at] != 123:
        return RECORD
    depth = 0
    while at < end:
        byte = buf[at]
        if byte == 34:
            at += 1
            while at < end and buf[at] != 34:
                at += 2 if buf[at] == 92 else 1
        elif byte == 123:
            depth += 1
        elif byte == 125:
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return RECORD
