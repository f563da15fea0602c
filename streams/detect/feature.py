"""What of a window is scored, as columns: the mean, for counters the rate, for durations the 95th percentile too."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streams.domain.series import OVERFLOW_LABEL, Series
from streams.domain.window import WindowBatch

FEATURES: Final = ("mean", "rate", "p95")
COUNTERS = frozenset({"counter", "updowncounter"})


def features_of(series: Series) -> tuple[str, ...]:
    """Names of the features of a series; none for the overflow series, whose members change."""
    if series.labels and series.labels[0][0] == OVERFLOW_LABEL:
        return ()
    if series.kind in COUNTERS:
        return ("rate",)
    return ("mean", "p95") if series.kind == "histogram" and series.unit == "s" else ("mean",)


def columns(batch: WindowBatch) -> NDArray[np.float64]:
    """float64[features, series of the batch], in the order of :data:`FEATURES`. Rates are per second."""
    return np.stack((batch.sum / batch.count, batch.sum / batch.size_seconds, batch.quantiles[:, 1]))
