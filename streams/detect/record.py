"""One series' default detector as a record of numbers, so that one call can go through many.

The fields are those of the objects that the kernels follow (:mod:`streams.detect.watchkernel`), with room for the most
that each can hold: 15 kB, whatever was seen.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streams.detect.history import BINS, LONG_WINDOWS
from streams.detect.memory import CAPACITY
from streams.detect.novelty import SCALE_WINDOWS
from streams.detect.watch import GATE_WINDOWS

PEAK_PLACES: Final = 128
"""A power of two with room for the gate and one more."""
assert PEAK_PLACES > GATE_WINDOWS

STATE: Final = np.dtype(
    [
        ("seen", "i8"),
        ("found_at", "i8"),
        ("held", "f8"),
        ("hold_left", "i8"),
        # NoveltyMemories, RecentMeans, DayProfile
        ("scale", "f8"),
        ("novelty_seen", "i8"),
        ("place", "i8"),
        ("ring_n", "i8"),
        ("long_n", "f8"),
        ("long_mean", "f8"),
        ("short_n", "f8"),
        ("short_mean", "f8"),
        # RecentPeak
        ("pushed", "i8"),
        ("peak_head", "i8"),
        ("peak_n", "i8"),
        # Band
        ("band_mean", "f8"),
        ("band_variance", "f8"),
        ("band_seen", "i8"),
        # Runs
        ("run_value", "f8"),
        ("run_length", "i8"),
        ("runs_ended", "i8"),
        ("run_mean", "f8"),
        ("run_squares", "f8"),
        ("run_longest", "i8"),
        # Drift and its two sides
        ("step_value", "f8"),
        ("drift_seen", "i8"),
        ("step_square", "f8"),
        ("drifts_ended", "i8"),
        ("drift_highest", "f8"),
        ("side_totals", "f8", 2),
        ("side_peaks", "f8", 2),
        ("side_windows", "i8", 2),
        ("side_found", "i8", 2),
        # columns of those
        ("first_seconds", "f8", SCALE_WINDOWS),
        ("first_values", "f8", SCALE_WINDOWS),
        ("peak_values", "f8", PEAK_PLACES),
        ("peak_places", "i4", PEAK_PLACES),
        ("counts", "i8", 3),
        ("ring", "f4", LONG_WINDOWS),
        ("day_means", "f4", BINS),
        ("day_counts", "u2", BINS),
        ("memories", "f4", (3, CAPACITY + 1)),
    ],
    align=True,
)
SAID: Final = np.dtype(
    [
        ("score", "f8"),
        ("expected", "f8"),
        ("lower", "f8"),
        ("upper", "f8"),
        ("warming_up", "?"),
        ("seen_windows", "i8"),
        ("still_windows", "i8"),
        ("drift_windows", "i8"),
    ],
    align=True,
)
"""What is said of one value: the fields of :class:`streams.domain.anomaly.Score`, in their order."""

WORK: Final = np.dtype(
    [("strangeness", "f8"), ("judged", "f8"), ("features", "f8", 3), ("places", "i8", 3)],
    align=True,
)
"""What was worked out to judge a value, for learning it: what the memories are asked about, and where it belongs."""

Records = NDArray[Any]
"""Of :data:`STATE`, :data:`SAID` or :data:`WORK`."""


def blank() -> Records:
    """A detector that has seen nothing."""
    made = np.zeros(1, STATE)
    made["found_at"] = -GATE_WINDOWS
    made["run_value"] = np.nan
    return made
