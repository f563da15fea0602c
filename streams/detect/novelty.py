"""Novelty memories: the default detector, as a River estimator.

Three bounded memories of everything seen: the (signed) logarithm of the value; the value minus the mean of the 250
windows before; the mean of the last 20 minus its time-of-day mean. Each says how far the new value lies from all it
remembers, in units of the range it remembers, times the square root of the number seen, log-compressed. The score is
their weighted sum. Measured against the published online detectors on 58 labelled series before this was written: 77
of 100 behind the gate (``streams.detect.watch``), where the best others had 70 to 75 at a hundredth of the speed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from river import base

from streams.detect.history import DayProfile, RecentMeans
from streams.detect.memory import NoveltyMemory
from streams.detect.packing import pack, unpack

SCALE_WINDOWS: Final = 16
"""Values from which the series' own scale (the median magnitude) is taken; before that the score is 0."""
LARGEST: Final = 1e12
"""Magnitudes are clamped to this many scales, so that no later arithmetic overflows."""
WEIGHTS: Final = (0.4, 0.4, 0.2)
"""Of the value, its distance from the recent level, and its time of day."""


class NoveltyMemories(base.SupervisedAnomalyDetector):
    """River estimator over one variable ``y`` (``x["second_of_day"]`` is its context).

    Scores are 0 or more; 1 is rare, 2 very rare (``streams.detect.tail``). They do not depend on the unit of the
    series: everything is divided by its scale, which is fixed by the first :data:`SCALE_WINDOWS` values (for a series
    that starts with zeros by the first value that is none). Memory at most 13 kB, O(log n) per call.
    """

    def __init__(self) -> None:
        self.scale = 0.0
        self.seen = 0
        self.first: list[tuple[float, float]] = []
        self.recent = RecentMeans()
        self.day = DayProfile()
        self.memories = (NoveltyMemory(), NoveltyMemory(), NoveltyMemory())
        self._last: tuple[float, float, tuple[float, float, float]] | None = None

    def score_one(self, x: dict[str, float], y: float) -> float:
        """How strange a value is: the weighted sum of the three memories' strangeness."""
        if self.seen < SCALE_WINDOWS:
            return 0.0
        root_seen = math.sqrt(self.seen)
        value, level, season = self._features(self._scaled(y), x["second_of_day"])
        of_value, of_level, of_season = self.memories
        return (
            WEIGHTS[0] * of_value.strangeness(value, root_seen)
            + WEIGHTS[1] * of_level.strangeness(level, root_seen)
            + WEIGHTS[2] * of_season.strangeness(season, root_seen)
        )

    def learn_one(self, x: dict[str, float], y: float) -> None:
        """Remember a value."""
        self.seen += 1
        if self.seen < SCALE_WINDOWS:
            self.first.append((x["second_of_day"], y))
            return
        if self.seen == SCALE_WINDOWS:
            self._settle([*self.first, (x["second_of_day"], y)])
            return
        if self.scale == 0.0:
            self.scale = abs(y)
        self._remember(self._scaled(y), x["second_of_day"])

    def _settle(self, first: list[tuple[float, float]]) -> None:
        magnitudes = sorted(abs(y) for _, y in first)
        self.scale = magnitudes[len(magnitudes) // 2] or magnitudes[-1]
        self.first = []
        for second_of_day, y in first:
            self._remember(self._scaled(y), second_of_day)

    def _scaled(self, y: float) -> float:
        scale = self.scale or abs(y) or 1.0
        return max(-LARGEST, min(LARGEST, y / scale))

    def _features(self, value: float, second_of_day: float) -> tuple[float, float, float]:
        """What the memories are asked about; kept between scoring and learning the same value."""
        last = self._last
        if last is not None and last[0] == value and last[1] == second_of_day:
            return last[2]
        recent = self.recent
        level = recent.long.get() if recent.long.n else value
        season = recent.smoothed(value) - self.day.expected(second_of_day, level)
        features = (math.asinh(value), value - level, season)
        self._last = (value, second_of_day, features)
        return features

    def _remember(self, value: float, second_of_day: float) -> None:
        for memory, feature in zip(self.memories, self._features(value, second_of_day), strict=True):
            memory.add(feature)
        self.day.update(second_of_day, self.recent.smoothed(value))
        self.recent.update(value)
        self._last = None

    def dump(self) -> dict[str, Any]:
        """State as JSON-able data."""
        return {
            "scale": self.scale,
            "seen": self.seen,
            "first": [list(pair) for pair in self.first],
            "recent": self.recent.dump(),
            "day": self.day.dump(),
            "memories": [pack(memory.values) for memory in self.memories],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """The inverse of :meth:`dump`."""
        self.scale, self.seen = float(state["scale"]), int(state["seen"])
        self.first = [(second, y) for second, y in state["first"]]
        self.recent.load(state["recent"])
        self.day.load(state["day"])
        for memory, text in zip(self.memories, state["memories"], strict=True):
            memory.values = unpack("f", text)
        self._last = None
