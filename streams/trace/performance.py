"""Where time goes and what fails, over many traces: one range (or version) and, beside it, its baseline.

Pure folding: trace records in, figures out, in any order. Bounded by count: beyond :class:`Bounds` new names share one
row ``other``, so that sums stay exact. Age is bounded by the range of time that the caller folds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

from streams.domain import conventions
from streams.domain.span import Span
from streams.domain.trace import Segment, TraceRecord
from streams.trace.durations import Durations
from streams.trace.names import OTHER, template
from streams.trace.patterns import loops, retries, skews
from streams.trace.tree import Tree, build
from streams.trace.waits import waits

K = TypeVar("K")
MAX_EXEMPLARS: Final = 5
SHORTEST_SECONDS: Final = 1e-6
"""A baseline below a microsecond is read as one: a clock's grain is no slowdown."""
VERSION: Final = "service.version"


class Bounds(NamedTuple):
    """How many rows each table may have."""

    operations: int = 5_000
    errors: int = 2_000
    usage: int = 20_000
    patterns: int = 2_000


class Operation(NamedTuple):
    """What a service does: its name and the span's, without ids."""

    service: str
    name: str


class ErrorKind(NamedTuple):
    """Failures that are one group."""

    operation: Operation
    error_type: str


class LoopKey(NamedTuple):
    """Who calls what with the same arguments again and again."""

    agent: str
    tool: str


@dataclass(slots=True)
class Pattern:
    """How often something was seen (failed attempts, calls of loops, traces with a moved clock), and the worst of it.

    ``largest_ns``: of retries the time from the first attempt to the last, of clocks the absolute shift; 0 for loops.
    """

    count: int = 0
    largest_ns: int = 0
    trace_ids: list[str] = field(default_factory=list)

    def add(self, count: int, size_ns: int, trace_id: str) -> None:
        """One more; at most five traces are named."""
        self.count += count
        self.largest_ns = max(self.largest_ns, size_ns)
        if len(self.trace_ids) < MAX_EXEMPLARS and trace_id not in self.trace_ids:
            self.trace_ids.append(trace_id)


class UseKey(NamedTuple):
    """Whose tokens."""

    model: str
    agent: str
    conversation: str


@dataclass(slots=True)
class Figures:
    """Of one operation: ``self_ns`` and ``critical_ns`` are sums over its calls; the latter is what roots waited."""

    calls: int = 0
    failed: int = 0
    self_ns: int = 0
    critical_ns: int = 0
    durations: Durations = field(default_factory=Durations)
    self_times: Durations = field(default_factory=Durations)


@dataclass(slots=True)
class ErrorGroup:
    """Failures of one kind: ends of the first and last span (ns since the epoch), at most five traces as examples."""

    count: int
    first_seen_ns: int
    last_seen_ns: int
    trace_ids: list[str]


@dataclass(slots=True)
class Performance:
    """Figures of the traces that were folded in.

    Attributes:
        version: only spans of this ``service.version`` count; "" for all.
        traces: how many were folded.
        usage: (input, output) tokens; a trace of several conversations counts for "" (none of them).
        retries, loops, clocks: by operation, by agent and tool, by service; of all versions.
    """

    version: str = ""
    bounds: Bounds = field(default_factory=Bounds)
    traces: int = 0
    operations: dict[Operation, Figures] = field(default_factory=dict)
    errors: dict[ErrorKind, ErrorGroup] = field(default_factory=dict)
    usage: dict[UseKey, tuple[int, int]] = field(default_factory=dict)
    retries: dict[Operation, Pattern] = field(default_factory=dict)
    loops: dict[LoopKey, Pattern] = field(default_factory=dict)
    clocks: dict[str, Pattern] = field(default_factory=dict)

    def add(self, record: TraceRecord) -> None:
        """Folds one trace; give each trace once, its last revision."""
        self.traces += 1
        waited: dict[str, int] = {}
        for span_id, start_ns, end_ns in self._path(record):
            waited[span_id] = waited.get(span_id, 0) + end_ns - start_ns
        stated = {failure.span_id: failure.error_type for failure in record.failures}
        for span, self_ns in zip(record.spans, record.self_ns, strict=True):
            if not self.version or span.resource.get(VERSION) == self.version:
                self._span(span, self_ns, waited.get(span.span_id, 0))
                if span.status_code == conventions.STATUS_ERROR:
                    self._error(span, stated.get(span.span_id) or conventions.error_type(span))
        for use in record.tokens:
            conversation = record.conversation_ids[0] if len(record.conversation_ids) == 1 else ""
            self._use(UseKey(use.model, use.agent, conversation), use.input_tokens, use.output_tokens)

    def _path(self, record: TraceRecord) -> tuple[Segment, ...]:
        """The path through links too; a trimmed record has lost the links (and perhaps spans), but not its own path."""
        if record.trimmed or not record.spans:
            return record.critical_path
        tree = build(record.spans, record.unfinished)
        self._patterns(tree, record.trace_id)
        return waits(tree) if any(span.links for span in record.spans) else record.critical_path

    def _patterns(self, tree: Tree, trace_id: str) -> None:
        limit, rest = self.bounds.patterns, Operation(OTHER, OTHER)
        for retry in retries(tree):
            operation = Operation(retry.service, template(retry.name))
            _row(self.retries, operation, rest, limit).add(retry.attempts - 1, retry.wasted_ns, trace_id)
        for loop in loops(tree):
            key = LoopKey(loop.agent, loop.tool)
            _row(self.loops, key, LoopKey(OTHER, OTHER), limit).add(loop.calls, 0, trace_id)
        moved: dict[str, int] = {}
        for skew in skews(tree):
            moved[skew.service] = max(moved.get(skew.service, 0), abs(skew.skew_ns))
        for service, skew_ns in moved.items():
            if skew_ns:
                _row(self.clocks, service, OTHER, limit).add(1, skew_ns, trace_id)

    def _span(self, span: Span, self_ns: int, waited_ns: int) -> None:
        figures = self._figures(operation_of(span))
        figures.calls += 1
        figures.failed += span.status_code == conventions.STATUS_ERROR
        figures.self_ns += self_ns
        figures.critical_ns += waited_ns
        figures.durations.add(span.duration_ns)
        figures.self_times.add(self_ns)

    def _figures(self, operation: Operation) -> Figures:
        key = _place(self.operations, operation, Operation(OTHER, OTHER), self.bounds.operations)
        return self.operations.setdefault(key, Figures())

    def _error(self, span: Span, error_type: str) -> None:
        rest = ErrorKind(Operation(OTHER, OTHER), conventions.OTHER_ERROR)
        kind = _place(self.errors, ErrorKind(operation_of(span), error_type), rest, self.bounds.errors)
        group = self.errors.setdefault(kind, ErrorGroup(0, span.end_ns, span.end_ns, []))
        group.count += 1
        group.first_seen_ns = min(group.first_seen_ns, span.end_ns)
        group.last_seen_ns = max(group.last_seen_ns, span.end_ns)
        if len(group.trace_ids) < MAX_EXEMPLARS and span.trace_id not in group.trace_ids:
            group.trace_ids.append(span.trace_id)

    def _use(self, key: UseKey, input_tokens: int, output_tokens: int) -> None:
        key = _place(self.usage, key, UseKey(OTHER, OTHER, OTHER), self.bounds.usage)
        before = self.usage.get(key, (0, 0))
        self.usage[key] = (before[0] + input_tokens, before[1] + output_tokens)


def _place(table: Mapping[K, object], key: K, rest: K, limit: int) -> K:
    """The key, or where there is no room for it the row that the rest shares."""
    return key if key in table or len(table) < limit else rest


def _row(table: dict[K, Pattern], key: K, rest: K, limit: int) -> Pattern:
    return table.setdefault(_place(table, key, rest, limit), Pattern())


def operation_of(span: Span) -> Operation:
    """The operation that a span is a call of."""
    return Operation(span.service, template(span.name))


class Bottleneck(NamedTuple):
    """An operation by what it costs: ``score`` = ``share_ratio`` x ``slowdown_ratio``.

    ``share_ratio``: of all time that roots waited, in [0, 1]. ``slowdown_ratio``: median self time over the baseline's;
    1 where the baseline has no such call.
    """

    operation: Operation
    score: float
    share_ratio: float
    slowdown_ratio: float
    calls: int


def bottlenecks(current: Performance, baseline: Performance) -> list[Bottleneck]:
    """Operations that roots waited for, the worst first."""
    total = sum(figures.critical_ns for figures in current.operations.values())
    found = []
    for operation, figures in current.operations.items():
        if figures.critical_ns:
            share, slowdown = figures.critical_ns / total, _slowdown(figures, baseline.operations.get(operation))
            found.append(Bottleneck(operation, share * slowdown, share, slowdown, figures.calls))
    return sorted(found, key=lambda one: (-one.score, one.operation))


def _slowdown(figures: Figures, before: Figures | None) -> float:
    if before is None:
        return 1.0
    usual = max(before.self_times.quantile_seconds(0.5), SHORTEST_SECONDS)
    return max(figures.self_times.quantile_seconds(0.5), SHORTEST_SECONDS) / usual


class Change(NamedTuple):
    """One operation in two ranges (or versions); seconds, ratios in [0, 1]."""

    operation: Operation
    calls: int
    baseline_calls: int
    median_seconds: float
    baseline_median_seconds: float
    p95_seconds: float
    baseline_p95_seconds: float
    failed_ratio: float
    baseline_failed_ratio: float


def changes(current: Performance, baseline: Performance, least_calls: int = 20) -> Iterator[Change]:
    """Operations with at least ``least_calls`` on both sides, the one that slowed down most (median) first."""
    both = [(operation, new, baseline.operations.get(operation)) for operation, new in current.operations.items()]
    rows = [
        _change(operation, new, old)
        for operation, new, old in both
        if old is not None and min(new.calls, old.calls) >= least_calls
    ]
    floor = SHORTEST_SECONDS
    rows.sort(key=lambda r: (-(r.median_seconds + floor) / (r.baseline_median_seconds + floor), r.operation))
    yield from rows


def _change(operation: Operation, new: Figures, old: Figures) -> Change:
    return Change(
        operation,
        new.calls,
        old.calls,
        new.durations.quantile_seconds(0.5),
        old.durations.quantile_seconds(0.5),
        new.durations.quantile_seconds(0.95),
        old.durations.quantile_seconds(0.95),
        new.failed / new.calls,
        old.failed / old.calls,
    )


def new_errors(current: Performance, baseline: Performance) -> list[ErrorKind]:
    """Kinds of errors that the baseline does not have, most frequent first."""
    fresh = [kind for kind in current.errors if kind not in baseline.errors]
    return sorted(fresh, key=lambda kind: (-current.errors[kind].count, kind))
