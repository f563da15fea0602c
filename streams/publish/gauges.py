"""The last window of every gauge of one source partition, with a time to live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.domain.recent import Recent
from streams.domain.series import Series, shared_pairs
from streams.domain.window import WindowBatch
from streams.publish.catalogue import Metric, metric_for
from streams.publish.packing import pack, unpack
from streams.publish.totals import LabelSet, kept_labels

_COLUMNS = ("mean", "minimum", "maximum", "seen_ns")


@dataclass(frozen=True)
class GaugesView:
    """A consistent copy of the rows that are alive: one per reported series, not yet merged over dropped labels."""

    metric: Sequence[Metric]
    labels: Sequence[LabelSet]
    mean: NDArray[np.float64]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]


@dataclass
class Gauges:
    """Rows of reported series.

    Bounded: at ``limit`` rows those not seen for ``ttl_ns`` of event time make room; if none is that old the new series
    is left out and counted in ``refused``.
    """

    ttl_ns: int
    limit: int = 20_000
    refused: int = 0
    _series: list[Series] = field(default_factory=list)
    _export: list[tuple[Metric, LabelSet]] = field(default_factory=list)
    _row_of: dict[Series, int] = field(default_factory=dict)
    _columns: dict[str, NDArray[Any]] = field(
        default_factory=lambda: {n: np.zeros(64, np.int64 if n == "seen_ns" else np.float64) for n in _COLUMNS}
    )

    def __post_init__(self) -> None:
        self._plans: Recent[Sequence[Series], tuple[NDArray[np.int64], NDArray[np.int64]]] = Recent(self._plan)

    def __len__(self) -> int:
        return len(self._series)

    def apply(self, batch: WindowBatch, now_ns: int) -> None:
        """Takes over the gauges of a closed window."""
        chosen, row = self._plans.of(batch.series)
        if (row < 0).any():  # there was no room: perhaps there is now
            self._compact(now_ns)
            chosen, row = self._plans.of(batch.series)
        self.refused += int((row < 0).sum())
        chosen, row = chosen[row >= 0], row[row >= 0]
        self._columns["mean"][row] = batch.sum[chosen] / batch.count[chosen]
        self._columns["minimum"][row] = batch.minimum[chosen]
        self._columns["maximum"][row] = batch.maximum[chosen]
        self._columns["seen_ns"][row] = batch.end_ns

    def _plan(self, series: Sequence[Series]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Positions of the gauges among these series, and their rows (-1 where there is no room)."""
        chosen = [i for i, one in enumerate(series) if one.kind == "gauge"]
        row = [self._row(series[i]) for i in chosen]
        return np.array(chosen, np.int64), np.array(row, np.int64)

    def _row(self, series: Series) -> int:
        known = self._row_of.get(series)
        if known is not None:
            return known
        return -1 if len(self) >= self.limit else self._add(series)

    def _add(self, series: Series) -> int:
        row = len(self)
        metric = metric_for(series.name, series.unit, series.kind)
        self._row_of[series] = row
        self._series.append(series)
        self._export.append((metric, kept_labels(metric, series)))
        if row >= len(self._columns["mean"]):
            self._columns = {n: np.concatenate([c, np.zeros_like(c)]) for n, c in self._columns.items()}
        return row

    def _alive(self, now_ns: int) -> NDArray[np.int64]:
        return np.flatnonzero(self._columns["seen_ns"][: len(self)] > now_ns - self.ttl_ns)

    def _compact(self, now_ns: int) -> None:
        alive = self._alive(now_ns)
        self._plans.clear()
        self._series = [self._series[i] for i in alive.tolist()]
        self._export = [self._export[i] for i in alive.tolist()]
        self._row_of = {series: i for i, series in enumerate(self._series)}
        for column in self._columns.values():
            column[: len(alive)] = column[alive]

    def view(self, now_ns: int) -> GaugesView:
        """A consistent copy of what is alive at this event time."""
        alive = self._alive(now_ns)
        export = [self._export[i] for i in alive.tolist()]
        mean, minimum, maximum = (self._columns[n][alive] for n in _COLUMNS[:3])
        return GaugesView([m for m, _ in export], [labels for _, labels in export], mean, minimum, maximum)

    def to_data(self, now_ns: int) -> dict[str, Any]:
        """What is alive, as JSON data."""
        alive = self._alive(now_ns)
        series = [self._series[i] for i in alive.tolist()]
        columns = {name: pack(column[alive]) for name, column in self._columns.items()}
        return {"series": [[s.name, s.unit, s.kind, dict(s.labels)] for s in series], **columns}

    @classmethod
    def from_data(cls, data: dict[str, Any], ttl_ns: int, limit: int) -> Gauges:
        """The inverse of :meth:`to_data`.

        Raises:
            ValueError, KeyError, TypeError: not such data.
        """
        made = cls(ttl_ns, limit)
        pairs: dict[tuple[str, ...], tuple[str, ...]] = {}
        for name, unit, kind, labels in data["series"][:limit]:
            made._add(Series(name, unit, kind, shared_pairs(sorted(labels.items()), pairs)))
        for name, column in made._columns.items():
            read = unpack(data[name], np.int64 if name == "seen_ns" else np.float64)
            if len(read) != len(data["series"]):
                raise ValueError(f"{name} has {len(read)} rows, series {len(data['series'])}")
            column[: len(made)] = read[: len(made)]
        return made
