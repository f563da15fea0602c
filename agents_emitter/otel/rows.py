"""Objects of the SDK to the mappings that our span and log batches carry, and the size they are counted with.

A row decodes to the same span as the SDK's own OTLP encoding of it (tests/unit/emitter/test_otel.py holds both against
each other), but for the bounds here: 16,384 characters of a text, 256 items of a list or map, 8 levels.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.trace import ReadableSpan

from agents_emitter.text import clip, text_of

MAX_TEXT_CHARS: Final = 16_384
MAX_ITEMS: Final = 256
MAX_DEPTH: Final = 8
_INT64: Final = 2**63
_BASE_BYTES: Final = 512
_ITEM_BYTES: Final = 24


def plain(value: object, depth: int = MAX_DEPTH) -> Any:
    """A value that JSON has: what the decoder makes of the OTLP encoding of the same value. Never raises."""
    kind = type(value)
    if kind is str:
        return clip(value, MAX_TEXT_CHARS)  # type: ignore[arg-type]
    if value is None or kind is bool:
        return value
    if kind is int and -_INT64 <= value < _INT64:  # type: ignore[operator]
        return value
    if kind is float and math.isfinite(value):  # type: ignore[arg-type]
        return value
    if kind is bytes:
        return base64.b64encode(value[: MAX_TEXT_CHARS // 4 * 3]).decode("ascii")  # type: ignore[index]
    if depth > 0 and isinstance(value, Mapping):
        return mapping(value, depth - 1)
    if depth > 0 and isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        return [plain(item, depth - 1) for item in value[:MAX_ITEMS]]
    return text_of(value, MAX_TEXT_CHARS)


def mapping(given: Mapping[Any, object] | None, depth: int = MAX_DEPTH) -> dict[str, Any]:
    """Attributes: at most 256."""
    found: dict[str, Any] = {}
    for name, value in (given or {}).items():
        if len(found) == MAX_ITEMS:
            break
        found[clip(name, MAX_TEXT_CHARS) if type(name) is str else text_of(name, MAX_TEXT_CHARS)] = plain(value, depth)
    return found


def span_size(span: ReadableSpan) -> int:
    """Estimated bytes of a span: what bounds the ring and the records."""
    size = _BASE_BYTES + len(span.name) + _attributes_size(span.attributes)
    for event in span.events:
        size += 64 + _attributes_size(event.attributes)
    for link in span.links:
        size += 96 + _attributes_size(link.attributes)
    return size


def _attributes_size(attributes: Mapping[str, object] | None) -> int:
    if not attributes:
        return 0
    size = 0
    for name, value in attributes.items():  # on the agent's own time, so the usual types first
        kind = type(value)
        if kind is str:
            chars = len(value)  # type: ignore[arg-type]
            size += len(name) + 16 + (chars if chars < MAX_TEXT_CHARS else MAX_TEXT_CHARS)
        elif kind is int or kind is float or kind is bool:
            size += len(name) + _ITEM_BYTES
        else:
            size += len(name) + _size(value)
    return size


def _size(value: object) -> int:
    if isinstance(value, str | bytes):
        return min(len(value), MAX_TEXT_CHARS) + 16
    if isinstance(value, Mapping):
        return _ITEM_BYTES + _attributes_size(value)
    if isinstance(value, Sequence):
        return _ITEM_BYTES + sum([_size(item) for item in value])
    return _ITEM_BYTES


def span_row(span: ReadableSpan) -> dict[str, Any]:
    """An ended span with OTLP field names, as :func:`agents_emitter.events.encode_span_batch` takes it.

    Raises:
        AttributeError: it has no context, or another thing is not as the SDK makes it (also TypeError).
    """
    context, status = span.context, span.status
    row: dict[str, Any] = {
        "traceId": f"{context.trace_id:032x}",
        "spanId": f"{context.span_id:016x}",
        "parentSpanId": f"{span.parent.span_id:016x}" if span.parent is not None else "",
        "name": clip(span.name, MAX_TEXT_CHARS),
        "kind": span.kind.value + 1,  # the API counts from 0 without "unspecified"
        "startTimeUnixNano": span.start_time,
        "endTimeUnixNano": span.end_time,
        "status": {"code": status.status_code.value, "message": clip(status.description or "", MAX_TEXT_CHARS)},
        "attributes": mapping(span.attributes),
    }
    events, links = span.events, span.links
    if events:
        row["events"] = [
            {"timeUnixNano": e.timestamp, "name": clip(e.name, MAX_TEXT_CHARS), "attributes": mapping(e.attributes)}
            for e in events[:MAX_ITEMS]
        ]
    if links:
        row["links"] = [
            {
                "traceId": f"{link.context.trace_id:032x}",
                "spanId": f"{link.context.span_id:016x}",
                "attributes": mapping(link.attributes),
            }
            for link in links[:MAX_ITEMS]
        ]
    return row


def log_row(given: ReadableLogRecord | ReadWriteLogRecord) -> tuple[dict[str, Any], int]:
    """A log record with OTLP field names, as :func:`agents_emitter.events.encode_log_batch` takes it, and its size.

    A body that is not text becomes JSON; the name of an event goes to the attribute ``event.name``.
    """
    record = given.log_record
    attributes = mapping(record.attributes)
    if record.event_name:
        attributes["event.name"] = plain(record.event_name)
    body = plain(record.body)
    text = body if isinstance(body, str) else "" if body is None else orjson.dumps(body).decode()
    row: dict[str, Any] = {
        "timeUnixNano": record.timestamp or record.observed_timestamp,
        "body": clip(text, MAX_TEXT_CHARS),
        "attributes": attributes,
    }
    if record.severity_number is not None:
        row["severityNumber"] = record.severity_number.value
    if record.severity_text:
        row["severityText"] = clip(record.severity_text, MAX_TEXT_CHARS)
    if record.trace_id and record.span_id:
        row["traceId"] = f"{record.trace_id:032x}"
        row["spanId"] = f"{record.span_id:016x}"
    return row, _BASE_BYTES // 2 + len(row["body"]) + _attributes_size(attributes)


def finished_row(row: dict[str, Any]) -> dict[str, Any]:
    """A row that is made already (a log's source may change after the call, so logs are converted at once)."""
    return row
