"""``streams traces feed|list|show``: the read model from a terminal."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from streams.api.tracefeeder import TraceFeeder
from streams.api.tracequery import Filter, Page
from streams.api.tracewriter import Retention
from streams.domain.trace import TraceRecord
from streams.records.cluster import cluster_of
from streams.settings import Settings

_MS: float = 1e6


async def feed(settings: Settings) -> None:
    """Feeds the file of the settings until SIGINT or SIGTERM.

    Raises:
        ServiceUnavailable: see :meth:`streams.api.tracefeeder.TraceFeeder.run`.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    retention = Retention(settings.trace_store_seconds, settings.trace_store_bytes)
    clock_ns = time.time_ns  # noqa: TID251 - the shell gives the clock
    await TraceFeeder(cluster_of(settings), settings.trace_store_path, retention, clock_ns).run(stop)


def table(page: Page) -> Iterator[str]:
    """A line per trace; the last names the next page."""
    yield f"{'start (UTC)':23}  {'ms':>10}  {'spans':>5}  {'errors':>6}  {'trace':32}  root"
    for t in page.traces:
        began = datetime.fromtimestamp(t.start_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:23]
        figures = f"{t.duration_ns / _MS:10.1f}  {t.span_count:5}  {t.error_count:6}"
        yield f"{began}  {figures}  {t.trace_id}  {t.service}: {t.operation}"
    if page.next_cursor:
        yield f"more: --cursor {page.next_cursor}"


def tree(trace: TraceRecord) -> Iterator[str]:
    """The spans below each other: offset from the start, duration, what failed, ``*`` on the critical path."""
    ids = {span.span_id for span in trace.spans}
    below: dict[str, list[int]] = {}
    for position, span in enumerate(trace.spans):
        parent = span.parent_span_id if span.parent_span_id in ids and span.span_id != trace.root else ""
        below.setdefault(parent, []).append(position)
    critical = set(trace.critical_span_ids)
    state = "complete" if trace.complete else "incomplete"
    yield f"{trace.trace_id}  {trace.duration_ns / _MS:.1f} ms  {trace.span_count} spans  {state}"
    waiting = [(position, 0) for position in reversed(below.get("", []))]
    while waiting:  # a circle of parents hangs below nothing, and is not shown
        position, depth = waiting.pop()
        span = trace.spans[position]
        mark = "*" if span.span_id in critical else " "
        times = f"{(span.start_ns - trace.start_ns) / _MS:10.1f} {span.duration_ns / _MS:10.1f}"
        failed = f"  ERROR {span.status_message}" if span.status_code == 2 else ""
        yield f"{times} ms {mark} {'  ' * depth}{span.service}: {span.name}{failed}"
        waiting += [(child, depth + 1) for child in reversed(below.get(span.span_id, []))]


def asked(arguments: dict[str, str | float], now_ns: int) -> Filter:
    """The filter that the arguments of ``list`` name; ``since`` in seconds before now."""
    since = float(arguments.get("since") or 0)
    return Filter(
        service=str(arguments.get("service") or ""),
        agent=str(arguments.get("agent") or ""),
        operation=str(arguments.get("operation") or ""),
        conversation=str(arguments.get("conversation") or ""),
        status=str(arguments.get("status") or ""),
        pattern=str(arguments.get("pattern") or ""),
        text=str(arguments.get("text") or ""),
        min_duration_ns=round(float(arguments.get("min_ms") or 0) * _MS),
        since_ns=now_ns - round(since * 1e9) if since else 0,
    )
