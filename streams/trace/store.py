"""Where the spans of open and remembered traces are kept: rows, bodies and traces in arrays that only grow, until what
is dead outweighs what lives and the living are moved to new ones.

A trace's spans form a chain in the order of arrival, its announcements another one; its children by parent form chains
too. Open and remembered traces each form a list in the order of their last arrival.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.domain.kernel import kernel
from streams.domain.spanrows import SPAN

NONE: Final = -1
DEAD: Final = 0
OPEN: Final = 1
REMEMBERED: Final = 2

TRACE: Final = np.dtype(
    [
        *((name, np.uint64) for name in ("high", "low")),
        *((name, np.int64) for name in ("offset", "clock_before_ns", "first_ns", "seen_ns", "body_bytes")),
        *((name, np.int32) for name in ("head", "tail", "announced_head", "announced_tail")),
        *((name, np.int32) for name in ("spans", "announced", "records", "dropped", "before", "after", "moved")),
        *((name, np.uint8) for name in ("state", "dirty")),
    ],
    align=True,
)
"""A trace. ``offset`` is the lowest since it was opened, ``clock_before_ns`` the clock before that record; ``first_ns``
and ``seen_ns`` the clock at the first and last arrival since then. ``dirty``: something is not in its last record."""

CLOCK, ROWS, TRACES, BYTES, LIVE, CALLS, PUBLISHED = range(7)
COUNT, SPANS, HELD_BYTES, FIRST, LAST = range(5)
OPEN_AT: Final = 8
REMEMBERED_AT: Final = 16
STATE: Final = 24
"""Places in the state array: the clock; how many rows, traces and bytes are used, rows that live, calls and records
given out; then, from OPEN_AT and REMEMBERED_AT on, of each list: traces, spans, bytes of bodies, first and last."""


class Store(NamedTuple):
    """The arrays.

    ``rows`` SPAN[], ``traces`` TRACE[], ``bodies`` uint8[]; ``by_trace``, ``by_span``, ``by_parent`` int32[a power of
    two]: places by hash (of a trace id; of a span's or announcement's id; of the newest child of a parent id);
    ``state`` int64[STATE].
    """

    rows: NDArray[Any]
    traces: NDArray[Any]
    bodies: NDArray[np.uint8]
    by_trace: NDArray[np.int32]
    by_span: NDArray[np.int32]
    by_parent: NDArray[np.int32]
    state: NDArray[np.int64]


def empty_store(rows: int = 1024, traces: int = 256, size_bytes: int = 65_536) -> Store:
    """A store with room for so much, and nothing in it."""
    state = np.zeros(STATE, np.int64)
    state[[OPEN_AT + FIRST, OPEN_AT + LAST, REMEMBERED_AT + FIRST, REMEMBERED_AT + LAST]] = NONE
    return Store(
        np.empty(rows, SPAN),
        np.empty(traces, TRACE),
        np.empty(size_bytes, np.uint8),
        _table(traces),
        _table(rows),
        _table(rows),
        state,
    )


def _table(entries: int) -> NDArray[np.int32]:
    return np.full(1 << (2 * entries - 1).bit_length(), NONE, np.int32)


def with_room(store: Store, rows: int, traces: int, size_bytes: int) -> Store:
    """The store, or a larger or cleaner one with the same content, that has room for so much more."""
    state = store.state
    if state[ROWS] - state[LIVE] > 4096 + 2 * state[LIVE]:
        return _cleaned(store, rows, traces, size_bytes)
    changed: dict[str, NDArray[Any]] = {}
    for name, used, more in (("rows", ROWS, rows), ("traces", TRACES, traces), ("bodies", BYTES, size_bytes)):
        array = getattr(store, name)
        if state[used] + more > len(array):
            changed[name] = _longer(array, more)
    if not changed:
        return store
    larger = store._replace(**changed)
    if 2 * len(larger.rows) > len(store.by_span):
        larger = larger._replace(by_span=_table(2 * len(larger.rows)), by_parent=_table(2 * len(larger.rows)))
        _index_rows(larger)
    if 2 * len(larger.traces) > len(store.by_trace):
        larger = larger._replace(by_trace=_table(2 * len(larger.traces)))
        _index_traces(larger)
    return larger


def _longer(array: NDArray[Any], more: int) -> NDArray[Any]:
    """A copy with as much room again and more; what is not used yet is not touched."""
    grown = np.empty(2 * len(array) + more, array.dtype)
    grown[: len(array)] = array
    return grown


def _cleaned(store: Store, rows: int, traces: int, size_bytes: int) -> Store:
    """A store of what lives, with as much room again, and for so much more."""
    state = store.state
    held = int(state[OPEN_AT + HELD_BYTES] + state[REMEMBERED_AT + HELD_BYTES])
    kept = int(state[OPEN_AT] + state[REMEMBERED_AT])
    clean = empty_store(3 * int(state[LIVE]) + rows + 4096, 3 * kept + traces + 1024, 3 * held + size_bytes + 65_536)
    _move(store, clean)
    return clean


@kernel
def mixed(high: Any, low: Any) -> int:
    """A hash of two numbers; not negative."""
    value = (np.uint64(high) ^ (np.uint64(low) * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xBF58476D1CE4E5B9)
    value ^= value >> np.uint64(31)
    value *= np.uint64(0x94D049BB133111EB)
    return np.int64(value >> np.uint64(24))


@kernel
def find_trace(store: Store, high: Any, low: Any) -> int:
    """The place in ``by_trace`` where a trace is, or would be."""
    mask = store.by_trace.shape[0] - 1
    at = mixed(high, low) & mask
    while store.by_trace[at] != NONE:
        trace = store.traces[store.by_trace[at]]
        if trace.high == high and trace.low == low and trace.state != DEAD:
            return at
        at = (at + 1) & mask
    return at


@kernel
def find_span(store: Store, trace: int, span: Any, phase: int) -> int:
    """The place in ``by_span`` where a span (phase 0) or announcement (1) of a trace is, or would be."""
    mask = store.by_span.shape[0] - 1
    at = mixed(np.uint64(trace * 2 + phase), span) & mask
    while store.by_span[at] != NONE:
        row = store.rows[store.by_span[at]]
        if row.trace == trace and row.span == span and row.phase == phase:
            return at
        at = (at + 1) & mask
    return at


@kernel
def span_row(store: Store, trace: int, span: Any, phase: int) -> int:
    """The row of a span or announcement of a trace, NONE if it is not known."""
    return store.by_span[find_span(store, trace, span, phase)]


@kernel
def find_parent(store: Store, trace: int, parent: Any) -> int:
    """The place in ``by_parent`` of the children of a parent id (the newest first), or where they would be."""
    mask = store.by_parent.shape[0] - 1
    at = mixed(np.uint64(trace), parent) & mask
    while store.by_parent[at] != NONE:
        row = store.rows[store.by_parent[at]]
        if row.trace == trace and row.parent == parent:
            return at
        at = (at + 1) & mask
    return at


@kernel
def link_last(store: Store, where: int, number: int) -> None:
    """Puts a trace at the end of a list."""
    state, traces = store.state, store.traces
    trace = traces[number]
    trace.before, trace.after = state[where + LAST], NONE
    if trace.before == NONE:
        state[where + FIRST] = number
    else:
        traces[trace.before].after = number
    state[where + LAST] = number
    state[where + COUNT] += 1
    state[where + SPANS] += trace.spans
    state[where + HELD_BYTES] += trace.body_bytes


@kernel
def unlink(store: Store, where: int, number: int) -> None:
    """Takes a trace out of a list."""
    state, traces = store.state, store.traces
    trace = traces[number]
    if trace.before == NONE:
        state[where + FIRST] = trace.after
    else:
        traces[trace.before].after = trace.after
    if trace.after == NONE:
        state[where + LAST] = trace.before
    else:
        traces[trace.after].before = trace.before
    state[where + COUNT] -= 1
    state[where + SPANS] -= trace.spans
    state[where + HELD_BYTES] -= trace.body_bytes


@kernel
def add_row(store: Store, number: int, source: Any, bodies: Any) -> int:
    """Copies a row (and its body, if it is a span) to the end of its chain of a trace, and finds it from now on."""
    state, rows, trace = store.state, store.rows, store.traces[number]
    at = state[ROWS]
    rows[at] = source
    row = rows[at]
    row.trace, row.next, row.sibling = number, NONE, NONE
    if row.phase == 1:
        row.nth = trace.announced
        if trace.announced == 0:
            trace.announced_head = at
        else:
            rows[trace.announced_tail].next = at
        trace.announced_tail = at
        trace.announced += 1
        row.body_bytes = 0
    else:
        row.nth = trace.spans
        if trace.spans == 0:
            trace.head = at
        else:
            rows[trace.tail].next = at
        trace.tail = at
        trace.spans += 1
        trace.body_bytes += row.body_bytes
        _add_child(store, number, at)
    begin = row.body
    row.body = state[BYTES]
    for i in range(row.body_bytes):
        store.bodies[np.uint64(row.body + i)] = bodies[np.uint64(begin + i)]
    state[BYTES] += row.body_bytes
    state[ROWS] += 1
    state[LIVE] += 1
    store.by_span[find_span(store, number, row.span, row.phase)] = at
    return at


@kernel
def _add_child(store: Store, number: int, at: int) -> None:
    row = store.rows[at]
    if row.parent != 0:
        place = find_parent(store, number, row.parent)
        row.sibling = store.by_parent[place]
        store.by_parent[place] = at


@kernel
def _index_rows(store: Store) -> None:
    """Fills the empty tables of rows that live, in their order, so that chains of children come out the same."""
    for at in range(store.state[ROWS]):
        row = store.rows[at]
        if store.traces[row.trace].state != DEAD:
            store.by_span[find_span(store, row.trace, row.span, row.phase)] = at
            if row.phase == 0:
                _add_child(store, row.trace, at)


@kernel
def _index_traces(store: Store) -> None:
    for number in range(store.state[TRACES]):
        trace = store.traces[number]
        if trace.state != DEAD:
            store.by_trace[find_trace(store, trace.high, trace.low)] = number


@kernel
def oldest(store: Store) -> tuple[int, int]:
    """The lowest offset of an open trace and the clock before that record; NONE where no trace is open."""
    number = store.state[OPEN_AT + FIRST]
    offset = clock_ns = np.int64(NONE)
    while number != NONE:
        trace = store.traces[number]
        if offset == NONE or trace.offset < offset or (trace.offset == offset and trace.clock_before_ns < clock_ns):
            offset, clock_ns = trace.offset, trace.clock_before_ns
        number = trace.after
    return offset, clock_ns


@kernel
def _move(old: Store, new: Store) -> None:
    """Copies what lives."""
    new.state[CLOCK] = old.state[CLOCK]
    for where in (OPEN_AT, REMEMBERED_AT):
        number = old.state[where + FIRST]
        while number != NONE:
            trace = old.traces[number]
            _move_trace(old, trace, new, where)
            number = trace.after


@kernel
def _move_trace(old: Store, trace: Any, new: Store, where: int) -> None:
    number = new.state[TRACES]
    new.state[TRACES] += 1
    new.traces[number] = trace
    copy = new.traces[number]
    copy.spans = copy.announced = copy.body_bytes = 0
    new.by_trace[find_trace(new, trace.high, trace.low)] = number
    for first in (trace.head if trace.spans else NONE, trace.announced_head if trace.announced else NONE):
        at = first
        while at != NONE:
            add_row(new, number, old.rows[at], old.bodies)
            at = old.rows[at].next
    link_last(new, where, number)
