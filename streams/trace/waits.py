"""The critical path of a published trace, links included: who waited for whom, from the root's end back to its start.

Shortening a span on it shortens the trace; shortening any other does not. From a span's end we step back to the child
that finished last before it, through that child, and on from the moment the child started; what no child explains is
the span's own time (the walk of Jaeger's critical path and of Uber's CRISP). A span that gathers others (links to
spans of the same trace) waited for them, though they are no siblings of it: the walk goes through the last to end.
"""

from __future__ import annotations

from bisect import insort
from typing import Final

from streams.domain.trace import Segment
from streams.trace.patterns import linked
from streams.trace.tree import Node, Tree

OVERSHOOT_NS: Final = 1_000_000
"""A child that ends up to 1 ms after its parent was waited for (the two ends are separate clock readings); one that
ends later ran on by itself, and nobody waited for it."""


def waits(tree: Tree) -> tuple[Segment, ...]:
    """Segments in order of time that tile the interval of the tree's entry exactly; empty for a span of no length.

    A child is only waited for if it ends before the moment at hand: siblings that overlap did not wait for each other.
    """
    entry = tree.nodes[tree.entry]
    backwards: list[Segment] = []
    gathered: set[str] = set()  # each is followed through a link once
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
        frame.gather(child, tree, gathered)
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
        self.kids = sorted((kid for kid in kids if _waited_for(kid, node.end_ns)), key=self._order)

    def _order(self, node: Node) -> tuple[int, int, str]:
        """The last to finish is taken from the end; of those that end together the longest explains most."""
        return (min(node.end_ns, self.limit_ns), -node.start_ns, node.span.span_id)

    def gather(self, child: Node, tree: Tree, gathered: set[str]) -> None:
        """What the child links to was waited for before it began."""
        for span_id in linked(child.span):
            node = tree.nodes.get(span_id)
            if node is not None and span_id not in gathered and _waited_for(node, child.start_ns):
                gathered.add(span_id)
                insort(self.kids, node, key=self._order)

    def last_finished(self) -> Node | None:
        """The child that ended last before the moment at hand, taken once."""
        while self.kids:
            kid = self.kids.pop()
            if min(kid.end_ns, self.limit_ns) <= self.at_ns and kid.start_ns < self.at_ns:
                return kid if kid.end_ns > self.start_ns else None
        return None


def _waited_for(node: Node, by_ns: int) -> bool:
    return node.end_ns <= by_ns + OVERSHOOT_NS and node.start_ns < node.end_ns
