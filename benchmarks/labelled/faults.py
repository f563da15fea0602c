"""What goes wrong in a recording: each fault changes values from a place on, in units of the series' own spread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

LENGTH: Final = 100
"""Values of a fault that lasts."""


def _spread(values: np.ndarray) -> float:
    """Half of the middle 80 %: what the series does anyway."""
    low, high = np.nanpercentile(values, [10, 90])
    return float(max((high - low) / 2, 0.05 * abs(high), 0.1))


def spike(values: np.ndarray, at: int, rng: np.random.Generator) -> int:
    """One to three values far above the highest seen."""
    length = int(rng.integers(1, 4))
    values[at : at + length] = np.nanmax(values) + rng.uniform(2, 6) * _spread(values)
    return length


def step(values: np.ndarray, at: int, rng: np.random.Generator) -> int:
    """Another level."""
    values[at : at + LENGTH] += rng.uniform(4, 8) * _spread(values)
    return LENGTH


def drop(values: np.ndarray, at: int, rng: np.random.Generator) -> int:
    """Work ends: everything two spreads below the lowest seen."""
    values[at : at + LENGTH] = (
        np.nanmin(values) - 2 * _spread(values) + rng.normal(0, 0.1, len(values[at : at + LENGTH]))
    )
    return LENGTH


def spread(values: np.ndarray, at: int, rng: np.random.Generator) -> int:
    """The same level, four times the swing."""
    part = values[at : at + LENGTH]
    part[:] = np.nanmean(values) + (part - np.nanmean(values)) * 4 + rng.normal(0, 2 * _spread(values), len(part))
    return LENGTH


def frozen(values: np.ndarray, at: int, rng: np.random.Generator) -> int:
    """The last value stays."""
    before = values[:at]
    values[at : at + LENGTH] = before[~np.isnan(before)][-1]
    return LENGTH


def leak(values: np.ndarray, at: int, rng: np.random.Generator) -> int:
    """A ramp to far outside within the time of the fault."""
    values[at : at + LENGTH] += np.linspace(0, rng.uniform(5, 9) * _spread(values), len(values[at : at + LENGTH]))
    return LENGTH


FAULTS: Final[dict[str, Callable[[np.ndarray, int, np.random.Generator], int]]] = {
    fault.__name__: fault for fault in (spike, step, drop, spread, frozen, leak)
}
"""Name -> changes the values in place, returns how many are the fault."""
