"""What all agents did in closed windows: counts, and times as sketches, under a fixed list of names.

Series without an agent id count too. ``parts`` of a count are those of its increments whose label says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from streams.api.agents.fold import FAILURES
from streams.domain.series import Series
from streams.domain.window import WindowBatch
from streams.gate.profile import QUANTILES
from streams.gate.samples import Pane, number


class _Count(NamedTuple):
    """The name of the whole ("" = none), and by value of a label the name of a part."""

    whole: str
    label: str
    parts: Mapping[str, str]


def _failing(name: str) -> _Count:
    return _Count(name, "outcome", dict.fromkeys(FAILURES, f"{name}_failed"))


_COUNTS: Final = {
    "agents.steps": _failing("steps"),
    "agents.inference.operations": _failing("inferences"),
    "agents.coordination.requests": _failing("coordination"),
    "agents.belief.updates": _failing("updates"),
    "agents.belief.predictions": _Count("predictions", "correct", {"true": "correct"}),
    "agents.lifecycle.events": _Count(
        "", "event", {"start": "started", "restart": "started", "stop": "stopped", "crash": "crashed"}
    ),
    "gen_ai.client.token.usage": _Count("", "gen_ai.token.type", {"input": "tokens_in", "output": "tokens_out"}),
}
_TIMES: Final = {"agents.inference.duration": "inference", "agents.coordination.duration": "coordination_time"}
SESSIONS: Final = "agents.coordination.sessions.active"
ENERGY: Final = "agents.belief.free_energy"


@dataclass(slots=True)
class Activity:
    """Sums of one window, or of several.

    Attributes:
        counts: name -> sum of increments; a name is there where its metric was.
        times: name -> the pane of its durations.
        sessions: open ones, None where nobody says; of several windows those of the newest.
    """

    counts: dict[str, float] = field(default_factory=dict)
    times: dict[str, Pane] = field(default_factory=dict)
    sessions: float | None = None

    def count(self, name: str, value: float) -> None:
        """Adds to a count."""
        self.counts[name] = self.counts.get(name, 0.0) + value

    def time(self, name: str, buckets: Iterable[tuple[int, int]]) -> None:
        """Adds durations, as (bucket, weight) of their sketch."""
        pane = self.times.setdefault(name, Pane())
        for bucket, weight in buckets:
            pane.sketch[bucket] = pane.sketch.get(bucket, 0) + weight
            pane.count += weight

    def ratio(self, part: str, whole: str) -> float | None:
        """None where the whole is nothing."""
        of = self.counts.get(whole, 0.0)
        return self.counts.get(part, 0.0) / of if of else None

    def quantile(self, name: str, statistic: str) -> float | None:
        """``p50``, ``p95`` or ``p99`` of durations in seconds; None where there are none."""
        pane = self.times.get(name)
        return number({0: pane}, statistic, QUANTILES[statistic]) if pane is not None else None

    def add(self, other: Activity) -> None:
        """Adds a later window, or another part of the same."""
        for name, value in other.counts.items():
            self.count(name, value)
        for name, pane in other.times.items():
            self.time(name, pane.sketch.items())


def activity(batch: WindowBatch) -> Activity:
    """Of one closed window."""
    found = Activity()
    for place, series in enumerate(batch.series):
        _add(found, series, batch, place)
    return found


def _add(found: Activity, series: Series, batch: WindowBatch, place: int) -> None:
    total = float(batch.sum[place])
    if (counted := _COUNTS.get(series.name)) is not None:
        part = counted.parts.get(series.label(counted.label))
        for name in filter(None, (counted.whole, part)):
            found.count(name, total)
    elif series.name in _TIMES:
        entries = slice(int(batch.sketch_start[place]), int(batch.sketch_start[place + 1]))
        buckets, weights = batch.sketch_bucket[entries].tolist(), batch.sketch_weight[entries].tolist()
        found.time(_TIMES[series.name], zip(buckets, weights, strict=True))
    elif series.name == SESSIONS:
        found.sessions = (found.sessions or 0.0) + total / int(batch.count[place])
    elif series.name == ENERGY:
        found.count("energy", total)
        found.count("energy_values", float(batch.count[place]))


def dump(found: Activity) -> bytes:
    """As JSON; empty where there is nothing."""
    if not (found.counts or found.times or found.sessions is not None):
        return b""
    times = {name: [list(pane.sketch), list(pane.sketch.values())] for name, pane in found.times.items()}
    return orjson.dumps({"counts": found.counts, "times": times, "sessions": found.sessions})


def load(value: bytes) -> Activity:
    """The inverse of :func:`dump`."""
    body: dict[str, Any] = orjson.loads(value)
    found = Activity(body["counts"], sessions=body["sessions"])
    for name, (buckets, weights) in body["times"].items():
        found.time(name, zip(buckets, weights, strict=True))
    return found
