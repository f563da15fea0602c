"""One span from each of its wire forms to a ``Span``: ids checked, times checked, attributes flat."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

from streams.decode import attributes, reasons
from streams.decode.gather import Gather
from streams.decode.numbers import integer, optional_time_ns, time_ns
from streams.decode.reasons import Refused, show
from streams.domain.span import Span

MAX_EVENTS: Final = 32
MAX_LINKS: Final = 32
"""Events and links beyond these are left out (the first ones are kept)."""
MAX_MESSAGE: Final = 256
MAX_NAME: Final = 512

_TRACE_ID: Final = re.compile(r"[0-9a-fA-F]{32}")
_SPAN_ID: Final = re.compile(r"[0-9a-fA-F]{16}")
_KINDS: Final = {
    f"SPAN_KIND_{name}": number
    for number, name in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
}
_STATUS: Final = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}

Attributes = Callable[[object], dict[str, Any]]


class SpanReader:
    """Reads records into a list of spans; a span that cannot be used is rejected alone."""

    def __init__(self, spans: list[Span], record: list[int], gather: Gather) -> None:
        self._spans = spans
        self._record = record
        self._gather = gather

    def read_batch(self, record: int, body: dict[str, Any]) -> int:
        """Our batch; returns how many spans were seen, used or not.

        Raises:
            Refused: missing_field, bad_type.
        """
        spans = body.get("spans")
        if spans is None:
            raise Refused(reasons.MISSING_FIELD, "spans")
        if not isinstance(spans, list):
            raise Refused(reasons.BAD_TYPE, f"spans is {show(spans)}")
        resource = attributes.flatten(_plain(body.get("resource")))
        return self._take(record, spans, lambda item: from_json(item, resource, _plain))

    def read_json(self, record: int, resources: object) -> int:
        """OTLP JSON: a list of ResourceSpans."""
        seen = 0
        for item in _list(resources, "resourceSpans"):
            try:
                seen += self._read_resource(record, _object(item))
            except Refused as refused:
                self._gather.reject(record, refused.reason, refused.detail)
                seen += 1
        return seen

    def read_protobuf(self, record: int, raw: bytes) -> int:
        """An ExportTraceServiceRequest.

        Raises:
            Refused: bad_protobuf.
        """
        try:
            request = ExportTraceServiceRequest.FromString(raw)
        except DecodeError as error:
            raise Refused(reasons.BAD_PROTOBUF, "not an ExportTraceServiceRequest") from error
        seen = 0
        for item in request.resource_spans:
            resource = attributes.flatten(attributes.from_protobuf(item.resource.attributes))
            for scope in item.scope_spans:
                seen += self._take(record, scope.spans, partial(from_protobuf, resource=resource))
        return seen

    def _read_resource(self, record: int, item: dict[str, Any]) -> int:
        resource = attributes.flatten(attributes.from_json(_object(item.get("resource") or {}).get("attributes")))
        spans = [
            span
            for scope in _list(item.get("scopeSpans"), "scopeSpans")
            for span in _list(_object(scope).get("spans"), "spans")
        ]
        return self._take(record, spans, lambda span: from_json(span, resource, attributes.from_json))

    def _take(self, record: int, items: Iterable[Any], read: Callable[[Any], Span]) -> int:
        seen = 0
        for item in items:
            seen += 1
            try:
                self._spans.append(read(item))
                self._record.append(record)
            except Refused as refused:
                self._gather.reject(record, refused.reason, refused.detail)
        return seen


def from_json(item: object, resource: dict[str, Any], read: Attributes) -> Span:
    """A span with OTLP field names.

    Args:
        item: the object.
        resource: flat resource attributes, shared by the spans of a batch.
        read: how attributes are written: a plain map (ours) or a list of KeyValue (OTLP).

    Raises:
        Refused: missing_field, bad_type, bad_id, bad_time.
    """
    span = _object(item)
    phase = span.get("phase", "end")
    if phase not in ("start", "end"):
        raise Refused(reasons.BAD_TYPE, f"phase is {show(phase)}")
    status = _object(span.get("status") or {})
    start, end = _times(span.get("startTimeUnixNano"), span.get("endTimeUnixNano"), phase)
    return Span(
        trace_id=_id(span.get("traceId"), _TRACE_ID, "traceId"),
        span_id=_id(span.get("spanId"), _SPAN_ID, "spanId"),
        parent_span_id=_parent(span.get("parentSpanId")),
        name=_text(span.get("name"), "name")[:MAX_NAME],
        kind=_enum(span.get("kind"), _KINDS, 5),
        start_ns=start,
        end_ns=end,
        status_code=_enum(status.get("code"), _STATUS, 2),
        status_message=_text(status.get("message"), "message")[:MAX_MESSAGE],
        attributes=attributes.flatten(read(span.get("attributes"))),
        resource=resource,
        events=_several(span.get("events"), "events", MAX_EVENTS, _event, read),
        links=_several(span.get("links"), "links", MAX_LINKS, _link, read),
        phase=phase,
    )


def from_protobuf(span: WireSpan, resource: dict[str, Any]) -> Span:
    """The same from protobuf: equal to :func:`from_json` of the same data.

    Raises:
        Refused: bad_id, bad_time.
    """
    start, end = _times(span.start_time_unix_nano, span.end_time_unix_nano, "end")
    return Span(
        trace_id=_id(span.trace_id.hex(), _TRACE_ID, "traceId"),
        span_id=_id(span.span_id.hex(), _SPAN_ID, "spanId"),
        parent_span_id=_parent(span.parent_span_id.hex()),
        name=span.name[:MAX_NAME],
        kind=_enum(int(span.kind), _KINDS, 5),
        start_ns=start,
        end_ns=end,
        status_code=_enum(int(span.status.code), _STATUS, 2),
        status_message=span.status.message[:MAX_MESSAGE],
        attributes=_flat(span.attributes),
        resource=resource,
        events=tuple(
            {"timeUnixNano": optional_time_ns(e.time_unix_nano), "name": e.name, "attributes": _flat(e.attributes)}
            for e in span.events[:MAX_EVENTS]
        ),
        links=tuple(
            {
                "traceId": _id(e.trace_id.hex(), _TRACE_ID, "link traceId"),
                "spanId": _id(e.span_id.hex(), _SPAN_ID, "link spanId"),
                "attributes": _flat(e.attributes),
            }
            for e in span.links[:MAX_LINKS]
        ),
    )


def _flat(items: Any) -> dict[str, Any]:
    return attributes.flatten(attributes.from_protobuf(items))


def _id(value: object, pattern: re.Pattern[str], field: str) -> str:
    if value is None:
        raise Refused(reasons.MISSING_FIELD, field)
    if isinstance(value, str) and pattern.fullmatch(value) and value.strip("0"):
        return value.lower()
    raise Refused(reasons.BAD_ID, f"{field} is {show(value)}")


def _parent(value: object) -> str:
    if value is None or (isinstance(value, str) and value.strip("0") == "" and len(value) in (0, 16)):
        return ""
    return _id(value, _SPAN_ID, "parentSpanId")


def _times(start: object, end: object, phase: str) -> tuple[int, int]:
    began = time_ns(start, "startTimeUnixNano")
    if phase == "start":
        return began, began
    ended = time_ns(end, "endTimeUnixNano")
    if ended < began:
        raise Refused(reasons.BAD_TIME, f"ends {began - ended} ns before it starts")
    return began, ended


def _enum(value: object, names: dict[str, int], largest: int) -> int:
    """A small enum by number or protobuf name; 0 for what is absent or not known (a later version's value)."""
    if value is None:
        return 0
    if isinstance(value, str) and not value.isdigit():
        return names.get(value, 0)
    number = integer(value, "enum")
    return number if 0 <= number <= largest else 0


def _text(value: object, field: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    raise Refused(reasons.BAD_TYPE, f"{field} is {show(value)}")


def _several(
    items: object, field: str, most: int, convert: Callable[[object, Attributes], dict[str, Any]], read: Attributes
) -> tuple[dict[str, Any], ...]:
    if items is None or items == []:
        return ()
    return tuple([convert(item, read) for item in _list(items, field)[:most]])


def _event(item: object, read: Attributes) -> dict[str, Any]:
    event = _object(item)
    return {
        "timeUnixNano": optional_time_ns(event.get("timeUnixNano")),
        "name": _text(event.get("name"), "event name"),
        "attributes": attributes.flatten(read(event.get("attributes"))),
    }


def _link(item: object, read: Attributes) -> dict[str, Any]:
    link = _object(item)
    return {
        "traceId": _id(link.get("traceId"), _TRACE_ID, "link traceId"),
        "spanId": _id(link.get("spanId"), _SPAN_ID, "link spanId"),
        "attributes": attributes.flatten(read(link.get("attributes"))),
    }


def _plain(value: object) -> dict[str, Any]:
    return _object(value if value is not None else {})


def _object(item: object) -> dict[str, Any]:
    if isinstance(item, dict):
        return item
    raise Refused(reasons.BAD_TYPE, f"an object is needed, not {show(item)}")


def _list(items: object, field: str) -> list[Any]:
    if items is None:
        return []
    if isinstance(items, list):
        return items
    raise Refused(reasons.BAD_TYPE, f"{field} is {show(items)}")
