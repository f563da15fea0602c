"""The rhythm of day and week in UTC."""

from __future__ import annotations

from math import cos, pi
from typing import Final

from agents_emitter.simulator.interval import SECOND_NS

DAY_SECONDS: Final = 86_400
PEAK_HOUR: Final = 14.0
DAY_AMPLITUDE: Final = 0.6
WEEKEND_FACTOR: Final = 0.5
SEASON_FROM_SECONDS: Final = 6 * 3_600
"""Fault scenarios shorter than this run at constant load, so that a demo does not depend on the hour."""

_WEEK_MEAN: Final = (5.0 + 2.0 * WEEKEND_FACTOR) / 7.0


def season_factor(time_ns: int) -> float:
    """Load relative to the mean over a week: a cosine over the day (peak 14:00 UTC), halved at weekends.

    Positive; its mean over a week is 1.
    """
    day, second = divmod(time_ns // SECOND_NS, DAY_SECONDS)
    weekend = (day + 3) % 7 >= 5  # day 0 of the epoch was a Thursday
    daily = 1.0 + DAY_AMPLITUDE * cos(2.0 * pi * (second / 3_600 - PEAK_HOUR) / 24.0)
    return daily * (WEEKEND_FACTOR if weekend else 1.0) / _WEEK_MEAN
