"""The tree of a trace: children, orphans, one clock for all of them, and self time.

Spans of one trace come from several hosts whose clocks disagree. A child cannot start before its parent, and the server
side of a call cannot last beyond the client that waited for it: where that seems so, the child and everything below it
on the same host is shifted (as Jaeger's clock skew adjuster does). Only the computed figures use shifted times; the
record keeps the times that were measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from streams.domain.conventions import KIND_CLIENT, KIND_SERVER
from streams.domain.span import Span


@dataclass(frozen=True, slots=True)
class Node:
    """A span in its tree, with its interval on the root's clock."""

    span: Span
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Tree:
    """All spans of a trace.

    Attributes:
        nodes: by span id. children: ids by parent id, ordered by start, then id.
        tops: where the trees of the forest begin: roots and orphans, ordered by start, then id.
        roots: spans without a parent id, in the same order. orphans: ids whose parent is missing or circular, sorted.
        order: every id, each parent before its children.
    """

    nodes: Mapping[str, Node]
    children: Mapping[str, Sequence[str]]
    tops: tuple[str, ...]
    roots: tuple[str, ...]
    orphans: tuple[str, ...]
    order: tuple[str, ...]

    @property
    def entry(self) -> str:
        """Where the critical path begins: the earliest root, else the earliest orphan."""
        return self.roots[0] if self.roots else self.tops[0]


def build(spans: Iterable[Span], announced: Iterable[str] = ()) -> Tree:
    """The tree of distinct spans (at least one).

    Args:
        spans: with distinct ids, in any order.
        announced: ids of spans known to have started: their children are no orphans, though they top their own trees.
    """
    by_id = {span.span_id: span for span in spans}
    ordered = sorted(by_id.values(), key=lambda span: (span.start_ns, span.span_id))
    known = set(announced)
    children: dict[str, list[str]] = {}
    tops: list[str] = []
    orphans: list[str] = []
    for span in ordered:
        parent = span.parent_span_id
        if parent in by_id and parent != span.span_id:
            children.setdefault(parent, []).append(span.span_id)
            continue
        tops.append(span.span_id)
        if parent and parent not in known:
            orphans.append(span.span_id)
    order = _cut_circles(ordered, children, tops, orphans)
    place = {span.span_id: i for i, span in enumerate(ordered)}
    tops.sort(key=place.__getitem__)
    roots = tuple(span_id for span_id in tops if not by_id[span_id].parent_span_id)
    nodes = _align(order, by_id, children, tops)
    return Tree(nodes, children, tuple(tops), roots, tuple(sorted(orphans)), tuple(order))


def _cut_circles(
    ordered: Sequence[Span], children: dict[str, list[str]], tops: list[str], orphans: list[str]
) -> list[str]:
    """All ids, parents first. A circle of parents is cut at its earliest span, which becomes an orphan."""
    order = _descend(tops, children)
    if len(order) == len(ordered):
        return order
    reached = set(order)
    for span in ordered:
        if span.span_id in reached:
            continue
        children[span.parent_span_id].remove(span.span_id)
        tops.append(span.span_id)
        orphans.append(span.span_id)
        below = _descend([span.span_id], children)
        reached.update(below)
        order.extend(below)
    return order


def _descend(tops: Sequence[str], children: Mapping[str, Sequence[str]]) -> list[str]:
    order: list[str] = []
    stack = list(reversed(tops))
    while stack:
        span_id = stack.pop()
        order.append(span_id)
        stack.extend(reversed(children.get(span_id, ())))
    return order


def host(span: Span) -> tuple[str, str, str]:
    """Whose clock a span was measured with."""
    name = str(span.resource.get("host.name") or "")
    return (name, "", "") if name else ("", span.service, str(span.resource.get("service.instance.id") or ""))


def _align(
    order: Sequence[str], by_id: Mapping[str, Span], children: Mapping[str, Sequence[str]], tops: Sequence[str]
) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    shift = dict.fromkeys(tops, 0)
    corrected: dict[tuple[str, str, str], int] = {}  # what was found out about a host holds for its other spans too
    for span_id in order:
        span, moved = by_id[span_id], shift[span_id]
        node = nodes[span_id] = Node(span, span.start_ns + moved, span.end_ns + moved)
        for child_id in children.get(span_id, ()):
            child = by_id[child_id]
            shift[child_id] = moved if host(child) == host(span) else _shift_ns(node, child, corrected)
    return nodes


def _shift_ns(parent: Node, child: Span, corrected: dict[tuple[str, str, str], int]) -> int:
    clock = host(child)
    assumed = corrected.get(clock, 0)
    missing = skew_ns(parent, child, assumed)
    if missing:
        corrected[clock] = assumed + missing
    return assumed + missing


def skew_ns(parent: Node, child: Span, moved_ns: int) -> int:
    """How far a child on another host must be shifted, beyond ``moved_ns``, to be possible at all (0: it is)."""
    start, end = child.start_ns + moved_ns, child.end_ns + moved_ns
    waited_for = parent.span.kind == KIND_CLIENT and child.kind == KIND_SERVER
    slack = (parent.end_ns - parent.start_ns) - (end - start)
    if start >= parent.start_ns and (not waited_for or end <= parent.end_ns or slack < 0):
        return 0
    if waited_for and slack >= 0:
        return parent.start_ns + slack // 2 - start  # the network takes as long there as back
    return parent.start_ns - start


def self_times(tree: Tree) -> dict[str, int]:
    """Nanoseconds of each span during which none of its children ran: its length minus the union of theirs."""
    return {span_id: _self_ns(node, tree) for span_id, node in tree.nodes.items()}


def _self_ns(node: Node, tree: Tree) -> int:
    kids = sorted((tree.nodes[child] for child in tree.children.get(node.span.span_id, ())), key=lambda n: n.start_ns)
    covered, edge = 0, node.start_ns
    for kid in kids:
        start, end = max(kid.start_ns, edge), min(kid.end_ns, node.end_ns)
        if end > start:
            covered += end - start
            edge = end
    return node.end_ns - node.start_ns - covered
