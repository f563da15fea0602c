"""What is normal for a series now: for dashboards and for thresholds that follow the hour."""

from __future__ import annotations

from typing import NamedTuple

from streams.domain.series import Series


class Expected(NamedTuple):
    """One feature of one series in its newest window, in the unit of the series.

    Attributes:
        feature: mean, rate or p95.
        observed: what the window shows.
        expected, lower, upper: of this hour of the week; between the hard limits of the rules.
        provisional: the hour was not seen in enough weeks; the band is that of all hours.
    """

    series: Series
    feature: str
    observed: float
    expected: float
    lower: float
    upper: float
    provisional: bool
