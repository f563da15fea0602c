"""How long until an amount reaches its limit: a robust line through the last hours, upon the rhythm of the day.

*Line*: :mod:`streams.detect.line`. *Rhythm*: what each hour of the day lies above the mean of the 24 hours before it,
used once two days were seen. *Interval*: the errors of the line, and how much its slope has differed from the slope six
hours earlier until now; the latter makes nine of ten true out of six (``python -m benchmarks.forecast``, which also
shows River's HoltWinters and Prometheus' ``predict_linear`` on the same series).
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from streams.detect.line import F64, Line, fit
from streams.detect.packing import pack, unpack
from streams.domain.capacity import Outlook
from streams.errors import StateDamaged

FORMAT_VERSION: Final = 1
HOURS: Final = 24
_HOUR_NS: Final = 3_600_000_000_000
_DAY_NS: Final = HOURS * _HOUR_NS
LINE_NS: Final = 6 * _HOUR_NS
"""What the line goes through. Three hours follow the day and noise, twelve see a leak late: both backtest worse."""
SLOPE_EVERY_NS: Final = LINE_NS // 12
LEAST_VALUES: Final = 12
"""Fewer give no forecast."""
RHYTHM_AFTER_DAYS: Final = 2.0
RHYTHM_WEIGHT: Final = 0.25
"""Of the newest day in what an hour of the day usually shows."""
CHANGE_WEIGHT: Final = 0.02
"""Of the newest change of slope in what changes usually are: half is forgotten in 17 hours."""
DEVIATIONS: Final = 1.645
"""Nine of ten values of a normal variable lie within these."""
MEAN_TO_DEVIATION: Final = 1.2533
"""Mean absolute to standard deviation, of a normal variable."""
HORIZON_SECONDS: Final = 7 * 86_400
"""What is further away is not foretold: the answer is infinity."""
_COLUMNS: Final = {"places": "q", "values": "d", "slope_places": "q", "slopes": "d", "hours": "d", "counts": "q"}


class Forecaster:
    """One series, fed once per step in order of time; steps that are missing are gaps.

    Bounded: a day of values and six hours of slopes, 5 kB at steps of five minutes.

    Args:
        step_ns: length of a step; ten seconds to half an hour.
    """

    __slots__ = (
        "_change",
        "_changes",
        "_counts",
        "_hours",
        "_places",
        "_slope_places",
        "_slopes",
        "_values",
        "step_ns",
    )

    def __init__(self, step_ns: int) -> None:
        self.step_ns = step_ns
        self._places, self._values = array("q"), array("d")
        self._slope_places, self._slopes = array("q"), array("d")
        self._hours, self._counts = array("d", bytes(8 * HOURS)), array("q", bytes(8 * HOURS))
        self._change, self._changes = 0.0, 0

    def learn(self, value: float, at_ns: int) -> None:
        """Take in the value of the step that starts at ``at_ns``; one that is not finite or not newer is ignored."""
        place = at_ns // self.step_ns
        if not math.isfinite(value) or (self._places and place <= self._places[-1]):
            return
        self._learn_rhythm(value, at_ns)
        self._places.append(place)
        self._values.append(value)
        _forget(self._places, self._values, place - _DAY_NS // self.step_ns)
        if at_ns % SLOPE_EVERY_NS < self.step_ns:
            self._learn_change(place)

    def _learn_rhythm(self, value: float, at_ns: int) -> None:
        seen = at_ns // self.step_ns - self._places[0] + 1 if self._places else 0
        if seen * self.step_ns < _DAY_NS - _HOUR_NS:
            return  # a part of a day has another mean than the day
        hour = at_ns // _HOUR_NS % HOURS
        self._counts[hour] += 1
        weight = max(1.0 / self._counts[hour], RHYTHM_WEIGHT * self.step_ns / _HOUR_NS)
        self._hours[hour] += weight * (value - sum(self._values) / len(self._values) - self._hours[hour])

    def _learn_change(self, place: int) -> None:
        line = self._line()
        if line is None:
            return
        before = place - LINE_NS // self.step_ns
        _forget(self._slope_places, self._slopes, before - 1)
        if self._slope_places and self._slope_places[0] == before:
            self._changes += 1
            weight = max(1.0 / self._changes, CHANGE_WEIGHT)
            self._change += weight * (abs(line.slope - self._slopes[0]) - self._change)
        self._slope_places.append(place)
        self._slopes.append(line.slope)

    def _rhythm(self, places: F64) -> F64:
        """What these places lie above the day's mean, in straight lines between the middles of hours; 0 before it is
        known.
        """
        if sum(self._counts) * self.step_ns < RHYTHM_AFTER_DAYS * _DAY_NS or not all(self._counts):
            return np.zeros(len(places))
        means = np.array(self._hours)
        hour = (places + 0.5) * self.step_ns / _HOUR_NS - 0.5
        low = np.floor(hour).astype(np.int64)
        share = hour - low
        found: F64 = (1 - share) * means[low % HOURS] + share * means[(low + 1) % HOURS] - means.mean()
        return found

    def _line(self) -> Line | None:
        """Through what the rhythm leaves of the last hours; x = 0 is the newest value."""
        places, values = np.array(self._places, np.float64), np.array(self._values)
        if len(places):
            kept = places > places[-1] - LINE_NS / self.step_ns
            places, values = places[kept], values[kept]
        if len(places) < LEAST_VALUES:
            return None
        return fit(places - places[-1], values - self._rhythm(places))

    def outlook(self, limit: float) -> Outlook | None:
        """When the limit is reached from below; None while too little was seen.

        What first reaches a limit is one of the high values: the scatter around the line counts once for what is
        expected, twice for the earliest, not at all for the latest.
        """
        line = self._line()
        if line is None:
            return None
        if self._values[-1] >= limit:
            return Outlook(0.0, 0.0, 0.0)
        steps = np.arange(1.0, HORIZON_SECONDS * 1e9 / self.step_ns + 1)
        middle = line.level + line.slope * steps + self._rhythm(self._places[-1] + steps)
        slope_error = math.hypot(line.slope_error, MEAN_TO_DEVIATION * self._change)
        reach = DEVIATIONS * np.hypot(line.level_error, slope_error * steps)
        scatter = DEVIATIONS * line.scatter
        paths = (middle + reach + 2 * scatter, middle + scatter, np.minimum(middle - reach, middle + scatter))
        return Outlook(*(self._reached(path, limit) for path in paths))

    def _reached(self, path: F64, limit: float) -> float:
        """Seconds to the first step whose value is at least the limit."""
        over = np.flatnonzero(path >= limit)
        return float((over[0] + 1) * self.step_ns / 1e9) if len(over) else math.inf

    def dump(self) -> dict[str, Any]:
        """State as JSON-able data."""
        columns = {name: pack(getattr(self, f"_{name}")) for name in _COLUMNS}
        return {"v": FORMAT_VERSION, "step_ns": self.step_ns, "change": [self._change, self._changes], **columns}

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> Forecaster:
        """The inverse of :meth:`dump`.

        Raises:
            StateError: not such data, or of another format.
        """
        try:
            if state["v"] != FORMAT_VERSION:
                raise StateDamaged(f"a forecaster of format {state['v']!r} is not one of {FORMAT_VERSION}")
            made = cls(int(state["step_ns"]))
            for name, typecode in _COLUMNS.items():
                setattr(made, f"_{name}", unpack(typecode, state[name]))
            made._change, made._changes = float(state["change"][0]), int(state["change"][1])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise StateDamaged(f"a forecaster's state is damaged: {error!r}") from error
        return made


def _forget(places: array[int], values: array[float], before: int) -> None:
    """Drops what lies at ``before`` or earlier."""
    while places and places[0] <= before:
        del places[0], values[0]
