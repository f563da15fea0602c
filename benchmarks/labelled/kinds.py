"""Healthy series of many kinds, one value every five minutes: what faults are planted into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

STEP_SECONDS: Final = 300
PER_DAY: Final = 86_400 // STEP_SECONDS


def _turns(length: int, per: int) -> np.ndarray:
    return np.sin(2 * np.pi * np.arange(length) / per)


def seasonal(rng: np.random.Generator, length: int) -> np.ndarray:
    """A day with noise."""
    return np.asarray(50 + 15 * _turns(length, PER_DAY) + rng.normal(0, 2, length))


def weekly(rng: np.random.Generator, length: int) -> np.ndarray:
    """Days that are lower at the end of a week."""
    day = np.arange(length) // PER_DAY % 7
    return np.asarray((60 + 20 * _turns(length, PER_DAY)) * np.where(day >= 5, 0.5, 1.0) + rng.normal(0, 3, length))


def drifting(rng: np.random.Generator, length: int) -> np.ndarray:
    """A level that wanders."""
    return np.asarray(100 + np.cumsum(rng.normal(0, 0.15, length)) + rng.normal(0, 2, length))


def bursty(rng: np.random.Generator, length: int) -> np.ndarray:
    """Counts with short bursts, as agents work."""
    load = np.where(rng.random(length) < 0.04, rng.uniform(3, 6, length), 1.0)
    return rng.poisson(20 * load).astype(np.float64)


def heavy_tailed(rng: np.random.Generator, length: int) -> np.ndarray:
    """Log-normal, as durations are."""
    return rng.lognormal(0, 0.6, length)


def missing(rng: np.random.Generator, length: int) -> np.ndarray:
    """A fifth is not there."""
    values = 30 + 5 * _turns(length, PER_DAY) + rng.normal(0, 1.5, length)
    return np.asarray(np.where(rng.random(length) < 0.2, np.nan, values))


def counter_rate(rng: np.random.Generator, length: int) -> np.ndarray:
    """A counter as rate, reset now and then: a window that is nearly empty."""
    rate = rng.gamma(50, 0.2, length) * (1 + 0.3 * _turns(length, PER_DAY))
    return np.asarray(np.where(rng.random(length) < 0.004, rate * rng.random(length), rate))


def correlated(rng: np.random.Generator, length: int) -> np.ndarray:
    """Each value remembers the one before."""
    values = np.zeros(length)
    for i in range(1, length):
        values[i] = 0.9 * values[i - 1] + rng.normal(0, 1)
    return np.asarray(20 + values)


def square(rng: np.random.Generator, length: int) -> np.ndarray:
    """A channel that switches between two values."""
    period = int(rng.integers(20, 60))
    return np.where(np.arange(length) // period % 2 == 0, 1.0, 0.0)


def sparse(rng: np.random.Generator, length: int) -> np.ndarray:
    """Mostly nothing."""
    return np.where(rng.random(length) < 0.1, rng.poisson(2, length), 0).astype(np.float64)


KINDS: Final[dict[str, Callable[[np.random.Generator, int], np.ndarray]]] = {
    kind.__name__: kind
    for kind in (
        *(seasonal, weekly, drifting, bursty, heavy_tailed, missing, counter_rate, correlated, square, sparse),
    )
}
