"""What of a window is scored, as columns: the mean, for counters the rate, for durations the 95th percentile too."""

from __future__ import annotations

from streams.domain.series import OVERFLOW_LABEL, Series
from streams.domain.window import WindowBatch

COUNTERS = frozenset({"counter", "updowncounter"})


def features_of(series: Series) -> tuple[str, ...]:
    """Names of the features of a series; none for the overflow series, whose members change."""
    if series.labels and series.labels[0][0] == OVERFLOW_LABEL:
        return ()
    if series.kind in COUNTERS:
        return ("rate",)
    return ("mean", "p95") if series.kind == "histogram" and series.unit == "s" else ("mean",)


def columns(batch: WindowBatch) -> dict[str, list[float]]:
    """Feature name -> one number per series of the batch. Rates are per second."""
    return {
        "mean": (batch.sum / batch.count).tolist(),
        "rate": (batch.sum / batch.size_seconds).tolist(),
        "p95": batch.quantiles[:, 1].tolist(),
    }
