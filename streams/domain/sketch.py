"""Log-bucket numbers of the quantile sketch, shared by those who fill it and those who read it.

A bucket stands for an interval of relative width gamma, so that any value in it is within :data:`RELATIVE_ERROR` of the
bucket's value (DDSketch: Masson, Rim, Lee, VLDB 2019). Buckets are added to merge: no averages of percentiles.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

RELATIVE_ERROR: Final = 0.0175
"""Below the 2 % that is promised, so that rounding at a bucket's edge stays inside."""
GAMMA: Final = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
LOG_GAMMA: Final = math.log(GAMMA)
SMALLEST: Final = 1e-9
"""Magnitudes below this are bucket 0 and read as 0."""
LARGEST: Final = 1e15
"""Magnitudes above this share the last bucket; quantiles are then clamped to the exact minimum and maximum."""
LAST_BUCKET: Final = math.ceil(math.log(LARGEST / SMALLEST) / LOG_GAMMA)


def bucket_value(bucket: NDArray[np.int32]) -> NDArray[np.float64]:
    """The value that stands for each bucket: the point with equal relative distance to both edges.

    Args:
        bucket: int[n], -LAST_BUCKET..LAST_BUCKET; negative buckets hold negative values.
    """
    number = np.asarray(bucket, dtype=np.float64)
    magnitude = SMALLEST * np.exp(np.abs(number) * LOG_GAMMA) * (2 / (1 + GAMMA))
    return np.where(number == 0, 0.0, np.sign(number) * magnitude)
