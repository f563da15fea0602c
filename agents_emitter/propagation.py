"""W3C trace context: how a trace continues in another process.

``inject`` writes ``traceparent`` (and ``tracestate`` and ``baggage`` where some came in) into a dict or HTTP headers,
``inject_kafka`` into Kafka headers, ``extract`` reads any of them. https://www.w3.org/TR/trace-context/ and
https://www.w3.org/TR/baggage/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any, Final, NamedTuple, Protocol

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
BAGGAGE: Final = "baggage"
MAX_TRACESTATE_CHARS: Final = 512
MAX_BAGGAGE_CHARS: Final = 8192
"""W3C's own limit for all of it; what is beyond is left out from the end, member by member."""
_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


class SpanContext(NamedTuple):
    """What identifies a span across processes: lower-case hex ids, trace flags (bit 0: sampled), vendor state.

    ``baggage`` is what the caller wants everybody further down to know, as its header's text (``user=7,plan=free``). It
    is passed on, never recorded: baggage may be private. ``context._replace(baggage=...)`` begins some.
    """

    trace_id: str
    span_id: str
    flags: int = 1
    state: str = ""
    baggage: str = ""


class HasContext(Protocol):
    """A span, or anything that knows its context."""

    @property
    def context(self) -> SpanContext:
        """Of this span."""
        ...


CURRENT: Final[ContextVar[HasContext | None]] = ContextVar("agents_emitter_span", default=None)


def current_context() -> SpanContext | None:
    """Of the span that is open here, in this thread or task."""
    span = CURRENT.get()
    return None if span is None else span.context


def format_traceparent(context: SpanContext) -> str:
    """The header value."""
    return f"00-{context.trace_id}-{context.span_id}-{context.flags:02x}"


def parse_traceparent(text: str) -> SpanContext | None:
    """A header value, or None: a broken header starts a new trace, it never raises."""
    match = _TRACEPARENT.fullmatch(text.strip())
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest) or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return SpanContext(trace_id, span_id, int(flags, 16))


def inject(carrier: MutableMapping[str, str], context: SpanContext | None = None) -> None:
    """Write the given or current context into a dict or HTTP headers; nothing where no span is open."""
    chosen = context or current_context()
    if chosen is None:
        return
    carrier[TRACEPARENT] = format_traceparent(chosen)
    if chosen.state:
        carrier[TRACESTATE] = chosen.state
    if chosen.baggage:
        carrier[BAGGAGE] = chosen.baggage


def inject_kafka(
    headers: Iterable[tuple[str, bytes]] = (), context: SpanContext | None = None
) -> list[tuple[str, bytes]]:
    """Kafka headers (the form of aiokafka and confluent-kafka) with the given or current context, not an old one."""
    carrier: dict[str, str] = {}
    inject(carrier, context)
    kept = [(name, value) for name, value in headers if not carrier or name.lower() not in _replaced(carrier)]
    return kept + [(name, value.encode("ascii", "replace")) for name, value in carrier.items()]


def extract(carrier: Mapping[str, Any] | Iterable[tuple[Any, Any]] | None) -> SpanContext | None:
    """The context in a dict, HTTP headers (names in any case, ASGI's bytes too) or Kafka headers; None without one."""
    if carrier is None:
        return None
    found: dict[str, str] = {}
    for name, value in carrier.items() if isinstance(carrier, Mapping) else carrier:
        known = _text(name).lower()
        if known in (TRACESTATE, BAGGAGE) and known in found:  # both may come in several headers
            found[known] += "," + _text(value)
        elif known in (TRACEPARENT, TRACESTATE, BAGGAGE):
            found[known] = _text(value)
    context = parse_traceparent(found.get(TRACEPARENT, ""))
    if context is None:
        return None
    state = _members(found.get(TRACESTATE, ""), MAX_TRACESTATE_CHARS)
    return context._replace(state=state, baggage=_members(found.get(BAGGAGE, ""), MAX_BAGGAGE_CHARS))


def _replaced(carrier: Mapping[str, str]) -> set[str]:
    """Headers of an old context; baggage that somebody else put there stays unless there is some to write."""
    return {TRACEPARENT, TRACESTATE, *carrier}


def _members(text: str, limit: int) -> str:
    """A list header cut after a whole member; nothing of it if it could break out of the header it is written to."""
    if not (text.isascii() and text.isprintable()):
        return ""
    return text if len(text) <= limit else text[: limit + 1].rpartition(",")[0]


def _text(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("ascii", "replace")
    return value if isinstance(value, str) else ""
