"""Randomness from names: every stream of random numbers is derived from the seed and a path of names.

The builtin ``hash()`` differs between processes, so sha256 it is: same seed and names, same numbers everywhere.
"""

from __future__ import annotations

import hashlib
import random  # noqa: TID251 - the one importer in the simulator: every generator is seeded here
from math import exp

Random = random.Random


def stream(seed: int, *names: str) -> Random:
    """A generator of its own for one purpose, e.g. ``stream(7, "gauges", "planner-1")``."""
    digest = hashlib.sha256("/".join((str(seed), *names)).encode()).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))  # noqa: S311 - a simulation, not a secret


def log_normal(rng: Random, median: float, sigma: float) -> float:
    """A log-normal draw by its median (same unit as the result) and the deviation of its logarithm."""
    return median * exp(rng.gauss(0.0, sigma))


def hex_id(rng: Random, bits: int) -> str:
    """A W3C id of 64 or 128 bits in lower-case hex, never all zeros."""
    return f"{rng.getrandbits(bits) or 1:0{bits // 4}x}"
