"""Spans in rows: what is decided about a span by arithmetic stands in columns, what is only published is a JSON body.

A row's texts are numbers in a :class:`~streams.domain.texts.Texts`, its resource a number in :class:`Resources`; its
body is the span as ``agents.traces`` shows it, without its last two fields and the closing brace. A row is made by
decode, kept and grouped by trace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from streams.domain import conventions
from streams.domain.kernel import kernel
from streams.domain.span import Span
from streams.domain.texts import Texts

TEXT_FIELDS: Final = (
    "name",
    "operation",
    "provider",
    "model",
    "agent_name",
    "agent_id",
    "tool",
    "conversation",
    "database",
    "error",
)
"""Columns that hold numbers of texts. ``agent_name`` and ``agent_id`` are the span's own, not its resource's."""

SPAN: Final = np.dtype(
    [
        *((name, np.uint64) for name in ("span", "parent")),
        *((name, np.int64) for name in ("start_ns", "end_ns")),
        *((name, np.int32) for name in ("trace", "nth", "next", "sibling", "place", "resource", "operation")),
        *((name, np.uint8) for name in ("kind", "status", "phase", "slow")),
        *((name, np.uint64) for name in ("trace_high", "trace_low")),
        *((name, np.int64) for name in ("input_tokens", "output_tokens", "body", "raw")),
        *((name, np.int32) for name in TEXT_FIELDS if name != "operation"),
        *((name, np.int32) for name in ("record", "body_bytes", "message", "message_bytes", "raw_bytes")),
        *((f"spare_{i}", np.int64) for i in range(3)),
    ],
    align=True,
)
assert SPAN.itemsize == 192  # whole cache lines; what assembly looks at is in the first of them
"""One span. ``parent`` 0: a root. ``body``, ``body_bytes``: where its body is. ``message``, ``message_bytes``: where
the status message (as JSON, without quotes) is, from the body's begin. ``phase`` 1: an announcement. ``error``:
``error.type`` by :func:`streams.domain.conventions.error_type`. ``record``: position in the run; ``raw``,
``raw_bytes``: where its protobuf bytes are in the run (no bytes: it came as JSON). ``slow``: decode's. ``trace`` to
``place``: of what keeps the row."""

RESOURCE: Final = np.dtype(
    [
        *((name, np.int32) for name in ("service", "environment", "agent_name", "agent", "host")),
        ("json", np.int64),
        ("json_bytes", np.int64),
    ],
    align=True,
)
"""One resource: texts; ``host``: equal where clocks are (:func:`host`); its JSON in ``Resources.json``."""

MAX_MESSAGE_CHARACTERS: Final = 256
ENVIRONMENT: Final = "deployment.environment.name"


def host(resource: Mapping[str, Any]) -> tuple[str, str, str]:
    """Whose clock the spans of a resource were measured with."""
    name = str(resource.get("host.name") or "")
    return (name, "", "") if name else ("", service_of(resource), str(resource.get("service.instance.id") or ""))


def service_of(resource: Mapping[str, Any]) -> str:
    """``service.name``, or OpenTelemetry's default."""
    return str(resource.get("service.name") or "unknown_service")


class Resources:
    """A table of distinct resources (flat maps). Numbers are forgotten by :meth:`keep` only."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._clear()
        self._kept = 0

    def _clear(self) -> None:
        self.maps: list[Mapping[str, Any]] = []
        self.rows: NDArray[Any] = np.zeros(64, RESOURCE)
        self.json: NDArray[np.uint8] = np.zeros(16_384, np.uint8)
        self._json_bytes = 0
        self._numbers: dict[bytes, int] = {}
        self._hosts: dict[tuple[str, str, str], int] = {}

    def __len__(self) -> int:
        return len(self.maps)

    @property
    def outgrown(self) -> bool:
        """Whether it holds three times of what was kept last time, and more than a few."""
        return len(self) > max(512, 3 * self._kept)

    def number(self, resource: Mapping[str, Any]) -> int:
        """The number of a resource."""
        key = dump({name: resource[name] for name in sorted(resource)})
        known = self._numbers.get(key)
        if known is None:
            known = self._numbers[key] = len(self.maps)
            self.maps.append(resource)
            self._fill(known, resource, dump(dict(resource)))
        return known

    def _fill(self, number: int, resource: Mapping[str, Any], raw: bytes) -> None:
        if number >= len(self.rows):
            self.rows = np.concatenate([self.rows, np.zeros(len(self.rows), RESOURCE)])
        if self._json_bytes + len(raw) > len(self.json):
            self.json = np.concatenate([self.json, np.zeros(len(self.json) + len(raw), np.uint8)])
        name = resource.get(conventions.AGENT_NAME)
        self.rows[number] = (
            self._texts.number(service_of(resource)),
            self._texts.number(str(resource.get(ENVIRONMENT) or "")),
            self._texts.number(str(name or "")),
            self._texts.number(str(name or resource.get(conventions.AGENT_ID) or "")),
            self._hosts.setdefault(host(resource), len(self._hosts)),
            self._json_bytes,
            len(raw),
        )
        self.json[self._json_bytes : self._json_bytes + len(raw)] = np.frombuffer(raw, np.uint8)
        self._json_bytes += len(raw)

    def keep(self, used: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Forgets all but the used ones (bool[n]); returns the new number of each (-1: forgotten)."""
        old = self.maps
        place = np.full(len(old), -1, np.int32)
        self._clear()
        for number in np.flatnonzero(used).tolist():
            place[number] = self.number(old[number])
        self._kept = len(self)
        return place


FIXED: Final = (
    *sorted(conventions.MODEL_OPERATIONS),
    conventions.INVOKE_AGENT,
    conventions.EXECUTE_TOOL,
    conventions.OTHER_ERROR,
)
"""Texts that have the same number, from 1 on, in all tables."""
LAST_MODEL_OPERATION: Final = len(conventions.MODEL_OPERATIONS)
INVOKE_AGENT: Final = LAST_MODEL_OPERATION + 1
EXECUTE_TOOL: Final = LAST_MODEL_OPERATION + 2


@dataclass
class SpanTables:
    """The texts and resources that rows refer to. One for each source partition; ``generation`` counts renumberings."""

    texts: Texts = field(default_factory=Texts)
    resources: Resources = field(init=False)
    generation: int = 0

    def __post_init__(self) -> None:
        self.resources = Resources(self.texts)
        for number, text in enumerate(FIXED, 1):
            assert self.texts.number(text) == number

    @property
    def outgrown(self) -> bool:
        """Whether it is time to forget what no row refers to."""
        return self.texts.outgrown or self.resources.outgrown

    def keep(self, rows: Sequence[NDArray[Any]], others: Sequence[tuple[NDArray[Any], str]] = ()) -> None:
        """Forgets what is not referred to, and renumbers what is in place.

        Args:
            rows: all SPAN arrays that there are.
            others: other tables of the caller's that hold numbers of texts, with the names of these columns.
        """
        resources, texts = np.zeros(len(self.resources), np.bool_), np.zeros(len(self.texts), np.bool_)
        texts[: len(FIXED) + 1] = True
        for table in rows:
            _mark_used(table, resources, texts)
        resource = self.resources.keep(resources)
        known = self.resources.rows[: len(self.resources)]
        columns = [*others, *((known, name) for name in ("service", "environment", "agent_name", "agent"))]
        for column, name in columns:
            texts[column[name]] = True
        text = self.texts.keep(texts)
        for column, name in columns:
            column[name] = text[column[name]]
        for table in rows:
            _renumber(table, resource, text)
        self.generation += 1


@kernel
def _mark_used(rows: Any, resources: Any, texts: Any) -> None:
    """In one pass: a column after the other would read all of these rows a dozen times."""
    for i in range(rows.shape[0]):
        row = rows[i]
        resources[row.resource] = True
        texts[row.name] = texts[row.operation] = texts[row.provider] = texts[row.model] = True
        texts[row.agent_name] = texts[row.agent_id] = texts[row.tool] = texts[row.conversation] = True
        texts[row.database] = texts[row.error] = True


@kernel
def _renumber(rows: Any, resource: Any, text: Any) -> None:
    for i in range(rows.shape[0]):
        row = rows[i]
        row.resource = resource[row.resource]
        row.name, row.operation, row.provider, row.model = (
            text[row.name],
            text[row.operation],
            text[row.provider],
            text[row.model],
        )
        row.agent_name, row.agent_id, row.tool = text[row.agent_name], text[row.agent_id], text[row.tool]
        row.conversation, row.database, row.error = text[row.conversation], text[row.database], text[row.error]


def hex_id(number: int, digits: int = 16) -> str:
    """An id as it is written."""
    return f"{int(number):0{digits}x}"


def dump(value: Any) -> bytes:
    """JSON; a value that JSON lacks (an integer of more than 64 bits) is shown as text, not refused."""
    try:
        return orjson.dumps(value, default=str)
    except TypeError:
        return orjson.dumps(_shown(value), default=str)


def _shown(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _shown(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value]
    return str(value) if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64 else value


def body_of(span: Span) -> bytes:
    """The body of a span: JSON without ``selfNs``, ``resource`` and the closing brace."""
    body: dict[str, Any] = {
        "spanId": span.span_id,
        "parentSpanId": span.parent_span_id,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": span.start_ns,
        "endTimeUnixNano": span.end_ns,
    }
    if span.status_code:
        body["status"] = {"code": span.status_code, "message": span.status_message}
    if span.attributes:
        body["attributes"] = dict(span.attributes)
    if span.events:
        body["events"] = [dict(event) for event in span.events]
    if span.links:
        body["links"] = [dict(link) for link in span.links]
    return dump(body)[:-1]


def fill_row(row: Any, span: Span, tables: SpanTables) -> bytes:
    """Writes a span under today's names (:func:`conventions.modern`) into a row, all but ``body`` and ``record``.

    Returns:
        Its body.
    """
    number = tables.texts.number
    said = span.attributes
    body = body_of(span)
    message = orjson.dumps(span.status_message[:MAX_MESSAGE_CHARACTERS])[1:-1]
    row["trace_high"], row["trace_low"] = int(span.trace_id[:16], 16), int(span.trace_id[16:], 16)
    row["span"], row["parent"] = int(span.span_id, 16), int(span.parent_span_id or "0", 16)
    row["start_ns"], row["end_ns"] = span.start_ns, span.end_ns
    row["input_tokens"], row["output_tokens"] = conventions.tokens(span)
    row["name"], row["operation"] = number(span.name), number(conventions.operation(span))
    row["model"], row["error"] = number(conventions.model(span)), number(conventions.error_type(span))
    for field_name, attribute in _ATTRIBUTES:
        row[field_name] = number(str(said.get(attribute) or ""))
    row["resource"] = tables.resources.number(span.resource)
    row["kind"], row["status"], row["phase"] = span.kind, span.status_code, span.phase == "start"
    row["message"], row["message_bytes"] = (
        (body.find(b'"message":"') + 11, len(message)) if span.status_code else (0, 0)
    )
    row["body_bytes"], row["slow"] = len(body), 0
    return body


_ATTRIBUTES: Final = (
    ("provider", conventions.PROVIDER),
    ("agent_name", conventions.AGENT_NAME),
    ("agent_id", conventions.AGENT_ID),
    ("tool", conventions.TOOL_NAME),
    ("conversation", conventions.CONVERSATION_ID),
    ("database", conventions.DATABASE_SYSTEM),
)


def span_of(row: Any, bodies: NDArray[np.uint8], tables: SpanTables) -> Span:
    """The span of a row."""
    begin, size = int(row["body"]), int(row["body_bytes"])
    body: dict[str, Any] = orjson.loads(bodies[begin : begin + size].tobytes() + b"}")
    trace_id = hex_id(row["trace_high"]) + hex_id(row["trace_low"])
    phase = "start" if row["phase"] else "end"
    return Span.from_body(body, trace_id, tables.resources.maps[int(row["resource"])], phase)


def rows_of(spans: Sequence[Span], tables: SpanTables) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Rows and bodies of spans as values; ``record`` counts them."""
    rows: NDArray[Any] = np.zeros(len(spans), SPAN)
    bodies, at = [], 0
    for position, span in enumerate(spans):
        bodies.append(fill_row(rows[position], conventions.modern(span), tables))
        rows[position]["body"], rows[position]["record"] = at, position
        at += len(bodies[-1])
    return rows, np.frombuffer(b"".join(bodies), np.uint8)
