"""What each feature of a vector is, given the others: least squares that forget, for many vectors at once.

Mean and covariance are learned with exponential weights. In the inverse of a covariance matrix stand all regressions of
one variable on the others (Lauritzen 1996, 5.1.3), so one small inverse gives what each feature is beyond what the
others tell. Recursive least squares say the same of one feature, but their matrix grows without bound while a feature
stands still; a covariance does not.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
MEMORY_WINDOWS: Final = 1_000.0
"""Complete windows that are remembered: almost three hours of 10 s windows."""
RIDGE: Final = 1e-3
"""Share of a feature's variance that no other is believed to tell: two that say the same stay two."""
FLOOR_RATIO: Final = 0.002
"""No deviation counts as less than this share of the mean, so that last digits are no news."""
CLIP: Final = 3.0
"""A vector farther away than this (deviations, a root mean square over its features) is learned as if it were so far:
one spike would else hide for hours how features hang together."""
LARGEST: Final = 1e30
"""Larger magnitudes are no numbers here: their squares must stay finite."""


def left(mean: F64, spread: F64, vectors: F64) -> tuple[F64, F64]:
    """What the others do not tell of each feature, and how far off each vector is.

    Args:
        mean: float64[n, d].
        spread: float64[n, d, d], covariances.
        vectors: float64[n, d], finite and below :data:`LARGEST`.

    Returns:
        float64[n, d] in the units of the features; float64[n], distances in deviations (Mahalanobis).
    """
    variance = np.diagonal(spread, axis1=1, axis2=2)
    scale = np.sqrt(variance + (FLOOR_RATIO * mean) ** 2)
    scale[scale == 0.0] = 1.0
    related = spread / (scale[:, :, None] * scale[:, None, :])
    np.einsum("nii->ni", related)[...] = 1.0 + RIDGE
    inverse = np.linalg.inv(related)
    away = (vectors - mean) / scale
    weighed = (inverse * away[:, None, :]).sum(axis=2)
    residual = scale * weighed / np.diagonal(inverse, axis1=1, axis2=2)
    return residual, np.sqrt(np.maximum((away * weighed).sum(axis=1), 0.0))


def learned(seen: NDArray[np.int64], mean: F64, spread: F64, vectors: F64, far: F64) -> tuple[F64, F64]:
    """(mean, spread) with one more vector each, clipped (:data:`CLIP`) where it is far.

    Args:
        seen: int64[n], how many were learned before.
        mean: as for :func:`left`.
        spread: as for :func:`left`.
        vectors: as for :func:`left`.
        far: float64[n], distances that :func:`left` gave over the root of how many features each has; 0 where nothing
            is to be clipped yet.
    """
    weight = np.maximum(1.0 / (seen + 1.0), 1.0 / MEMORY_WINDOWS)[:, None]
    surprise = (vectors - mean) * (CLIP / np.maximum(far, CLIP))[:, None]
    square = weight[:, :, None] * (surprise[:, :, None] * surprise[:, None, :])
    return mean + weight * surprise, (1.0 - weight)[:, :, None] * (spread + square)
