"""Points that need more than adding: running totals and histograms aggregated by their producer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.domain.columns import AggregatePoint, Columns, CumulativePoint
from streams.window import kernel, sketches
from streams.window.cumulative import CumulativeState, Total
from streams.window.pane import F64, I32, I64, Aggregates

U8 = NDArray[np.uint8]
_USED: Final = (kernel.ON_TIME, kernel.LATE)
"""A late total still moves its series' state: a replay cannot tell which totals were late, so it must not matter."""


class Samples(NamedTuple):
    """Plain samples in columns, ``record`` ascending."""

    record: I32
    slot: I32
    time_ns: I64
    value: F64


@dataclass(frozen=True, slots=True)
class Histogram:
    """One producer's histogram as an increment, ready to be added to the pane of ``time_ns``."""

    record: int
    slot: int
    time_ns: int
    count: int
    sum: float
    minimum: float
    maximum: float
    values: tuple[float, ...]
    weights: tuple[int, ...]


Fate = Callable[[NDArray[np.int32], I64], U8]
"""Decides events in the order of the log, given their records' positions (ascending) and their times."""


def by_newest(columns: Columns, ignored: NDArray[np.bool_], watermark: I64, spec: tuple[int, int, int]) -> Fate:
    """The watermark follows the newest event time, see :func:`kernel.fates`; ``spec`` is (pane, lateness, future)."""
    tick_ns = np.full(len(columns.offset), -1, np.int64)
    for tick in columns.ticks:
        tick_ns[tick.record] = tick.time_ns

    def fate(record: NDArray[np.int32], time_ns: I64) -> U8:
        found = np.empty(len(record), np.uint8)
        kernel.fates(record, time_ns, columns.append_ns, ignored, tick_ns, watermark, *spec, found)
        return found

    return fate


def decide(columns: Columns, fate_of: Fate) -> tuple[U8, U8, U8]:
    """The fates (``kernel.ON_TIME`` ...) of samples, running totals and histograms, in the order of the log."""
    record, time_ns = columns.record, columns.time_ns
    extra: Sequence[AggregatePoint | CumulativePoint] = [*columns.cumulatives, *columns.aggregates]
    order = None
    if extra:
        record = np.concatenate([record, np.array([p.record for p in extra], np.int32)])
        time_ns = np.concatenate([time_ns, np.array([p.time_ns for p in extra], np.int64)])
        order = np.argsort(record, kind="stable")
        record, time_ns = record[order], time_ns[order]
    fate = fate_of(record, time_ns)
    if order is not None:
        unsorted = np.empty_like(fate)
        unsorted[order] = fate
        fate = unsorted
    n, c = len(columns.record), len(columns.cumulatives)
    return fate[:n], fate[n : n + c], fate[n + c :]


def increments(points: Sequence[CumulativePoint], fate: U8, state: CumulativeState, offset: I64) -> Samples:
    """Running totals as samples; those that bring nothing new get the fate ``kernel.STALE``."""
    found: list[tuple[int, int, int, float]] = []
    for i, point in enumerate(points):
        if fate[i] not in _USED:
            continue
        total = Total(point.time_ns, point.start_ns, (point.value,), {})
        step = state.increment(point.slot, total, int(offset[point.record]))
        if step is None:
            fate[i] = kernel.STALE
        elif fate[i] == kernel.ON_TIME:
            found.append((point.record, point.slot, point.time_ns, step.numbers[0]))
    record, slot, time_ns, value = zip(*found, strict=True) if found else ((), (), (), ())
    return Samples(
        np.array(record, np.int32), np.array(slot, np.int32), np.array(time_ns, np.int64), np.array(value, np.float64)
    )


def histograms(points: Sequence[AggregatePoint], fate: U8, state: CumulativeState, offset: I64) -> list[Histogram]:
    """Producers' histograms as increments; those that bring nothing new get the fate ``kernel.STALE``."""
    found = []
    for i, point in enumerate(points):
        if fate[i] not in _USED:
            continue
        if not point.cumulative:
            if fate[i] == kernel.ON_TIME:
                found.append(_whole(point))
            continue
        weights = dict(zip(point.values, point.weights, strict=True))
        total = Total(point.time_ns, point.start_ns, (float(point.count), point.sum), weights)
        step = state.increment(point.slot, total, int(offset[point.record]))
        if step is None:
            fate[i] = kernel.STALE
        elif fate[i] != kernel.ON_TIME:
            continue
        elif step.whole:
            found.append(_whole(point))
        elif step.weights:
            values = tuple(step.weights)
            found.append(
                Histogram(
                    point.record,
                    point.slot,
                    point.time_ns,
                    int(step.numbers[0]),
                    step.numbers[1],
                    min(values),  # the extremes of an increment are known only to its buckets' resolution
                    max(values),
                    values,
                    tuple(step.weights.values()),
                )
            )
    return [h for h in found if h.count]


def _whole(point: AggregatePoint) -> Histogram:
    return Histogram(
        point.record,
        point.slot,
        point.time_ns,
        point.count,
        point.sum,
        point.minimum,
        point.maximum,
        point.values,
        point.weights,
    )


def by_pane(found: Iterable[Histogram], pane_ns: int) -> dict[int, list[Histogram]]:
    """Histograms grouped by the start of their pane."""
    panes: dict[int, list[Histogram]] = defaultdict(list)
    for histogram in found:
        panes[histogram.time_ns - histogram.time_ns % pane_ns].append(histogram)
    return panes


def aggregates(found: Sequence[Histogram]) -> Aggregates:
    """Histograms in the form that a pane takes."""
    sizes = [len(h.values) for h in found]
    values = np.array([v for h in found for v in h.values], np.float64)
    weights = np.array([w for h in found for w in h.weights], np.int64)
    ends = np.cumsum([0, *sizes]).astype(np.int32)
    squares = np.add.reduceat(np.append(values * values * weights, 0.0), ends[:-1]) if len(found) else np.zeros(0)
    return Aggregates(
        slot=np.array([h.slot for h in found], np.int32),
        count=np.array([h.count for h in found], np.int64),
        high=np.array([h.sum for h in found], np.float64),
        low=np.zeros(len(found)),
        minimum=np.array([h.minimum for h in found], np.float64),
        maximum=np.array([h.maximum for h in found], np.float64),
        squares=squares,
        start=ends,
        bucket=sketches.buckets_of(values),
        weight=weights,
    )
