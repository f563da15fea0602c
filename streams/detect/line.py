"""A robust straight line through values over time, with the errors of its level and slope."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
MOST_AUTOCORRELATION: Final = 0.95
MAD_TO_DEVIATION: Final = 1.4826
"""Median absolute deviation to standard deviation, of a normal variable."""


class Line(NamedTuple):
    """Level at x = 0, slope per unit of x, the standard errors of both, and the scatter of values around it."""

    level: float
    slope: float
    level_error: float
    slope_error: float
    scatter: float


def fit(x: F64, y: F64) -> Line:
    """Theil and Sen's line: the median of the slopes of all pairs, which 29 % of wrong values do not carry away.

    The errors are those of least squares with the scatter that the median of distances gives, widened for values that
    follow each other: at autocorrelation r, n of them are worth ``n (1 - r) / (1 + r)``. O(n^2).

    Args:
        x: at least three places, ascending.
        y: as many values, finite.
    """
    first, second = _pairs(len(x))
    slope = float(np.median((y[second] - y[first]) / (x[second] - x[first])))
    level = float(np.median(y - slope * x))
    rest = y - slope * x - level
    scatter = MAD_TO_DEVIATION * float(np.median(np.abs(rest)))
    error = scatter * math.sqrt(_inflation(rest))
    spread = float(np.sum((x - x.mean()) ** 2))
    level_error = error * math.sqrt(1 / len(x) + float(x.mean()) ** 2 / spread)
    return Line(level, slope, level_error, error / math.sqrt(spread), scatter)


@lru_cache(maxsize=128)
def _pairs(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.triu_indices(count, 1)


def _inflation(rest: F64) -> float:
    """How many values that follow each other are worth one that stands alone."""
    energy = float(np.dot(rest, rest))
    if energy <= 0.0:
        return 1.0
    follow = min(MOST_AUTOCORRELATION, max(0.0, float(np.dot(rest[1:], rest[:-1])) / energy))
    return (1 + follow) / (1 - follow)
