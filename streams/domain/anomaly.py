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
    """

    score: float
    expected: float
    lower: float
    upper: float
    warming_up: bool


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A window whose score passed the threshold. ``feature`` is what was scored: mean, rate or p95."""

    series: Series
    start_ns: int
    end_ns: int
    feature: str
    value: float
    score: Score
    detector: str
    threshold: float


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
    score = Score(body["score"], body["expected"], body["lower"], body["upper"], warming_up=False)
    return Anomaly(
        series,
        body["start_ns"],
        body["end_ns"],
        body["feature"],
        body["value"],
        score,
        body["detector"],
        body["threshold"],
    )
