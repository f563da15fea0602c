"""Traces."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, HTTPException, Path, Query

from streams.api.context import Shared, needs, rfc3339
from streams.api.routes.alerts import since_ns
from streams.api.routes.words import Cursor, Limit, Seconds, Word, example
from streams.api.tracequery import Filter
from streams.api.tracestats import MOST_TRACES, statistics
from streams.domain.trace import encode_trace
from streams.trace.patterns import SHAPES
from streams.trace.report import Question, Ranges, answer

router = APIRouter(prefix="/api/v1/traces", tags=["traces"], dependencies=[needs("read")])
FIGURES = {
    "traces": 1200,
    "failed": 12,
    "error_ratio": 0.01,
    "mean_seconds": 0.4,
    "p50_seconds": 0.3,
    "p95_seconds": 1.2,
    "p99_seconds": 2.5,
}
STATS = {
    "as_of": "2026-01-31T22:00:00.000Z",
    "window_seconds": 3600,
    "cut": False,
    **FIGURES,
    "spans": 14000,
    "incomplete": 3,
    "operations": [{"service": "shop", "operation": "invoke_agent planner", **FIGURES}],
}
ANALYSIS = {
    "as_of": STATS["as_of"],
    "window_seconds": 3600,
    "cut": False,
    "traces": 1200,
    "baseline_traces": 1150,
    "bottlenecks": [],
    "changes": [],
    "errors": [{"service": "tools", "name": "execute_tool search", "error_type": "timeout", "new": True, "count": 12}],
    "retries": [],
    "loops": [],
}
MOST_ANALYSED = 500
"""Of each range: together half a second for traces of ten spans (measured)."""
Shape = Literal["", *SHAPES]  # type: ignore[valid-type]


@router.get("")
def traces(
    shared: Shared,
    service: Word = "",
    agent_id: Word = "",
    operation: Word = "",
    conversation: Word = "",
    text: Word = "",
    status: Literal["", "ok", "error"] = "",
    pattern: Shape = "",
    min_duration_ms: Annotated[float, Query(ge=0, le=1e12)] = 0,
    since_seconds: Seconds = 0,
    limit: Limit = 100,
    cursor: Cursor = "",
) -> dict[str, Any]:
    """Traces that match, newest first, without their spans."""
    asked = Filter(
        service=service,
        agent=agent_id,
        operation=operation,
        conversation=conversation,
        status=status,
        pattern=pattern,
        text=text,
        min_duration_ns=round(min_duration_ms * 1e6),
        since_ns=since_ns(shared, since_seconds),
    )
    try:
        page = shared.from_traces(lambda reader: reader.page(asked, limit=limit, cursor=cursor))
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
    found = [
        {
            "trace_id": one.trace_id,
            "service": one.service,
            "operation": one.operation,
            "start": rfc3339(one.start_ns),
            "duration_ms": one.duration_ns / 1e6,
            "span_count": one.span_count,
            "error_count": one.error_count,
            "complete": one.complete,
        }
        for one in page.traces
    ]
    return shared.envelope(traces=found, next_cursor=page.next_cursor)


@router.get("/stats", responses={200: example(STATS)})
def stats(
    shared: Shared, window: Annotated[int, Query(ge=60, le=86_400, description="seconds up to now")] = 3_600
) -> dict[str, Any]:
    """Traces that began in the window: how many, failed and incomplete, how long; in all and by root operation.

    ``cut``: there were more than 100,000, and the newest of them count.
    """
    since = shared.clock_ns() - window * 10**9
    found = shared.from_traces(lambda reader: reader.outlines(since, MOST_TRACES))
    return shared.envelope(window_seconds=window, cut=len(found) == MOST_TRACES, **statistics(found))


@router.get("/analysis", responses={200: example(ANALYSIS)})
def analysis(
    shared: Shared,
    time_window: Annotated[int, Query(ge=60, le=86_400, description="seconds up to now")] = 3_600,
    baseline_window: Annotated[int, Query(ge=60, le=86_400, description="seconds before that")] = 3_600,
    version: Word = "",
    baseline_version: Word = "",
    limit: Annotated[int, Query(ge=1, le=100, description="rows of each list")] = 20,
) -> dict[str, Any]:
    """Where time goes, what fails and what became worse since the time before (or beside another version).

    The newest 500 traces of each range count (``cut`` says that there were more); ``streams performance`` reads all.
    """
    question = Question(shared.clock_ns(), time_window, baseline_window, version, baseline_version, limit)
    ranges = Ranges(question)
    before = shared.from_traces(lambda reader: reader.records(ranges.begin_ns, ranges.since_ns, MOST_ANALYSED))
    now = shared.from_traces(lambda reader: reader.records(ranges.since_ns, question.now_ns, MOST_ANALYSED))
    for record in (*before, *now):
        ranges.add(record)
    ranges.settle()
    cut = MOST_ANALYSED in (len(before), len(now))
    return shared.envelope(window_seconds=time_window, cut=cut, **answer(ranges, {}, limit))


@router.get("/{trace_id}")
def trace(shared: Shared, trace_id: Annotated[str, Path(pattern="^[0-9a-f]{32}$")]) -> dict[str, Any]:
    """One trace: spans with OTLP field names, self times, the critical path, loops."""
    found = shared.from_traces(lambda reader: reader.trace(trace_id))
    if found is None:
        raise HTTPException(404, f"there is no trace {trace_id}")
    return shared.envelope(trace=orjson.loads(encode_trace(found)))
