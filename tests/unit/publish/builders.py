"""Windows and transitions for the tests of the publish room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from streams.domain.alert import AlertTransition, fingerprint
from streams.domain.series import Series
from streams.domain.sketch import LOG_GAMMA, SMALLEST
from streams.domain.window import WindowBatch

SECOND = 1_000_000_000
TOPIC = "agents.metrics"


def series(name: str, unit: str, kind: str, **labels: str) -> Series:
    """Double underscores in label names stand for dots."""
    return Series(name, unit, kind, tuple(sorted((k.replace("__", "."), v) for k, v in labels.items())))


def bucket_of(value: float) -> int:
    """The sketch bucket of one value, by its definition: gamma^(b-1) < value / smallest <= gamma^b."""
    magnitude = abs(value)
    if magnitude < SMALLEST:
        return 0
    bucket = int(np.ceil(np.log(magnitude / SMALLEST) / LOG_GAMMA))
    return bucket if value > 0 else -bucket


def batch(
    observations: Mapping[Series, Sequence[float]],
    *,
    start: float = 0.0,
    seconds: float = 10.0,
    topic: str = TOPIC,
    partition: int = 0,
    chunk: int = 0,
    chunks: int = 1,
) -> WindowBatch:
    """A closed window over the given observations (increments, for counters)."""
    rows = sorted(observations, key=lambda s: s.id)
    values = [np.array(observations[s], np.float64) for s in rows]
    sketches = [Counter(bucket_of(v) for v in column) for column in values]
    start_ns = round(start * SECOND)
    return WindowBatch(
        topic=topic,
        partition=partition,
        start_ns=start_ns,
        end_ns=start_ns + round(seconds * SECOND),
        series=rows,
        count=np.array([len(v) for v in values], np.int64),
        sum=np.array([v.sum() for v in values], np.float64),
        sum_low=np.zeros(len(values)),
        minimum=np.array([v.min() for v in values], np.float64),
        maximum=np.array([v.max() for v in values], np.float64),
        sum_squares=np.array([(v**2).sum() for v in values], np.float64),
        quantiles=np.array([np.quantile(v, (0.5, 0.95, 0.99)) for v in values]).reshape(len(values), 3),
        sketch_start=np.cumsum([0, *map(len, sketches)]).astype(np.int32),
        sketch_bucket=np.array([b for s in sketches for b in sorted(s)], np.int32),
        sketch_weight=np.array([s[b] for s in sketches for b in sorted(s)], np.int64),
        chunk=chunk,
        chunks=chunks,
    )


def transition(**changes: Any) -> AlertTransition:
    """A firing alert of severity high, with changes."""
    identity = changes.get("identity", {"alertname": "StepsFail", "agent.type": "planner"})
    fields: dict[str, Any] = {
        "fingerprint": fingerprint(identity),
        "seq": 0,
        "state": "firing",
        "previous": "",
        "alertname": "StepsFail",
        "severity": "high",
        "identity": identity,
        "annotations": {"summary": "steps fail"},
        "starts_at_ns": 1_000 * SECOND,
        "at_ns": 1_100 * SECOND,
        "ends_at_ns": 0,
        "value": 0.2,
        "threshold": 0.05,
    }
    return AlertTransition(**{**fields, **changes})


class CountedStats:
    """Counts what the publisher reports."""

    def __init__(self) -> None:
        self.codes: Counter[str] = Counter()
        self.refusals = 0
        self.drops = 0
        self.unsent_now: dict[str, int] = {}
        self.reads: Counter[str] = Counter()
        self.seen: dict[str, int] = {}
        self.ever: Counter[str] = Counter()

    def posted(self, peer: str, code: str, seconds: float) -> None:
        self.codes[code] += 1

    def refused(self, peer: str) -> None:
        self.refusals += 1

    def dropped(self) -> None:
        self.drops += 1

    def unsent(self, peer: str, count: int) -> None:
        self.unsent_now[peer] = count

    def held(self, peer: str, code: str, counts: Mapping[str, int]) -> None:
        self.reads[code] += 1
        self.seen = dict(counts)
        self.ever.update(counts)
