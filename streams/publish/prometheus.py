"""What Prometheus scrapes of agents' metrics: the folds of the partitions this worker owns, as one collector.

One :class:`PrometheusFold` per source partition is fed with its closed windows in order; :class:`WindowCollector` reads
them when a scrape comes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Metric as Family
from prometheus_client.registry import Collector

from streams.publish.catalogue import Metric
from streams.publish.families import Families, NameClaims
from streams.publish.fold import PrometheusFold
from streams.publish.gauges import GaugesView
from streams.publish.totals import OVERFLOW, LabelSet, TotalsView

__all__ = ["PARTITION_LABEL", "PrometheusFold", "WindowCollector"]

PARTITION_LABEL: Final = "source_partition"
"""On counters and histograms: ``agents.metrics/3``."""

Key = tuple[Metric, LabelSet]


class WindowCollector(Collector):
    """Shows the folds it was given, merged over the labels that the catalogue drops.

    Counters and histograms carry their source partition as a label (``by_partition``): when a partition moves to
    another worker, its series move with it and keep their values: ``sum without (instance, source_partition)`` over a
    rate stays right. Merged into one series per worker instead, the old worker's counter falls and the new worker's
    jumps, which Prometheus reads as a restart and as traffic that never was; a single worker may prefer that for fewer
    series.

    Gauges are merged over all partitions by the catalogue's rule; label sets beyond a metric's budget share an overflow
    series. Thread-safe: a scrape reads copies. A metric whose exported name belongs to another is left out and counted
    (:class:`NameClaims`).
    """

    def __init__(self, folds: Iterable[PrometheusFold] = (), *, by_partition: bool = True) -> None:
        self._folds = {(fold.topic, fold.partition): fold for fold in folds}
        self._by_partition = by_partition
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
            self._refused_before += fold.refused if fold else 0

    def describe(self) -> Iterable[Family]:
        """Nothing: names depend on what agents report."""
        return []

    def collect(self) -> Iterator[Family]:
        """The families of one scrape."""
        with self._lock:
            folds = list(self._folds.items())
            views = [(f"{topic}/{partition}", *fold.view()) for (topic, partition), fold in folds]
            refused = self._refused_before + sum(fold.refused for _, fold in folds)
            families = Families(self._claims)
            if self._by_partition:
                for source, totals, _ in views:
                    _add_totals(families, totals, {PARTITION_LABEL: source})
            else:
                _add_merged_totals(families, [totals for _, totals, _ in views])
            _add_gauges(families, [gauges for _, _, gauges in views])
        return families.finish(refused)


def _cells(view: TotalsView, i: int) -> NDArray[np.int64]:
    start = view.start[i]
    return view.cells[start : start + len(view.metric[i].buckets) + 1]


def _add_totals(families: Families, view: TotalsView, where: dict[str, str]) -> None:
    for i, value in enumerate(view.value.tolist()):
        families.add_total(view.metric[i], view.labels[i], where, value, _cells(view, i))


def _add_merged_totals(families: Families, views: Sequence[TotalsView]) -> None:
    merged: dict[Key, tuple[float, NDArray[np.int64]]] = {}
    for view in views:
        for i, value in enumerate(view.value.tolist()):
            key = (view.metric[i], view.labels[i])
            before, cells = merged.get(key, (0.0, np.zeros(1, np.int64)))
            merged[key] = (before + value, cells + _cells(view, i) if key[0].kind == "histogram" else cells)
    for (metric, labels), (value, cells) in merged.items():
        families.add_total(metric, labels, {}, value, cells)


def _add_gauges(families: Families, views: Sequence[GaugesView]) -> None:
    keys, group = _groups(views)
    if not keys:
        return
    mean, minimum, maximum = (
        np.concatenate([getattr(view, name) for view in views]) for name in ("mean", "minimum", "maximum")
    )
    total, count = np.bincount(group, mean), np.bincount(group)
    highest_mean, highest, lowest = (np.full(len(keys), fill) for fill in (-np.inf, -np.inf, np.inf))
    np.maximum.at(highest_mean, group, mean)
    np.maximum.at(highest, group, maximum)
    np.minimum.at(lowest, group, minimum)
    merged = {"sum": total, "mean": total / count, "max": highest_mean}
    for i, (metric, labels) in enumerate(keys):
        families.add_gauge(metric, labels, float(merged[metric.merge][i]), float(lowest[i]), float(highest[i]))


def _groups(views: Sequence[GaugesView]) -> tuple[list[Key], NDArray[np.int64]]:
    """The exported label sets, within each metric's budget, and the one that each row belongs to."""
    number: dict[Key, int] = {}
    used: dict[Metric, int] = {}
    group: list[int] = []
    for view in views:
        for key in zip(view.metric, view.labels, strict=True):
            i = number.get(key)
            if i is None:
                metric = key[0]
                if used.get(metric, 0) >= metric.budget:
                    key = (metric, OVERFLOW)
                elif key[1] != OVERFLOW:
                    used[metric] = used.get(metric, 0) + 1
                i = number.setdefault(key, len(number))
            group.append(i)
    return list(number), np.array(group, np.int64)
