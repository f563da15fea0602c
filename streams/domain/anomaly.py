"""A finding of a detector: evidence, never a page by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson

from streams.domain.series import Series

ANOMALY_SCHEMA: Final = "agents.anomaly/1"


@dataclass(frozen=True, slots=True)
class Score:
    """What a detector says of one window.

    Attributes:
        score: [0, 1], calibrated so that 1 - score is roughly the probability of something at least as strange.
        expected, lower, upper: what the detector expected, in the unit of the series.
        warming_up: too little seen; the score is then 0.
        seen_windows: what the judgement rests on.
        still_windows: for how many windows the value has not changed, where that is the finding; else 0.
        drift_windows: for how many windows the value has moved one way, where that is a finding; else 0.
    """

    score: float
    expected: float
    lower: float
    upper: float
    warming_up: bool
    seen_windows: int = 0
    still_windows: int = 0
    drift_windows: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """An earlier anomaly of the same series and feature, as a later one names it."""

    start_ns: int
    value: float
    score: float


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A window whose score passed the threshold.

    Attributes:
        feature: what was scored: mean, rate or p95; of a vector the feature's own name.
        normal_at: the nearest value to the one seen that would have been no anomaly in this window (between it and the
            expected one, to a thousandth of the way); None where no value would have done.
        similar: earlier anomalies of this series and feature on the same side of what was expected, newest first.
        told_by: the other features of a vector, from whose values the expected one was told; else none.
    """

    series: Series
    start_ns: int
    end_ns: int
    feature: str
    value: float
    score: Score
    detector: str
    threshold: float
    normal_at: float | None = None
    similar: tuple[Finding, ...] = ()
    told_by: tuple[tuple[str, float], ...] = ()

    @property
    def reason(self) -> str:
        """One sentence for people: what was strange, against what, and what it would have taken."""
        if self.score.still_windows:
            return (
                f"{self.feature} has not changed for {self.score.still_windows} windows, "
                f"longer than ever in {self.score.seen_windows} windows"
            )
        if self.score.drift_windows:
            return (
                f"{self.feature} {self.value:.4g} has moved one way for {self.score.drift_windows} windows, "
                f"further than ever in {self.score.seen_windows} windows ({self.score.expected:.4g} expected)"
            )
        side = "above" if self.value > self.score.expected else "below"
        normal = "" if self.normal_at is None else f"; up to {self.normal_at:.4g} would have been normal"
        others = ", ".join(f"{name} {value:.4g}" for name, value in self.told_by)
        told = f" with {others}" if others else ""
        return (
            f"{self.feature} {self.value:.4g} is {side} the {self.score.expected:.4g} expected{told} "
            f"({self.score.lower:.4g} to {self.score.upper:.4g}) after {self.score.seen_windows} windows{normal}"
        )


def encode_anomaly(anomaly: Anomaly) -> bytes:
    """One record of ``agents.anomalies`` (key = series id)."""
    return orjson.dumps(
        {
            "v": 1,
            "schema": ANOMALY_SCHEMA,
            "series_id": anomaly.series.id,
            "name": anomaly.series.name,
            "unit": anomaly.series.unit,
            "kind": anomaly.series.kind,
            "labels": dict(anomaly.series.labels),
            "start_ns": anomaly.start_ns,
            "end_ns": anomaly.end_ns,
            "feature": anomaly.feature,
            "value": anomaly.value,
            "expected": anomaly.score.expected,
            "lower": anomaly.score.lower,
            "upper": anomaly.score.upper,
            "score": anomaly.score.score,
            "detector": anomaly.detector,
            "threshold": anomaly.threshold,
            "seen_windows": anomaly.score.seen_windows,
            "still_windows": anomaly.score.still_windows,
            "drift_windows": anomaly.score.drift_windows,
            "normal_at": anomaly.normal_at,
            "similar": [[past.start_ns, past.value, past.score] for past in anomaly.similar],
            "told_by": anomaly.told_by,
            "reason": anomaly.reason,
        }
    )


def decode_anomaly(value: bytes) -> Anomaly:
    """The inverse of :func:`encode_anomaly`.

    Raises:
        ValueError: not an anomaly record.
    """
    body: dict[str, Any] = orjson.loads(value)
    if body.get("schema") != ANOMALY_SCHEMA:
        raise ValueError(f"not an anomaly record: schema {body.get('schema')!r}")
    series = Series(body["name"], body["unit"], body["kind"], tuple(sorted(body["labels"].items())))
    windows = [body.get(name, 0) for name in ("seen_windows", "still_windows", "drift_windows")]
    score = Score(body["score"], body["expected"], body["lower"], body["upper"], False, *windows)
    return Anomaly(
        series,
        body["start_ns"],
        body["end_ns"],
        body["feature"],
        body["value"],
        score,
        body["detector"],
        body["threshold"],
        body.get("normal_at"),
        tuple(Finding(*past) for past in body.get("similar", ())),
        tuple((name, value) for name, value in body.get("told_by", ())),
    )
