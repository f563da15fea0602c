"""Traces drawn by hand: short ids, times in milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import HealthCheck, settings

from streams.domain.span import Span
from streams.domain.trace import Segment

MS = 1_000_000
SECOND = 1_000_000_000
EPOCH = 1_700_000_000 * SECOND

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For property tests: a machine under load is slow, not wrong."""

INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5


def span(
    span_id: str,
    start_ms: float,
    end_ms: float,
    parent: str = "",
    *,
    service: str = "planner",
    kind: int = INTERNAL,
    name: str = "",
    trace: str = "t1",
    error: str = "",
    phase: str = "end",
    attributes: Mapping[str, Any] | None = None,
    resource: Mapping[str, Any] | None = None,
) -> Span:
    """A span of service ``service``; ``error`` is its status message."""
    return Span(
        trace_id=trace,
        span_id=span_id,
        parent_span_id=parent,
        name=name or span_id,
        kind=kind,
        start_ns=EPOCH + round(start_ms * MS),
        end_ns=EPOCH + round(end_ms * MS),
        status_code=2 if error else 0,
        status_message=error,
        attributes=attributes or {},
        resource={"service.name": service, **(resource or {})},
        phase=phase,
    )


def in_ms(path: Sequence[Segment]) -> list[tuple[str, float, float]]:
    """A critical path in milliseconds since the epoch of the drawing."""
    return [(s.span_id, (s.start_ns - EPOCH) / MS, (s.end_ns - EPOCH) / MS) for s in path]
