"""The trace operator of one source partition: rows of spans in, trace records, calls and fates out.

A trace is *open* while spans of it arrive, leaves when it has been quiet, and is *remembered* for a while, so that a
late span gives a revised record of the whole trace.

Quiet is measured on the arrival clock: a time that the log itself carries with each record (the broker's append time),
so that the same log gives the same traces however fast it is read. Not on the spans' own times: a single host with a
wrong clock would then close everybody's traces at once, or keep them open.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.domain.bundle import Bundle
from streams.domain.keys import written_ids
from streams.domain.spanrows import SpanTables
from streams.domain.trace import MAX_TRACE_BYTES, decode_trace, encode_trace
from streams.trace import take
from streams.trace.forest import Forest, make_forest
from streams.trace.marks import repeats
from streams.trace.render import Page, render_all
from streams.trace.store import (
    CALLS,
    CLOCK,
    COUNT,
    NONE,
    OPEN_AT,
    PUBLISHED,
    ROWS,
    SPANS,
    empty_store,
    oldest,
    with_room,
)
from streams.trace.take import CALL, LIMITS, PUBLICATION, Run, take_run

SECOND_NS: Final = 1_000_000_000
PAGE_BYTES: Final = 1_048_576

ASSEMBLED: Final = "assembled"
LATE: Final = "late"
DUPLICATE: Final = "duplicate"
OVERFLOW: Final = "overflow"
ANNOUNCED: Final = "announced"
FATES: Final = (ASSEMBLED, LATE, DUPLICATE, OVERFLOW, ANNOUNCED)
"""What became of a span: taken into an open trace; taken into one whose record was already out (a revision follows);
seen before; over the cap of its trace; a mere announcement (phase start). Their counts add up to the spans given. By
number: ``streams.trace.take``."""

QUIET: Final = "quiet"
CAP: Final = "cap"
EVICTED: Final = "evicted"
REVISED: Final = "revised"
"""Why a record was made: nothing more came; the trace lasted too long; the bound on open traces, spans or bytes was
reached; spans were added to a trace whose record was out already."""
_REASONS: Final = (QUIET, CAP, EVICTED)


@dataclass(frozen=True)
class Memory:
    """How much is kept.

    Attributes:
        open_spans, open_bytes: spans in all open traces, and the bytes of their bodies; beyond it the trace that was
            quiet longest leaves early (``evicted``).
        remember_seconds, remembered_traces, remembered_spans, remembered_bytes: age and amounts of what can still be
            revised. A late span of a forgotten trace begins a new record with what is known, see
            :meth:`TraceRecord.supersedes`.
    """

    open_spans: int = 200_000
    remember_seconds: float = 600.0
    remembered_traces: int = 20_000
    remembered_spans: int = 200_000
    open_bytes: int = 256 * 1_048_576
    remembered_bytes: int = 128 * 1_048_576


@dataclass
class TraceResult:
    """What a run of records led to.

    Attributes:
        bundles: trace ids and records of ``agents.traces``, in the order in which they became due.
        repeated: bool[k], records that may have loops (:func:`streams.trace.marks.marked`); the others have none.
        fate: uint8[n] of ``streams.trace.take``, of every row, also of those that a checkpoint had counted.
        calls: CALL[k], completed calls between services, in the order of the log, also of such records.
        before_ns: int64[r], the clock before each record.
        left: records by reason; the sum is their number.
        orphans: in these records. unpaired: spans that turned out to be one side of a call only, counted when their
            trace first leaves.
    """

    bundles: list[Bundle]
    repeated: NDArray[np.bool_]
    fate: NDArray[np.uint8]
    calls: NDArray[Any]
    before_ns: NDArray[np.int64]
    left: Counter[str]
    orphans: int
    unpaired: int

    @property
    def fresh(self) -> NDArray[np.bool_]:
        """Spans seen for the first time (those over a trace's cap too): what the metrics of spans should count.

        A span that was sent twice is not among them.
        """
        fresh: NDArray[np.bool_] = (
            (self.fate == take.ASSEMBLED) | (self.fate == take.LATE) | (self.fate == take.OVERFLOW)
        )
        return fresh


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
        memory = self.memory = memory or Memory()
        self.tables = SpanTables()
        self._store = empty_store()
        self._forest: Forest = make_forest(64)
        self._out = np.empty(PAGE_BYTES, np.uint8)
        self._limits = np.zeros(LIMITS, np.int64)
        self._limits[take.QUIET_NS] = round(quiet_seconds * SECOND_NS)
        self._limits[take.CAP_NS] = round(cap_seconds * SECOND_NS)
        self._limits[take.REMEMBER_NS] = round(memory.remember_seconds * SECOND_NS)
        self._limits[take.MAX_SPANS], self._limits[take.MAX_OPEN] = max_spans_per_trace, max_open_traces
        self._limits[take.OPEN_SPANS], self._limits[take.OPEN_BYTES] = memory.open_spans, memory.open_bytes
        self._limits[take.REMEMBERED_TRACES] = memory.remembered_traces
        self._limits[take.REMEMBERED_SPANS] = memory.remembered_spans
        self._limits[take.REMEMBERED_BYTES] = memory.remembered_bytes
        self._limits[take.APPLIED_OFFSET] = -1

    @property
    def clock_ns(self) -> int:
        """The arrival clock: the latest time given; it never goes back."""
        return int(self._store.state[CLOCK])

    @property
    def open_traces(self) -> int:
        """How many traces are open."""
        return int(self._store.state[OPEN_AT + COUNT])

    @property
    def open_spans(self) -> int:
        """How many spans the open traces hold."""
        return int(self._store.state[OPEN_AT + SPANS])

    def needed_offset(self) -> int | None:
        """The lowest source offset that an open trace still needs: commit up to it and no further. None: no need."""
        offset, _ = oldest(self._store)
        return None if offset == NONE else int(offset)

    def mark(self, applied_offset: int) -> TraceMark:
        """What to put into the checkpoint that is written after the record at ``applied_offset``."""
        offset, clock_ns = oldest(self._store)
        if offset == NONE:
            return TraceMark(applied_offset, applied_offset + 1, self.clock_ns)
        return TraceMark(applied_offset, int(offset), int(clock_ns))

    def resume(self, mark: TraceMark) -> None:
        """Begins a replay. Call it on a new operator, before its first record (at or below ``held_offset``).

        Records below ``held_offset`` (the commit may be older than the checkpoint) are passed over: no open trace needs
        them, and a trace rebuilt from some of them would leave a second time.
        """
        self._limits[take.APPLIED_OFFSET] = mark.applied_offset
        self._limits[take.HELD_OFFSET] = mark.held_offset
        self._store.state[CLOCK] = mark.held_clock_ns

    def tidy(self, others: Sequence[tuple[NDArray[Any], str]] = ()) -> None:
        """Forgets texts and resources that no span refers to, when there are many. Call it between runs only.

        Rows of an earlier run are not renumbered. ``others``: what else holds texts (see :meth:`SpanTables.keep`).
        """
        if self.tables.outgrown:
            self.tables.keep([self._store.rows[: self._store.state[ROWS]]], others)

    def apply(
        self,
        rows: NDArray[Any],
        bodies: NDArray[np.uint8],
        offset: NDArray[np.int64],
        arrival_ns: NDArray[np.int64],
        tick: NDArray[np.bool_],
    ) -> TraceResult:
        """Takes a run of r records in the order of the log.

        Args:
            rows: SPAN[n], any traces mixed, ``record`` ascending; their texts and resources are those of ``tables``.
            bodies: uint8[b], the rows' bodies.
            offset: int64[r], the source offset of each record.
            arrival_ns: int64[r], its append time. A time that goes back counts as the latest before it.
            tick: bool[r], records that carry only time. Others without rows do not move the clock.

        Returns:
            What became due. Where a run of records ends does not change what comes out, or in which order.
        """
        self._store = with_room(self._store, len(rows), len(rows), int(rows["body_bytes"].sum()))
        state = self._store.state
        state[CALLS] = state[PUBLISHED] = 0
        begin = np.searchsorted(rows["record"], np.arange(len(offset) + 1))
        run = Run(
            rows,
            bodies,
            self.tables.resources.rows,
            offset,
            arrival_ns,
            tick,
            begin,
            np.empty(len(offset), np.int64),
            np.empty(len(rows), np.uint8),
            np.empty(2 * len(rows) + int(state[ROWS]) + 1, CALL),
            np.empty(len(rows) + self.open_traces + 1, PUBLICATION),
            self._limits,
        )
        take_run(run, self._store)
        due = run.published[: state[PUBLISHED]]
        repeated = np.zeros(len(due), np.bool_)
        bundles, orphans, alone = self._publish(due, repeated)
        calls = run.calls[: state[CALLS]]
        return TraceResult(bundles, repeated, run.fate, calls, run.before_ns, _left(due), orphans, alone)

    def _publish(self, due: NDArray[Any], repeated: NDArray[np.bool_]) -> tuple[list[Bundle], int, int]:
        """Records of publications, their orphans and what stayed alone in them; fills ``repeated`` of each."""
        if not len(due):
            return [], 0, 0
        self._widen(due)
        resources, texts = self.tables.resources, self.tables.texts
        ends, figures = np.zeros(len(due) + 1, np.int64), np.zeros(2, np.int64)
        number = np.empty(len(resources), np.int32)
        traces = self._store.traces[due["trace"]]
        keys = written_ids(traces["high"], traces["low"])
        found: list[Bundle] = []
        first = 0
        while first < len(due):
            ends[first] = 0
            page = Page(self._out, number, resources.rows, resources.json, texts.arrays)
            until = render_all(self._store, self._forest, page, due, first, ends, figures)
            if until == first:
                self._out = np.empty(2 * len(self._out), np.uint8)
                continue
            repeats(self._out, ends[first : until + 1], repeated[first:until])
            found.append(_fitted(Bundle(keys[first:until], self._page(ends[until]), ends[first : until + 1].copy())))
            first = until
        return found, int(figures[0]), int(figures[1])

    def _page(self, used: int) -> NDArray[np.uint8]:
        """What was written: the page itself where it is full (there is another one then), else a copy."""
        page = self._out
        if 2 * used < len(page) == PAGE_BYTES:
            return page[:used].copy()
        self._out = np.empty(PAGE_BYTES, np.uint8)
        return page[:used]

    def _widen(self, due: NDArray[Any]) -> None:
        most = int(max(due["spans"].max(), due["announced"].max()))
        if most >= len(self._forest.row):
            self._forest = make_forest(2 * most)


def _left(due: NDArray[Any]) -> Counter[str]:
    found: Counter[str] = Counter()
    for reason, name in enumerate(_REASONS):
        found[name] = int(((due["reason"] == reason) & (due["revision"] == 0)).sum())
    found[REVISED] = int((due["revision"] > 0).sum())
    return +found


def _fitted(bundle: Bundle) -> Bundle:
    """Records that the topic takes: one that is too large loses detail."""
    large = np.flatnonzero(bundle.sizes > MAX_TRACE_BYTES).tolist()
    return bundle.with_values({place: encode_trace(decode_trace(bundle[place][1])) for place in large})
