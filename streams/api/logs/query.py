"""The reading side of the read model of logs: pages of logs, those that came last first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from streams.api.board.query import opened, position
from streams.api.logs import schema
from streams.api.tracequery import quoted
from streams.decode.logs import SEVERITIES

_COLUMNS: Final = "l.id, time_ns, severity, service, agent_id, logger, trace_id, span_id, l.body, attributes"
_NAMES: Final = ("time_ns", "severity", "service", "agent_id", "logger", "trace_id", "span_id", "body", "attributes")


@dataclass(frozen=True, slots=True)
class Asked:
    """All that is given must hold; "" = any. ``severity``: at least this one. ``text``: words, all in the body."""

    service: str = ""
    agent_id: str = ""
    logger: str = ""
    trace_id: str = ""
    severity: str = ""
    text: str = ""
    since_ns: int = 0


class Page(NamedTuple):
    """Logs; ``next_cursor`` is "" at the end."""

    logs: list[dict[str, Any]]
    next_cursor: str


class LogReader:
    """A connection that cannot write; of one thread."""

    def __init__(self, path: Path) -> None:
        """Opens the file.

        Raises:
            ServiceUnavailable: there is none yet, or of another version.
        """
        self._db = opened(path, schema.VERSION, "the read model of logs")

    def close(self) -> None:
        """Ends the connection."""
        self._db.close()

    def page(self, asked: Asked, *, limit: int = 100, cursor: str = "") -> Page:
        """Those that came last first; what comes meanwhile does not move what follows.

        Raises:
            ValueError: the cursor is none of this list's.
        """
        (before,) = position(cursor, 1) if cursor else ((1 << 63) - 1,)
        if not isinstance(before, int):
            raise ValueError("cursor: give the next_cursor of a page of this list")  # noqa: TRY004 - what was asked
        sql, values = _select(asked, before)
        rows = self._db.execute(sql, (*values, limit + 1)).fetchall()
        last = orjson.dumps([rows[limit - 1][0]]).hex() if len(rows) > limit else ""
        return Page([_shown(row[1:]) for row in rows[:limit]], last)


def _select(asked: Asked, before: int) -> tuple[str, list[object]]:
    """Each way in is in the order of the list: the words, a trace, an agent, a service, or all."""
    words = quoted(asked.text)
    tables = "texts t CROSS JOIN logs l ON l.id = t.rowid" if words else "logs l"
    place = "t.rowid" if words else "l.id"
    where, values = [f"{place} < ?"], [before]  # type: tuple[list[str], list[object]]
    if words:
        where.append("texts MATCH ?")
        values.append(words)
    for column in ("service", "agent_id", "logger", "trace_id"):
        if getattr(asked, column):
            where.append(f"l.{column} = ?")
            values.append(getattr(asked, column))
    if asked.trace_id:
        where.append("l.trace_id != ''")  # what the index of traces is for
    if asked.severity:
        where.append("l.severity >= ?")
        values.append(1 + 4 * SEVERITIES.index(asked.severity))
    if asked.since_ns:
        where.append("l.time_ns >= ?")
        values.append(asked.since_ns)
    condition = " AND ".join(where)
    return f"SELECT {_COLUMNS} FROM {tables} WHERE {condition} ORDER BY {place} DESC LIMIT ?", values  # noqa: S608


def _shown(row: tuple[Any, ...]) -> dict[str, Any]:
    found = dict(zip(_NAMES, row, strict=True))
    return found | {
        "severity": SEVERITIES[(found["severity"] - 1) // 4],
        "attributes": orjson.loads(found["attributes"]),
    }
