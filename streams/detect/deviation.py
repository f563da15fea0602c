"""River's standard absolute deviation as a scorer: cheap (0.3 kB, 1 us), and the yardstick for better ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from river import anomaly, stats

FLOOR_RATIO: Final = 0.002
"""The deviation never counts as less than this share of the mean, so that rounding in a constant series is no news."""


class Deviation(anomaly.StandardAbsoluteDeviation):
    """Distance from the running mean in standard deviations."""

    def score_one(self, x: dict[str, float] | None, y: float) -> float:
        """The z-score's magnitude, 0 or more."""
        mean = self.sub_stat.get()
        deviation = max(self.variance.get(), 0.0) ** 0.5
        floor = max(deviation, FLOOR_RATIO * abs(mean))
        if floor > 0.0:
            return float(abs(y - mean) / floor)
        return 0.0 if y == mean else 1.0 / FLOOR_RATIO

    def dump(self) -> dict[str, Any]:
        """State as JSON-able data."""
        variance = self.variance
        return {"n": variance.mean.n, "mean": variance.mean.get(), "squares": variance._S, "sub": self.sub_stat.get()}

    def load(self, state: Mapping[str, Any]) -> None:
        """The inverse of :meth:`dump`."""
        self.variance = stats.Var()
        self.variance.mean = stats.Mean._from_state(state["n"], state["mean"])
        self.variance._S = state["squares"]
        self.sub_stat = stats.Mean._from_state(state["n"], state["sub"])
