"""One closed window to one row per agent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from streams.domain.series import Series
from streams.domain.window import WindowBatch

FAILURES: Final = frozenset({"failure", "timeout"})
_GAUGES: Final = {
    "agents.memory": "memory_bytes",
    "agents.cpu": "cpu_ratio",
    "agents.coordination.sessions.active": "sessions",
    "agents.belief.free_energy": "free_energy",
}
_MEANS: Final = frozenset({"free_energy"})
"""Of several series of an agent the mean counts; of other gauges the sum."""
_EVENTS: Final = ("crash", "stop")
"""Of several life events in one window the one that comes first here counts, then any other."""


class Who(NamedTuple):
    """An agent, as the labels of its series tell."""

    agent_id: str
    name: str
    type: str
    service: str
    version: str
    environment: str


@dataclass(slots=True)
class Row:
    """One agent in one window.

    Attributes:
        who: the agent. event: its life event, "" where there was none.
        gauges: column -> means of its series in the window.
        sums: column -> sum of increments.
        sketch: of inference times, bucket -> count.
    """

    who: Who
    event: str = ""
    gauges: dict[str, list[float]] = field(default_factory=dict)
    sums: dict[str, float] = field(default_factory=dict)
    sketch: dict[int, int] = field(default_factory=dict)

    def gauge(self, column: str) -> float | None:
        """None where nothing was measured."""
        means = self.gauges.get(column)
        if not means:
            return None
        return sum(means) / len(means) if column in _MEANS else sum(means)


def rows(batch: WindowBatch) -> dict[str, Row]:
    """Agent id -> its row; series of no agent are left out."""
    found: dict[str, Row] = {}
    for place, series in enumerate(batch.series):
        agent_id = series.label("agent.id")
        if not agent_id:
            continue
        row = found.get(agent_id)
        if row is None:
            row = found[agent_id] = Row(_who(agent_id, series.label))
        _add(row, series, batch, place)
    return found


def _who(agent_id: str, label: Callable[[str], str]) -> Who:
    names = ("agent.name", "agent.type", "service.name", "service.version", "environment")
    return Who(agent_id, *(label(name) for name in names))


def _add(row: Row, series: Series, batch: WindowBatch, place: int) -> None:
    total = float(batch.sum[place])
    if series.name in _GAUGES:
        row.gauges.setdefault(_GAUGES[series.name], []).append(total / int(batch.count[place]))
    elif series.name == "agents.steps":
        _count(row, "steps", "failed_steps", total, part=series.label("outcome") in FAILURES)
    elif series.name == "agents.belief.predictions":
        _count(row, "predictions", "correct_predictions", total, part=series.label("correct") == "true")
    elif series.name == "agents.lifecycle.events":
        row.event = min((one for one in (row.event, series.label("event")) if one), key=_order, default="")
    elif series.name == "agents.inference.duration":
        entries = slice(int(batch.sketch_start[place]), int(batch.sketch_start[place + 1]))
        pairs = zip(batch.sketch_bucket[entries].tolist(), batch.sketch_weight[entries].tolist(), strict=True)
        for bucket, weight in pairs:
            row.sketch[bucket] = row.sketch.get(bucket, 0) + weight


def _count(row: Row, whole: str, share: str, total: float, *, part: bool) -> None:
    row.sums[whole] = row.sums.get(whole, 0.0) + total
    row.sums[share] = row.sums.get(share, 0.0) + (total if part else 0.0)


def _order(event: str) -> int:
    return _EVENTS.index(event) if event in _EVENTS else len(_EVENTS)
