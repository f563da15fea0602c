"""Where each line of a partition's totals takes its value from, kept from scrape to scrape."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from prometheus_client.utils import floatToGoString

from streams.publish.catalogue import Metric
from streams.publish.exposition import F64, prefix
from streams.publish.totals import OVERFLOW, LabelSet, TotalsView


@dataclass
class Group:
    """The lines of one metric.

    Attributes:
        prefixes: lines up to their values. label_sets: how many rows they stand for. overflowing: one of them is the
            overflow row.
    """

    prefixes: list[bytes] = field(default_factory=list)
    label_sets: int = 0
    overflowing: bool = False
    _source: list[int] = field(default_factory=list)
    _known: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def add(self, name: bytes, source: int) -> None:
        """One line more; ``source`` as in :meth:`TotalsLayout.values`."""
        self.prefixes.append(name)
        self._source.append(source)

    def take(self, values: F64, cells: F64) -> F64:
        """The values of its lines, out of those of all rows and all cells."""
        if len(self._known) != len(self._source):
            self._known = np.array(self._source, np.int64)
        found: F64 = np.concatenate([values, cells])[
            np.where(self._known >= 0, self._known, len(values) + ~self._known)
        ]
        return found


class TotalsLayout:
    """The lines of one :class:`Totals`; rows never move, so it only grows. Bounded as those are."""

    def __init__(self, owner: object, where: tuple[str, str]) -> None:
        """``owner``: the totals it is for; ``where``: a label of every line."""
        self.owner = owner
        self.groups: dict[Metric, Group] = {}
        self._where = where
        self._first: list[int] = []
        self._rows = 0

    def extend(self, view: TotalsView) -> None:
        """Adds the lines of rows that are new."""
        for row in range(self._rows, len(view.metric)):
            metric = view.metric[row]
            group = self.groups.setdefault(metric, Group())
            self._first.append(len(group.prefixes))
            group.label_sets += 1
            group.overflowing |= view.labels[row] == OVERFLOW
            self._add(group, metric, view.labels[row], row, int(view.start[row]))
        self._rows = len(view.metric)

    def line(self, row: int, bucket: int) -> int:
        """The line of a bucket among those of its metric."""
        return self._first[row] + bucket

    def _add(self, group: Group, metric: Metric, labels: LabelSet, row: int, cell: int) -> None:
        name = metric.exported
        named = sorted(
            [*(pair for pair in labels if pair[0] != self._where[0]), self._where]
        )  # ours replaces a reported one
        if metric.kind != "histogram":
            group.add(prefix(name, named), row)
            return
        for i, bound in enumerate((*metric.buckets, float("inf"))):
            below = ("le", floatToGoString(bound))  # type: ignore[no-untyped-call]
            group.add(prefix(f"{name}_bucket", (*named, below)), ~(cell + i))
        group.add(prefix(f"{name}_count", named), ~(cell + len(metric.buckets)))
        group.add(prefix(f"{name}_sum", named), row)


def cumulated(view: TotalsView) -> F64:
    """The cells of histograms, each with those of lower bounds added."""
    start = view.start[[i for i, metric in enumerate(view.metric) if metric.kind == "histogram"]]
    running = np.cumsum(view.cells)
    before = np.where(start > 0, running[start - 1], 0) if len(start) else start
    found: F64 = (running - np.repeat(before, np.diff(np.append(start, len(running))))).astype(np.float64)
    return found
