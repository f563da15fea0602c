"""What Prometheus scrapes of agents' metrics: the folds of the partitions this worker owns.

One :class:`PrometheusFold` per source partition is fed with its closed windows in order; :class:`WindowCollector` reads
them when a scrape comes.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np

from streams.publish.catalogue import Metric
from streams.publish.claims import NameClaims
from streams.publish.exposition import F64, exemplar, header, lines, prefix
from streams.publish.fold import PrometheusFold
from streams.publish.gauges import GaugesView
from streams.publish.layout import TotalsLayout, cumulated
from streams.publish.ownmetrics import WINDOW_HEALTH
from streams.publish.totals import OVERFLOW, LabelSet, TotalsView

__all__ = ["PARTITION_LABEL", "PrometheusFold", "WindowCollector"]

PARTITION_LABEL: Final = "source_partition"
"""On counters and histograms: ``agents.metrics/3``."""

Source = tuple[str, int]


class WindowCollector:
    """Shows the folds it was given, merged over the labels that the catalogue drops.

    Counters and histograms carry their source partition as a label: when a partition moves to another worker, its
    series move with it and keep their values: ``sum without (instance, source_partition)`` over a rate stays right.
    Merged into one series per worker instead, the old worker's counter would fall and the new worker's jump, which
    Prometheus reads as a restart and as traffic that never was.

    Gauges are merged over all partitions by the catalogue's rule; label sets beyond a metric's budget share an overflow
    series. Thread-safe: a scrape reads copies. A metric whose exported name belongs to another is left out and counted
    (:class:`NameClaims`).
    """

    def __init__(self, folds: Iterable[PrometheusFold] = ()) -> None:
        self._folds: dict[Source, PrometheusFold] = {(fold.topic, fold.partition): fold for fold in folds}
        self._layouts: dict[Source, TotalsLayout] = {}
        self._refused_before = 0
        self._claims = NameClaims()
        self._lock = threading.Lock()

    def add(self, fold: PrometheusFold) -> None:
        """Shows a fold from now on; replaces one of the same partition."""
        with self._lock:
            self._folds[fold.topic, fold.partition] = fold

    def remove(self, topic: str, partition: int) -> None:
        """Stops showing a partition (revoked). Unknown ones are ignored."""
        with self._lock:
            fold = self._folds.pop((topic, partition), None)
            self._layouts.pop((topic, partition), None)
            self._refused_before += fold.refused if fold else 0

    def render(self, *, openmetrics: bool = False, names: Collection[str] = ()) -> bytes:
        """One scrape, in Prometheus' text format or OpenMetrics without its end mark.

        Args:
            openmetrics: which format.
            names: only families that have a sample of one of these names; empty: all.
        """
        with self._lock:
            folds = list(self._folds.items())
            views = [(source, *fold.view()) for source, fold in folds]
            refused = self._refused_before + sum(fold.refused for _, fold in folds)
            page = _Page(self._claims, openmetrics, frozenset(names))
            self._add_totals(page, [(source, totals) for source, totals, _ in views])
            _add_gauges(page, [gauges for _, _, gauges in views])
            return page.finish(refused)

    def _add_totals(self, page: _Page, views: Sequence[tuple[Source, TotalsView]]) -> None:
        parts: dict[Metric, list[tuple[TotalsLayout, F64, F64, dict[Metric, dict[int, bytes]]]]] = {}
        for source, view in views:
            layout = self._layouts.get(source)
            if layout is None or layout.owner is not view.owner:
                where = (PARTITION_LABEL, f"{source[0]}/{source[1]}")
                layout = self._layouts[source] = TotalsLayout(view.owner, where)
            layout.extend(view)
            cells = cumulated(view)
            more = _exemplars(layout, view, self._folds[source]) if page.openmetrics else {}
            for metric in layout.groups:
                parts.setdefault(metric, []).append((layout, view.value, cells, more))
        for metric, found in parts.items():
            groups = [layout.groups[metric] for layout, *_ in found]
            if page.admits(metric, sum(g.label_sets for g in groups), any(g.overflowing for g in groups)):
                taken = [
                    lines(g.prefixes, g.take(values, cells), more.get(metric))
                    for g, (_, values, cells, more) in zip(groups, found, strict=True)
                ]
                page.family(metric, metric.exported, b"".join(taken))


def _exemplars(layout: TotalsLayout, view: TotalsView, fold: PrometheusFold) -> dict[Metric, dict[int, bytes]]:
    """What follows the value of a line, by metric and line."""
    found: dict[Metric, dict[int, bytes]] = {}
    for (row, bucket), one in fold.exemplars().items():
        if row < len(view.metric):
            found.setdefault(view.metric[row], {})[layout.line(row, bucket)] = exemplar(one)
    return found


class _Page:
    """A scrape under construction."""

    def __init__(self, claims: NameClaims, openmetrics: bool, names: frozenset[str]) -> None:
        self._claims, self.openmetrics, self._names = claims, openmetrics, names
        self._parts: list[bytes] = []
        self._overflowing: set[str] = set()
        self._label_sets = self._clashes = 0

    def admits(self, metric: Metric, label_sets: int, overflowing: bool) -> bool:
        """Whether the metric owns its name; counts its label sets either way."""
        if not self._claims.claim(metric):
            self._clashes += label_sets
            return False
        self._label_sets += label_sets
        if overflowing:
            self._overflowing.add(metric.exported)
        return True

    def family(self, metric: Metric, name: str, body: bytes) -> None:
        """Lines under their header."""
        self._add(name, metric.help, metric.prometheus_type, body)

    def _add(self, name: str, text: str, kind: str, body: bytes) -> None:
        of_histogram = (f"{name}_bucket", f"{name}_count", f"{name}_sum") if kind == "histogram" else ()
        if not self._names or not self._names.isdisjoint((name, *of_histogram)):
            self._parts.append(header(name, text, kind, openmetrics=self.openmetrics) + body + b"\n")

    def finish(self, refused: int) -> bytes:
        """Everything, and what the export says of itself."""
        figures = (self._label_sets, len(self._overflowing), self._clashes, refused)
        for declared, figure in zip(WINDOW_HEALTH, figures, strict=True):
            line = prefix(declared.sample_name, ()) + str(float(figure)).encode()
            self._add(declared.sample_name, declared.help, declared.type, line)
        return b"".join(self._parts)


class _Merged(NamedTuple):
    """Rows of gauges, each with the exported label set that it belongs to: ``group`` numbers ``labels``."""

    labels: list[LabelSet]
    group: list[int]
    rows: list[int]


def _add_gauges(page: _Page, views: Sequence[GaugesView]) -> None:
    if not views:
        return
    mean, minimum, maximum = (np.concatenate([getattr(v, n) for v in views]) for n in ("mean", "minimum", "maximum"))
    for metric, merged in _merged(views).items():
        if not page.admits(metric, len(merged.labels), OVERFLOW in merged.labels):
            continue
        group, rows, size = np.array(merged.group), np.array(merged.rows), len(merged.labels)
        total: F64 = np.bincount(group, mean[rows], size).astype(np.float64)
        if metric.merge == "mean":
            total = total / np.bincount(group, minlength=size)
        elif metric.merge == "max":
            total = np.full(size, -np.inf)
            np.maximum.at(total, group, mean[rows])
        page.family(metric, metric.exported, _gauge_lines(metric.exported, merged.labels, total))
        if metric.extremes:
            lowest, highest = np.full(size, np.inf), np.full(size, -np.inf)
            np.minimum.at(lowest, group, minimum[rows])
            np.maximum.at(highest, group, maximum[rows])
            for name, values in ((f"{metric.exported}_min", lowest), (f"{metric.exported}_max", highest)):
                page.family(metric, name, _gauge_lines(name, merged.labels, values))


def _gauge_lines(name: str, labels: Sequence[LabelSet], values: F64) -> bytes:
    return lines([prefix(name, one) for one in labels], values)


def _merged(views: Sequence[GaugesView]) -> dict[Metric, _Merged]:
    """The rows of all views by metric, each label set within the metric's budget."""
    found: dict[Metric, tuple[dict[LabelSet, int], _Merged]] = {}
    row = 0
    for view in views:
        for metric, labels in zip(view.metric, view.labels, strict=True):
            numbers, merged = found.get(metric) or found.setdefault(metric, ({}, _Merged([], [], [])))
            number = numbers.get(labels)
            if number is None:
                number = _number(metric, labels, numbers, merged)
            merged.group.append(number)
            merged.rows.append(row)
            row += 1
    return {metric: merged for metric, (_, merged) in found.items()}


def _number(metric: Metric, labels: LabelSet, numbers: dict[LabelSet, int], merged: _Merged) -> int:
    if len(numbers) - (OVERFLOW in numbers) >= metric.budget:
        labels = OVERFLOW
    known = numbers.get(labels)
    if known is None:
        known = numbers[labels] = len(merged.labels)
        merged.labels.append(labels)
    return known
