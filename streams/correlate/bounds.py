"""What the rules allow a feature of a series to be: the hard limits that bands do not go beyond."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from streams.correlate.rule import Rule
from streams.domain.series import Series

FROM_ABOVE: Final = {"mean": {"mean", "max"}, "p95": {"p95", "p99"}, "rate": {"rate"}}
FROM_BELOW: Final = {"mean": {"mean", "min"}, "p95": {"p95", "p50"}, "rate": {"rate"}}
"""Feature -> statistics whose limit it is beyond wherever it is beyond that number itself (a mean over the limit of a
maximum has a maximum over it too)."""


class Bounds:
    """The tightest limits of all threshold rules on a metric."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._by_metric: dict[str, list[Rule]] = {}
        for rule in rules:
            if rule.kind == "threshold" and not rule.denominator:
                self._by_metric.setdefault(rule.selectors[0].metric, []).append(rule)

    def __call__(self, series: Series, feature: str) -> tuple[float, float]:
        """Lowest and highest value that no rule objects to; infinite where none is held against it."""
        lowest, highest = -math.inf, math.inf
        for rule in self._by_metric.get(series.name, ()):
            if rule.selectors[0].matches(series):
                for level in rule.levels:
                    if level.op in {">", ">="} and rule.statistic in FROM_ABOVE[feature]:
                        highest = min(highest, level.threshold)
                    elif level.op in {"<", "<="} and rule.statistic in FROM_BELOW[feature]:
                        lowest = max(lowest, level.threshold)
        return lowest, highest
