"""The critical path: who waited for whom, from the root's end back to its start.

Shortening a span on it shortens the trace; shortening any other does not. From a span's end we step back to the child
that finished last before it, through that child, and on from the moment the child started; what no child explains is
the span's own time (the walk of Jaeger's critical path and of Uber's CRISP).
"""

from __future__ import annotations

from typing import Final

from streams.domain.trace import Segment
from streams.trace.tree import Node, Tree

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
