"""One recorded series through the default detector, value by value, as it would have been live.

Every series is judged with the same settings and without a look at what comes later. The time between two values may be
anything: the detector counts values and reads the time of day.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np

from streams.detect.bank import NoveltyBank
from streams.detect.watch import LARGEST, LEAST_WARMUP_WINDOWS, second_of_day

WARMUP_VALUES: Final = 130
"""Silent; fewer than a live series has (750), since a recording is often short. Until 750 a score means less: see
:func:`settled`."""
SETTLED_VALUES: Final = 750
assert WARMUP_VALUES >= LEAST_WARMUP_WINDOWS


class Detection:
    """The default detector of one series, each finding said once, when it begins."""

    def __init__(self) -> None:
        self._bank = NoveltyBank(WARMUP_VALUES, hold_windows=0)
        self._seen = 0

    def scores(self, values: Sequence[float], times_ns: Sequence[int]) -> list[float]:
        """[0, 1] of each value before it is learned, in the order of the recording; goes on where it stopped.

        Args:
            values: NaN stands for a missing one and scores 0, as all values do while the detector warms up.
            times_ns: nanoseconds since the epoch.
        """
        numbers = np.array(values, np.float64)
        seconds = np.array([second_of_day(at_ns) for at_ns in times_ns], np.float64)
        judged = self._bank.follow(numbers, seconds, np.abs(numbers) < LARGEST)["score"]
        said = [settled(score, seen) for seen, score in enumerate(judged.tolist(), self._seen + 1)]
        self._seen += len(said)
        return said


def settled(score: float, seen: int) -> float:
    """The tail probability of a young model is stated too low, up to three times at the end of the warm-up.

    Measured on seven kinds of series without faults (``streams.detect.tail``): false findings fall with what was seen.
    """
    if score <= 0.0 or seen >= SETTLED_VALUES:
        return score
    return max(0.0, 1.0 - (1.0 - score) * math.sqrt(SETTLED_VALUES / seen))


def read_time(text: str) -> int:
    """Nanoseconds of an ISO 8601 time (UTC unless it says otherwise) or of seconds, ms, us or ns since the epoch.

    Raises:
        ValueError: neither.
    """
    text = text.strip()
    try:
        number = float(text)
    except ValueError:
        found = datetime.fromisoformat(text)
        return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1_000_000) * 1_000
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is no time")
    # seconds of this century have at most 10 digits; small counts are seconds too
    for unit_ns in (1_000_000_000, 1_000_000, 1_000):
        if abs(number) * unit_ns < 1e20:
            return round(number * unit_ns)
    return round(number)
