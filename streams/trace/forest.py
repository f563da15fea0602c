"""Numba: the tree of a trace over columns: order, parents, orphans, one clock for all of them, self time.

Spans of one trace come from several hosts whose clocks disagree. A child cannot start before its parent, and the server
side of a call cannot last beyond the client that waited for it: where that seems so, the child and everything below it
on the same host is shifted (as Jaeger's clock skew adjuster does). Only the computed figures use shifted times; the
record keeps the times that were measured.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.domain.conventions import KIND_CLIENT, KIND_SERVER
from streams.domain.kernel import fetch_ahead, kernel
from streams.trace.store import NONE, Store, mixed, span_row

N, TOPS, ORPHANS, HOSTS, SEGMENTS, PATH = range(6)
FIGURES: Final = 8


class Forest(NamedTuple):
    """Scratch for one trace of n spans, whose places 0..n-1 are in the order of start, then id.

    Arrays of at least n: ``row`` the span's row in the store; ``known`` the place of the parent by id (NONE: not seen),
    ``parent`` the same, but NONE for what tops a tree (roots, orphans, where a circle was cut); ``first`` (n + 1) and
    ``kids`` the children by parent, ``sorted_kids`` scratch beside it; ``tops`` places, ordered; ``orphans`` places, by
    id; ``order`` every place, each parent before its children; ``start_ns``, ``end_ns`` on the root's clock;
    ``self_ns``; ``shift_ns``; ``key``, ``tie``, ``id`` sort keys; ``mark`` uint8; ``host``, ``host_ns`` what was found
    out about clocks; ``segment`` and ``segment_ns`` (2 x) span, begin and end of each stretch of the critical path,
    backwards (``path``); ``frame``, ``frame_ns``, ``left`` a stack; ``text``, ``tokens`` see ``summary``; ``figures``
    int64[FIGURES] how many of each there are.
    """

    row: NDArray[np.int32]
    known: NDArray[np.int32]
    parent: NDArray[np.int32]
    first: NDArray[np.int32]
    kids: NDArray[np.int32]
    sorted_kids: NDArray[np.int32]
    tops: NDArray[np.int32]
    orphans: NDArray[np.int32]
    order: NDArray[np.int32]
    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    self_ns: NDArray[np.int64]
    shift_ns: NDArray[np.int64]
    key: NDArray[np.int64]
    tie: NDArray[np.int64]
    id: NDArray[np.uint64]
    mark: NDArray[np.uint8]
    host: NDArray[np.int32]
    host_ns: NDArray[np.int64]
    segment: NDArray[np.int32]
    segment_ns: NDArray[np.int64]
    frame: NDArray[np.int32]
    frame_ns: NDArray[np.int64]
    left: NDArray[np.int32]
    text: NDArray[np.int32]
    tokens: NDArray[np.int64]
    figures: NDArray[np.int64]


def make_forest(size: int) -> Forest:
    """Scratch for traces of up to ``size`` spans."""
    n = size + 1
    i32, i64 = np.int32, np.int64
    arrays: tuple[NDArray[Any], ...] = (
        *(np.empty(n, i32) for _ in range(9)),
        *(np.empty(n, i64) for _ in range(6)),
        np.empty(n, np.uint64),
        np.empty(n, np.uint8),
        np.empty(n, i32),
        np.empty(n, i64),
        np.empty(2 * n, i32),
        np.empty(4 * n, i64),
        np.empty(n, i32),
        np.empty(3 * n, i64),
        np.empty(n, i32),
        np.empty(4 * n, i32),
        np.empty(2 * n, i64),
        np.zeros(FIGURES, i64),
    )
    return Forest._make(arrays)


@kernel
def _before(f: Forest, one: int, other: int) -> bool:
    if f.key[one] != f.key[other]:
        return f.key[one] < f.key[other]
    if f.tie[one] != f.tie[other]:
        return f.tie[one] < f.tie[other]
    return f.id[one] < f.id[other]


@kernel
def _sink(f: Forest, items: Any, begin: int, root: int, size: int) -> None:
    while 2 * root + 1 < size:
        child = 2 * root + 1
        if child + 1 < size and _before(f, items[begin + child], items[begin + child + 1]):
            child += 1
        if not _before(f, items[begin + root], items[begin + child]):
            return
        items[begin + root], items[begin + child] = items[begin + child], items[begin + root]
        root = child


@kernel
def sort(f: Forest, items: Any, begin: int, end: int) -> None:
    """Sorts places in ``items[begin:end]`` by key, tie and id: by insertion where there are few, else by a heap."""
    size = end - begin
    if size <= 24:
        for i in range(begin + 1, end):
            item, at = items[i], i
            while at > begin and _before(f, item, items[at - 1]):
                items[at] = items[at - 1]
                at -= 1
            items[at] = item
        return
    for root in range(size // 2 - 1, -1, -1):
        _sink(f, items, begin, root, size)
    for last in range(size - 1, 0, -1):
        items[begin], items[begin + last] = items[begin + last], items[begin]
        _sink(f, items, begin, 0, last)


@kernel
def plant(f: Forest, store: Store, trace: int, spans: int, announced: int) -> None:
    """Fills the forest with the first so many spans and announcements of a trace."""
    rows = store.rows
    at = store.traces[trace].head
    for i in range(spans):
        f.kids[i] = i
        f.order[i] = at
        f.key[i], f.tie[i], f.id[i] = rows[at].start_ns, 0, rows[at].span
        # needed soon, and far from any cache: the trace was quiet for seconds
        fetch_ahead(store.by_span, mixed(np.uint64(trace * 2), rows[at].parent) & (store.by_span.shape[0] - 1))
        fetch_ahead(store.bodies, rows[at].body)
        at = rows[at].next
    sort(f, f.kids, 0, spans)
    for place in range(spans):
        row = f.order[f.kids[place]]
        f.row[place] = row
        rows[row].place = place
    f.figures[N] = spans
    _find_parents(f, store, trace, announced)
    _list_children(f)
    _cut_circles(f, rows)
    for place in range(spans):
        f.id[place] = rows[f.row[place]].span
        f.key[place] = f.tie[place] = 0
    sort(f, f.orphans, 0, f.figures[ORPHANS])


@kernel
def _find_parents(f: Forest, store: Store, trace: int, announced: int) -> None:
    """A child of an announced span is no orphan, though it tops its own tree."""
    rows = store.rows
    tops = orphans = 0
    for place in range(f.figures[N]):
        row = rows[f.row[place]]
        f.known[place] = NONE
        if row.parent != 0:
            parent = span_row(store, trace, row.parent, 0)
            if parent != NONE and rows[parent].nth < f.figures[N]:
                f.known[place] = rows[parent].place
        f.parent[place] = f.known[place] if f.known[place] != place else NONE
        if f.parent[place] == NONE:
            f.tops[tops] = place
            tops += 1
            if row.parent != 0:
                said = span_row(store, trace, row.parent, 1) if f.known[place] == NONE else NONE
                if said == NONE or rows[said].nth >= announced:
                    f.orphans[orphans] = place
                    orphans += 1
    f.figures[TOPS], f.figures[ORPHANS] = tops, orphans


@kernel
def _list_children(f: Forest) -> None:
    n = f.figures[N]
    for i in range(n + 1):
        f.first[i] = 0
    for place in range(n):
        if f.parent[place] != NONE:
            f.first[f.parent[place] + 1] += 1
    for i in range(n):
        f.first[i + 1] += f.first[i]
        f.left[i] = f.first[i]
    for place in range(n):
        parent = f.parent[place]
        if parent != NONE:
            f.kids[f.left[parent]] = place
            f.left[parent] += 1


@kernel
def _descend(f: Forest, top: int, reached: int) -> int:
    """Appends a top and all below it to the order, parents first and children in theirs."""
    f.frame[0] = top
    depth = 1
    while depth > 0:
        depth -= 1
        place = f.frame[depth]
        f.order[reached] = place
        reached += 1
        f.mark[place] = 1
        for i in range(f.first[place + 1] - 1, f.first[place] - 1, -1):
            kid = f.kids[i]
            if f.parent[kid] == place:
                f.frame[depth] = kid
                depth += 1
    return reached


@kernel
def _cut_circles(f: Forest, rows: Any) -> None:
    """A circle of parents is cut at its earliest span, which becomes an orphan."""
    n, reached = f.figures[N], 0
    for place in range(n):
        f.mark[place] = 0
    for i in range(f.figures[TOPS]):
        reached = _descend(f, f.tops[i], reached)
    if reached == n:
        return
    for place in range(n):
        if f.mark[place] == 0:
            f.parent[place] = NONE
            f.orphans[f.figures[ORPHANS]] = place
            f.figures[ORPHANS] += 1
            reached = _descend(f, place, reached)
    tops = 0
    for place in range(n):
        if f.parent[place] == NONE:
            f.tops[tops] = place
            tops += 1
    f.figures[TOPS] = tops


@kernel
def align(f: Forest, rows: Any, resources: Any) -> None:
    """Puts all spans on their root's clock."""
    f.figures[HOSTS] = 0
    for i in range(f.figures[TOPS]):
        f.shift_ns[f.tops[i]] = 0
    for i in range(f.figures[N]):
        place = f.order[i]
        row = rows[f.row[place]]
        host = resources[row.resource].host
        f.start_ns[place] = row.start_ns + f.shift_ns[place]
        f.end_ns[place] = row.end_ns + f.shift_ns[place]
        for k in range(f.first[place], f.first[place + 1]):
            kid = f.kids[k]
            if f.parent[kid] == place:
                child = rows[f.row[kid]]
                clock = resources[child.resource].host
                f.shift_ns[kid] = f.shift_ns[place] if clock == host else _shift_ns(f, place, row.kind, child, clock)


@kernel
def _shift_ns(f: Forest, parent: int, kind: int, child: Any, clock: int) -> int:
    """What was found out about a host holds for its other spans too."""
    at = 0
    while at < f.figures[HOSTS] and f.host[at] != clock:
        at += 1
    assumed = f.host_ns[at] if at < f.figures[HOSTS] else 0
    missing = _skew_ns(f, parent, kind, child, assumed)
    if missing != 0:
        if at == f.figures[HOSTS]:
            f.figures[HOSTS] += 1
        f.host[at], f.host_ns[at] = clock, assumed + missing
    return assumed + missing


@kernel
def _skew_ns(f: Forest, parent: int, kind: int, child: Any, moved_ns: int) -> int:
    """How far a child on another host must be shifted, beyond ``moved_ns``, to be possible at all (0: it is)."""
    begin, finish = f.start_ns[parent], f.end_ns[parent]
    start, end = child.start_ns + moved_ns, child.end_ns + moved_ns
    waited_for = kind == KIND_CLIENT and child.kind == KIND_SERVER
    slack = (finish - begin) - (end - start)
    if start >= begin and (not waited_for or end <= finish or slack < 0):
        return 0
    if waited_for and slack >= 0:
        return begin + slack // 2 - start  # the network takes as long there as back
    return begin - start


@kernel
def children_of(f: Forest, place: int) -> int:
    """Copies a span's children to ``sorted_kids`` from ``first`` on; how many."""
    count = 0
    begin = f.first[place]
    for i in range(begin, f.first[place + 1]):
        if f.parent[f.kids[i]] == place:
            f.sorted_kids[begin + count] = f.kids[i]
            count += 1
    return count


@kernel
def self_times(f: Forest) -> None:
    """Nanoseconds of each span during which none of its children ran: its length minus the union of theirs."""
    n = f.figures[N]
    for place in range(n):
        f.key[place], f.tie[place] = f.start_ns[place], 0
    for place in range(n):
        begin = f.first[place]
        count = children_of(f, place)
        sort(f, f.sorted_kids, begin, begin + count)
        covered, edge = 0, f.start_ns[place]
        for i in range(begin, begin + count):
            kid = f.sorted_kids[i]
            start, end = max(f.start_ns[kid], edge), min(f.end_ns[kid], f.end_ns[place])
            if end > start:
                covered += end - start
                edge = end
        f.self_ns[place] = f.end_ns[place] - f.start_ns[place] - covered
