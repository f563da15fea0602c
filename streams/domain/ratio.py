"""Shares that are watched: of what happened, how much failed."""

from __future__ import annotations

from dataclasses import dataclass

from streams.domain.selector import Selector


@dataclass(frozen=True, slots=True)
class Ratio:
    """One line of ``ratios`` in ``monitoring/thresholds.yml``.

    Attributes:
        name: of the metric that anomalies of it are about.
        numerator: counters of what failed; what they match should be in the denominator too.
        denominator: counters of everything.
        group_by: one share per distinct set of values of these labels, sorted.
    """

    name: str
    numerator: tuple[Selector, ...]
    denominator: tuple[Selector, ...]
    group_by: tuple[str, ...]
