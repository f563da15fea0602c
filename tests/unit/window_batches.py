"""Closed windows for tests, from the values that were in them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from streams.domain.series import Series
from streams.domain.sketch import LOG_GAMMA, SMALLEST
from streams.domain.window import WindowBatch

SECOND = 1_000_000_000
WINDOW = 10 * SECOND
EPOCH = 1_700_000_000 * SECOND


def series(name: str, kind: str = "gauge", unit: str = "1", **labels: str) -> Series:
    """Label names are written with ``__`` for a dot."""
    pairs = ((label.replace("__", "."), value) for label, value in labels.items())
    return Series(name, unit, kind, tuple(sorted(pairs)))


def bucket(value: float) -> int:
    if abs(value) < SMALLEST:
        return 0
    return int(math.copysign(math.ceil(math.log(abs(value) / SMALLEST) / LOG_GAMMA), value))


def batch(
    number: int,
    rows: Mapping[Series, Sequence[float]],
    *,
    topic: str = "agents.metrics",
    partition: int = 0,
    window_ns: int = WINDOW,
) -> WindowBatch:
    """The window that starts ``number`` windows after the epoch of the tests."""
    ordered = sorted(rows, key=lambda s: s.id)
    values = [np.array(rows[s], np.float64) for s in ordered]
    sketches = [np.unique([bucket(v) for v in column.tolist()], return_counts=True) for column in values]
    start = EPOCH + number * window_ns
    return WindowBatch(
        topic=topic,
        partition=partition,
        start_ns=start,
        end_ns=start + window_ns,
        series=ordered,
        count=np.array([len(v) for v in values], np.int64),
        sum=np.array([v.sum() for v in values], np.float64),
        sum_low=np.zeros(len(values)),
        minimum=np.array([v.min() for v in values], np.float64),
        maximum=np.array([v.max() for v in values], np.float64),
        sum_squares=np.array([(v * v).sum() for v in values], np.float64),
        quantiles=np.array([np.quantile(v, (0.5, 0.95, 0.99)) for v in values], np.float64).reshape(len(values), 3),
        sketch_start=np.cumsum([0, *(len(b) for b, _ in sketches)]).astype(np.int32),
        sketch_bucket=np.concatenate([b for b, _ in sketches] or [np.zeros(0)]).astype(np.int32),
        sketch_weight=np.concatenate([w for _, w in sketches] or [np.zeros(0)]).astype(np.int64),
    )
