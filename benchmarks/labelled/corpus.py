"""The corpus: every kind of series with every fault, seeded."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.labelled.faults import FAULTS
from benchmarks.labelled.kinds import KINDS

LENGTH = 4_032
"""Two weeks."""
FIRST_FAULT = 1_500


@dataclass(frozen=True, slots=True)
class Recording:
    """One series; the fault is ``values[start:end]``."""

    kind: str
    fault: str
    seed: int
    values: np.ndarray
    start: int
    end: int


def recordings(seeds: int) -> Iterator[Recording]:
    """``seeds`` recordings of each kind with each fault. A frozen value in a sparse series is no fault: left out."""
    for kind, generate in KINDS.items():
        for name, plant in FAULTS.items():
            if (kind, name) == ("sparse", "frozen"):
                continue
            for seed in range(seeds):
                rng = np.random.default_rng([zlib.crc32(f"{kind}/{name}".encode()), seed])
                values = generate(rng, LENGTH)
                at = int(rng.integers(FIRST_FAULT, LENGTH - 300))
                yield Recording(kind, name, seed, values, at, at + plant(values, at, rng))
