"""What every detector is: score a value, then learn it; remember in plain data.

A detector judges one series. Time is data (the start of the window), there is no randomness, and the order of calls
is the caller's: ``score`` never changes anything, ``learn`` is called once per window, in order of time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from streams.domain.anomaly import Score

FORMAT_VERSION = 1
"""Of what ``snapshot`` writes. A snapshot of another version is refused, and the series warms up again."""


class Detector(Protocol):
    """One detector of one series. ``tests/contract/test_detectors.py`` says what each implementation must do."""

    def score(self, value: float, at_ns: int) -> Score:
        """Judge a value that has not been learned yet.

        Args:
            value: mean, rate or quantile of the window, in the unit of the series. NaN and infinities score 0.
            at_ns: start of the window, nanoseconds since the epoch (UTC decides the time of day).

        Returns:
            A score in [0, 1]; 0 and ``warming_up`` while too little was seen.
        """
        ...

    def learn(self, value: float, at_ns: int) -> None:
        """Take the value into account. NaN and infinities are not learned. O(log n) in what was seen."""
        ...

    def snapshot(self) -> dict[str, Any]:
        """Everything that decides later scores, as JSON-able data; at most 16 kB of numbers."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``snapshot`` was taken.

        Raises:
            StateError: written by another detector or format version, or not a snapshot at all.
        """
        ...


class Scorer(Protocol):
    """A River ``SupervisedAnomalyDetector`` (River's form for one variable: ``y`` is the value, ``x`` its context)
    that can also say its state as data.

    ``x`` holds ``second_of_day`` (float, [0, 86400), UTC).
    """

    def score_one(self, x: dict[str, float], y: float) -> float:
        """How strange, 0 or more, before learning."""
        ...

    def learn_one(self, x: dict[str, float], y: float) -> None:
        """Update the model."""
        ...

    def dump(self) -> dict[str, Any]:
        """State as JSON-able data."""
        ...

    def load(self, state: Mapping[str, Any]) -> None:
        """The inverse of ``dump``."""
        ...
