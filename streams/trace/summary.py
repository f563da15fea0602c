"""What an operator wants to know of a trace: its record, made from its spans alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from streams.domain import conventions
from streams.domain.span import Span
from streams.domain.trace import Failure, TokenUse, TraceRecord
from streams.trace.path import critical_path
from streams.trace.tree import Tree, build, self_times

MAX_FAILURES: Final = 32
MAX_MESSAGE_CHARACTERS: Final = 256
MAX_CONVERSATIONS: Final = 32


def trace_record(
    trace_id: str,
    spans: Iterable[Span],
    *,
    announced: Iterable[str] = (),
    revision: int = 0,
    dropped_spans: int = 0,
) -> TraceRecord:
    """The record of a trace: a pure function of the set of its spans, whatever their order.

    Args:
        trace_id: 32 hex digits.
        spans: at least one, distinct ids, under today's attribute names (:func:`conventions.modern`).
        announced: ids of spans that have started but not ended.
        revision: how many records of this trace there were before.
        dropped_spans: spans over the cap that are not among ``spans``.
    """
    ordered = sorted(spans, key=lambda span: (span.start_ns, span.span_id))
    unfinished = sorted(set(announced) - {span.span_id for span in ordered})
    tree = build(ordered, unfinished)
    self_ns = self_times(tree)
    failed = [span for span in ordered if span.status_code == conventions.STATUS_ERROR]
    return TraceRecord(
        trace_id=trace_id,
        revision=revision,
        spans=tuple(ordered),
        self_ns=tuple(self_ns[span.span_id] for span in ordered),
        root=tree.roots[0] if tree.roots else "",
        services=tuple(sorted({span.service for span in ordered})),
        start_ns=min(span.start_ns for span in ordered),
        end_ns=max(span.end_ns for span in ordered),
        error_count=len(failed),
        failures=tuple(_failure(span) for span in failed[:MAX_FAILURES]),
        orphans=tree.orphans,
        unfinished=tuple(unfinished),
        dropped_spans=dropped_spans,
        critical_path=critical_path(tree),
        tokens=token_use(tree),
        conversation_ids=_conversations(ordered),
        span_count=len(ordered),
    )


def _failure(span: Span) -> Failure:
    message = span.status_message[:MAX_MESSAGE_CHARACTERS]
    return Failure(span.span_id, span.service, span.name, conventions.error_type(span), message)


def _conversations(spans: Sequence[Span]) -> tuple[str, ...]:
    found = {str(span.attributes[conventions.CONVERSATION_ID]) for span in spans if _has_conversation(span)}
    return tuple(sorted(found)[:MAX_CONVERSATIONS])


def _has_conversation(span: Span) -> bool:
    return bool(span.attributes.get(conventions.CONVERSATION_ID))


def token_use(tree: Tree) -> tuple[TokenUse, ...]:
    """Tokens by model and agent, each counted once.

    Frameworks often repeat on an agent's span the sum of its model calls. So a span's tokens count only if no span
    below it states any. The agent is the nearest that the span or an ancestor names, else the service.
    """
    agents = _agents(tree)
    below: set[str] = set()  # spans under which tokens were already counted
    totals: dict[tuple[str, str], tuple[int, int]] = {}
    for span_id in reversed(tree.order):
        span = tree.nodes[span_id].span
        spent = conventions.tokens(span)
        if any(spent) and span_id not in below:
            key = (conventions.model(span), agents[span_id])
            before = totals.get(key, (0, 0))
            totals[key] = (before[0] + spent[0], before[1] + spent[1])
        if any(spent) or span_id in below:
            below.add(span.parent_span_id)
    return tuple(TokenUse(model, agent, *spent) for (model, agent), spent in sorted(totals.items()))


def _agents(tree: Tree) -> dict[str, str]:
    named: dict[str, str] = {"": ""}
    for span_id in tree.order:
        span = tree.nodes[span_id].span
        own = span.attributes.get(conventions.AGENT_NAME) or span.attributes.get(conventions.AGENT_ID)
        parent = tree.nodes.get(span.parent_span_id)
        same_service = parent is not None and parent.span.service == span.service
        inherited = named.get(span.parent_span_id, "") if same_service else ""
        named[span_id] = str(own or inherited or conventions.agent(span) or span.service)
    return named
