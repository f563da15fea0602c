"""Closed windows with chosen values, through the real sketch."""

from collections.abc import Sequence

import numpy as np

from streams.domain.series import Series
from streams.domain.window import QUANTILES, WindowBatch
from streams.window.sketches import buckets_of

PANE_NS = 10_000_000_000


def series(name: str, version: str, service: str = "shop", **labels: str) -> Series:
    body = {"service.name": service, "service.version": version, **labels}
    return Series(name, "s", "histogram", tuple(sorted(body.items())))


def window(pane: int, rows: Sequence[tuple[Series, Sequence[float]]], partition: int = 0) -> WindowBatch:
    """One closed window of 10 s; ``rows`` are (series, values)."""
    values = [np.asarray(v, dtype=np.float64) for _, v in rows]
    found = [np.unique(buckets_of(v), return_counts=True) for v in values]
    starts = np.cumsum([0, *(len(b) for b, _ in found)]).astype(np.int32)
    return WindowBatch(
        topic="agents.metrics",
        partition=partition,
        start_ns=pane * PANE_NS,
        end_ns=(pane + 1) * PANE_NS,
        series=[s for s, _ in rows],
        count=np.array([len(v) for v in values], dtype=np.int64),
        sum=np.array([v.sum() for v in values]),
        sum_low=np.zeros(len(rows)),
        minimum=np.array([v.min() for v in values]),
        maximum=np.array([v.max() for v in values]),
        sum_squares=np.array([(v**2).sum() for v in values]),
        quantiles=np.zeros((len(rows), len(QUANTILES))),
        sketch_start=starts,
        sketch_bucket=np.concatenate([b for b, _ in found]).astype(np.int32),
        sketch_weight=np.concatenate([w for _, w in found]).astype(np.int64),
    )
