"""Adaptive thresholds: for chosen series, what is expected at this hour of the week, within the hard limits of rules.

A fold over the windows of one source topic; windows that are not newer than the last of their series change nothing.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from streams.detect.feature import FEATURES, columns, features_of
from streams.detect.snapshot import attempted
from streams.detect.watch import usable
from streams.detect.week import Normal, Week
from streams.domain.expected import Expected
from streams.domain.recent import Recent
from streams.domain.selector import Selector
from streams.domain.series import Series
from streams.domain.window import WindowBatch
from streams.errors import StateDamaged, StateVersionError

FORMAT_VERSION: Final = 1
MAX_SERIES: Final = 500
MAX_AGE_NS: Final = 8 * 86_400 * 10**9
"""A series without a window for this long (a week and a day) is forgotten."""
SHOWN_WINDOWS: Final = 30
"""A series without a window for this many is not shown."""
Limits = Callable[[Series, str], tuple[float, float]]
"""Of a series and its feature: the values that rules allow, lowest and highest."""


@dataclass(slots=True)
class Banded:
    """One series: its features, their weeks, and its newest window."""

    names: tuple[str, ...]
    weeks: tuple[Week, ...]
    last_ns: int = 0
    observed: tuple[float, ...] = ()
    normals: tuple[Normal | None, ...] = ()


class BandOperator:
    """Expected values of the series that ``selectors`` choose.

    Bounded: ``max_series`` series (3 kB for each feature); one that is new over the bound is left out and counted in
    ``refused_total`` until another is older than :data:`MAX_AGE_NS`.

    Args:
        selectors: which series.
        limits: see :data:`Limits`.
        window_ns: the base size; batches of other sizes are not read.
        max_series: bound.
    """

    def __init__(
        self, selectors: Sequence[Selector], limits: Limits, window_ns: int, max_series: int = MAX_SERIES
    ) -> None:
        self.window_ns, self.max_series = window_ns, max_series
        self.refused_total = 0
        self._limits = limits
        self._by_metric: dict[str, list[Selector]] = {}
        for selector in selectors:
            self._by_metric.setdefault(selector.metric, []).append(selector)
        self._chosen: Recent[Sequence[Series], list[int]] = Recent(self._choose)
        self._series: OrderedDict[Series, Banded] = OrderedDict()
        self._newest_ns = 0

    def __len__(self) -> int:
        return len(self._series)

    def _choose(self, series: Sequence[Series]) -> list[int]:
        return [
            row
            for row, one in enumerate(series)
            if any(selector.matches(one) for selector in self._by_metric.get(one.name, ())) and features_of(one)
        ]

    def apply(self, batch: WindowBatch) -> None:
        """Hold the window against what was expected, then learn it."""
        if batch.end_ns - batch.start_ns != self.window_ns:
            return
        chosen = self._chosen.of(batch.series)
        if not chosen:
            return
        numbers = dict(zip(FEATURES, columns(batch).tolist(), strict=True))
        self._newest_ns = max(self._newest_ns, batch.start_ns)
        self._forget_old()
        for row in chosen:
            banded = self._banded(batch.series[row])
            if banded is not None and batch.start_ns > banded.last_ns:
                self._learn(banded, tuple(numbers[name][row] for name in banded.names), batch.start_ns)

    def _banded(self, series: Series) -> Banded | None:
        banded = self._series.get(series)
        if banded is None:
            if len(self._series) >= self.max_series:
                self.refused_total += 1
                return None
            names = features_of(series)
            banded = self._series[series] = Banded(names, tuple(Week() for _ in names))
        self._series.move_to_end(series)
        return banded

    def _learn(self, banded: Banded, values: tuple[float, ...], start_ns: int) -> None:
        banded.last_ns, banded.observed = start_ns, values
        banded.normals = tuple(week.normal(start_ns) for week in banded.weeks)
        for week, value in zip(banded.weeks, values, strict=True):
            if usable(value):
                week.learn(value, start_ns)

    def _forget_old(self) -> None:
        while self._series:
            series, oldest = next(iter(self._series.items()))
            if oldest.last_ns >= self._newest_ns - MAX_AGE_NS:
                return
            del self._series[series]

    def expected(self) -> Iterator[Expected]:
        """Every feature of every series that was seen lately and has a band."""
        horizon_ns = self._newest_ns - SHOWN_WINDOWS * self.window_ns
        for series, banded in self._series.items():
            if banded.last_ns >= horizon_ns and banded.observed:  # none since a restart: its next window says more
                for name, value, normal in zip(banded.names, banded.observed, banded.normals, strict=True):
                    if normal is not None:
                        yield self._within(series, name, value, normal)

    def _within(self, series: Series, feature: str, value: float, normal: Normal) -> Expected:
        lowest, highest = self._limits(series, feature)
        floor = 0.0 if series.kind in {"counter", "histogram"} else -math.inf
        lower = min(max(normal.mean - normal.reach, floor, lowest), highest)
        upper = max(min(normal.mean + normal.reach, highest), lowest)
        return Expected(series, feature, value, normal.mean, lower, upper, normal.provisional)

    def snapshot(self) -> bytes:
        """Everything that decides later bands, as JSON (UTF-8)."""
        rows: list[Any] = [
            [[s.name, s.unit, s.kind, s.labels], b.last_ns, b.names, [week.dump() for week in b.weeks]]
            for s, b in self._series.items()
        ]
        body = {"v": FORMAT_VERSION, "window_ns": self.window_ns, "newest_ns": self._newest_ns, "series": rows}
        return orjson.dumps(body)

    def restore(self, data: bytes) -> str:
        """Replace the state by a snapshot's; series that are not chosen any more are left out.

        Returns:
            Why it was not used, "" where it was; then the operator is empty.

        Raises:
            StateVersionError: of a format newer than this code's.
        """
        self._series.clear()
        self._newest_ns = 0
        found, reason = attempted(lambda: self._read(data))
        if found is not None:
            self._series.update(found[0])
            self._newest_ns = found[1]
        return reason

    def _read(self, data: bytes) -> tuple[dict[Series, Banded], int]:
        body = orjson.loads(data)
        if body["v"] > FORMAT_VERSION:
            raise StateVersionError(f"bands have format {body['v']}, this version reads up to {FORMAT_VERSION}")
        if body["window_ns"] != self.window_ns:
            raise StateDamaged(f"their windows are of {body['window_ns']} ns, ours of {self.window_ns} ns")
        found = {}
        for (name, unit, kind, labels), last_ns, names, weeks in body["series"]:
            series = Series(name, unit, kind, tuple((key, value) for key, value in labels))
            if self._choose([series]):
                banded = Banded(tuple(names), tuple(Week() for _ in names), int(last_ns))
                for week, state in zip(banded.weeks, weeks, strict=True):
                    week.load(state)
                found[series] = banded
        return found, int(body["newest_ns"])
