"""Numba: the critical path: who waited for whom, from the root's end back to its start.

Shortening a span on it shortens the trace; shortening any other does not. From a span's end we step back to the child
that finished last before it, through that child, and on from the moment the child started; what no child explains is
the span's own time (the walk of Jaeger's critical path and of Uber's CRISP).
"""

from __future__ import annotations

from typing import Any, Final

from streams.domain.kernel import kernel
from streams.trace.forest import SEGMENTS, TOPS, Forest, children_of, sort
from streams.trace.store import NONE

OVERSHOOT_NS: Final = 1_000_000
"""A child that ends up to 1 ms after its parent was waited for (the two ends are separate clock readings); one that
ends later ran on by itself, and nobody waited for it."""


@kernel
def entry_of(f: Forest, rows: Any) -> int:
    """Where the critical path begins: the earliest root, else the earliest orphan."""
    root = root_of(f, rows)
    return root if root != NONE else f.tops[0]


@kernel
def root_of(f: Forest, rows: Any) -> int:
    """The earliest root, NONE if there is none."""
    for i in range(f.figures[TOPS]):
        if rows[f.row[f.tops[i]]].parent == 0:
            return f.tops[i]
    return NONE


@kernel
def critical_path(f: Forest, entry: int) -> None:
    """Segments, from the last to the first, that tile the interval of the entry; none for a span of no length.

    A child is only waited for if it ends before the moment at hand: siblings that overlap did not wait for each other.
    A frame is a span on the way back: in ``frame_ns`` its start, the moment before which it is still to be explained,
    and its end; in ``left`` how many of its children were not looked at.
    """
    f.figures[SEGMENTS] = 0
    depth = _enter(f, 0, entry, f.start_ns[entry], f.end_ns[entry])
    while depth > 0:
        top = depth - 1
        start, at = f.frame_ns[3 * top], f.frame_ns[3 * top + 1]
        kid = _last_finished(f, top)
        edge = start if kid == NONE else min(f.end_ns[kid], at)
        if edge < at:
            segment = f.figures[SEGMENTS]
            f.segment[segment] = f.frame[top]
            f.segment_ns[2 * segment], f.segment_ns[2 * segment + 1] = edge, at
            f.figures[SEGMENTS] += 1
        if kid == NONE:
            depth = top
            continue
        begin = max(f.start_ns[kid], start)
        f.frame_ns[3 * top + 1] = begin
        depth = _enter(f, depth, kid, begin, edge)


@kernel
def _enter(f: Forest, depth: int, place: int, start_ns: int, end_ns: int) -> int:
    """Puts a span on the stack, its children sorted: the last to finish comes last.

    Of those that end together the longest explains most.
    """
    f.frame[depth] = place
    f.frame_ns[3 * depth], f.frame_ns[3 * depth + 1], f.frame_ns[3 * depth + 2] = start_ns, end_ns, end_ns
    begin, kept = f.first[place], 0
    for i in range(begin, begin + children_of(f, place)):
        kid = f.sorted_kids[i]
        if f.end_ns[kid] <= f.end_ns[place] + OVERSHOOT_NS and f.start_ns[kid] < f.end_ns[kid]:
            f.sorted_kids[begin + kept] = kid
            f.key[kid], f.tie[kid] = min(f.end_ns[kid], end_ns), -f.start_ns[kid]
            kept += 1
    sort(f, f.sorted_kids, begin, begin + kept)
    f.left[depth] = kept
    return depth + 1


@kernel
def _last_finished(f: Forest, top: int) -> int:
    """The child that ended last before the moment at hand, taken once."""
    begin = f.first[f.frame[top]]
    start, at, limit = f.frame_ns[3 * top], f.frame_ns[3 * top + 1], f.frame_ns[3 * top + 2]
    while f.left[top] > 0:
        f.left[top] -= 1
        kid = f.sorted_kids[begin + f.left[top]]
        if min(f.end_ns[kid], limit) <= at and f.start_ns[kid] < at:
            return kid if f.end_ns[kid] > start else NONE
    return NONE
