"""Numba: spans of an OTLP ``ExportTraceServiceRequest`` to rows and bodies, straight from the protobuf bytes.

Only what exporters write is read here; anything unusual is left to the protobuf library: a span of it (nested
attributes, older conventions), or the whole record (malformed, unknown fields, an id that cannot be used). Field
numbers: opentelemetry-proto, ``trace/v1/trace.proto`` and ``common/v1/common.proto``.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from streams.decode.spanitems import close, is_ascii, put_attribute, put_event, put_link
from streams.decode.spantarget import (
    GROW,
    MAX_ITEMS,
    MAX_MESSAGE_BYTES,
    MAX_NAME_BYTES,
    OK,
    OWN,
    RECORD,
    SLACK_BYTES,
    SPAN,
    WORD_ATTRIBUTES,
    WORD_EVENTS,
    WORD_LINKS,
    WORD_MESSAGE,
    WORD_NAME,
    WORD_STATUS,
    Target,
    clear,
    end_span,
    operation_is_hidden,
    put_tail,
)
from streams.decode.wire import read_field, read_fixed64, read_varint
from streams.domain.jsonbytes import put_integer, put_text, put_word
from streams.domain.kernel import kernel, large_kernel

_ATTRIBUTE_TAG: Final = 74
_EVENT_TAG: Final = 90
_LINK_TAG: Final = 106


@kernel
def _big_endian(buf: Any, at: int) -> Any:
    number = np.uint64(0)
    for i in range(8):
        number = (number << np.uint64(8)) | np.uint64(buf[at + i])
    return number


@kernel
def _status(buf: Any, a: int, b: int, known: Any, row: Any, out: Any, at: int) -> int:
    """A Status; nothing is written for code 0."""
    message = message_end = a
    pos = a
    while pos < b:
        tag, begin, end, pos = read_field(buf, pos, b)
        if pos < 0:
            return RECORD
        if tag == 18:
            message, message_end = begin, end
        elif tag == 24:
            code, _ = read_varint(buf, begin, end)
            row.status = code if 0 <= code <= 2 else 0
        else:
            return RECORD
    if message_end - message > MAX_MESSAGE_BYTES:
        return SPAN
    start = at
    at = put_integer(out, put_word(out, at, WORD_STATUS), row.status)
    at = put_word(out, at, WORD_MESSAGE)
    row.message = at + 1 - row.body
    at = put_text(out, at, buf, message, message_end)
    if at < 0:
        return RECORD
    row.message_bytes = at - 1 - row.body - row.message
    out[at], out[at + 1] = 125, 44
    if row.status == 0:
        row.message = row.message_bytes = 0
        return start
    return at + 2


@large_kernel
def _lists(  # noqa: C901, PLR0912 - one list each
    buf: Any, a: int, b: int, known: Any, row: Any, out: Any, at: int
) -> int:
    """Status, attributes, events and links, each list in one piece, each with a comma at its end."""
    section = seen = items = 0
    pos = a
    while pos < b:
        tag, begin, end, pos = read_field(buf, pos, b)
        listed = tag in (_ATTRIBUTE_TAG, _EVENT_TAG, _LINK_TAG)
        if section != 0 and tag != section:
            at = close(out, at, 125 if section == _ATTRIBUTE_TAG else 93)
            section = 0
        if tag == 122:
            if seen & 8:
                return RECORD
            seen |= 8
            at = _status(buf, begin, end, known, row, out, at)
        elif listed and section == 0:
            bit = 1 if tag == _ATTRIBUTE_TAG else 2 if tag == _EVENT_TAG else 4
            if seen & bit:
                return SPAN
            seen |= bit
            section, items = tag, 0
            if tag == _ATTRIBUTE_TAG:
                at = put_word(out, at, WORD_ATTRIBUTES)
            else:
                at = put_word(out, at, WORD_EVENTS) if tag == _EVENT_TAG else put_word(out, at, WORD_LINKS)
        if listed and at >= 0:
            items += 1
            if tag == _ATTRIBUTE_TAG:
                at = put_attribute(buf, begin, end, known, out, at, OWN)
            elif items > MAX_ITEMS:
                return SPAN
            else:
                at = (
                    put_event(buf, begin, end, known, out, at)
                    if tag == _EVENT_TAG
                    else put_link(buf, begin, end, known, out, at)
                )
        if at < 0:
            return at
    if section != 0:
        at = close(out, at, 125 if section == _ATTRIBUTE_TAG else 93)
    return at


@large_kernel
def _fields(buf: Any, a: int, b: int, row: Any) -> tuple[int, int, int]:  # noqa: C901, PLR0912 - one field each
    """Ids, times and kind into the row; the outcome and the range of the name."""
    name = name_end = a
    row.trace_high = row.trace_low = row.span = row.parent = 0
    row.start_ns = row.end_ns = row.kind = row.status = row.phase = row.message = row.message_bytes = 0
    pos = a
    while pos < b:
        tag, begin, end, pos = read_field(buf, pos, b)
        if pos < 0:
            return RECORD, 0, 0
        if tag == 10:
            if end - begin != 16:
                return RECORD, 0, 0
            row.trace_high, row.trace_low = _big_endian(buf, begin), _big_endian(buf, begin + 8)
        elif tag == 18 or (tag == 34 and end > begin):
            if end - begin != 8:
                return RECORD, 0, 0
            if tag == 18:
                row.span = _big_endian(buf, begin)
            else:
                row.parent = _big_endian(buf, begin)
        elif tag == 42:
            name, name_end = begin, end
        elif tag == 48:
            kind, _ = read_varint(buf, begin, end)
            if kind >= 1 << 31:
                return RECORD, 0, 0
            row.kind = kind if 0 <= kind <= 5 else 0
        elif tag == 57:
            row.start_ns = read_fixed64(buf, begin)
        elif tag == 65:
            row.end_ns = read_fixed64(buf, begin)
        elif tag == 26:
            if not is_ascii(buf, begin, end):
                return RECORD, 0, 0
        elif not _is_other(tag):
            return RECORD, 0, 0
    if (row.trace_high | row.trace_low) == 0 or row.span == 0 or row.start_ns <= 0 or row.end_ns < row.start_ns:
        return RECORD, 0, 0
    return OK, name, name_end


@kernel
def _is_other(tag: int) -> bool:
    """Fields that are read elsewhere or not at all."""
    return (
        tag == 34
        or tag == 74
        or tag == 80
        or tag == 90
        or tag == 96
        or tag == 106
        or tag == 112
        or tag == 122
        or tag == 133
    )


@kernel
def _span(buf: Any, a: int, b: int, target: Target, row: Any) -> int:
    """One span; the outcome."""
    outcome, name, name_end = _fields(buf, a, b, row)
    if outcome != OK:
        return outcome
    if name_end - name > MAX_NAME_BYTES:
        return SPAN
    known, out = target.known, target.bodies
    clear(known)
    row.body = at = target.filled[1]
    out[at] = 123
    at = put_text(out, put_word(out, at + 1, WORD_NAME), buf, name, name_end)
    if at < 0:
        return RECORD
    out[at] = 44
    at = _lists(buf, a, b, known, row, out, at + 1)
    if at < 0:
        return at
    if operation_is_hidden(known, buf, name, name_end):
        return SPAN
    return end_span(target, row, buf, name, name_end, put_tail(out, at, row))


@kernel
def _scope(buf: Any, a: int, b: int, record: int, target: Target) -> int:
    pos = a
    while pos < b:
        tag, begin, end, pos = read_field(buf, pos, b)
        if pos < 0:
            return RECORD
        if tag == 18:
            if (
                target.filled[0] >= target.rows.shape[0]
                or target.filled[1] + 6 * (end - begin) + SLACK_BYTES > target.bodies.shape[0]
            ):
                return GROW
            row = target.rows[target.filled[0]]
            outcome = _span(buf, begin, end, target, row)
            if outcome == SPAN:
                row.slow = 1
                target.filled[0] += 1
            elif outcome != OK:
                return outcome
            row.record, row.resource = record, target.filled[2]
            row.raw, row.raw_bytes = begin, end - begin
        elif tag != 10 and not (tag == 26 and is_ascii(buf, begin, end)):
            return RECORD
    return OK


@kernel
def _resource_spans(buf: Any, a: int, b: int, record: int, target: Target) -> int:
    if target.filled[2] >= target.blocks.shape[0]:
        return GROW
    resource, resource_end = a, -1
    pos = a
    while pos < b:
        tag, begin, end, pos = read_field(buf, pos, b)
        if pos < 0:
            return RECORD
        if tag == 10:
            if resource_end >= 0:
                return RECORD
            resource, resource_end = begin, end
        elif tag == 18:
            outcome = _scope(buf, begin, end, record, target)
            if outcome != OK:
                return outcome
        elif tag != 26 or not is_ascii(buf, begin, end):
            return RECORD
    block = target.blocks[target.filled[2]]
    block[0], block[1], block[2] = record, resource, max(resource, resource_end)
    target.filled[2] += 1
    return OK


@kernel
def read_request(buf: Any, a: int, b: int, record: int, target: Target) -> int:
    """The spans of one record; RECORD also where it holds none. What was written before another outcome counts not."""
    before = target.filled[0]
    pos = a
    while pos < b:
        tag, begin, end, pos = read_field(buf, pos, b)
        if pos < 0 or tag != 10:
            return RECORD
        outcome = _resource_spans(buf, begin, end, record, target)
        if outcome != OK:
            return outcome
    return OK if target.filled[0] > before else RECORD
