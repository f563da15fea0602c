"""Drawn spans through the compiled code: short names become ids that sort alike, and come back as names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from streams.domain.span import Span
from streams.domain.spanrows import SPAN, SpanTables, rows_of
from streams.domain.trace import Call, Segment, TraceRecord, decode_trace
from streams.trace import forest as compiled
from streams.trace import take
from streams.trace.assembly import FATES, TraceMark, TraceOperator, TraceResult
from streams.trace.forest import ORPHANS, SEGMENTS, TOPS, N
from streams.trace.graph import CONNECTIONS, NANOSECONDS
from streams.trace.path import critical_path as walk
from streams.trace.path import entry_of
from streams.trace.take import PUBLICATION
from tests.unit.trace.drawing import EPOCH

NAMES: dict[str, str] = {"": ""}
FOREVER = 2**62


def id_of(name: str, digits: int = 16) -> str:
    """An id that sorts as the name does (by its first eight or sixteen letters)."""
    if len(name) == digits and not set(name) - set("0123456789abcdef"):
        made = name
    else:
        made = name.encode()[: digits // 2].hex().ljust(digits, "0") if name else ""
    assert NAMES.setdefault(made, name) == name, f"{name} looks like {NAMES[made]}"
    return made


def wired(span: Span) -> Span:
    """A drawn span with ids."""
    return replace(
        span,
        trace_id=id_of(span.trace_id, 32),
        span_id=id_of(span.span_id),
        parent_span_id=id_of(span.parent_span_id),
    )


def drawn(record: TraceRecord) -> TraceRecord:
    """A record with names."""
    spans = [
        replace(s, trace_id=NAMES[s.trace_id], span_id=NAMES[s.span_id], parent_span_id=NAMES[s.parent_span_id])
        for s in record.spans
    ]
    return replace(
        record,
        trace_id=NAMES[record.trace_id],
        spans=tuple(spans),
        root=NAMES[record.root],
        failures=tuple(f._replace(span_id=NAMES[f.span_id]) for f in record.failures),
        orphans=tuple(NAMES[i] for i in record.orphans),
        unfinished=tuple(NAMES[i] for i in record.unfinished),
        critical_path=tuple(s._replace(span_id=NAMES[s.span_id]) for s in record.critical_path),
    )


@dataclass
class Outcome:
    """What came out, as values."""

    traces: list[TraceRecord] = field(default_factory=list)
    fresh: list[Span] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    fates: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    unpaired: int = 0


def tick(operator: TraceOperator, clock_ns: int, offset: int) -> TraceResult:
    """Time without spans: a run of one tick."""
    at = (np.array([offset], np.int64), np.array([clock_ns], np.int64), np.ones(1, np.bool_))
    return operator.apply(np.zeros(0, SPAN), np.zeros(0, np.uint8), *at)


class Assembler:
    """A trace operator that takes drawn spans."""

    def __init__(self, **options: Any) -> None:
        self.operator = TraceOperator(**options)
        self._applied = -1

    def resume(self, mark: TraceMark) -> None:
        self.operator.resume(mark)
        self._applied = mark.applied_offset

    def __getattr__(self, name: str) -> Any:
        return getattr(self.operator, name)

    def apply(self, spans: Sequence[Span], offsets: Sequence[int], arrival_ns: Sequence[int]) -> Outcome:
        rows, bodies = rows_of([wired(span) for span in spans], self.operator.tables)
        columns = np.array(offsets, np.int64), np.array(arrival_ns, np.int64), np.zeros(len(spans), np.bool_)
        return self._outcome(self.operator.apply(rows, bodies, *columns), columns[0], spans)

    def advance(self, clock_ns: int, offset: int = FOREVER) -> Outcome:
        return self._outcome(tick(self.operator, clock_ns, offset), np.array([offset]), [])

    def _outcome(self, found: TraceResult, offset: np.ndarray, spans: Sequence[Span]) -> Outcome:
        new = offset > self._applied
        fates = Counter(
            FATES[fate]
            for fate, is_new in zip(found.fate.tolist(), new, strict=False)
            if is_new and fate != take.PASSED_OVER
        )
        fresh = [s for s, f, is_new in zip(spans, found.fresh, new, strict=False) if f and is_new]
        calls = [self._call(call, int(offset[call["record"]])) for call in found.calls if new[call["record"]]]
        traces = [drawn(decode_trace(value)) for bundle in found.bundles for _, value in bundle]
        return Outcome(traces, fresh, calls, fates, found.left, found.unpaired)

    def _call(self, call: Any, offset: int) -> Call:
        text = self.operator.tables.texts.text
        client, server = (int(call[f"{side}_ns"]) for side in ("client", "server"))
        return Call(
            text(int(call["client"])),
            text(int(call["server"])),
            CONNECTIONS[call["connection"]],
            bool(call["failed"]),
            client / NANOSECONDS if client >= 0 else None,
            server / NANOSECONDS if server >= 0 else None,
            int(call["time_ns"]),
            offset,
            text(int(call["environment"])),
        )


def filled(spans: Iterable[Span], announced: Iterable[str] = ()) -> TraceOperator:
    """An operator that holds the spans of one trace and announcements of others."""
    given = [replace(span, trace_id="t") for span in spans]
    said = [replace(given[0], span_id=name, parent_span_id="", phase="start", events=()) for name in announced]
    operator = Assembler(max_spans_per_trace=100_000)
    together = [*given, *said]
    operator.apply(together, range(len(together)), [EPOCH] * len(together))
    return operator.operator


def trace_record(
    trace_id: str,
    spans: Iterable[Span],
    *,
    announced: Iterable[str] = (),
    revision: int = 0,
    dropped_spans: int = 0,
) -> TraceRecord:
    """The record of a trace as it is published."""
    operator = filled(spans, announced)
    trace = operator._store.traces[0]
    due = np.array([(0, trace["spans"], trace["announced"], revision, dropped_spans, 0)], PUBLICATION)
    (((_, value),),), _, _ = operator._publish(due, np.zeros(1, np.bool_))
    found = drawn(decode_trace(value))
    return replace(found, trace_id=trace_id, spans=tuple(replace(s, trace_id=trace_id) for s in found.spans))


class Node(NamedTuple):
    """A span's interval on the root's clock."""

    start_ns: int
    end_ns: int


class Tree(NamedTuple):
    """What the compiled code made of some spans, by name."""

    nodes: Mapping[str, Node]
    roots: tuple[str, ...]
    orphans: tuple[str, ...]
    order: tuple[str, ...]
    entry: str
    path: tuple[Segment, ...]
    self_ns: Mapping[str, int]


def build(spans: Iterable[Span], announced: Iterable[str] = ()) -> Tree:
    """All of it."""
    operator = filled(spans, announced)
    store, resources = operator._store, operator.tables.resources.rows
    trace = store.traces[0]
    f = compiled.make_forest(int(trace["spans"] + trace["announced"]))
    compiled.plant(f, store, 0, int(trace["spans"]), int(trace["announced"]))
    compiled.align(f, store.rows, resources)
    compiled.self_times(f)
    entry = entry_of(f, store.rows)
    walk(f, entry)
    n = int(f.figures[N])
    names = [NAMES[f"{int(store.rows[row]['span']):016x}"] for row in f.row[:n]]
    is_root = [int(store.rows[row]["parent"]) == 0 for row in f.row[:n]]
    segments = zip(f.segment, f.segment_ns[::2], f.segment_ns[1::2], strict=False)
    path = [
        Segment(names[place], int(a), int(b))
        for (place, a, b), _ in zip(segments, range(f.figures[SEGMENTS]), strict=False)
    ]
    return Tree(
        {names[i]: Node(int(f.start_ns[i]), int(f.end_ns[i])) for i in range(n)},
        tuple(names[i] for i in f.tops[: f.figures[TOPS]] if is_root[i]),
        tuple(names[i] for i in f.orphans[: f.figures[ORPHANS]]),
        tuple(names[i] for i in f.order[:n]),
        names[entry],
        tuple(reversed(path)),
        {names[i]: int(f.self_ns[i]) for i in range(n)},
    )


def critical_path(tree: Tree) -> tuple[Segment, ...]:
    return tree.path


def self_times(tree: Tree) -> Mapping[str, int]:
    return tree.self_ns


def call_rows(calls: Sequence[Call], tables: SpanTables) -> np.ndarray:
    """Calls as the compiled code gives them; ``record`` is the offset."""
    number = tables.texts.number
    rows = np.zeros(len(calls), take.CALL)
    for row, call in zip(rows, calls, strict=True):
        for side, seconds in (("client_ns", call.client_seconds), ("server_ns", call.server_seconds)):
            row[side] = -1 if seconds is None else round(seconds * NANOSECONDS)
        row["client"], row["server"], row["environment"] = map(number, (call.client, call.server, call.environment))
        row["connection"], row["failed"] = CONNECTIONS.index(call.connection_type), call.failed
        row["time_ns"], row["record"] = call.time_ns, call.offset
    return rows
