"""Cumulative counters and histograms of one source partition, over the labels that are exported.

Labels that the catalogue drops are summed away here, when a window is applied, so that an agent that goes never takes
its part of a total with it: a row, once there, stays and never falls.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agents_emitter.events import KINDS
from streams.domain.series import OVERFLOW_LABEL, Series
from streams.domain.sketch import LAST_BUCKET, RELATIVE_ERROR, bucket_value
from streams.domain.window import WindowBatch
from streams.publish import kernel
from streams.publish.catalogue import Metric, metric_for
from streams.publish.names import is_id, label_name, label_set
from streams.publish.packing import pack, unpack

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
LabelSet = tuple[tuple[str, str], ...]

OVERFLOW: Final[LabelSet] = ((label_name(OVERFLOW_LABEL), "true"),)
"""The label set that collects what is over a budget."""


def kept_labels(metric: Metric, series: Series) -> LabelSet:
    """The exported label set of a series: what the catalogue keeps, and always the overflow mark."""
    chosen = metric.labels
    if chosen is None:
        return _exported(tuple([pair for pair in series.labels if not is_id(pair[0])]))
    return _exported(tuple([pair for pair in series.labels if pair[0] in chosen or pair[0] == OVERFLOW_LABEL]))


@lru_cache(maxsize=8_192)
def _exported(labels: LabelSet) -> LabelSet:
    """Remembered, for agents differ by their ids, which are not kept."""
    return label_set(labels)


@dataclass(frozen=True)
class TotalsView:
    """A consistent copy: row i is ``metric[i]`` with ``labels[i]``.

    ``value`` float64[n] is the total of a counter or the sum of a histogram; the bucket counts of a histogram are
    ``cells[start[i] : start[i] + len(buckets) + 1]``, not yet cumulated, the last one above the highest bound.
    """

    owner: object
    """The totals it was copied from."""
    metric: Sequence[Metric]
    labels: Sequence[LabelSet]
    value: F64
    start: I64
    cells: I64


@dataclass(frozen=True)
class Plan:
    """Where n series of a window count: see ``streams.publish.kernel.add_window``. Stays true: rows never move."""

    chosen: I64
    row: I64
    falls: NDArray[np.bool_]
    first_bound: I64
    bounds_count: I64
    bounds: F64


@dataclass
class Totals:
    """Rows of (metric, exported label set).

    Bounded: ``limit`` rows in all and ``Metric.budget`` rows per metric; what comes later is added to the overflow row
    of its metric, which costs nothing of the budget. A metric that is new when ``2 * limit`` rows exist (only overflow
    rows can take it there) is left out and counted in ``refused``.
    """

    limit: int = 20_000
    refused: int = 0
    metric: list[Metric] = field(default_factory=list)
    labels: list[LabelSet] = field(default_factory=list)
    _value: F64 = field(default_factory=lambda: np.zeros(64))
    _start: I64 = field(default_factory=lambda: np.zeros(64, np.int64))
    _cells: I64 = field(default_factory=lambda: np.zeros(256, np.int64))
    _cells_used: int = 0
    _row_of: dict[tuple[Metric, LabelSet], int] = field(default_factory=dict)
    _row_of_series: dict[Series, int] = field(default_factory=dict)
    _rows_of_metric: dict[Metric, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.metric)

    def row(self, series: Series) -> int:
        """The row that a series counts in, -1 if it is refused."""
        known = self._row_of_series.get(series)
        if known is not None:
            return known
        if len(self._row_of_series) >= 10 * self.limit:  # a cache: sources come and go, rows stay
            self._row_of_series.clear()
        metric = metric_for(series.name, series.unit, series.kind)
        row = self._row(metric, kept_labels(metric, series))
        self._row_of_series[series] = row
        return row

    def _row(self, metric: Metric, labels: LabelSet) -> int:
        known = self._row_of.get((metric, labels))
        if known is not None:
            return known
        full = len(self) >= self.limit or self._rows_of_metric.get(metric, 0) >= metric.budget
        if full and labels != OVERFLOW:
            return self._row(metric, OVERFLOW)
        return -1 if len(self) >= 2 * self.limit else self._add(metric, labels)

    def _add(self, metric: Metric, labels: LabelSet) -> int:
        row = len(self)
        self._row_of[metric, labels] = row
        if labels != OVERFLOW:
            self._rows_of_metric[metric] = self._rows_of_metric.get(metric, 0) + 1
        self.metric.append(metric)
        self.labels.append(labels)
        self._value = _grown(self._value, row + 1)
        self._start = _grown(self._start, row + 1)
        self._start[row] = self._cells_used
        if metric.kind == "histogram":
            self._cells_used += len(metric.buckets) + 1
            self._cells = _grown(self._cells, self._cells_used)
        return row

    def plan(self, series: Sequence[Series]) -> Plan:
        """Where the counters and histograms among these series count."""
        chosen = [i for i, one in enumerate(series) if one.kind != "gauge"]
        row = [self.row(series[i]) for i in chosen]
        metrics = [self.metric[r] if r >= 0 else None for r in row]
        bounds = [m.buckets if m is not None and m.kind == "histogram" else () for m in metrics]
        size = np.array([len(b) for b in bounds], np.int64)
        return Plan(
            chosen=np.array(chosen, np.int64),
            row=np.array(row, np.int64),
            falls=np.array([series[i].kind == "counter" for i in chosen], bool),
            first_bound=np.cumsum(size) - size,
            bounds_count=size,
            bounds=np.array([edge for b in bounds for edge in b], np.float64),
        )

    def apply(self, batch: WindowBatch, plan: Plan) -> None:
        """Adds the counters and histograms of a closed window; ``plan`` was made for its series.

        A negative increment of a counter is refused: Prometheus would take the fall for a restart.
        """
        self.refused += kernel.add_window(
            *(plan.chosen, plan.row, plan.falls, plan.first_bound, plan.bounds_count, plan.bounds),
            *(self._value, self._start, self._cells),
            *(batch.sum, batch.sum_low, batch.minimum, batch.maximum),
            *(batch.sketch_start, batch.sketch_bucket, batch.sketch_weight),
            *(_LOWEST, LAST_BUCKET),
        )

    def cell(self, series: Series, value: float) -> tuple[int, int] | None:
        """The row and bucket that a value of a histogram counts in; None where no such row is exported on its own."""
        metric = metric_for(series.name, series.unit, series.kind)
        row = self._row_of.get((metric, kept_labels(metric, series)))
        if row is None or metric.kind != "histogram":
            return None
        return row, bisect_left(metric.buckets, value)

    def view(self) -> TotalsView:
        """A consistent copy."""
        n = len(self)
        return TotalsView(
            self,
            self.metric[:n],
            self.labels[:n],
            self._value[:n].copy(),
            self._start[:n].copy(),
            self._cells[: self._cells_used].copy(),
        )

    def to_data(self) -> dict[str, Any]:
        """As JSON data: metrics once, rows in columns."""
        number: dict[Metric, int] = {}
        index = [number.setdefault(metric, len(number)) for metric in self.metric]
        return {
            "metrics": [[m.name, m.unit, m.kind, list(m.buckets)] for m in number],
            "metric": pack(np.array(index, np.int64)),
            "labels": [[text for pair in labels for text in pair] for labels in self.labels],
            "value": pack(self._value[: len(self)]),
            "cells": pack(self._cells[: self._cells_used]),
        }

    @classmethod
    def from_data(cls, data: dict[str, Any], limit: int) -> tuple[Totals, int]:
        """The inverse of :meth:`to_data`, and how many rows were left out.

        A histogram whose bounds the catalogue has changed starts again from nothing: its old counts cannot be told
        apart by the new bounds.

        Raises:
            ValueError, KeyError, TypeError: not such data.
        """
        made, discarded, position = cls(limit), 0, 0
        value, cells = unpack(data["value"], np.float64), unpack(data["cells"], np.int64)
        index = unpack(data["metric"], np.int64).tolist()
        if not len(value) == len(index) == len(data["labels"]) or not {m[2] for m in data["metrics"]} <= KINDS:
            raise ValueError("rows of different number, or an unknown kind")
        for i, (number, flat) in enumerate(zip(index, data["labels"], strict=True)):
            name, unit, kind, buckets = data["metrics"][number]
            size = len(buckets) + 1 if kind == "histogram" else 0
            metric = metric_for(name, unit, kind)
            row = -1
            if list(metric.buckets) == buckets:
                row = made._row(metric, tuple(zip(flat[::2], flat[1::2], strict=True)))
            if row < 0:
                discarded += 1
            else:
                made._value[row] += value[i]
                start = int(made._start[row])
                made._cells[start : start + size] += cells[position : position + size]
            position += size
        if position != len(cells):
            raise ValueError(f"{len(cells)} cells for {position}")
        return made, discarded


def lowest_value(bucket: NDArray[np.int32]) -> F64:
    """The lowest value a sketch bucket can hold (exclusive for positive buckets).

    A whole sketch bucket counts below a bound when any part of it does, so observations exactly at a bound (a time-out
    of 5 s, a quality of 1.0) are always in: the count at a bound lies between the true counts at the bound and at
    1.036 times the bound.
    """
    value = bucket_value(bucket)
    # 1e-12 upward: the edge itself is not in a positive bucket, and edges carry rounding errors.
    return np.where(value >= 0, value / (1 + RELATIVE_ERROR) * (1 + 1e-12), value / (1 - RELATIVE_ERROR))


_LOWEST: Final = lowest_value(np.arange(-LAST_BUCKET, LAST_BUCKET + 1, dtype=np.int32))


def _grown(column: NDArray[Any], size: int) -> NDArray[Any]:
    if size <= len(column):
        return column
    grown = np.zeros(max(size, 2 * len(column)), column.dtype)
    grown[: len(column)] = column
    return grown
