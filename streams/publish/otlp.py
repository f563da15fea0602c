"""Spans and logs as OTLP requests, and what the answers mean. The messages are ``opentelemetry-proto``'s.

Not through the SDK's ``ReadableSpan``: its kinds lack "unspecified", its attributes lose lists of mixed types, and its
exporter hides the status code that says whether trying again can help.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import httpx
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs, SeverityNumber
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

from streams.domain.span import Log, Span

HEADERS: Final = {"Content-Type": "application/x-protobuf"}
RETRIABLE: Final = frozenset({408, 429, 502, 503, 504})
"""OTLP/HTTP: 429, 502, 503, 504; and 408, which proxies answer for a receiver that is slow."""
_INT64: Final = range(-(1 << 63), 1 << 63)


class Answer(NamedTuple):
    """To one request.

    Attributes:
        retriable: nothing was taken, and the same request may be taken later.
        refused: spans or logs that will never be taken.
        wait_seconds: how long the receiver asks us to wait (``Retry-After``), 0 if it does not say.
    """

    retriable: bool
    refused: int = 0
    wait_seconds: float = 0.0


def encode_spans(spans: Iterable[Span]) -> bytes:
    """An ``ExportTraceServiceRequest``; spans of one resource object share a ``ResourceSpans``.

    Raises:
        ValueError: an id is not hex, or a text is not Unicode.
    """
    groups: dict[int, tuple[Mapping[str, Any], list[WireSpan]]] = {}
    for span in spans:
        groups.setdefault(id(span.resource), (span.resource, []))[1].append(_span(span))
    resources = (
        ResourceSpans(resource=Resource(attributes=_attributes(resource)), scope_spans=[ScopeSpans(spans=members)])
        for resource, members in groups.values()
    )
    return ExportTraceServiceRequest(resource_spans=resources).SerializeToString()


def encode_logs(logs: Iterable[Log]) -> bytes:
    """An ``ExportLogsServiceRequest``; logs of one resource object share a ``ResourceLogs``.

    Raises:
        ValueError: an id is not hex, or a text is not Unicode.
    """
    groups: dict[int, tuple[Mapping[str, Any], list[LogRecord]]] = {}
    for log in logs:
        groups.setdefault(id(log.resource), (log.resource, []))[1].append(_log(log))
    resources = (
        ResourceLogs(resource=Resource(attributes=_attributes(resource)), scope_logs=[ScopeLogs(log_records=members)])
        for resource, members in groups.values()
    )
    return ExportLogsServiceRequest(resource_logs=resources).SerializeToString()


def read_answer(response: httpx.Response, items: int) -> Answer:
    """What became of a request of so many spans or logs: both answers say in the same place how many were refused."""
    if response.status_code in RETRIABLE:
        after = response.headers.get("Retry-After", "")
        return Answer(retriable=True, wait_seconds=float(after) if after.isascii() and after.isdigit() else 0.0)
    if not response.is_success:
        return Answer(retriable=False, refused=items)
    try:
        rejected = ExportTraceServiceResponse.FromString(response.content).partial_success.rejected_spans
    except DecodeError:
        rejected = 0  # taken; some receivers answer with JSON or a text
    return Answer(retriable=False, refused=min(max(rejected, 0), items))


def _span(span: Span) -> WireSpan:
    return WireSpan(
        trace_id=bytes.fromhex(span.trace_id),
        span_id=bytes.fromhex(span.span_id),
        parent_span_id=bytes.fromhex(span.parent_span_id),
        name=span.name,
        kind=WireSpan.SpanKind.ValueType(span.kind),
        start_time_unix_nano=span.start_ns,
        end_time_unix_nano=span.end_ns,
        attributes=_attributes(span.attributes),
        events=[_event(event) for event in span.events],
        links=[_link(link) for link in span.links],
        status=Status(code=Status.StatusCode.ValueType(span.status_code), message=span.status_message),
    )


def _log(log: Log) -> LogRecord:
    return LogRecord(
        time_unix_nano=log.time_ns,
        observed_time_unix_nano=log.time_ns,
        severity_number=SeverityNumber.ValueType(log.severity_number),
        severity_text=log.severity_text,
        body=AnyValue(string_value=log.body),
        attributes=_attributes(log.attributes),
        trace_id=bytes.fromhex(log.trace_id),
        span_id=bytes.fromhex(log.span_id),
    )


def _event(event: Mapping[str, Any]) -> WireSpan.Event:
    return WireSpan.Event(
        time_unix_nano=event["timeUnixNano"], name=event["name"], attributes=_attributes(event["attributes"])
    )


def _link(link: Mapping[str, Any]) -> WireSpan.Link:
    return WireSpan.Link(
        trace_id=bytes.fromhex(link["traceId"]),
        span_id=bytes.fromhex(link["spanId"]),
        attributes=_attributes(link["attributes"]),
    )


def _attributes(flat: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=name, value=_value(value)) for name, value in flat.items()]


def _value(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int) and value in _INT64:
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, list | tuple):
        return AnyValue(array_value=ArrayValue(values=[_value(item) for item in value]))
    return AnyValue(string_value=str(value))
