"""Who owns which exported name."""

from __future__ import annotations

from typing import Final

from streams.publish.catalogue import METRICS, Metric

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
