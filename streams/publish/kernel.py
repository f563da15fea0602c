# mypy: disable-error-code="no-untyped-def"
"""The compiled inner loop of adding a closed window to the totals."""

from __future__ import annotations

from numba import njit


@njit(cache=True)
def add_window(
    chosen, row, falls, first_bound, bounds_count, bounds, value, start, cells,
    total, total_low, minimum, maximum, sketch_start, sketch_bucket, sketch_weight, lowest, lowest_zero,
):  # fmt: skip
    """Adds the chosen series of a window; returns how many were refused.

    Shapes: ``chosen`` int64[n], positions in the window; ``row`` int64[n], their rows in the totals, -1 for a refused
    one; ``falls`` bool[n], counters, which must not fall; ``first_bound`` and ``bounds_count`` int64[n], the part of
    ``bounds`` (float64, ascending) that a histogram has, nothing for a counter; ``value``, ``start``, ``cells``: the
    totals, changed in place; ``total`` to ``sketch_weight``: the window's columns; ``lowest`` float64[b], the lowest
    value of each bucket, that of bucket 0 at ``lowest_zero``.
    """
    refused = 0
    for k in range(chosen.shape[0]):
        i, r = chosen[k], row[k]
        if r < 0 or (falls[k] and total[i] < 0):
            refused += 1
            continue
        value[r] += total[i] + total_low[i]
        n, first = bounds_count[k], first_bound[k]
        if n == 0:
            continue
        cell = 0
        for e in range(sketch_start[i], sketch_start[i + 1]):
            edge = min(max(lowest[sketch_bucket[e] + lowest_zero], minimum[i]), maximum[i])
            while cell < n and bounds[first + cell] < edge:
                cell += 1
            cells[start[r] + cell] += sketch_weight[e]
    return refused
