"""The trace operator of one source partition: spans in, trace records, calls and fates out.

A trace is *open* while spans of it arrive, leaves when it has been quiet, and is *remembered* for a while, so that a
late span gives a revised record of the whole trace.

Quiet is measured on the arrival clock: a time that the log itself carries with each record (the broker's append time),
so that the same log gives the same traces however fast it is read. Not on the spans' own times: a single host with a
wrong clock would then close everybody's traces at once, or keep them open.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from streams.domain import conventions
from streams.domain.span import Span
from streams.domain.trace import Call, Edge, TraceRecord
from streams.trace import graph
from streams.trace.summary import trace_record

SECOND_NS: Final = 1_000_000_000

ASSEMBLED: Final = "assembled"
LATE: Final = "late"
DUPLICATE: Final = "duplicate"
OVERFLOW: Final = "overflow"
ANNOUNCED: Final = "announced"
FATES: Final = (ASSEMBLED, LATE, DUPLICATE, OVERFLOW, ANNOUNCED)
"""What became of a span: taken into an open trace; taken into one whose record was already out (a revision follows);
seen before; over the cap of its trace; a mere announcement (phase start). Their counts add up to the spans given."""

_FRESH: Final = frozenset({ASSEMBLED, LATE, OVERFLOW})

QUIET: Final = "quiet"
CAP: Final = "cap"
EVICTED: Final = "evicted"
REVISED: Final = "revised"
"""Why a record was made: nothing more came; the trace lasted too long; the bound on open traces or spans was reached;
spans were added to a trace whose record was out already."""


@dataclass(frozen=True)
class Memory:
    """How much is kept.

    Attributes:
        open_spans: spans in all open traces; beyond it the trace that was quiet longest leaves early (``evicted``).
        remember_seconds, remembered_traces, remembered_spans: age and counts of what can still be revised. A late span
            of a forgotten trace begins a new record with what is known, see :meth:`TraceRecord.supersedes`.
    """

    open_spans: int = 200_000
    remember_seconds: float = 600.0
    remembered_traces: int = 20_000
    remembered_spans: int = 200_000


@dataclass
class TraceResult:
    """What a run of spans, or the passing of time, led to.

    Attributes:
        traces: records to publish (key = trace id), in the order in which they became due.
        fresh: spans seen for the first time (modernised; those over a trace's cap too), in the order of the log: what
            the metrics of spans should count. A span that was sent twice outside its batch's numbering is not in it.
        calls: completed calls between services, in the order of the log (``streams.trace.red.graph_batches``).
        fates: spans by fate. left: records by reason; the sum is the number of ``traces``.
        unpaired: spans that turned out to be one side of a call only, counted when their trace first leaves.
    """

    traces: list[TraceRecord] = field(default_factory=list)
    fresh: list[Span] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    fates: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    unpaired: int = 0

    @property
    def edges(self) -> list[Edge]:
        """The calls, summed by edge."""
        return graph.edges(self.calls)


@dataclass(slots=True)
class _Trace:
    """A trace that is open or remembered.

    ``offset`` is the lowest since it was opened, ``clock_before_ns`` the clock before that record; ``first_ns`` and
    ``seen_ns`` the clock at the first and last arrival since then. ``dirty``: something is not in its last record.
    """

    offset: int = 0
    clock_before_ns: int = 0
    first_ns: int = 0
    seen_ns: int = 0
    spans: dict[str, Span] = field(default_factory=dict)
    children: dict[str, list[str]] = field(default_factory=dict)
    announced: set[str] = field(default_factory=set)
    records: int = 0
    dropped: int = 0
    dirty: bool = False

    def add(self, span: Span, limit: int) -> str | None:
        """Takes a span; the fate, None for "taken"."""
        if span.span_id in self.spans:
            return DUPLICATE
        if span.phase == "start":
            if span.span_id in self.announced:
                return DUPLICATE
            if len(self.announced) < limit:
                self.announced.add(span.span_id)
                self.dirty = True
            return ANNOUNCED
        self.dirty = True
        if len(self.spans) >= limit:
            self.dropped += 1
            return OVERFLOW
        self.spans[span.span_id] = span
        self.children.setdefault(span.parent_span_id, []).append(span.span_id)
        return None

    def calls(self, span: Span, offset: int) -> list[Call]:
        """The calls that the newly taken span completes."""
        parent = self.spans.get(span.parent_span_id) if span.parent_span_id != span.span_id else None
        below = (self.spans[child] for child in self.children.get(span.span_id, ()) if child != span.span_id)
        return graph.calls_of(span, parent, below, offset)


class TraceMark(NamedTuple):
    """What a checkpoint keeps of the operator: with the log from ``held_offset`` on it gives the same open traces.

    Attributes:
        applied_offset: the last source record that was applied.
        held_offset: the lowest offset an open trace needs (``applied_offset + 1`` if none does).
        held_clock_ns: where the arrival clock stood before that record.
    """

    applied_offset: int
    held_offset: int
    held_clock_ns: int


class TraceOperator:
    """Assembles the traces of one source partition.

    After a restart the caller reads again from the committed offset (:meth:`needed_offset` held it back) and calls
    :meth:`resume` first: records that the checkpoint had applied then rebuild the open traces and give no output. A
    trace that left early at a bound may leave again, with the same or fewer spans (:meth:`TraceRecord.supersedes`).
    """

    def __init__(
        self,
        quiet_seconds: float = 5.0,
        cap_seconds: float = 600.0,
        max_spans_per_trace: int = 10_000,
        max_open_traces: int = 20_000,
        memory: Memory | None = None,
    ) -> None:
        """An operator without traces.

        Args:
            quiet_seconds: a trace leaves when nothing of it has arrived for so long (on the arrival clock).
            cap_seconds: a trace that keeps growing leaves at this age, and goes on as a revision.
            max_spans_per_trace: more are dropped (fate ``overflow``), and the record says how many.
            max_open_traces: beyond it the trace that was quiet longest leaves early (``evicted``).
            memory: the bounds of everything else that is kept.
        """
        self.memory = memory or Memory()
        self._max_spans = max_spans_per_trace
        self._max_open = max_open_traces
        self.clock_ns = 0
        """The arrival clock: the latest time given; it never goes back."""
        self._quiet_ns = round(quiet_seconds * SECOND_NS)
        self._cap_ns = round(cap_seconds * SECOND_NS)
        self._remember_ns = round(self.memory.remember_seconds * SECOND_NS)
        # Both in order of last arrival: the first is the one that was quiet longest.
        self._open: OrderedDict[str, _Trace] = OrderedDict()
        self._remembered: OrderedDict[str, _Trace] = OrderedDict()
        self._open_spans = 0
        self._remembered_spans = 0
        self._applied_offset = -1
        self._held_offset = 0

    @property
    def open_traces(self) -> int:
        """How many traces are open."""
        return len(self._open)

    @property
    def open_spans(self) -> int:
        """How many spans the open traces hold."""
        return self._open_spans

    def needed_offset(self) -> int | None:
        """The lowest source offset that an open trace still needs: commit up to it and no further. None: no need."""
        return min((trace.offset for trace in self._open.values()), default=None)

    def mark(self, applied_offset: int) -> TraceMark:
        """What to put into the checkpoint that is written after the record at ``applied_offset``."""
        first = min(self._open.values(), key=lambda trace: (trace.offset, trace.clock_before_ns), default=None)
        if first is None:
            return TraceMark(applied_offset, applied_offset + 1, self.clock_ns)
        return TraceMark(applied_offset, first.offset, first.clock_before_ns)

    def resume(self, mark: TraceMark) -> None:
        """Begins a replay. Call it on a new operator, before its first record (at or below ``held_offset``).

        Records below ``held_offset`` (the commit may be older than the checkpoint) are passed over: no open trace needs
        them, and a trace rebuilt from some of them would leave a second time.
        """
        self._applied_offset = mark.applied_offset
        self._held_offset = mark.held_offset
        self.clock_ns = mark.held_clock_ns

    def apply(self, spans: Sequence[Span], offsets: Sequence[int], arrival_ns: Sequence[int]) -> TraceResult:
        """Takes spans in the order of the log.

        Args:
            spans: any traces mixed.
            offsets: aligned with ``spans``: the source offset of the record each came in.
            arrival_ns: aligned too: that record's append time. A time that goes back counts as the latest before it.

        Returns:
            What became due. Where a run of records ends does not change what comes out, or in which order.
        """
        result = TraceResult()
        for span, offset, arrived in zip(spans, offsets, arrival_ns, strict=True):
            if offset < self._held_offset:
                continue
            target = self._target(offset, result)
            before = self.clock_ns
            self._pass_time(arrived, target)
            self._take(conventions.modern(span), offset, before, target)
        return result

    def advance(self, clock_ns: int, offset: int | None = None) -> TraceResult:
        """Lets time pass without spans (a tick).

        Args:
            clock_ns: on the arrival clock: the tick's own time or its append time.
            offset: of the tick's record, so that a replay of it is known for one; None for time outside the log.
        """
        result = TraceResult()
        if offset is None or offset >= self._held_offset:
            self._pass_time(clock_ns, result if offset is None else self._target(offset, result))
        return result

    def _target(self, offset: int, result: TraceResult) -> TraceResult | None:
        """Where the outputs of a record go: nowhere if they went out before the restart."""
        return result if offset > self._applied_offset else None

    def _pass_time(self, clock_ns: int, result: TraceResult | None) -> None:
        if clock_ns <= self.clock_ns:
            return
        self.clock_ns = clock_ns
        for trace_id in list(self._expired()):
            self._leave(trace_id, QUIET, result)
        self._forget()

    def _expired(self) -> Iterator[str]:
        for trace_id, trace in self._open.items():
            if trace.seen_ns + self._quiet_ns > self.clock_ns:
                return
            yield trace_id

    def _take(self, span: Span, offset: int, clock_before_ns: int, result: TraceResult | None) -> None:
        trace = self._open.get(span.trace_id) or self._open_trace(span.trace_id, offset, clock_before_ns)
        fate = trace.add(span, self._max_spans)
        if fate is None:
            self._open_spans += 1
            fate = LATE if trace.records else ASSEMBLED
            if result is not None:
                result.calls.extend(trace.calls(span, offset))
        if result is not None:
            result.fates[fate] += 1
            if fate in _FRESH:
                result.fresh.append(span)
        self._touch(span.trace_id, trace, result)

    def _open_trace(self, trace_id: str, offset: int, clock_before_ns: int) -> _Trace:
        """A new trace, or one from memory with all that is known of it."""
        trace = self._remembered.pop(trace_id, None)
        if trace is None:
            trace = _Trace()
        self._remembered_spans -= len(trace.spans)  # a new trace has none
        trace.offset, trace.clock_before_ns, trace.first_ns = offset, clock_before_ns, self.clock_ns
        self._open[trace_id] = trace
        self._open_spans += len(trace.spans)
        return trace

    def _touch(self, trace_id: str, trace: _Trace, result: TraceResult | None) -> None:
        trace.seen_ns = self.clock_ns
        self._open.move_to_end(trace_id)
        if self.clock_ns - trace.first_ns >= self._cap_ns:
            self._leave(trace_id, CAP, result)
        while len(self._open) > self._max_open or (self._open_spans > self.memory.open_spans and len(self._open) > 1):
            self._leave(next(iter(self._open)), EVICTED, result)

    def _leave(self, trace_id: str, reason: str, result: TraceResult | None) -> None:
        trace = self._open.pop(trace_id)
        self._open_spans -= len(trace.spans)
        if trace.dirty and trace.spans:
            if result is not None:
                _publish(trace_id, trace, reason, result)
            trace.records += 1
            trace.dirty = False
        self._remembered[trace_id] = trace
        self._remembered_spans += len(trace.spans)
        self._forget()

    def _forget(self) -> None:
        while self._remembered:
            trace_id, trace = next(iter(self._remembered.items()))
            if (
                len(self._remembered) <= self.memory.remembered_traces
                and self._remembered_spans <= self.memory.remembered_spans
                and trace.seen_ns + self._remember_ns > self.clock_ns
            ):
                return
            self._remembered_spans -= len(trace.spans)
            del self._remembered[trace_id]


def _publish(trace_id: str, trace: _Trace, reason: str, result: TraceResult) -> None:
    record = trace_record(
        trace_id,
        trace.spans.values(),
        announced=trace.announced,
        revision=trace.records,
        dropped_spans=trace.dropped,
    )
    result.traces.append(record)
    result.left[REVISED if trace.records else reason] += 1
    if not trace.records:
        result.unpaired += graph.unpaired(trace.spans)
