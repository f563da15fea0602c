"""The record of a trace the plain way, object by object: what the compiled one must equal.

Tree, self times and agents are those of the code that reads single records, which so is held against the compiled too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from streams.domain import conventions
from streams.domain.conventions import KIND_CLIENT, KIND_CONSUMER, KIND_PRODUCER, KIND_SERVER
from streams.domain.span import Span
from streams.domain.trace import (
    CONNECTION_DATABASE,
    CONNECTION_UNSET,
    CONNECTION_VIRTUAL,
    Failure,
    Segment,
    TokenUse,
    TraceRecord,
)
from streams.trace.patterns import agents
from streams.trace.tree import Node, Tree, build, self_times

OVERSHOOT_NS: Final = 1_000_000
"""A child that ends up to 1 ms after its parent was waited for (the two ends are separate clock readings); one that
ends later ran on by itself, and nobody waited for it."""


def critical_path(tree: Tree) -> tuple[Segment, ...]:
    """Segments in order of time that tile the interval of the tree's entry exactly; empty for a span of no length.

    A child is only waited for if it ends before the moment at hand: siblings that overlap did not wait for each other.
    """
    entry = tree.nodes[tree.entry]
    backwards: list[Segment] = []
    stack = [_Frame(entry, entry.start_ns, entry.end_ns, tree)]
    while stack:
        frame = stack[-1]
        child = frame.last_finished()
        edge = frame.start_ns if child is None else min(child.end_ns, frame.at_ns)
        if edge < frame.at_ns:
            backwards.append(Segment(frame.node.span.span_id, edge, frame.at_ns))
        if child is None:
            stack.pop()
            continue
        start = max(child.start_ns, frame.start_ns)
        frame.at_ns = start
        stack.append(_Frame(child, start, edge, tree))
    return tuple(reversed(backwards))


class _Frame:
    """A span on the way back: what of it lies before ``at_ns`` is still to be explained."""

    __slots__ = ("at_ns", "kids", "limit_ns", "node", "start_ns")

    def __init__(self, node: Node, start_ns: int, end_ns: int, tree: Tree) -> None:
        self.node = node
        self.start_ns = start_ns
        self.at_ns = self.limit_ns = end_ns
        kids = (tree.nodes[child] for child in tree.children.get(node.span.span_id, ()))
        waited = [kid for kid in kids if kid.end_ns <= node.end_ns + OVERSHOOT_NS and kid.start_ns < kid.end_ns]
        # The last to finish is taken from the end; of those that end together the longest explains most.
        self.kids = sorted(waited, key=lambda kid: (min(kid.end_ns, end_ns), -kid.start_ns, kid.span.span_id))

    def last_finished(self) -> Node | None:
        """The child that ended last before the moment at hand, taken once."""
        while self.kids:
            kid = self.kids.pop()
            if min(kid.end_ns, self.limit_ns) <= self.at_ns and kid.start_ns < self.at_ns:
                return kid if kid.end_ns > self.start_ns else None
        return None


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
    named = agents(tree)
    below: set[str] = set()  # spans under which tokens were already counted
    totals: dict[tuple[str, str], tuple[int, int]] = {}
    for span_id in reversed(tree.order):
        span = tree.nodes[span_id].span
        spent = conventions.tokens(span)
        if any(spent) and span_id not in below:
            key = (conventions.model(span), named[span_id])
            before = totals.get(key, (0, 0))
            totals[key] = (before[0] + spent[0], before[1] + spent[1])
        if any(spent) or span_id in below:
            below.add(span.parent_span_id)
    return tuple(TokenUse(model, agent, *spent) for (model, agent), spent in sorted(totals.items()))


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
