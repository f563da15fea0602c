"""Spans: what an agent did, in which order, caused by what.

The open span is a context variable, so it follows threads' own work, asyncio tasks and callbacks; a span opened inside
another becomes its child. Spans are values until they end; then they go into a bounded ring.
"""

from __future__ import annotations

import functools
import inspect
import traceback
from asyncio import CancelledError
from collections.abc import Callable, Iterable, Mapping
from contextvars import Token
from types import TracebackType
from typing import Any, Final, Literal, ParamSpec, TypeVar

from agents_emitter.foreign import NO_RESOURCE, Foreign
from agents_emitter.propagation import CURRENT, HasContext, SpanContext
from agents_emitter.text import (
    MAX_ATTRIBUTE_CHARS,
    MAX_ATTRIBUTES,
    MAX_LABEL_NAME_CHARS,
    Attribute,
    attribute,
    attributes,
    clip,
    text_of,
)

SpanKind = Literal["internal", "server", "client", "producer", "consumer"]
KINDS: Final[Mapping[str, int]] = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
UNSET, OK, ERROR = 0, 1, 2
MAX_EVENTS: Final = 32
MAX_LINKS: Final = 32
MAX_NAME_CHARS: Final = 256
MAX_STACK_CHARS: Final = 4096
MAX_SPAN_BYTES: Final = 64 * 1024
"""Attributes and events beyond this size of one span are left out, and counted in the span."""
_BASE_BYTES: Final = 512
_NO_FAULT: Final = (GeneratorExit, CancelledError)

P = ParamSpec("P")
R = TypeVar("R")
Clock = Callable[[], int]
Finish = Callable[["Span"], None]


def _size(value: object) -> int:
    return len(value) + 16 if isinstance(value, str) else 24 * len(value) if isinstance(value, list) else 24


class Span:
    """One span; a context manager. None of its methods raises; an exception of the body is recorded and passes on.

    Bounded: 64 attributes of 1,024 characters, 32 events, 32 links, 64 KB in all.
    """

    __slots__ = (
        "_clock",
        "_finish",
        "_token",
        "attributes",
        "context",
        "dropped",
        "end_ns",
        "events",
        "kind",
        "links",
        "name",
        "parent_span_id",
        "size_bytes",
        "start_ns",
        "status_code",
        "status_message",
    )

    def __init__(
        self, name: str, kind: int, context: SpanContext, parent_span_id: str, clock_ns: Clock, finish: Finish
    ) -> None:
        self.name = name
        self.kind = kind
        self.context = context
        self.parent_span_id = parent_span_id
        self.start_ns = clock_ns()
        self.end_ns = 0
        self.attributes: dict[str, Any] = {}
        self.events: list[dict[str, Any]] = []
        self.links: list[dict[str, Any]] = []
        self.status_code = UNSET
        self.status_message = ""
        self.size_bytes = _BASE_BYTES + len(name)
        self.dropped = 0
        self._clock = clock_ns
        self._finish = finish
        self._token: Token[HasContext | None] | None = None

    def set_attribute(self, name: str, value: object) -> None:
        """Set one attribute: a string, number, boolean or list of them; anything else becomes text."""
        if type(value) is str and len(value) <= MAX_ATTRIBUTE_CHARS and value.isascii():  # most are: the short way
            clean: Attribute = value
        else:
            clean = attribute(value)
        if type(name) is not str or len(name) > MAX_LABEL_NAME_CHARS or not name.isascii():
            name = text_of(name, MAX_LABEL_NAME_CHARS)
        size = self.size_bytes + len(name) + _size(clean)
        if size > MAX_SPAN_BYTES or (len(self.attributes) >= MAX_ATTRIBUTES and name not in self.attributes):
            self.dropped += 1
            return
        self.attributes[name] = clean
        self.size_bytes = size

    def set_attributes(self, given: Mapping[str, object] | None) -> None:
        """Set several."""
        for name, value in (given or {}).items():
            self.set_attribute(name, value)

    def add_event(self, name: str, given: Mapping[str, object] | None = None, *, time_ns: int | None = None) -> None:
        """Something that happened at one moment of the span; without a time, now."""
        kept = attributes(given)
        moment = self._clock() if time_ns is None else time_ns
        event = {"timeUnixNano": moment, "name": text_of(name, MAX_NAME_CHARS), "attributes": kept}
        size = 64 + sum(len(key) + _size(value) for key, value in kept.items())
        if len(self.events) >= MAX_EVENTS or self.size_bytes + size > MAX_SPAN_BYTES:
            self.dropped += 1
            return
        self.events.append(event)
        self.size_bytes += size

    def add_link(self, context: SpanContext, given: Mapping[str, object] | None = None) -> None:
        """Another span that this one depends on without being its child."""
        if len(self.links) >= MAX_LINKS:
            self.dropped += 1
            return
        self.links.append({"traceId": context.trace_id, "spanId": context.span_id, "attributes": attributes(given)})
        self.size_bytes += 96

    def set_status(self, status: Literal["unset", "ok", "error"], message: str = "") -> None:
        """How it ended. An unknown word counts as unset."""
        self.status_code = {"ok": OK, "error": ERROR}.get(status, UNSET)
        self.status_message = text_of(message, MAX_NAME_CHARS)

    def record_exception(self, error: BaseException) -> None:
        """Remember an exception as an event, OpenTelemetry's way, and name its type in ``error.type``."""
        kind = type(error)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        stack = "".join(traceback.format_list(traceback.extract_tb(error.__traceback__, limit=-20)))
        body = {"exception.type": name, "exception.message": text_of(error, MAX_NAME_CHARS)}
        self.add_event("exception", body)
        if self.events and self.events[-1]["name"] == "exception" and stack:
            self.events[-1]["attributes"]["exception.stacktrace"] = clip(stack[-MAX_STACK_CHARS:], MAX_STACK_CHARS)
            self.size_bytes += min(len(stack), MAX_STACK_CHARS)
        self.set_attribute("error.type", name)

    def end(self) -> None:
        """End it; only the first call counts."""
        if not self.end_ns:
            self._finish(self)

    def __enter__(self) -> Span:
        self._token = CURRENT.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            try:
                CURRENT.reset(self._token)
            except ValueError:  # left in another context than entered (an async generator closed by the loop)
                CURRENT.set(None)
            self._token = None
        if error is not None and not isinstance(error, _NO_FAULT):
            self._fail(error)
        self.end()

    def _fail(self, error: BaseException) -> None:
        self.record_exception(error)
        if self.status_code != ERROR:
            self.set_status("error", text_of(error, MAX_NAME_CHARS))


def span_row(span: Span) -> dict[str, Any]:
    """A span with OTLP field names, as :func:`agents_emitter.events.encode_span_batch` takes it."""
    row: dict[str, Any] = {
        "traceId": span.context.trace_id,
        "spanId": span.context.span_id,
        "parentSpanId": span.parent_span_id,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": span.start_ns,
        "endTimeUnixNano": span.end_ns,
        "status": {"code": span.status_code, "message": span.status_message}
        if span.status_message
        else {"code": span.status_code},
        "attributes": span.attributes,
    }
    if span.events:
        row["events"] = span.events
    if span.links:
        row["links"] = span.links
    if span.dropped:
        row["droppedAttributesCount"] = span.dropped
    return row


def announcement(span: Span) -> Foreign:
    """What is known of a span at its start, as a row of phase ``start``."""
    row = span_row(span) | {"phase": "start", "attributes": dict(span.attributes), "links": list(span.links)}
    del row["endTimeUnixNano"], row["status"]
    return Foreign(span_group(span), NO_RESOURCE, row, dict)


def span_group(span: Span) -> bytes:
    """The record key: the trace."""
    return span.context.trace_id.encode("ascii")


def traced(
    open_span: Callable[[], Span],
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator: each call, plain or ``async``, runs inside a new span. A generator's span ends when it is made."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def run_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                with open_span():
                    return await function(*args, **kwargs)

            return run_async  # type: ignore[return-value]

        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            with open_span():
                return function(*args, **kwargs)

        return run

    return decorate


def link_contexts(links: Iterable[SpanContext | HasContext]) -> list[SpanContext]:
    """Contexts of spans or contexts; anything else is left out."""
    found = [link if isinstance(link, SpanContext) else getattr(link, "context", None) for link in links]
    return [context for context in found if isinstance(context, SpanContext)]
