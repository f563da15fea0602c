"""Numba: spans of our own batches to rows and bodies, straight from the JSON text that ``agents_emitter`` writes.

Anything that it does not write (white space, other fields, nested attributes, null, escapes in names) makes the record
one for the slow way. JSON that is accepted here is valid: strings are UTF-8 with known escapes, numbers are numbers.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from streams.decode import spankeys
from streams.decode.spanitems import close
from streams.decode.spankeys import name_number
from streams.decode.spanscan import (
    id_end,
    object_end,
    read_integer,
    read_key,
    read_string,
    read_value,
    read_word,
)
from streams.decode.spantarget import (
    EVENT,
    GROW,
    LINK,
    MAX_ITEMS,
    MAX_MESSAGE_BYTES,
    MAX_NAME_BYTES,
    OK,
    OWN,
    RECORD,
    SLACK_BYTES,
    WORD_EVENTS,
    WORD_LINKS,
    WORD_MESSAGE,
    WORD_NAME,
    WORD_STATUS,
    WORD_TIME,
    Target,
    clear,
    end_span,
    first_time,
    operation_is_hidden,
    place_of,
    put_tail,
)
from streams.domain.jsonbytes import put_bytes, put_integer, put_word, read_id
from streams.domain.kernel import kernel, large_kernel
from streams.domain.texts import FULL, intern_text

_HEAD: Final = np.frombuffer(b'{"v":1,"schema":"agents.span/1","resource":', np.uint8)
_PRODUCER: Final = np.frombuffer(b',"producer":', np.uint8)
_SEQ: Final = np.frombuffer(b',"seq":', np.uint8)
_DROPPED: Final = np.frombuffer(b',"dropped_total":', np.uint8)
_SPANS: Final = np.frombuffer(b',"spans":[', np.uint8)
_START: Final = np.frombuffer(b'"start"', np.uint8)
_ENDED: Final = np.frombuffer(b'"end"', np.uint8)

_ATTRIBUTES: Final = np.frombuffer(b'"attributes":', np.uint8)
_TRACE_ID: Final = np.frombuffer(b'{"traceId":', np.uint8)
_SPAN_ID: Final = np.frombuffer(b',"spanId":', np.uint8)
_EMPTY: Final = np.frombuffer(b'""', np.uint8)

# bits of spankeys.FIELDS
_F_TRACE, _F_SPAN, _F_PARENT, _F_NAME, _F_KIND, _F_BEGIN, _F_END = range(7)
_F_STATUS, _F_ATTRIBUTES, _F_EVENTS, _F_LINKS, _F_PHASE, _F_CODE, _F_MESSAGE, _F_TIME, _F_LOST = range(7, 16)


@kernel
def _attributes(buf: Any, at: int, end: int, known: Any, out: Any, to: int, owner: int) -> tuple[int, int]:
    """Copies an object of plain values; the positions after it in both, or what went wrong in the second."""
    if at + 1 < end and buf[at] == 123 and buf[at + 1] == 125:
        out[to], out[to + 1] = 123, 125
        return at + 2, to + 2
    copied, expected = at, 123
    while at < end and buf[at] == expected:
        key, expected = at + 1, 44
        after, escaped = read_string(buf, key, end)
        if after < 0 or escaped or after >= end or buf[after] != 58:
            return 0, RECORD
        number = name_number(buf, key + 1, after - 1)
        place = place_of(known, buf, key + 1, after - 1, number, owner)
        if place and owner == OWN and not first_time(known, place):
            return 0, RECORD
        at, outcome = read_value(buf, after + 1, end, known, place)
        if outcome != OK:
            return 0, RECORD
        if place & spankeys.OLDER != 0:
            to = put_bytes(out, to, buf, copied, key)
            to = spankeys.put_name(out, to, spankeys.CURRENT[number])
            copied = after
        if at < end and buf[at] == 125:
            return at + 1, put_bytes(out, to, buf, copied, at + 1)
    return 0, RECORD


@large_kernel
def _event(  # noqa: C901 - one field each
    buf: Any, at: int, end: int, known: Any, out: Any, to: int
) -> tuple[int, int]:
    """Copies an event, its fields in our order."""
    seen, moment, name, name_end = 0, 0, -1, -1
    attributes = -1
    expected = 123
    while at < end and buf[at] == expected:
        expected = 44
        field, at = read_key(buf, at + 1, end)
        if at < 0 or field < 0 or seen & (1 << field):
            return 0, RECORD
        seen |= 1 << field
        if field == _F_TIME:
            moment, at = read_integer(buf, at, end)
        elif field == _F_NAME:
            name = at
            at, _ = read_string(buf, at, end)
            name_end = at
        elif field == _F_ATTRIBUTES:
            attributes = to
            at, to = _attributes(buf, at, end, known, out, _open(out, to), EVENT)
            if to < 0:
                return 0, to
        else:
            return 0, RECORD
        if at < 0:
            return 0, RECORD
        if at < end and buf[at] == 125:
            break
    if at >= end or buf[at] != 125:
        return 0, RECORD
    if attributes < 0:
        to = _open(out, to)
        out[to], out[to + 1] = 123, 125
        to += 2
    out[to] = 44
    to = put_word(out, to + 1, WORD_NAME)
    to = put_bytes(out, to, buf, name, name_end) if name >= 0 else put_word(out, to, _EMPTY)
    out[to] = 44
    to = put_integer(out, put_bytes(out, to + 1, WORD_TIME, 1, WORD_TIME.shape[0]), max(moment, 0))
    out[to] = 125
    return at + 1, to + 1


@kernel
def _open(out: Any, to: int) -> int:
    out[to] = 123
    return put_word(out, to + 1, _ATTRIBUTES)


@kernel
def _link(  # noqa: C901 - one field each
    buf: Any, at: int, end: int, known: Any, out: Any, to: int
) -> tuple[int, int]:
    """Copies a link: trace id, span id, attributes."""
    seen = trace = span = 0
    to = _open(out, to)
    expected = 123
    while at < end and buf[at] == expected:
        expected = 44
        field, at = read_key(buf, at + 1, end)
        if at < 0 or field < 0 or seen & (1 << field):
            return 0, RECORD
        seen |= 1 << field
        if field == _F_TRACE:
            trace = at
            at = id_end(buf, at, end, 32)
        elif field == _F_SPAN:
            span = at
            at = id_end(buf, at, end, 16)
        elif field == _F_ATTRIBUTES:
            at, to = _attributes(buf, at, end, known, out, to, LINK)
            if to < 0:
                return 0, to
        else:
            return 0, RECORD
        if at < 0:
            return 0, RECORD
        if at < end and buf[at] == 125:
            break
    if at >= end or buf[at] != 125 or trace == 0 or span == 0:
        return 0, RECORD
    if not seen & (1 << _F_ATTRIBUTES):
        out[to], out[to + 1] = 123, 125
        to += 2
    out[to] = 44
    to = put_bytes(out, put_bytes(out, to + 1, _TRACE_ID, 1, _TRACE_ID.shape[0]), buf, trace, trace + 34)
    to = put_bytes(out, put_word(out, to, _SPAN_ID), buf, span, span + 18)
    out[to] = 125
    return at + 1, to + 1


@kernel
def _items(buf: Any, at: int, end: int, known: Any, out: Any, to: int, links: bool) -> tuple[int, int]:
    """Copies a list of events or links, with its name and a comma; nothing of an empty one."""
    if at + 1 < end and buf[at] == 91 and buf[at + 1] == 93:
        return at + 2, to
    if at >= end or buf[at] != 91:
        return 0, RECORD
    to = put_word(out, to, WORD_LINKS) if links else put_word(out, to, WORD_EVENTS)
    for _ in range(MAX_ITEMS):
        if links:
            at, to = _link(buf, at + 1, end, known, out, to)
        else:
            at, to = _event(buf, at + 1, end, known, out, to)
        if to < 0:
            return 0, to
        out[to] = 44
        to += 1
        if at < end and buf[at] == 93:
            return at + 1, close(out, to, 93)
        if at >= end or buf[at] != 44:
            return 0, RECORD
    return 0, RECORD


@kernel
def _status(buf: Any, at: int, end: int, row: Any, out: Any, to: int) -> tuple[int, int]:
    """Copies a status with a comma; nothing of code 0."""
    seen = message = message_end = 0
    if at + 1 < end and buf[at] == 123 and buf[at + 1] == 125:
        return at + 2, to
    expected = 123
    while at < end and buf[at] == expected:
        expected = 44
        field, at = read_key(buf, at + 1, end)
        if at < 0 or field < 0 or seen & (1 << field):
            return 0, RECORD
        seen |= 1 << field
        if field == _F_CODE:
            code, at = read_integer(buf, at, end)
            row.status = code if 0 <= code <= 2 else 0
        elif field == _F_MESSAGE:
            message = at
            at, _ = read_string(buf, at, end)
            message_end = at
        else:
            return 0, RECORD
        if at < 0:
            return 0, RECORD
        if at < end and buf[at] == 125:
            break
    if at >= end or buf[at] != 125 or message_end - message > MAX_MESSAGE_BYTES:
        return 0, RECORD
    if row.status == 0:
        return at + 1, to
    to = put_word(out, put_integer(out, put_word(out, to, WORD_STATUS), row.status), WORD_MESSAGE)
    row.message = to + 1 - row.body
    row.message_bytes = max(message_end - message - 2, 0)
    to = put_bytes(out, to, buf, message, message_end) if message else put_word(out, to, _EMPTY)
    out[to], out[to + 1] = 125, 44
    return at + 1, to + 2


@kernel
def _plain_field(buf: Any, at: int, end: int, row: Any, field: int) -> int:  # noqa: C901 - one field each
    """A field that is a number or an id into the row; the position after it."""
    if field == _F_TRACE:
        after = id_end(buf, at, end, 32)
        if after >= 0:
            row.trace_high, _ = read_id(buf, at + 1)
            row.trace_low, _ = read_id(buf, at + 17)
        return after
    if field == _F_SPAN:
        after = id_end(buf, at, end, 16)
        if after >= 0:
            row.span, _ = read_id(buf, at + 1)
        return after
    if field == _F_PARENT:
        if read_word(buf, at, end, _EMPTY) >= 0:
            return at + 2
        after = id_end(buf, at, end, 16)
        if after >= 0:
            row.parent, _ = read_id(buf, at + 1)
        return after
    if field == _F_PHASE:
        after = read_word(buf, at, end, _START)
        row.phase = 1 if after >= 0 else 0
        return after if after >= 0 else read_word(buf, at, end, _ENDED)
    value, after = read_integer(buf, at, end)
    if field == _F_KIND:
        row.kind = value if 0 <= value <= 5 else 0
    elif field == _F_BEGIN:
        row.start_ns = value
    elif field == _F_END:
        row.end_ns = value
    elif field != _F_LOST:
        return RECORD
    return after


@large_kernel
def _span(buf: Any, at: int, end: int, target: Target, row: Any) -> tuple[int, int]:  # noqa: C901 - one field each
    """One span; the position after it, and the outcome."""
    row.trace_high = row.trace_low = row.span = row.parent = 0
    row.start_ns = row.end_ns = row.kind = row.status = row.phase = row.message = row.message_bytes = 0
    known, out = target.known, target.bodies
    clear(known)
    row.body = to = target.filled[1]
    out[to] = 123
    to += 1
    seen = name = name_end = 0
    expected = 123
    while at < end and buf[at] == expected:
        expected = 44
        field, at = read_key(buf, at + 1, end)
        if at < 0 or field < 0 or seen & (1 << field):
            return 0, RECORD
        seen |= 1 << field
        if field == _F_NAME:
            name = at + 1
            at, escaped = read_string(buf, at, end)
            name_end = at - 1
            if at < 0 or escaped or name_end - name > MAX_NAME_BYTES:
                return 0, RECORD
        elif field == _F_ATTRIBUTES:
            at, to = _attributes(buf, at, end, known, out, put_word(out, to, _ATTRIBUTES), OWN)
            if to >= 0:
                out[to] = 44
                to += 1
        elif field in (_F_EVENTS, _F_LINKS):
            at, to = _items(buf, at, end, known, out, to, field == _F_LINKS)
        elif field == _F_STATUS:
            at, to = _status(buf, at, end, row, out, to)
        else:
            at = _plain_field(buf, at, end, row, field)
        if to < 0:
            return 0, to
        if at < 0:
            return 0, RECORD
        if at < end and buf[at] == 125:
            return at + 1, _finish(buf, target, row, to, name, name_end)
    return 0, RECORD


@kernel
def _finish(buf: Any, target: Target, row: Any, to: int, name: int, name_end: int) -> int:
    if row.phase == 1:
        row.end_ns = row.start_ns
    if (row.trace_high | row.trace_low) == 0 or row.span == 0 or row.start_ns <= 0 or row.end_ns < row.start_ns:
        return RECORD
    if operation_is_hidden(target.known, buf, name, name_end):
        return RECORD
    out = target.bodies
    to = put_word(out, to, WORD_NAME)
    out[to] = 34
    to = put_bytes(out, to + 1, buf, name, name_end)
    out[to], out[to + 1] = 34, 44
    return end_span(target, row, buf, name, name_end, put_tail(out, to + 2, row))


@kernel
def _head(buf: Any, at: int, end: int, record: int, target: Target) -> int:
    """Resource, producer, seq and dropped_total; the position of the first span, or what went wrong."""
    resource = read_word(buf, at, end, _HEAD)
    after = object_end(buf, resource, end)
    producer = read_word(buf, after, end, _PRODUCER)
    at, escaped = read_string(buf, producer, end)
    if at < 0 or escaped:
        return RECORD
    number = intern_text(target.texts, buf, producer + 1, at - 1)
    if number == FULL or target.filled[2] >= target.blocks.shape[0] or target.filled[3] >= target.heads.shape[0]:
        return GROW
    seq, at = read_integer(buf, read_word(buf, at, end, _SEQ), end)
    dropped, at = read_integer(buf, read_word(buf, at, end, _DROPPED), end)
    at = read_word(buf, at, end, _SPANS)
    if at < 0 or seq < 0 or dropped < 0 or number == 0:
        return RECORD
    block, head = target.blocks[target.filled[2]], target.heads[target.filled[3]]
    block[0], block[1], block[2] = record, resource, after
    head[0], head[1], head[2], head[3] = record, number, seq, dropped
    return at


@kernel
def read_batch(buf: Any, a: int, b: int, record: int, target: Target) -> int:
    """The spans of one record. What was written before another outcome than OK counts not."""
    at = _head(buf, a, b, record, target)
    if at < 0:
        return at
    block = target.filled[2]
    while at < b:
        room = target.bodies.shape[0] - target.filled[1]
        if target.filled[0] >= target.rows.shape[0] or 6 * (b - at) + SLACK_BYTES > room:
            return GROW
        row = target.rows[target.filled[0]]
        at, outcome = _span(buf, at, b, target, row)
        if outcome != OK:
            return outcome
        row.record, row.resource, row.raw_bytes = record, block, 0
        if at + 2 == b and buf[at] == 93 and buf[at + 1] == 125:
            target.filled[2] += 1
            target.filled[3] += 1
            return OK
        if at >= b or buf[at] != 44:
            return RECORD
        at += 1
    return RECORD
