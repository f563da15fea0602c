"""Spans and logs as values, whatever wire format they came in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Span:
    """One span. Ids are lower-case hex (32 and 16 digits), ``parent_span_id`` is "" for a root.

    ``kind``: 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer. ``status_code``: 0 unset, 1 ok,
    2 error. Times in nanoseconds; ``end_ns >= start_ns``. ``phase`` "start" announces a span that is still open and has
    ``end_ns == start_ns``. ``attributes`` and ``resource`` are flat maps of str to str, bool, int, float or list.
    """

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    kind: int
    start_ns: int
    end_ns: int
    status_code: int = 0
    status_message: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    resource: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[Mapping[str, Any], ...] = ()
    links: tuple[Mapping[str, Any], ...] = ()
    phase: str = "end"

    @classmethod
    def from_body(cls, body: Mapping[str, Any], trace_id: str, resource: Mapping[str, Any], phase: str = "end") -> Span:
        """A span from its JSON in a record of ``agents.traces``, which names trace and resource elsewhere."""
        status = body.get("status", {})
        return cls(
            trace_id=trace_id,
            span_id=body["spanId"],
            parent_span_id=body["parentSpanId"],
            name=body["name"],
            kind=body["kind"],
            start_ns=body["startTimeUnixNano"],
            end_ns=body["endTimeUnixNano"],
            status_code=status.get("code", 0),
            status_message=status.get("message", ""),
            attributes=body.get("attributes", {}),
            resource=resource,
            events=tuple(body.get("events", ())),
            links=tuple(body.get("links", ())),
            phase=phase,
        )

    @property
    def service(self) -> str:
        """``service.name`` of the resource, or "unknown_service" (OpenTelemetry's default)."""
        return str(self.resource.get("service.name") or "unknown_service")

    @property
    def duration_ns(self) -> int:
        """End minus start."""
        return self.end_ns - self.start_ns


@dataclass(frozen=True, slots=True)
class Log:
    """One log record. ``severity_number`` 1..24 (OpenTelemetry), ``body`` as text."""

    time_ns: int
    severity_number: int
    severity_text: str
    body: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    resource: Mapping[str, Any] = field(default_factory=dict)
    trace_id: str = ""
    span_id: str = ""
