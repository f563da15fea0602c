"""Closed windows for tests, from the values that were in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from streams.correlate.fixture import closed_window
from streams.domain.series import Series
from streams.domain.window import WindowBatch

SECOND = 1_000_000_000
WINDOW = 10 * SECOND
EPOCH = 1_700_000_000 * SECOND


def series(name: str, kind: str = "gauge", unit: str = "1", **labels: str) -> Series:
    """Label names are written with ``__`` for a dot."""
    pairs = ((label.replace("__", "."), value) for label, value in labels.items())
    return Series(name, unit, kind, tuple(sorted(pairs)))


def batch(
    number: int,
    rows: Mapping[Series, Sequence[float]],
    *,
    topic: str = "agents.metrics",
    partition: int = 0,
    window_ns: int = WINDOW,
) -> WindowBatch:
    """The window that starts ``number`` windows after the epoch of the tests."""
    return closed_window(rows, EPOCH + number * window_ns, window_ns, topic=topic, partition=partition)
