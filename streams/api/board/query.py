"""The reading side of the board: pages of lists, the service map, what people said, how fresh it all is."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from streams.api.board import schema
from streams.api.board.progress import Pipeline, pipeline
from streams.domain.control import Control, decode_control
from streams.domain.deployment import Deployment, decode_deployment
from streams.errors import ServiceUnavailable

MAX_LIMIT: Final = 1_000


class Page(NamedTuple):
    """Records as their topic has them; ``next_cursor`` is "" at the end."""

    items: list[dict[str, Any]]
    next_cursor: str


@dataclass(frozen=True, slots=True)
class Asked:
    """All that is given must hold; "" = any. ``state``: of an alert or a deployment, or an incident's status."""

    state: str = ""
    severity: str = ""
    alertname: str = ""
    metric: str = ""
    service: str = ""
    agent: str = ""
    environment: str = ""
    since_ns: int = 0


class _Table(NamedTuple):
    """Where a list comes from: columns of the cursor after the time, and which filters it has."""

    name: str
    keys: tuple[str, ...]
    columns: dict[str, str]


_TABLES: Final = {
    "alerts": _Table(
        "alerts",
        ("fingerprint", "starts_at_ns"),
        {n: n for n in ("state", "severity", "alertname", "service", "agent", "environment")},
    ),
    "incidents": _Table(
        "incidents", ("incident_id",), {"state": "status", "severity": "severity", "environment": "environment"}
    ),
    "deployments": _Table("deployments", ("id",), {n: n for n in ("state", "service", "environment")}),
    "anomalies": _Table("anomalies", ("series_id", "feature"), {n: n for n in ("metric", "service", "agent")}),
}


def opened(path: Path, wanted: int, what: str) -> sqlite3.Connection:
    """A connection to a read model that cannot write.

    Raises:
        ServiceUnavailable: there is none yet, or of another version.
    """
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        version = db.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise ServiceUnavailable(f"{what} is not there yet ({error})") from error
    if version != wanted:
        raise ServiceUnavailable(f"{what} has version {version}, not {wanted}")
    return db


def offsets(db: sqlite3.Connection) -> list[tuple[str, int, int]]:
    """By topic of a read model: how many records were read and when the newest of them was appended."""
    return db.execute("SELECT topic, sum(next_offset), max(appended_ns) FROM offsets GROUP BY topic").fetchall()


class BoardReader:
    """A connection that cannot write; of one thread."""

    def __init__(self, path: Path) -> None:
        """Opens the file.

        Raises:
            ServiceUnavailable: there is none yet, or of another version.
        """
        self._db = opened(path, schema.VERSION, "the board")

    def close(self) -> None:
        """Ends the connection."""
        self._db.close()

    def page(self, kind: str, asked: Asked, *, limit: int = 100, cursor: str = "") -> Page:
        """Newest first.

        Args:
            kind: alerts, incidents, anomalies or deployments.
            asked: what must hold; a filter that the kind does not have is ignored.
            limit: 1 to 1000.
            cursor: of the page before.

        Raises:
            ValueError: the cursor is none of this list's.
        """
        table = _TABLES[kind]
        where, values = ["at_ns >= ?"], [asked.since_ns]
        for name, column in table.columns.items():
            wanted = getattr(asked, name)
            if wanted:
                where.append(f"{column} = ?")
                values.append(wanted)
        order = ("at_ns", *table.keys)
        if cursor:
            where.append(f"({', '.join(order)}) < ({', '.join('?' * len(order))})")
            values += position(cursor, len(order))
        columns = ", ".join((*order, "value"))
        descending = ", ".join(f"{column} DESC" for column in order)
        rows = self._db.execute(
            f"SELECT {columns} FROM {table.name} WHERE {' AND '.join(where)} "  # noqa: S608 - only constants
            f"ORDER BY {descending} LIMIT ?",
            (*values, limit + 1),
        ).fetchall()
        last = rows[limit - 1] if len(rows) > limit else None
        found = [orjson.loads(row[-1]) for row in rows[:limit]]
        return Page(found, orjson.dumps(last[:-1]).hex() if last else "")

    def episodes(self, fingerprint: str) -> list[dict[str, Any]]:
        """The episodes of one alert, newest first, at most 100."""
        rows = self._db.execute(
            "SELECT value FROM alerts WHERE fingerprint = ? ORDER BY starts_at_ns DESC LIMIT 100", (fingerprint,)
        )
        return [orjson.loads(row[0]) for row in rows]

    def incident(self, incident_id: str) -> dict[str, Any] | None:
        """One incident, None if it is not known."""
        row = self._db.execute("SELECT value FROM incidents WHERE incident_id = ?", (incident_id,)).fetchone()
        return None if row is None else dict(orjson.loads(row[0]))

    def deployment(self, deployment_id: str) -> dict[str, Any] | None:
        """One deployment, None if it is not known."""
        row = self._db.execute("SELECT value FROM deployments WHERE id = ?", (deployment_id,)).fetchone()
        return None if row is None else dict(orjson.loads(row[0]))

    def started(self, asked: Asked) -> list[Deployment]:
        """Deployments that were registered since, of a service and environment ("" = any); the newest 10,000."""
        rows = self._db.execute(
            "SELECT value FROM deployments WHERE started_ns >= ? AND ? IN ('', service) AND ? IN ('', environment) "
            "ORDER BY started_ns DESC LIMIT 10000",
            (asked.since_ns, asked.service, asked.environment),
        )
        return [decode_deployment(row[0]) for row in rows]

    def judged(self, profile: str, service: str) -> dict[str, Any] | None:
        """The deployment that a profile judged last, of a service ("" = any)."""
        row = self._db.execute(
            "SELECT value FROM deployments WHERE judged AND profile = ? AND ? IN ('', service) "
            "ORDER BY at_ns DESC LIMIT 1",
            (profile, service),
        ).fetchone()
        return None if row is None else dict(orjson.loads(row[0]))

    def controls(self, kind: str, now_ns: int) -> list[Control]:
        """Acks or maintenance that count now or will, in the order of their keys; at most 10,000."""
        rows = self._db.execute(
            "SELECT value FROM controls WHERE kind = ? AND (ends_ns = 0 OR ends_ns > ?) ORDER BY key LIMIT 10000",
            (kind, now_ns),
        )
        return [one for one in (decode_control(row[0]) for row in rows) if not one.cleared]

    def edges(self, since_ns: int) -> list[dict[str, Any]]:
        """Calls between services that were seen since, at most 5,000, the most frequent first."""
        names = ("client", "server", "connection_type", "calls", "failed", "seconds_sum", "seconds_max")
        seen = ("first_seen_ns", "last_seen_ns")
        rows = self._db.execute(
            f"SELECT {', '.join((*names, *seen))} FROM edges WHERE last_seen_ns >= ? "  # noqa: S608 - only constants
            "ORDER BY calls DESC LIMIT 5000",
            (since_ns,),
        )
        return [dict(zip((*names, *seen), row, strict=True)) for row in rows]

    def counts(self) -> dict[str, dict[str, int]]:
        """Alerts that fire by severity, incidents that are open by severity."""
        firing = self._db.execute("SELECT severity, count(*) FROM alerts WHERE state = 'firing' GROUP BY severity")
        is_open = self._db.execute("SELECT severity, count(*) FROM incidents WHERE status = 'open' GROUP BY severity")
        return {"alerts": dict(firing.fetchall()), "incidents": dict(is_open.fetchall())}

    def progress(self, since_ns: int, alive_ns: int) -> Pipeline:
        """How far all partitions are, and what became of events since then.

        Args:
            since_ns: fates are counted from the last row before it on (from the first one there is).
            alive_ns: a partition of which nothing was heard since is silent: how far it is is not known.
        """
        rows = self._db.execute(
            "SELECT role, topic, partition, at_ns, late, duplicate, rejected, overflow, lag, lag_seconds, "
            "delay_seconds FROM progress ORDER BY role, topic, partition, minute"
        )
        return pipeline(rows, since_ns, alive_ns)

    def firing(self, agents: Sequence[str]) -> dict[str, int]:
        """Alerts that fire, by agent; of at most 1,000 agents."""
        marks = ", ".join("?" * len(agents))
        rows = self._db.execute(
            f"SELECT agent, count(*) FROM alerts WHERE state = 'firing' AND agent IN ({marks}) "  # noqa: S608 - marks
            "GROUP BY agent",
            agents,
        )
        return dict(rows.fetchall())

    def offsets(self) -> list[tuple[str, int, int]]:
        """(topic, records that were read, when the newest was appended)."""
        return offsets(self._db)

    def appended_ns(self) -> int:
        """When the newest record in the tables was written to its topic; 0: there is none."""
        return int(self._db.execute("SELECT coalesce(max(appended_ns), 0) FROM offsets").fetchone()[0])


def position(cursor: str, size: int) -> list[Any]:
    """What a cursor holds.

    Raises:
        ValueError: it is none of a list with so many columns of order.
    """
    try:
        found = orjson.loads(bytes.fromhex(cursor))
    except ValueError:
        found = None
    if not isinstance(found, list) or len(found) != size or not all(_holds(part) for part in found):
        raise ValueError("cursor: give the next_cursor of a page of this list")
    return found


def _holds(part: object) -> bool:
    """Whether a column can be this: SQLite's integers have 64 bits."""
    return isinstance(part, str | float) or (isinstance(part, int) and -(1 << 63) <= part < 1 << 63)
