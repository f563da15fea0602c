"""Numba: attributes, events and links of an OTLP span from protobuf to JSON.

Field numbers: opentelemetry-proto, ``trace/v1/trace.proto`` and ``common/v1/common.proto``. Fields may stand in any
order: the collector writes them from the last to the first.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from streams.decode import spankeys
from streams.decode.spankeys import name_number
from streams.decode.spantarget import (
    EVENT,
    LINK,
    OWN,
    RECORD,
    SPAN,
    WORD_ATTRIBUTES,
    WORD_NAME,
    WORD_TIME,
    first_time,
    keep_integer,
    keep_text,
    place_of,
)
from streams.decode.wire import read_field, read_fixed64, read_varint
from streams.domain.jsonbytes import put_integer, put_real, put_text, put_word
from streams.domain.kernel import kernel

_TRUE: Final = np.frombuffer(b"true", np.uint8)
_FALSE: Final = np.frombuffer(b"false", np.uint8)
_TRACE_ID: Final = np.frombuffer(b'{"traceId":"', np.uint8)
_SPAN_ID: Final = np.frombuffer(b'","spanId":"', np.uint8)
_ARRAY_TAG: Final = 42
_HEX: Final = np.frombuffer(b"0123456789abcdef", np.uint8)


@kernel
def _scalar(buf: Any, a: int, b: int, known: Any, out: Any, at: int, place: int) -> int:
    """An AnyValue that is a string, bool, integer or number; SPAN for any other."""
    tag, begin, end, after = read_field(buf, a, b)
    if after < 0:
        return RECORD
    if after != b:
        return SPAN
    if tag == 10:
        at = put_text(out, at, buf, begin, end)
        if at < 0:
            return RECORD
        kept = place == 0 or keep_text(known, place, buf, begin, end)
    elif tag == 24:
        value, _ = read_varint(buf, begin, end)
        at = put_integer(out, at, value)
        kept = place == 0 or keep_integer(known, place, value)
    elif tag == 16:
        value, _ = read_varint(buf, begin, end)
        at = put_word(out, at, _TRUE) if value != 0 else put_word(out, at, _FALSE)
        kept = place == 0
    elif tag == 33:
        known[spankeys.REAL] = read_fixed64(buf, begin)
        at = put_real(out, at, known.view(np.float64)[spankeys.REAL])
        kept = place == 0 and at >= 0
    else:
        return SPAN
    return at if kept else SPAN


@kernel
def _array(buf: Any, a: int, b: int, known: Any, out: Any, at: int) -> int:
    out[at] = 91
    at += 1
    pos = a
    while pos < b:
        tag, begin, end, pos = read_field(buf, pos, b)
        if pos < 0 or tag != 10:
            return RECORD
        at = _scalar(buf, begin, end, known, out, at, 0)
        if at < 0:
            return at
        out[at] = 44
        at += 1
    if out[at - 1] == 44:
        at -= 1
    out[at] = 93
    return at + 1


@kernel
def _pair(buf: Any, a: int, b: int) -> tuple[int, int, int, int]:
    """Where key and value of a KeyValue are, in whatever order (the collector writes the value first).

    The first number is an outcome below 0 where they are not; SPAN also for a key or value that is absent.
    """
    key, key_end, value, value_end = a, a, a, a
    pos = a
    while pos < b:
        tag, begin, end, pos = read_field(buf, pos, b)
        if pos < 0:
            return RECORD, 0, 0, 0
        if tag == 10:
            key, key_end = begin, end
        elif tag == 18 and value == value_end:
            value, value_end = begin, end
        else:
            return SPAN, 0, 0, 0
    if value == value_end:
        return SPAN, 0, 0, 0
    return key, key_end, value, value_end


@kernel
def _key(buf: Any, key: int, end: int, known: Any, out: Any, at: int, owner: int) -> tuple[int, int]:
    """Writes a name and a colon; the position after it and the place of what it means."""
    number = name_number(buf, key, end)
    place = place_of(known, buf, key, end, number, owner)
    if place & spankeys.OLDER != 0:
        at = spankeys.put_name(out, at, spankeys.CURRENT[number])
    else:
        at = put_text(out, at, buf, key, end)
    if at < 0:
        return RECORD, 0
    if place and owner == OWN and not first_time(known, place):
        return SPAN, 0
    out[at] = 58
    return at + 1, place


@kernel
def put_attribute(buf: Any, a: int, b: int, known: Any, out: Any, at: int, owner: int) -> int:
    """A KeyValue as ``"key":value,``."""
    key, key_end, value, value_end = _pair(buf, a, b)
    if key < 0:
        return key
    at, place = _key(buf, key, key_end, known, out, at, owner)
    if at < 0:
        return at
    tag, inner, inner_end, last = read_field(buf, value, value_end)
    if last < 0:
        return RECORD
    if tag != _ARRAY_TAG:
        at = _scalar(buf, value, value_end, known, out, at, place)
    elif place == 0 and last == value_end:
        at = _array(buf, inner, inner_end, known, out, at)
    else:
        return SPAN
    if at < 0:
        return at
    out[at] = 44
    return at + 1


@kernel
def put_event(buf: Any, a: int, b: int, known: Any, out: Any, at: int) -> int:
    """An event as ``{"timeUnixNano":n,"attributes":{...},"name":"..."},``."""
    moment = np.int64(0)
    name = name_end = a
    pos = a
    while pos < b:
        tag, begin, end, pos = read_field(buf, pos, b)
        if pos < 0:
            return RECORD
        if tag == 9:
            moment = read_fixed64(buf, begin)
        elif tag == 18:
            name, name_end = begin, end
        elif tag != 26 and tag != 32:
            return RECORD
    at = put_integer(out, put_word(out, at, WORD_TIME), max(moment, 0))
    out[at] = 44
    at = _inner_attributes(buf, a, b, 26, EVENT, known, out, put_word(out, at + 1, WORD_ATTRIBUTES))
    if at < 0:
        return at
    at = put_text(out, put_word(out, at, WORD_NAME), buf, name, name_end)
    if at < 0:
        return RECORD
    out[at], out[at + 1] = 125, 44
    return at + 2


@kernel
def _inner_attributes(buf: Any, a: int, b: int, wanted: int, owner: int, known: Any, out: Any, at: int) -> int:
    """The attributes of an event or a link, and ``},``."""
    pos = a
    while pos < b:
        tag, begin, end, pos = read_field(buf, pos, b)
        if tag == wanted:
            at = put_attribute(buf, begin, end, known, out, at, owner)
            if at < 0:
                return at
    return close(out, at, 125)


@kernel
def close(out: Any, at: int, bracket: int) -> int:
    """Ends a list of things that end with commas: the bracket, and a comma."""
    if out[at - 1] == 44:
        at -= 1
    out[at], out[at + 1] = bracket, 44
    return at + 2


@kernel
def put_link(buf: Any, a: int, b: int, known: Any, out: Any, at: int) -> int:
    """A link as ``{"traceId":"...","spanId":"...","attributes":{...}},``."""
    trace = span = -1
    pos = a
    while pos < b:
        tag, begin, end, pos = read_field(buf, pos, b)
        if pos < 0:
            return RECORD
        if tag == 10:
            trace = begin if end - begin == 16 and _nonzero(buf, begin, end) else -1
        elif tag == 18:
            span = begin if end - begin == 8 and _nonzero(buf, begin, end) else -1
        elif tag == 26:
            if not is_ascii(buf, begin, end):
                return RECORD
        elif tag != 34 and tag != 40 and tag != 53:
            return RECORD
    if trace < 0 or span < 0:
        return RECORD
    at = _put_hex(out, put_word(out, at, _TRACE_ID), buf, trace, 16)
    at = _put_hex(out, put_word(out, at, _SPAN_ID), buf, span, 8)
    out[at], out[at + 1] = 34, 44
    at = _inner_attributes(buf, a, b, 34, LINK, known, out, put_word(out, at + 2, WORD_ATTRIBUTES))
    if at < 0:
        return at
    out[at - 1], out[at] = 125, 44
    return at + 1


@kernel
def _put_hex(out: Any, at: int, buf: Any, begin: int, size: int) -> int:
    for i in range(begin, begin + size):
        out[at], out[at + 1] = _HEX[buf[i] >> 4], _HEX[buf[i] & 15]
        at += 2
    return at


@kernel
def _nonzero(buf: Any, begin: int, end: int) -> bool:
    for i in range(begin, end):  # noqa: SIM110 - compiled
        if buf[i] != 0:
            return True
    return False


@kernel
def is_ascii(buf: Any, begin: int, end: int) -> bool:
    """Whether a text is: those that are not copied are not looked at further."""
    for i in range(begin, end):  # noqa: SIM110 - compiled
        if buf[i] >= 0x80:
            return False
    return True
