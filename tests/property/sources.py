"""Raw records of every format for the metrics role, as their producers write them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from agents_emitter import events
from streams import topics
from tests.wiring.line import Record

SECOND = 1_000_000_000
BASE = 1_700_000_000 * SECOND
BOUNDS = (1.0, 2.0, 5.0)
DEFINITIONS = [
    events.SeriesDefinition("steps", "1", "counter"),
    events.SeriesDefinition("memory", "By", "gauge"),
    events.SeriesDefinition("duration", "s", "histogram"),
    events.SeriesDefinition("total", "1", "counter", temporality="cumulative"),
]
BROKEN = (b"{", b"[]", b"", b'{"name":"x"}', b"\n\xff\xff", b'{"v":1,"schema":"agents.metric/1","series":[]}')


class Producers:
    """Three processes of ours and one that is instrumented with OpenTelemetry, whose series have the same names.

    Args:
        rng: decides values, times and formats. jitter_seconds: how far event times are behind the producers' clock.
    """

    def __init__(self, rng: random.Random, jitter_seconds: float = 0.9) -> None:
        self._rng = rng
        self._jitter_seconds = jitter_seconds
        self._numbers = [0, 0, 0]
        self._steps = 0.0
        self._buckets = [0] * (len(BOUNDS) + 1)
        self._heads = [
            events.encode_metric_head({"service.name": f"s{i}"}, DEFINITIONS, f"producer-{i}") for i in range(3)
        ]
        self._kinds: tuple[Callable[[int], bytes], ...] = (self.batch, self.batch, self.batch, self.single, self.otlp)

    def record(self, now_ns: int) -> bytes:
        """One record of any kind; event times up to the jitter before ``now_ns``."""
        return self._rng.choice(self._kinds)(now_ns)

    def batch(self, now_ns: int) -> bytes:
        """One of our batches; totals in it fall now and then, as after a restart."""
        place, count = self._rng.randrange(3), self._rng.randrange(1, 5)
        number = self._numbers[place]
        self._numbers[place] += 1
        return events.encode_metric_batch(
            self._heads[place],
            seq=number,
            dropped_total=number // 3,
            base_time_unix_nano=now_ns,
            index=[self._rng.randrange(len(DEFINITIONS)) for _ in range(count)],
            offset_ns=[-self._delay_ns() for _ in range(count)],
            value=[self._rng.lognormvariate(0, 2) for _ in range(count)],
            columns=self._rng.choice(("packed", "plain")),
        )

    def single(self, now_ns: int) -> bytes:
        """One event as a shell script would send it."""
        name, unit, kind, *_ = self._rng.choice(DEFINITIONS[:3])
        return events.encode_single(
            name,
            self._rng.lognormvariate(0, 2),
            unit=unit,
            kind=kind,
            time_unix_nano=now_ns - self._delay_ns(),
            resource={"service.name": "s0"},
        )

    def otlp(self, now_ns: int) -> bytes:
        """Running totals: a counter and a histogram."""
        self._steps += self._rng.lognormvariate(0, 1)
        self._buckets[self._rng.randrange(len(self._buckets))] += self._rng.randrange(1, 4)
        times = {"startTimeUnixNano": str(BASE - SECOND), "timeUnixNano": str(now_ns - self._delay_ns())}
        steps = {**times, "asDouble": self._steps}
        counts = {"bucketCounts": self._buckets, "explicitBounds": BOUNDS, "count": sum(self._buckets)}
        duration = {**times, **counts, "sum": sum(self._buckets) * 1.7}
        return otlp_metrics(
            [
                {"name": "steps", "unit": "1", "sum": {**CUMULATIVE, "isMonotonic": True, "dataPoints": [steps]}},
                {"name": "duration", "unit": "s", "histogram": {**CUMULATIVE, "dataPoints": [duration]}},
            ]
        )

    def _delay_ns(self) -> int:
        return int(self._rng.random() * self._jitter_seconds * SECOND)


CUMULATIVE = {"aggregationTemporality": 2}


def otlp_metrics(metrics: Sequence[dict[str, Any]]) -> bytes:
    """An OTLP JSON request of service s0."""
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "s0"}}]}
    return orjson.dumps({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": metrics}]}]})


def metric_values(seed: int, records: int, seconds: float) -> list[bytes]:
    """Records of all producers over so much time; some sent twice, late or broken; ticks between, a quiet end."""
    rng = random.Random(seed)
    producers = Producers(rng)
    values: list[bytes] = []
    for i in range(records):
        now_ns = BASE + int(i * seconds * SECOND / records)
        kind = rng.random()
        if kind < 0.06:
            values.append(rng.choice(BROKEN))
        elif kind < 0.12:
            values.append(events.encode_tick(now_ns))
        elif kind < 0.2 and values:
            values.append(rng.choice(values[-15:]))
        else:
            values.append(producers.record(now_ns - (30 * SECOND if kind > 0.96 else 0)))
    end_ns = BASE + int(seconds * SECOND)
    return [*values, *(events.encode_tick(end_ns + wait * SECOND) for wait in (30, 60))]


def log_of(values: Sequence[bytes | None], topic: str = topics.METRICS) -> list[Record]:
    """The values as a log whose broker's clock is ahead of all event times."""
    return [Record(value, offset, 2 * 10**12, b"k", 0, topic) for offset, value in enumerate(values)]
