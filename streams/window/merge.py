"""One larger window out of several closed panes: associative and commutative, never a second pass over events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.domain.kernel import kernel, large_kernel
from streams.window.pane import I32, Aggregates
from streams.window.sketches import BLOCK, BLOCKS, BUCKET_OFFSET, gather, write_dense


def merge(parts: Sequence[Aggregates], order: I32) -> Aggregates:
    """The aggregates of all parts together.

    Args:
        parts: each with its slots in the order of ``order``, at least one.
        order: all slots in the order in which windows list their series.

    Raises:
        ValueError: a part holds a slot that ``order`` does not hold, or in another order.
    """
    size = min(len(order), sum(len(part.slot) for part in parts))
    entries = sum(len(part.bucket) for part in parts)
    slot, count = np.empty(size, np.int32), np.empty(size, np.int64)
    figures = np.empty((5, size))
    start, bucket = np.empty(size + 1, np.int32), np.empty(entries + BLOCK, np.int32)
    weight = np.empty(entries + BLOCK, np.int64)
    rows = np.cumsum([0, *(len(part.slot) for part in parts)])
    cursor = rows[:-1].copy()
    dense, touched = np.zeros(BLOCKS * BLOCK, np.int64), np.zeros(BLOCKS, np.uint8)
    columns = [_joined(parts, name) for name in ("slot", "count", "start", "bucket", "weight")]
    figures_in = np.array([_joined(parts, name) for name in ("high", "low", "minimum", "maximum", "squares")])
    found = _merge(
        order, rows, cursor, np.cumsum([0, *(len(part.bucket) for part in parts)]),
        dense, touched, slot, count, figures, start, bucket, weight, figures_in, *columns,
    )  # fmt: skip
    if not np.array_equal(cursor, rows[1:]):
        raise ValueError("the parts are not in the order of the series")
    high, low, minimum, maximum, squares = figures[:, :found]
    size = start[found]
    return Aggregates(
        slot[:found], count[:found], high, low, minimum, maximum, squares,
        start[: found + 1], bucket[:size].copy(), weight[:size].copy(),
    )  # fmt: skip


def _joined(parts: Sequence[Aggregates], name: str) -> NDArray[Any]:
    return np.concatenate([getattr(part, name) for part in parts])


@kernel
def _add_entries(first: int, end: int, bucket: Any, weight: Any, dense: Any, touched: Any) -> tuple[int, int]:
    """Adds entries to the dense counters; returns their lowest and highest block."""
    lowest, highest = BLOCKS, 0
    for e in range(first, end):
        block = gather(np.int64(bucket[e]) + BUCKET_OFFSET, weight[e], dense, touched)
        lowest, highest = min(lowest, block), max(highest, block)
    return lowest, highest


@kernel
def _add_figures(to: int, at: int, figures_in: Any, figures: Any, is_first: bool) -> None:
    """Adds the sum (two numbers), extremes and squares of row ``at`` to those of row ``to``."""
    high = 0.0 if is_first else figures[0, to]
    before = 0.0 if is_first else figures[1, to]
    v = figures_in[0, at]
    total = high + v
    part = total - high
    figures[0, to] = total
    figures[1, to] = before + ((high - (total - part)) + (v - part) + figures_in[1, at])
    figures[2, to] = figures_in[2, at] if is_first else min(figures[2, to], figures_in[2, at])
    figures[3, to] = figures_in[3, at] if is_first else max(figures[3, to], figures_in[3, at])
    figures[4, to] = figures_in[4, at] + (0.0 if is_first else figures[4, to])


@large_kernel
def _merge(
    order: Any, rows: Any, cursor: Any, entries: Any, dense: Any, touched: Any,
    slot: Any, count: Any, figures: Any, start: Any, bucket: Any, weight: Any,
    figures_in: Any, slot_in: Any, count_in: Any, start_in: Any, bucket_in: Any, weight_in: Any,
) -> int:  # fmt: skip
    """Walks through all parts at once, slot by slot; returns how many slots have events.

    Shapes: ``rows`` int64[p + 1], where the rows of each part begin in the joined columns, ``cursor`` int64[p], those
    of the next rows (moved); ``entries`` int64[p + 1], where its entries begin. ``start_in`` holds the starts of all
    parts (int32[n + 1] each) behind each other, counted from the part's first entry. ``figures`` are sum, what rounding
    left out of it, minimum, maximum, sum of squares; ``dense`` and ``touched`` as in ``close_sketches``.
    """
    found = at = 0
    for k in range(order.shape[0]):
        lowest, highest = BLOCKS, 0
        is_first = True
        for p in range(cursor.shape[0]):
            row = cursor[p]
            if row == rows[p + 1] or slot_in[row] != order[k]:
                continue
            cursor[p] = row + 1
            _add_figures(found, row, figures_in, figures, is_first)
            count[found] = count_in[row] + (0 if is_first else count[found])
            first, end = entries[p] + start_in[row + p], entries[p] + start_in[row + p + 1]
            low, high = _add_entries(first, end, bucket_in, weight_in, dense, touched)
            lowest, highest = min(lowest, low), max(highest, high)
            is_first = False
        if is_first:
            continue
        slot[found] = order[k]
        total = figures[0, found] + figures[1, found]
        figures[1, found] -= total - figures[0, found]
        figures[0, found] = total
        start[found] = at
        at = write_dense(lowest, highest, dense, touched, at, bucket, weight)
        found += 1
    start[found] = at
    return found
