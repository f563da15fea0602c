"""A source log as plain values, the columns that decoding would make of it, and what it should come to."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from streams.domain.columns import BatchId, Columns, CumulativePoint, Rejected, Tick
from streams.domain.series import Series, SeriesTable

SECOND = 1_000_000_000
PANE = 10 * SECOND


@dataclass
class Entry:
    """One record of the log."""

    samples: list[tuple[str, int, float]] = field(default_factory=list)  # (series name, time_ns, value)
    append_ns: int = 2 * 10**18
    batch: tuple[str, int] | None = None
    dropped_total: int = 0
    tick_ns: int | None = None
    tick_source: str = ""
    tick_idle: bool = False
    totals: list[tuple[str, int, int, float]] = field(default_factory=list)  # (name, time_ns, start_ns, value)
    rejected: list[tuple[str, int]] = field(default_factory=list)  # (reason, events)


def series(name: str, kind: str = "histogram") -> Series:
    return Series(name, "1", kind, (("service.name", "s"),))


def columns(log: Sequence[Entry], first_offset: int, table: SeriesTable) -> Columns:
    flat = [(r, *sample) for r, entry in enumerate(log) for sample in entry.samples]
    return Columns(
        slot=np.array([table.slot(series(name)) for _, name, _, _ in flat], np.int32),
        time_ns=np.array([t for _, _, t, _ in flat], np.int64),
        value=np.array([v for *_, v in flat], np.float64),
        record=np.array([r for r, *_ in flat], np.int32),
        offset=np.arange(first_offset, first_offset + len(log), dtype=np.int64),
        append_ns=np.array([entry.append_ns for entry in log], np.int64),
        events=np.array([len(entry.samples) + len(entry.totals) for entry in log], np.int64),
        batches=[BatchId(r, *e.batch, e.dropped_total) for r, e in enumerate(log) if e.batch],
        ticks=[Tick(r, e.tick_ns, e.tick_source, e.tick_idle) for r, e in enumerate(log) if e.tick_ns is not None],
        cumulatives=[
            CumulativePoint(r, table.slot(series(name, "counter")), t, start, value)
            for r, e in enumerate(log)
            for name, t, start, value in e.totals
        ],
        rejected=[Rejected(r, reason, "", events) for r, e in enumerate(log) for reason, events in e.rejected],
    )


@dataclass
class Expected:
    """What plain Python makes of a log: the brute force that the operator is held against."""

    windows: dict[tuple[int, int, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    aggregated: int = 0
    late: int = 0
    duplicate: int = 0
    watermark_ns: int = 0


def brute_force(log: Sequence[Entry], sizes: Sequence[int], lateness_ns: int = 5 * SECOND) -> Expected:
    out = Expected()
    seen: set[tuple[str, int]] = set()
    panes: dict[tuple[int, str], list[float]] = defaultdict(list)
    for entry in log:
        if entry.batch in seen:
            out.duplicate += len(entry.samples)
            continue
        if entry.batch:
            seen.add(entry.batch)
        for name, t, value in entry.samples:
            if t - t % PANE + PANE <= out.watermark_ns:
                out.late += 1
            else:
                out.aggregated += 1
                panes[t - t % PANE, name].append(value)
        times = [t for _, t, _ in entry.samples] + ([entry.tick_ns] if entry.tick_ns is not None else [])
        if times:
            out.watermark_ns = max(out.watermark_ns, min(max(times), entry.append_ns) - lateness_ns)
    for (start, name), values in panes.items():
        for size in sizes:
            window = start - start % size
            if window + size <= out.watermark_ns:
                out.windows[window, size, name].extend(values)
    return out


def quantile(values: Sequence[float], q: float) -> float:
    return sorted(values)[int(q * (len(values) - 1))]


def same(window, values: Sequence[float]) -> None:  # type: ignore[no-untyped-def]
    assert window.count == len(values)
    assert window.sum == math.fsum(values)
    assert (window.minimum, window.maximum) == (min(values), max(values))
    for q, got in ((0.5, window.p50), (0.95, window.p95), (0.99, window.p99)):
        assert math.isclose(got, quantile(values, q), rel_tol=0.02, abs_tol=1e-9)
