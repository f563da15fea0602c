"""An assembled trace (``agents.traces``), a call between two services, and their sum, an edge (``agents.edges``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from streams.domain.pattern import Loop
from streams.domain.span import Span

TRACE_SCHEMA: Final = "agents.trace/1"
EDGE_SCHEMA: Final = "agents.edge/1"
MAX_TRACE_BYTES: Final = 3_500_000
"""Below the 4 MB that ``agents.traces`` takes, with room for the key and the broker's own framing."""

CONNECTION_UNSET: Final = "unset"
CONNECTION_MESSAGING: Final = "messaging_system"
CONNECTION_DATABASE: Final = "database"
CONNECTION_VIRTUAL: Final = "virtual_node"


class Segment(NamedTuple):
    """A stretch of the critical path: the root waited for this span in [start_ns, end_ns)."""

    span_id: str
    start_ns: int
    end_ns: int


class Failure(NamedTuple):
    """A span with status error. ``error_type`` is ``error.type``, an exception's type, or ``_OTHER``."""

    span_id: str
    service: str
    name: str
    error_type: str
    message: str


class TokenUse(NamedTuple):
    """Tokens that one agent spent on one model, summed over the model calls of the trace."""

    model: str
    agent: str
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class TraceRecord:
    """A trace as it is known at one moment: a record of ``agents.traces`` (key = trace id).

    Attributes:
        trace_id: 32 hex digits.
        revision: 0 for the first record, +1 for each record that late spans made necessary.
        spans: ordered by start, then id; attributes under today's GenAI names.
        self_ns: aligned with ``spans``: time in the span during which none of its children ran, nanoseconds.
        root: id of the span without a parent ("" if it was not seen; of several the earliest).
        services: sorted names.
        start_ns, end_ns: earliest start and latest end of any span.
        error_count: spans with status error; ``failures`` describes at most 32 of them, earliest first.
        orphans: ids whose parent was not seen (or whose parents form a circle), sorted.
        unfinished: ids that were announced (phase start) and have not ended, sorted.
        dropped_spans: spans beyond the cap of a trace, not in ``spans``.
        critical_path: in order of time; the segments tile the root's interval without a gap.
        tokens: sorted by model, then agent. conversation_ids: sorted.
        trimmed: attributes and events (or most spans) were left out to fit the record's size.
        loops: tool calls that an agent repeated with the same arguments, most calls first (the field is absent in a
            record without).
    """

    trace_id: str
    revision: int
    spans: tuple[Span, ...]
    self_ns: tuple[int, ...]
    root: str
    services: tuple[str, ...]
    start_ns: int
    end_ns: int
    error_count: int
    failures: tuple[Failure, ...]
    orphans: tuple[str, ...]
    unfinished: tuple[str, ...]
    dropped_spans: int
    critical_path: tuple[Segment, ...]
    tokens: tuple[TokenUse, ...]
    conversation_ids: tuple[str, ...]
    span_count: int
    trimmed: bool = False
    loops: tuple[Loop, ...] = ()

    @property
    def duration_ns(self) -> int:
        """Latest end minus earliest start (can exceed the root's duration: children may outlive it)."""
        return self.end_ns - self.start_ns

    @property
    def complete(self) -> bool:
        """The root was seen, no parent is missing, nothing is unfinished or dropped."""
        return bool(self.root) and not (self.orphans or self.unfinished or self.dropped_spans)

    @property
    def critical_span_ids(self) -> tuple[str, ...]:
        """Spans of the critical path, each once, in order of first appearance."""
        return tuple(dict.fromkeys(segment.span_id for segment in self.critical_path))

    def supersedes(self, other: TraceRecord) -> bool:
        """Whether a reader that holds ``other`` should replace it: more spans, or as many and a later revision.

        Spans are only ever added in a trace's life. A record with fewer was built after a restart from the part of the
        log that was read again.
        """
        return (self.span_count, self.revision) > (other.span_count, other.revision)


class Call(NamedTuple):
    """One request from a service to another, seen from one or both sides.

    ``client_seconds`` is None where only the callee's span exists, ``server_seconds`` where the callee sends no spans
    (a model provider, a tool, a database). ``time_ns`` is the later end of both. ``offset`` is the source record that
    completed the pair. ``environment`` is the client's (``deployment.environment.name``, "" if it states none).
    """

    client: str
    server: str
    connection_type: str
    failed: bool
    client_seconds: float | None
    server_seconds: float | None
    time_ns: int
    offset: int
    environment: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """Calls between two services that were completed since the last record of this edge (a delta, not a total).

    Exact rates over time are the metrics ``traces.service.graph.*``; edges say who calls whom and when it was last
    seen. ``duration_seconds_sum`` and ``_max`` are the caller's time where known, else the callee's.
    """

    client: str
    server: str
    connection_type: str
    calls: int
    failed: int
    duration_seconds_sum: float
    duration_seconds_max: float
    first_seen_ns: int
    last_seen_ns: int

    @property
    def key(self) -> str:
        """Record key: ``client>server``."""
        return f"{self.client}>{self.server}"

    def plus(self, other: Edge) -> Edge:
        """The sum of two deltas of the same edge."""
        return Edge(
            self.client,
            self.server,
            self.connection_type,
            self.calls + other.calls,
            self.failed + other.failed,
            self.duration_seconds_sum + other.duration_seconds_sum,
            max(self.duration_seconds_max, other.duration_seconds_max),
            min(self.first_seen_ns, other.first_seen_ns),
            max(self.last_seen_ns, other.last_seen_ns),
        )


@dataclass
class _Resources:
    """Each distinct resource once; spans point to it by number."""

    rows: list[Mapping[str, Any]] = field(default_factory=list)
    numbers: dict[bytes, int] = field(default_factory=dict)

    def number(self, resource: Mapping[str, Any]) -> int:
        key = orjson.dumps(dict(resource), option=orjson.OPT_SORT_KEYS, default=str)
        if key not in self.numbers:
            self.numbers[key] = len(self.rows)
            self.rows.append(dict(resource))
        return self.numbers[key]


def _span_object(span: Span, self_ns: int, resources: _Resources, *, lean: bool) -> dict[str, Any]:
    body: dict[str, Any] = {
        "spanId": span.span_id,
        "parentSpanId": span.parent_span_id,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": span.start_ns,
        "endTimeUnixNano": span.end_ns,
        "selfNs": self_ns,
        "resource": resources.number(span.resource),
    }
    if span.status_code:
        body["status"] = {"code": span.status_code, "message": span.status_message}
    if lean:
        return body
    if span.attributes:
        body["attributes"] = dict(span.attributes)
    if span.events:
        body["events"] = [dict(event) for event in span.events]
    if span.links:
        body["links"] = [dict(link) for link in span.links]
    return body


def _trace_object(record: TraceRecord, kept: Sequence[int], *, lean: bool) -> dict[str, Any]:
    found = {"loops": [loop._asdict() for loop in record.loops]} if record.loops else {}
    return _plain_object(record, kept, lean=lean) | found


def _plain_object(record: TraceRecord, kept: Sequence[int], *, lean: bool) -> dict[str, Any]:
    resources = _Resources()
    spans = [_span_object(record.spans[i], record.self_ns[i], resources, lean=lean) for i in kept]
    return {
        "v": 1,
        "schema": TRACE_SCHEMA,
        "trace_id": record.trace_id,
        "revision": record.revision,
        "root": record.root,
        "services": record.services,
        "start_ns": record.start_ns,
        "end_ns": record.end_ns,
        "duration_ns": record.duration_ns,
        "complete": record.complete,
        "span_count": record.span_count,
        "error_count": record.error_count,
        "failures": [failure._asdict() for failure in record.failures],
        "orphans": record.orphans,
        "unfinished": record.unfinished,
        "dropped_spans": record.dropped_spans,
        "critical_path": [segment._asdict() for segment in record.critical_path],
        "tokens": [use._asdict() for use in record.tokens],
        "conversation_ids": record.conversation_ids,
        "trimmed": record.trimmed or lean,
        "resources": resources.rows,
        "spans": spans,
    }


def _essential(record: TraceRecord, limit: int) -> list[int]:
    """Positions of at most ``limit`` spans: critical path and failures first, then the longest."""
    important = set(record.critical_span_ids) | {failure.span_id for failure in record.failures} | {record.root}
    order = sorted(
        range(len(record.spans)),
        key=lambda i: (record.spans[i].span_id not in important, -record.spans[i].duration_ns, i),
    )
    return sorted(order[:limit])


def _dump(body: dict[str, Any]) -> bytes:
    return orjson.dumps(body, default=str)  # an attribute of a type JSON lacks is shown, not refused


def encode_trace(record: TraceRecord, max_bytes: int = MAX_TRACE_BYTES) -> bytes:
    """One record of ``agents.traces``.

    A record over ``max_bytes`` loses attributes, events and links; if that is not enough, it keeps half as many spans
    until it fits (critical path and failures first). ``trimmed`` then says so; counts, totals and the critical path
    stay those of the whole trace.
    """
    kept: Sequence[int] = range(len(record.spans))
    value = _dump(_trace_object(record, kept, lean=record.trimmed))
    if len(value) <= max_bytes:
        return value
    value = _dump(_trace_object(record, kept, lean=True))
    while len(value) > max_bytes and len(kept) > 1:
        kept = _essential(record, len(kept) // 2)
        value = _dump(_trace_object(record, kept, lean=True))
    return value


def decode_trace(value: bytes) -> TraceRecord:
    """The inverse of :func:`encode_trace`.

    Raises:
        ValueError: not a trace record.
    """
    body: dict[str, Any] = orjson.loads(value)
    if body.get("schema") != TRACE_SCHEMA:
        raise ValueError(f"not a trace record: schema {body.get('schema')!r}")
    return TraceRecord(
        trace_id=body["trace_id"],
        revision=body["revision"],
        spans=tuple(
            Span.from_body(span, body["trace_id"], body["resources"][span["resource"]]) for span in body["spans"]
        ),
        self_ns=tuple(span["selfNs"] for span in body["spans"]),
        root=body["root"],
        services=tuple(body["services"]),
        start_ns=body["start_ns"],
        end_ns=body["end_ns"],
        error_count=body["error_count"],
        failures=tuple(Failure(**failure) for failure in body["failures"]),
        orphans=tuple(body["orphans"]),
        unfinished=tuple(body["unfinished"]),
        dropped_spans=body["dropped_spans"],
        critical_path=tuple(Segment(**segment) for segment in body["critical_path"]),
        tokens=tuple(TokenUse(**use) for use in body["tokens"]),
        conversation_ids=tuple(body["conversation_ids"]),
        span_count=body["span_count"],
        trimmed=body["trimmed"],
        loops=tuple(_loop(**loop) for loop in body.get("loops", ())),
    )


def _loop(span_ids: Sequence[str], **fields: Any) -> Loop:
    return Loop(span_ids=tuple(span_ids), **fields)


_EDGE_FIELDS: Final = (
    "client",
    "server",
    "connection_type",
    "calls",
    "failed",
    "duration_seconds_sum",
    "duration_seconds_max",
    "first_seen_ns",
    "last_seen_ns",
)


def encode_edge(edge: Edge) -> bytes:
    """One record of ``agents.edges`` (key = :attr:`Edge.key`)."""
    body: dict[str, Any] = {"v": 1, "schema": EDGE_SCHEMA}
    body.update({name: getattr(edge, name) for name in _EDGE_FIELDS})
    return orjson.dumps(body)


def decode_edge(value: bytes) -> Edge:
    """The inverse of :func:`encode_edge`.

    Raises:
        ValueError: not an edge record.
    """
    body: dict[str, Any] = orjson.loads(value)
    if body.get("schema") != EDGE_SCHEMA:
        raise ValueError(f"not an edge record: schema {body.get('schema')!r}")
    return Edge(**{name: body[name] for name in _EDGE_FIELDS})
