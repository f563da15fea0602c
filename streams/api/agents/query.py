"""The reading side of the agents' read model: a page of agents with their figures, one agent over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Final, Literal, NamedTuple

import orjson

from streams.api.agents import schema
from streams.api.agents.activity import Activity, load
from streams.api.board.query import offsets, opened, position
from streams.gate.profile import QUANTILES
from streams.gate.samples import Pane, number

Status = Literal["alive", "silent", "stopped", "crashed", "no_data"]
SORTS: Final = ("agent_id", "last_seen", "memory_bytes", "cpu_ratio", "steps", "error_ratio")
SILENT_PANES: Final = 3
"""An agent that is in none of so many windows is silent, as rule AgentSilent has it."""
SORTED_SECONDS: Final = 300
"""1,000 agents take half a second (measured); an hour of them would take seconds."""
STALE_SECONDS: Final = 120.0
"""Where no window ended since, nothing is known of agents that had not stopped before."""
_GAUGES: Final = ("memory_bytes", "cpu_ratio", "sessions", "free_energy")
_COUNTS: Final = ("steps", "failed_steps", "predictions", "correct_predictions")
_PANES: Final = (
    "SELECT agent_id, start_ns, sum(memory_bytes) AS memory_bytes, sum(cpu_ratio) AS cpu_ratio, "
    "sum(sessions) AS sessions, avg(free_energy) AS free_energy, "
    "sum(steps) AS steps, sum(failed_steps) AS failed_steps, sum(predictions) AS predictions, "
    "sum(correct_predictions) AS correct_predictions FROM panes"
)
"""What several records say of one agent in one window is put together; to be grouped."""
_ONE: Final = "WHERE agent_id = ? AND start_ns >= ?"
_ALL: Final = "WHERE start_ns >= ?"
_WHO: Final = ("agent_id", "name", "type", "service", "version", "environment")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked: "" = any; figures are of the newest ``window_seconds``."""

    type: str = ""
    service: str = ""
    status: str = ""
    sort: str = "agent_id"
    window_seconds: int = 300


@dataclass(frozen=True, slots=True)
class Moment:
    """When it is asked: now, and the size of a pane."""

    now_ns: int
    pane_seconds: float


class Page(NamedTuple):
    """Agents with their figures; ``next_cursor`` is "" at the end."""

    agents: list[dict[str, Any]]
    next_cursor: str


class Totals(NamedTuple):
    """Agents by status, and figures of all; None where nothing was measured."""

    by_status: dict[str, int]
    figures: dict[str, float | None]


class AgentReader:
    """A connection that cannot write; of one thread."""

    def __init__(self, path: Path) -> None:
        """Opens the file.

        Raises:
            ServiceUnavailable: there is none yet, or of another version.
        """
        self._db = opened(path, schema.VERSION, "the read model of agents")

    def close(self) -> None:
        """Ends the connection."""
        self._db.close()

    def newest_ns(self) -> int:
        """End of the newest window that any agent was in; 0: there is none."""
        return int(self._db.execute("SELECT coalesce(max(last_ns), 0) FROM agents").fetchone()[0])

    def statuses(self, moment: Moment) -> dict[str, int]:
        """How many agents by status."""
        return dict(sorted(Counter(one["status"] for one in self._agents(Asked(), moment)).items()))

    def offsets(self) -> list[tuple[str, int, int]]:
        """(topic, records that were read, when the newest was appended)."""
        return offsets(self._db)

    def totals(self, moment: Moment, window_seconds: int) -> Totals:
        """Of all agents together; figures have the names of the rules file's baselines."""
        sums = self._sums(_ALL, self.newest_ns() - window_seconds * 10**9)
        columns = dict(zip((*_GAUGES, *_COUNTS), zip(*sums.values(), strict=True), strict=True)) if sums else {}
        known = {name: [value for value in values if value is not None] for name, values in columns.items()}
        statuses = Counter(one["status"] for one in self._agents(Asked(), moment))
        memory, cpu, energy = (known.get(name, []) for name in ("memory_bytes", "cpu_ratio", "free_energy"))
        failed, steps, correct, predictions = (
            sum(known.get(name, ())) for name in ("failed_steps", "steps", "correct_predictions", "predictions")
        )
        figures = {
            "active_agents": float(statuses["alive"]),
            "agent_memory_mean": fmean(memory) if memory else None,
            "agent_memory_max": max(memory, default=None),
            "total_agent_memory": sum(memory) if memory else None,
            "cpu": fmean(cpu) if cpu else None,
            "agent_errors": _ratio(failed, steps),
            "free_energy": fmean(energy) if energy else None,
            "belief_accuracy": _ratio(correct, predictions),
        }
        return Totals(dict(sorted(statuses.items())), figures)

    def activity(self, since_ns: int) -> Activity:
        """What all agents did in windows that began since; open sessions are of the newest one."""
        rows = self._db.execute(
            "SELECT start_ns, value FROM activity WHERE start_ns >= ? ORDER BY start_ns", (since_ns,)
        )
        found, newest_ns = Activity(), 0
        for start_ns, value in rows:
            one = load(value)
            found.add(one)
            if one.sessions is not None:
                found.sessions = one.sessions + ((found.sessions or 0.0) if start_ns == newest_ns else 0.0)
                newest_ns = start_ns
        return found

    def page(self, asked: Asked, moment: Moment, *, limit: int = 100, cursor: str = "") -> Page:
        """Agents in the order asked for: by id, or the largest first.

        Only an order by a figure measures all agents, so it is given for at most :data:`SORTED_SECONDS`; else the
        page's own are measured.

        Raises:
            ValueError: the cursor is none of this list's, or the window is too long for the order.
        """
        since_ns = self.newest_ns() - asked.window_seconds * 10**9
        found = [one for one in self._agents(asked, moment) if asked.status in ("", one["status"])]
        if asked.sort not in ("agent_id", "last_seen"):
            if asked.window_seconds > SORTED_SECONDS:
                raise ValueError(f"sort: by {asked.sort} only with a window of at most {SORTED_SECONDS} s")
            self._measure(found, self._sums(_ALL, since_ns))
        found.sort(key=lambda one: _place(one, asked.sort))
        if cursor:
            after = tuple(position(cursor, 2))
            found = [one for one in found if _after(_place(one, asked.sort), after)]
        shown = found[:limit]
        for one in shown:
            self._measure([one], self._sums(_ONE, one["agent_id"], since_ns))
            one.update(self._inferences(one["agent_id"], since_ns))
        last = orjson.dumps(_place(shown[-1], asked.sort)).hex() if len(found) > limit else ""
        return Page(shown, last)

    def agent(self, agent_id: str, moment: Moment, window_seconds: int) -> dict[str, Any] | None:
        """One agent with its figures and its panes, oldest first; None if it is not known."""
        found = [one for one in self._agents(Asked(), moment) if one["agent_id"] == agent_id]
        if not found:
            return None
        since_ns = self.newest_ns() - window_seconds * 10**9
        self._measure(found, self._sums(_ONE, agent_id, since_ns))
        grouped = f"{_PANES} {_ONE} GROUP BY start_ns ORDER BY start_ns"
        rows = self._db.execute(grouped, (agent_id, since_ns))
        names = ("start_ns", *_GAUGES, *_COUNTS)
        timeline = [dict(zip(names, row[1:], strict=True)) for row in rows]
        return found[0] | self._inferences(agent_id, since_ns) | {"panes": timeline}

    def _agents(self, asked: Asked, moment: Moment) -> list[dict[str, Any]]:
        rows = self._db.execute(
            f"SELECT {', '.join(_WHO)}, first_ns, last_ns, event, event_ns FROM agents "  # noqa: S608 - constants
            "WHERE ? IN ('', type) AND ? IN ('', service)",
            (asked.type, asked.service),
        ).fetchall()
        newest_ns = self.newest_ns()
        return [
            {
                **dict(zip(_WHO, row, strict=False)),
                "status": _status(row[7], row[8], row[9], newest_ns, moment),
                "first_seen_ns": row[6],
                "last_seen_ns": row[7],
            }
            for row in rows
        ]

    def _sums(self, where: str, *values: str | int) -> dict[str, tuple[Any, ...]]:
        """Agent id -> gauges as means of windows, then counts."""
        figures = ", ".join((*(f"avg({name})" for name in _GAUGES), *(f"sum({name})" for name in _COUNTS)))
        rows = self._db.execute(
            f"SELECT agent_id, {figures} FROM ({_PANES} {where} GROUP BY agent_id, start_ns) "  # noqa: S608 - constants
            "GROUP BY agent_id",
            values,
        )
        return {row[0]: row[1:] for row in rows}

    def _measure(self, agents: Iterable[dict[str, Any]], sums: dict[str, tuple[Any, ...]]) -> None:
        nothing = (None,) * (len(_GAUGES) + len(_COUNTS))
        for one in agents:
            found = dict(zip((*_GAUGES, *_COUNTS), sums.get(one["agent_id"], nothing), strict=True))
            one.update({name: found[name] for name in (*_GAUGES, "steps")})
            one["error_ratio"] = _ratio(found["failed_steps"], found["steps"])
            one["belief_accuracy_ratio"] = _ratio(found["correct_predictions"], found["predictions"])

    def _inferences(self, agent_id: str, since_ns: int) -> dict[str, Any]:
        pane = Pane()
        rows = self._db.execute(
            "SELECT inferences, sketch FROM panes WHERE agent_id = ? AND start_ns >= ? AND sketch IS NOT NULL",
            (agent_id, since_ns),
        )
        for count, sketch in rows:
            pane.count += count
            for bucket, weight in zip(*orjson.loads(sketch), strict=True):
                pane.sketch[bucket] = pane.sketch.get(bucket, 0) + weight
        p95 = number({0: pane}, "p95", QUANTILES["p95"]) if pane.count else None
        return {"inferences": pane.count, "p95_inference_seconds": p95}


def _status(last_ns: int, event: str, event_ns: int, newest_ns: int, moment: Moment) -> Status:
    """Stopped and crashed: that was the last that was heard of it."""
    if event in ("stop", "crash") and event_ns >= last_ns:
        return "stopped" if event == "stop" else "crashed"
    if moment.now_ns - newest_ns > STALE_SECONDS * 1e9:
        return "no_data"
    return "silent" if newest_ns - last_ns >= SILENT_PANES * moment.pane_seconds * 1e9 else "alive"


def _place(one: dict[str, Any], sort: str) -> tuple[Any, str]:
    """Ascending: by id as it is, by a figure the largest first, and agents without it at the end."""
    if sort == "agent_id":
        return 0, one["agent_id"]
    value = one["last_seen_ns"] if sort == "last_seen" else one[sort]
    return (1 if value is None else -value), one["agent_id"]


def _after(place: tuple[Any, str], cursor: tuple[Any, ...]) -> bool:
    try:
        return place > cursor
    except TypeError:
        raise ValueError("cursor: give the next_cursor of a page of this list") from None


def _ratio(part: float | None, whole: float | None) -> float | None:
    return (part or 0.0) / whole if whole else None
