"""Metric families of one scrape, and who owns which exported name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Metric as Family
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from streams.publish.catalogue import METRICS, WINDOW_HEALTH, Metric
from streams.publish.totals import OVERFLOW, LabelSet

MAX_CLAIMS: Final = 50_000
PIPELINE_PREFIX: Final = "streams_"


class NameClaims:
    """Exported names and the metric each belongs to; two metrics under one name would spoil the whole scrape.

    The catalogue's metrics own theirs from the start, others first come first served (``a.b`` and ``a_b`` clash); the
    prefix ``streams_`` is the pipeline's own. Bounded: 50,000 names, then every new metric is refused.
    """

    def __init__(self) -> None:
        self._owner: dict[str, tuple[str, str, str]] = {}
        for metric in METRICS:
            self.claim(metric)

    def claim(self, metric: Metric) -> bool:
        """Whether the metric owns all its names, now or already."""
        owner, names = (metric.name, metric.kind, metric.exported), _names(metric)
        if any(self._owner.get(name, owner) != owner for name in names):
            return False
        if metric.exported.startswith(PIPELINE_PREFIX) or len(self._owner) + len(names) > MAX_CLAIMS:
            return False
        self._owner.update(dict.fromkeys(names, owner))
        return True


def _names(metric: Metric) -> list[str]:
    name = metric.exported
    if metric.kind == "counter":
        return [name, name.removesuffix("_total"), name.removesuffix("_total") + "_created"]
    if metric.kind == "histogram":
        return [name, *(name + suffix for suffix in ("_bucket", "_count", "_sum", "_created"))]
    return [name, f"{name}_min", f"{name}_max"] if metric.extremes else [name]


class Families:
    """Families under construction."""

    def __init__(self, claims: NameClaims) -> None:
        self._claims = claims
        self._families: dict[str, Family] = {}
        self._admitted: dict[Metric, bool] = {}
        self._bounds: dict[tuple[float, ...], list[str]] = {}
        self._overflowing: set[str] = set()
        self._label_sets = 0
        self._clashes = 0

    def _admits(self, metric: Metric, labels: LabelSet) -> bool:
        admitted = self._admitted.get(metric)
        if admitted is None:
            admitted = self._admitted[metric] = self._claims.claim(metric)
        self._label_sets += admitted
        self._clashes += not admitted
        if admitted and labels == OVERFLOW:
            self._overflowing.add(metric.exported)
        return admitted

    def _family(self, name: str, metric: Metric) -> Family:
        family = self._families.get(name)
        if family is None:
            stem = name.removesuffix("_total") if metric.kind == "counter" else name
            family = self._families[name] = Family(stem, metric.help, metric.prometheus_type)
        return family

    def add_total(
        self, metric: Metric, labels: LabelSet, where: dict[str, str], value: float, cells: NDArray[np.int64]
    ) -> None:
        """Adds a counter, or a histogram with its sum and the counts of its cells; ``where`` are more labels."""
        if not self._admits(metric, labels):
            return
        name, named = metric.exported, {**dict(labels), **where}
        samples = self._family(name, metric).samples
        if metric.kind != "histogram":
            samples.append(Sample(name, named, value))
            return
        running = np.cumsum(cells).tolist()
        for bound, count in zip(self._bounds_of(metric), running, strict=True):
            samples.append(Sample(f"{name}_bucket", {**named, "le": bound}, float(count)))
        samples.append(Sample(f"{name}_count", named, float(running[-1])))
        samples.append(Sample(f"{name}_sum", named, value))

    def _bounds_of(self, metric: Metric) -> list[str]:
        bounds = self._bounds.get(metric.buckets)
        if bounds is None:
            bounds = [floatToGoString(bound) for bound in (*metric.buckets, float("inf"))]  # type: ignore[no-untyped-call]
            self._bounds[metric.buckets] = bounds
        return bounds

    def add_gauge(self, metric: Metric, labels: LabelSet, value: float, minimum: float, maximum: float) -> None:
        """Adds a gauge and, where the catalogue says so, its extremes."""
        if not self._admits(metric, labels):
            return
        named = dict(labels)
        self._family(metric.exported, metric).samples.append(Sample(metric.exported, named, value))
        if metric.extremes:
            for name, extreme in ((f"{metric.exported}_min", minimum), (f"{metric.exported}_max", maximum)):
                self._family(name, metric).samples.append(Sample(name, named, extreme))

    def finish(self, refused: int) -> Iterator[Family]:
        """All families, and what the export says of itself."""
        yield from self._families.values()
        figures = (self._label_sets, len(self._overflowing), self._clashes, refused)
        for declared, figure in zip(WINDOW_HEALTH, figures, strict=True):
            family = Family(declared.name, declared.help, declared.type)
            family.samples.append(Sample(declared.sample_name, {}, float(figure)))
            yield family
