"""Numba: a run of spans into the store: which trace leaves when, what became of each span, which calls it completes."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.domain.conventions import KIND_CLIENT, KIND_CONSUMER, KIND_PRODUCER, KIND_SERVER, STATUS_ERROR
from streams.domain.kernel import kernel
from streams.domain.spanrows import EXECUTE_TOOL, LAST_MODEL_OPERATION
from streams.trace.store import (
    CALLS,
    CLOCK,
    COUNT,
    DEAD,
    FIRST,
    HELD_BYTES,
    LIVE,
    NONE,
    OPEN,
    OPEN_AT,
    PUBLISHED,
    REMEMBERED,
    REMEMBERED_AT,
    SPANS,
    TRACES,
    Store,
    add_row,
    fetch_entries,
    find_parent,
    find_trace,
    link_last,
    span_row,
    unlink,
)

ASSEMBLED, LATE, DUPLICATE, OVERFLOW, ANNOUNCED, PASSED_OVER = range(6)
"""Fates of a span; PASSED_OVER: its record was read too far back, no fate at all."""
QUIET, CAP, EVICTED = range(3)

(
    QUIET_NS,
    CAP_NS,
    REMEMBER_NS,
    MAX_SPANS,
    MAX_OPEN,
    OPEN_SPANS,
    OPEN_BYTES,
    REMEMBERED_TRACES,
    REMEMBERED_SPANS,
    REMEMBERED_BYTES,
    APPLIED_OFFSET,
    HELD_OFFSET,
) = range(12)
LIMITS: Final = 12
"""Places in the array of limits; the last two: records up to the one give nothing out, below the other are passed."""

CALL: Final = np.dtype(
    [
        *((name, np.int64) for name in ("client_ns", "server_ns", "time_ns")),
        *((name, np.int32) for name in ("client", "server", "environment", "record")),
        *((name, np.uint8) for name in ("connection", "failed")),
    ],
    align=True,
)
"""A call: texts; ``record``: position in the run; ``client_ns``, ``server_ns`` NONE where that side has no span."""

UNSET, MESSAGING, DATABASE, VIRTUAL = range(4)

PUBLICATION: Final = np.dtype(
    [
        *((name, np.int32) for name in ("trace", "spans", "announced", "revision", "dropped")),
        ("reason", np.uint8),
    ],
    align=True,
)
"""A record that is due: of the first so many spans and announcements of a trace."""

AHEAD: Final = 4
"""So many rows before its turn, what a row needs is brought into the caches. Measured: three and six are no different,
twelve no better."""


class Run(NamedTuple):
    """A run of r records with n rows, and where what comes out of it is written.

    ``offset``, ``arrival_ns`` int64[r]; ``tick`` bool[r]; ``begin`` int64[r + 1], the rows of each record;
    ``before_ns`` int64[r]: the clock before each record; ``fate`` uint8[n].
    """

    rows: NDArray[Any]
    bodies: NDArray[np.uint8]
    resources: NDArray[Any]
    offset: NDArray[np.int64]
    arrival_ns: NDArray[np.int64]
    tick: NDArray[np.bool_]
    begin: NDArray[np.int64]
    before_ns: NDArray[np.int64]
    fate: NDArray[np.uint8]
    calls: NDArray[Any]
    published: NDArray[Any]
    limits: NDArray[np.int64]


@kernel
def take_run(run: Run, store: Store) -> None:
    """Applies a run to the store."""
    for record in range(run.offset.shape[0]):
        run.before_ns[record] = store.state[CLOCK]
        first, last = run.begin[record], run.begin[record + 1]
        if run.offset[record] < run.limits[HELD_OFFSET]:
            for i in range(first, last):
                run.fate[i] = PASSED_OVER
            continue
        out = run.offset[record] > run.limits[APPLIED_OFFSET]
        if run.tick[record] or last > first:
            pass_time(run, store, run.arrival_ns[record], out)
        for i in range(first, last):
            if i + AHEAD < run.rows.shape[0]:
                fetch_entries(store, run.rows[i + AHEAD])
            _take(run, store, i, record, out)


@kernel
def pass_time(run: Run, store: Store, clock_ns: int, out: bool) -> None:
    """Moves the clock; traces that have been quiet leave, old ones are forgotten."""
    state = store.state
    if clock_ns <= state[CLOCK]:
        return
    state[CLOCK] = clock_ns
    while state[OPEN_AT + FIRST] != NONE:
        number = state[OPEN_AT + FIRST]
        if store.traces[number].seen_ns + run.limits[QUIET_NS] > clock_ns:
            break
        _leave(run, store, number, QUIET, out)
    _forget(run, store)


@kernel
def _take(run: Run, store: Store, at: int, record: int, out: bool) -> None:
    number = _trace(run, store, run.rows[at], record)
    trace = store.traces[number]
    source = run.rows[at]
    fate = _fate(run, store, number, source)
    if fate == ASSEMBLED:
        size = trace.body_bytes
        row = add_row(store, number, source, run.bodies)
        store.state[OPEN_AT + SPANS] += 1
        store.state[OPEN_AT + HELD_BYTES] += trace.body_bytes - size
        if trace.records > 0:
            fate = LATE
        _calls(run, store, row, record)
    elif fate == ANNOUNCED and trace.announced < run.limits[MAX_SPANS]:
        add_row(store, number, source, run.bodies)
        trace.dirty = 1
    run.fate[at] = fate
    _touch(run, store, number, out)


@kernel
def _fate(run: Run, store: Store, number: int, source: Any) -> int:
    trace = store.traces[number]
    if span_row(store, number, source.span, 0) != NONE:
        return DUPLICATE
    if source.phase == 1:
        return DUPLICATE if span_row(store, number, source.span, 1) != NONE else ANNOUNCED
    trace.dirty = 1
    if trace.spans >= run.limits[MAX_SPANS]:
        trace.dropped += 1
        return OVERFLOW
    return ASSEMBLED


@kernel
def _trace(run: Run, store: Store, source: Any, record: int) -> int:
    """The open trace of a span: known, from memory with all that is known of it, or new."""
    state = store.state
    place = find_trace(store, source.trace_high, source.trace_low)
    number = store.by_trace[place]
    if number != NONE and store.traces[number].state == OPEN:
        return number
    if number == NONE:
        number = state[TRACES]
        state[TRACES] += 1
        store.by_trace[place] = number
        trace = store.traces[number]
        trace.high, trace.low = source.trace_high, source.trace_low
        trace.spans = trace.announced = trace.records = trace.dropped = trace.dirty = 0
        trace.body_bytes = 0
    else:
        unlink(store, REMEMBERED_AT, number)
    trace = store.traces[number]
    trace.state = OPEN
    trace.offset, trace.clock_before_ns, trace.first_ns = run.offset[record], run.before_ns[record], state[CLOCK]
    link_last(store, OPEN_AT, number)
    return number


@kernel
def _touch(run: Run, store: Store, number: int, out: bool) -> None:
    state, limits = store.state, run.limits
    trace = store.traces[number]
    trace.seen_ns = state[CLOCK]
    if trace.after != NONE:
        unlink(store, OPEN_AT, number)
        link_last(store, OPEN_AT, number)
    if state[CLOCK] - trace.first_ns >= limits[CAP_NS]:
        _leave(run, store, number, CAP, out)
    while state[OPEN_AT + COUNT] > limits[MAX_OPEN] or (
        state[OPEN_AT + COUNT] > 1
        and (state[OPEN_AT + SPANS] > limits[OPEN_SPANS] or state[OPEN_AT + HELD_BYTES] > limits[OPEN_BYTES])
    ):
        _leave(run, store, state[OPEN_AT + FIRST], EVICTED, out)


@kernel
def _leave(run: Run, store: Store, number: int, reason: int, out: bool) -> None:
    unlink(store, OPEN_AT, number)
    trace = store.traces[number]
    if trace.dirty == 1 and trace.spans > 0:
        if out:
            due = run.published[store.state[PUBLISHED]]
            store.state[PUBLISHED] += 1
            due.trace, due.spans, due.announced = number, trace.spans, trace.announced
            due.revision, due.dropped, due.reason = trace.records, trace.dropped, reason
        trace.records += 1
        trace.dirty = 0
    trace.state = REMEMBERED
    link_last(store, REMEMBERED_AT, number)
    _forget(run, store)


@kernel
def _forget(run: Run, store: Store) -> None:
    state, limits = store.state, run.limits
    while state[REMEMBERED_AT + FIRST] != NONE:
        number = state[REMEMBERED_AT + FIRST]
        trace = store.traces[number]
        if (
            state[REMEMBERED_AT + COUNT] <= limits[REMEMBERED_TRACES]
            and state[REMEMBERED_AT + SPANS] <= limits[REMEMBERED_SPANS]
            and state[REMEMBERED_AT + HELD_BYTES] <= limits[REMEMBERED_BYTES]
            and trace.seen_ns + limits[REMEMBER_NS] > state[CLOCK]
        ):
            return
        unlink(store, REMEMBERED_AT, number)
        trace.state = DEAD
        state[LIVE] -= trace.spans + trace.announced


@kernel
def callee(row: Any) -> tuple[int, int]:
    """Whom a span calls that sends no spans: a text (0: nobody) and the kind of connection."""
    if 1 <= row.operation <= LAST_MODEL_OPERATION:
        return (row.provider if row.provider != 0 else row.model), VIRTUAL
    if row.operation == EXECUTE_TOOL:
        return row.tool, VIRTUAL
    if row.kind == KIND_CLIENT:
        return row.database, DATABASE
    return 0, UNSET


@kernel
def _calls(run: Run, store: Store, at: int, record: int) -> None:
    """The calls that a newly taken span completes."""
    rows = store.rows
    row = rows[at]
    server, connection = callee(row)
    if server != 0:
        call = _next_call(run, store, record)
        resource = run.resources[row.resource]
        call.client, call.server, call.environment = resource.service, server, resource.environment
        call.client_ns, call.server_ns, call.time_ns = row.end_ns - row.start_ns, NONE, row.end_ns
        call.connection, call.failed = connection, row.status == STATUS_ERROR
    if row.parent != 0 and row.parent != row.span:
        parent = span_row(store, row.trace, row.parent, 0)
        if parent != NONE:
            _pair(run, store, rows[parent], row, record)
    child = store.by_parent[find_parent(store, row.trace, row.span)]
    while child != NONE:
        if child != at:
            _pair(run, store, row, rows[child], record)
        child = rows[child].sibling


@kernel
def _next_call(run: Run, store: Store, record: int) -> Any:
    call = run.calls[store.state[CALLS]]
    store.state[CALLS] += 1
    call.record = record
    return call


@kernel
def _pair(run: Run, store: Store, caller: Any, called: Any, record: int) -> None:
    """The call between a parent and its child; none if the child is just a part of the same service's work."""
    client, server = run.resources[caller.resource], run.resources[called.resource]
    matched = (caller.kind == KIND_CLIENT and called.kind == KIND_SERVER) or (
        caller.kind == KIND_PRODUCER and called.kind == KIND_CONSUMER
    )
    if client.service == server.service and not matched:
        return
    # A parent of another kind is not the call itself: it lasts as long as all of its work.
    is_call = caller.kind == KIND_CLIENT or caller.kind == KIND_PRODUCER
    messaging = caller.kind == KIND_PRODUCER or called.kind == KIND_CONSUMER
    call = _next_call(run, store, record)
    call.client, call.server, call.environment = client.service, server.service, client.environment
    call.connection = MESSAGING if messaging else UNSET
    call.failed = called.status == STATUS_ERROR or (is_call and caller.status == STATUS_ERROR)
    call.server_ns = called.end_ns - called.start_ns
    call.client_ns = caller.end_ns - caller.start_ns if is_call else NONE
    call.time_ns = max(caller.end_ns, called.end_ns) if is_call else called.end_ns
