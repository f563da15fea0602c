"""Seeded two-week series of amounts with a limit, in steps of five minutes."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
STEP_SECONDS: Final = 300
DAYS: Final = 14
_STEPS: Final = DAYS * 86_400 // STEP_SECONDS
_PER_DAY: Final = 86_400 / STEP_SECONDS


@dataclass(frozen=True)
class Amount:
    """One series; its limit is 100. ``values`` end where it is first reached."""

    kind: str
    values: F64
    crossed: bool


LIMIT: Final = 100.0


def _noise(rng: np.random.Generator, scale: float, follow: float) -> F64:
    """Noise whose neighbours are alike: autoregressive of first order."""
    shocks = rng.normal(0, scale * np.sqrt(1 - follow**2), _STEPS)
    out = np.empty(_STEPS)
    last = 0.0
    for i, shock in enumerate(shocks.tolist()):
        last = follow * last + shock
        out[i] = last
    return out


def _day(rng: np.random.Generator, height: float) -> F64:
    """A daily rhythm."""
    phase = rng.uniform(0, 2 * np.pi)
    found: F64 = height * np.sin(2 * np.pi * np.arange(_STEPS) / _PER_DAY + phase)
    return found


def _from(rng: np.random.Generator, per_day: float) -> F64:
    """Growth that begins somewhere in the second to the sixth day."""
    begin = rng.uniform(1, 6) * _PER_DAY
    found: F64 = np.maximum(0.0, np.arange(_STEPS) - begin) * per_day / _PER_DAY
    return found


def leak(rng: np.random.Generator) -> F64:
    """Grows evenly from some moment on, among noise."""
    return 40 + _noise(rng, rng.uniform(0.3, 3), 0.5) + _from(rng, 10 ** rng.uniform(0.7, 2))


def leak_with_day(rng: np.random.Generator) -> F64:
    """The same upon a daily rhythm: its peaks come first."""
    return 40 + _day(rng, rng.uniform(5, 15)) + _noise(rng, 1.5, 0.7) + _from(rng, 10 ** rng.uniform(0.6, 1.6))


def faster(rng: np.random.Generator) -> F64:
    """Growth that becomes faster."""
    return 30 + _noise(rng, 1, 0.5) + _from(rng, 1) ** 2 * 10 ** rng.uniform(-0.2, 0.8)


def collected(rng: np.random.Generator) -> F64:
    """A leak under a collector's sawtooth."""
    tooth = (np.arange(_STEPS) % int(rng.uniform(6, 30))) * rng.uniform(0.2, 0.8)
    return 35 + tooth + _noise(rng, 0.8, 0.2) + _from(rng, 10 ** rng.uniform(0.7, 1.8))


def steps(rng: np.random.Generator) -> F64:
    """Batches of work that leave something behind."""
    jumps = (rng.random(_STEPS) < 6 / _PER_DAY) * rng.exponential(10 ** rng.uniform(-0.3, 0.5), _STEPS)
    return 30 + np.cumsum(jumps) + _noise(rng, 0.5, 0.5)


def restarted(rng: np.random.Generator) -> F64:
    """Grows and is restarted before the limit, again and again."""
    return 20 + (np.arange(_STEPS) % int(rng.uniform(0.5, 2) * _PER_DAY)) / _PER_DAY * 30 + _noise(rng, 1, 0.5)


def still(rng: np.random.Generator) -> F64:
    """Noise with heavy tails around a level."""
    return rng.uniform(30, 80) + rng.standard_t(3, _STEPS) * rng.uniform(0.3, 2)


def day(rng: np.random.Generator) -> F64:
    """A daily rhythm below the limit."""
    return rng.uniform(35, 60) + _day(rng, rng.uniform(10, 25)) + _noise(rng, 2, 0.7)


def wanders(rng: np.random.Generator) -> F64:
    """Moves slowly, pulled back."""
    return rng.uniform(40, 70) + _noise(rng, 5, 0.995)


def levels_off(rng: np.random.Generator) -> F64:
    """A cache that fills and stays full, below the limit."""
    filled = 1 - np.exp(-np.arange(_STEPS) / (_PER_DAY * rng.uniform(0.5, 3)))
    return 20 + filled * rng.uniform(40, 70) + _noise(rng, 0.8, 0.5)


KINDS: Final[dict[str, Callable[[np.random.Generator], F64]]] = {
    maker.__name__: maker
    for maker in (leak, leak_with_day, faster, collected, steps, restarted, still, day, wanders, levels_off)
}


def amounts(seeds: range) -> Iterator[Amount]:
    """One series of each kind per seed."""
    for kind, make in KINDS.items():
        for seed in seeds:
            values = np.maximum(0.0, make(np.random.default_rng([zlib.crc32(kind.encode()), seed])))
            over = np.flatnonzero(values >= LIMIT)
            end = int(over[0]) + 1 if len(over) else len(values)
            yield Amount(kind, values[:end], bool(len(over)))
