"""Who calls whom: pairs of spans across services, found as they complete.

A *call* is one of
- a pair: a span and its parent in another service, or a client/server or producer/consumer pair within one service;
- a virtual call: a client span (or a tool's span) that says whom it called, where the callee sends no spans of its own:
  a model provider, a tool, a database.

A pair is complete when its second span arrives, so that its time is close to the newest event of the log and it is not
late for its window. What stays alone (a client without a server, a server whose caller was not seen) is counted when
its trace leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from streams.domain import conventions
from streams.domain.conventions import KIND_CLIENT, KIND_CONSUMER, KIND_PRODUCER, KIND_SERVER
from streams.domain.span import Span
from streams.domain.trace import (
    CONNECTION_DATABASE,
    CONNECTION_MESSAGING,
    CONNECTION_UNSET,
    CONNECTION_VIRTUAL,
    Call,
    Edge,
)

NANOSECONDS: Final = 1e9


def virtual_call(span: Span, offset: int) -> Call | None:
    """The call that a span makes to something that sends no spans; None if it makes none.

    Model calls go to ``gen_ai.provider.name``, tools to ``gen_ai.tool.name``, databases to ``db.system.name``.
    """
    callee, connection = _callee(span)
    if not callee:
        return None
    failed = span.status_code == conventions.STATUS_ERROR
    seconds = span.duration_ns / NANOSECONDS
    return Call(span.service, callee, connection, failed, seconds, None, span.end_ns, offset, _environment(span))


def _callee(span: Span) -> tuple[str, str]:
    operation = conventions.operation(span)
    attributes = span.attributes
    if operation in conventions.MODEL_OPERATIONS:
        return str(attributes.get(conventions.PROVIDER) or conventions.model(span)), CONNECTION_VIRTUAL
    if operation == conventions.EXECUTE_TOOL:
        return str(attributes.get(conventions.TOOL_NAME) or ""), CONNECTION_VIRTUAL
    if span.kind == KIND_CLIENT:
        return str(attributes.get(conventions.DATABASE_SYSTEM) or ""), CONNECTION_DATABASE
    return "", CONNECTION_UNSET


def pair(caller: Span, callee: Span, offset: int) -> Call | None:
    """The call between a parent and its child; None if the child is just a part of the same service's work."""
    messaging = caller.kind == KIND_PRODUCER or callee.kind == KIND_CONSUMER
    matched = (caller.kind, callee.kind) in {(KIND_CLIENT, KIND_SERVER), (KIND_PRODUCER, KIND_CONSUMER)}
    if caller.service == callee.service and not matched:
        return None
    # A parent of another kind is not the call itself: it lasts as long as all of its work.
    is_call = caller.kind in {KIND_CLIENT, KIND_PRODUCER}
    return Call(
        client=caller.service,
        server=callee.service,
        connection_type=CONNECTION_MESSAGING if messaging else CONNECTION_UNSET,
        failed=conventions.STATUS_ERROR in (caller.status_code if is_call else 0, callee.status_code),
        client_seconds=caller.duration_ns / NANOSECONDS if is_call else None,
        server_seconds=callee.duration_ns / NANOSECONDS,
        time_ns=max(caller.end_ns, callee.end_ns) if is_call else callee.end_ns,
        offset=offset,
        environment=_environment(caller),
    )


def _environment(span: Span) -> str:
    return str(span.resource.get("deployment.environment.name") or "")


def calls_of(span: Span, parent: Span | None, children: Iterable[Span], offset: int) -> list[Call]:
    """The calls that a newly arrived span completes, given what of its trace had arrived before it."""
    found = [virtual_call(span, offset)]
    if parent is not None:
        found.append(pair(parent, span, offset))
    found.extend(pair(span, child, offset) for child in children)
    return [call for call in found if call is not None]


def unpaired(spans: Mapping[str, Span]) -> int:
    """How many spans of a trace are one side of a call whose other side was not seen."""
    parents = {span.parent_span_id for span in spans.values() if span.kind in {KIND_SERVER, KIND_CONSUMER}}
    parents |= {span.parent_span_id for span in spans.values() if _crosses(span, spans)}
    return sum(1 for span in spans.values() if _is_alone(span, spans, parents))


def _crosses(span: Span, spans: Mapping[str, Span]) -> bool:
    parent = spans.get(span.parent_span_id)
    return parent is not None and parent.service != span.service


def _is_alone(span: Span, spans: Mapping[str, Span], callers: set[str]) -> bool:
    if span.kind in {KIND_SERVER, KIND_CONSUMER}:
        return bool(span.parent_span_id) and span.parent_span_id not in spans
    if span.kind in {KIND_CLIENT, KIND_PRODUCER}:
        return span.span_id not in callers and not _callee(span)[0]
    return False


def edges(calls: Iterable[Call]) -> list[Edge]:
    """Calls summed by client, server and connection type, sorted."""
    sums: dict[tuple[str, str, str], Edge] = {}
    for call in calls:
        key = (call.client, call.server, call.connection_type)
        seconds = call.client_seconds if call.client_seconds is not None else call.server_seconds or 0.0
        one = Edge(*key, 1, int(call.failed), seconds, seconds, call.time_ns, call.time_ns)
        sums[key] = sums[key].plus(one) if key in sums else one
    return [sums[key] for key in sorted(sums)]
