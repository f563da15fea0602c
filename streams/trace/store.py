"""Where the spans of open and remembered traces are kept: rows, bodies and traces in arrays that fill up until what is
dead outweighs what lives; then the living are moved to the front, in the same memory.

The arrays begin with more room than a partition of moderate load ever fills. Room that was never used costs nothing
(Linux gives a page where it is first written), and memory that is written for the first time is what costs most here:
arrays that grow by copying are written twice. They do not get smaller; how large they get follows from the bounds in
the operator's ``Memory``: three times what may live, and one run of records.

A trace's spans form a chain in the order of arrival, its announcements another one; its children by parent form chains
too. Open and remembered traces each form a list in the order of their last arrival.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.domain.jsonbytes import put_bytes
from streams.domain.kernel import fetch_ahead, kernel
from streams.domain.room import longer, reserved
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
and ``seen_ns`` the clock at the first and last arrival since then. ``dirty``: something is not in its last record.
``moved``: scratch."""

CLOCK, ROWS, TRACES, BYTES, LIVE, CALLS, PUBLISHED = range(7)
COUNT, SPANS, HELD_BYTES, FIRST, LAST = range(5)
OPEN_AT: Final = 8
REMEMBERED_AT: Final = 16
STATE: Final = 24
_FIRST_ROWS: Final = 1_048_576
_FIRST_BYTES: Final = 256 * 1_048_576
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


def empty_store() -> Store:
    """A store with nothing in it."""
    state = np.zeros(STATE, np.int64)
    state[[OPEN_AT + FIRST, OPEN_AT + LAST, REMEMBERED_AT + FIRST, REMEMBERED_AT + LAST]] = NONE
    return Store(
        reserved(_FIRST_ROWS, SPAN),
        reserved(_FIRST_ROWS // 8, TRACE),
        reserved(_FIRST_BYTES, np.dtype(np.uint8)),
        _table(256),
        _table(1024),
        _table(1024),
        state,
    )


def _table(entries: int) -> NDArray[np.int32]:
    return np.full(1 << (2 * entries - 1).bit_length(), NONE, np.int32)


def with_room(store: Store, rows: int, traces: int, size_bytes: int) -> Store:
    """The store, or a larger one with the same content, that has room for so much more."""
    state = store.state
    if state[ROWS] - state[LIVE] > 4096 + 2 * state[LIVE]:
        _close_up(store, np.empty(state[ROWS], np.int32))
        _index(store)
    for name, used, more in (("rows", ROWS, rows), ("traces", TRACES, traces), ("bodies", BYTES, size_bytes)):
        array = getattr(store, name)
        if state[used] + more > len(array):
            store = store._replace(**{name: longer(array, int(state[used]), more)})
    if 2 * (state[ROWS] + rows) > len(store.by_span):
        entries = 2 * int(state[ROWS] + rows)
        store = store._replace(by_span=_table(entries), by_parent=_table(entries))
        _index_rows(store)
    if 2 * (state[TRACES] + traces) > len(store.by_trace):
        store = store._replace(by_trace=_table(2 * int(state[TRACES] + traces)))
        _index_traces(store)
    return store


def _index(store: Store) -> None:
    """Finds everything anew."""
    for table in (store.by_trace, store.by_span, store.by_parent):
        table.fill(NONE)
    _index_rows(store)
    _index_traces(store)


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
def fetch_entries(store: Store, source: Any) -> None:
    """Has the entries of the tables brought that a row of a known trace will need: they lie anywhere in megabytes."""
    number = store.by_trace[find_trace(store, source.trace_high, source.trace_low)]
    if number != NONE:
        mask = store.by_span.shape[0] - 1
        fetch_ahead(store.by_span, mixed(np.uint64(number * 2 + source.phase), source.span) & mask)
        mask = store.by_parent.shape[0] - 1
        fetch_ahead(store.by_parent, mixed(np.uint64(number), source.parent) & mask)
        fetch_ahead(store.by_parent, mixed(np.uint64(number), source.span) & mask)


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
    state[BYTES] = put_bytes(store.bodies, row.body, bodies, begin, begin + row.body_bytes)
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
def _close_up(store: Store, place: Any) -> None:
    """Moves what lives to the front, in its order; ``place`` int32[rows]: scratch. The tables are not true then."""
    state, traces = store.state, store.traces
    kept = 0
    for number in range(state[TRACES]):
        if traces[number].state != DEAD:
            traces[number].moved = kept
            kept += 1
    _close_up_rows(store, place)
    for number in range(state[TRACES]):
        trace = traces[number]
        if trace.state == DEAD:
            continue
        if trace.spans > 0:
            trace.head, trace.tail = place[trace.head], place[trace.tail]
        if trace.announced > 0:
            trace.announced_head, trace.announced_tail = place[trace.announced_head], place[trace.announced_tail]
        trace.before, trace.after = _moved(traces, trace.before), _moved(traces, trace.after)
    for where in (OPEN_AT, REMEMBERED_AT):
        state[where + FIRST] = _moved(traces, state[where + FIRST])
        state[where + LAST] = _moved(traces, state[where + LAST])
    for number in range(state[TRACES]):
        if traces[number].state != DEAD and traces[number].moved != number:
            traces[traces[number].moved] = traces[number]
    state[TRACES] = kept


@kernel
def _moved(traces: Any, number: int) -> int:
    return NONE if number == NONE else np.int64(traces[number].moved)


@kernel
def _close_up_rows(store: Store, place: Any) -> None:
    state, traces, rows = store.state, store.traces, store.rows
    kept = 0
    for at in range(state[ROWS]):
        if traces[rows[at].trace].state != DEAD:
            place[at] = kept
            kept += 1
    used = 0
    for at in range(state[ROWS]):
        row = rows[at]
        if traces[row.trace].state == DEAD:
            continue
        row.trace = traces[row.trace].moved
        row.next = NONE if row.next == NONE else place[row.next]
        row.sibling = NONE
        begin, row.body = row.body, used
        used = put_bytes(store.bodies, used, store.bodies, begin, begin + row.body_bytes)
        if place[at] != at:
            rows[place[at]] = row
    state[ROWS], state[BYTES] = kept, used
