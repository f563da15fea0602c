"""The reading side of the trace read model: pages of traces by filter, and one trace whole."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import cramjam

from streams.api import traceschema
from streams.api.traceschema import AGENT, CONVERSATION, OPERATION, PATTERN, SERVICE
from streams.api.tracestats import Outline
from streams.domain.trace import TraceRecord, decode_trace
from streams.errors import ServiceUnavailable
from streams.trace.patterns import SHAPES

MAX_LIMIT: Final = 1_000
_COLUMNS: Final = (
    "t.trace_id, t.service, t.operation, t.start_ns, t.duration_ns, t.span_count, t.error_count, t.complete, t.id"
)


_RARE: Final = 2_000
"""Fewer traces with the words of a search are listed all, about 2 us each. With more, traces are taken newest first in
growing portions, and of each portion those that have the words: a page is full soon."""
_PORTION: Final = 1_000
_LARGEST_PORTION: Final = 50_000


class Summary(NamedTuple):
    """A trace in a list. ``service`` and ``operation`` are the root's (the earliest span's where it was not seen)."""

    trace_id: str
    service: str
    operation: str
    start_ns: int
    duration_ns: int
    span_count: int
    error_count: int
    complete: bool


class Page(NamedTuple):
    """``next_cursor`` is "" at the end."""

    traces: tuple[Summary, ...]
    next_cursor: str


@dataclass(frozen=True, slots=True)
class Filter:
    """All that is given must hold.

    Attributes:
        service, agent, operation, conversation: of any span, exact; "" = any. agent is a name or an id.
        status: "error", "ok" or "" = any. pattern: one of :data:`streams.trace.patterns.SHAPES` or "" = any.
        min_duration_ns: shortest. since_ns, until_ns: the trace began in [since, until).
        text: words that all occur in names, messages or text attributes, whatever their case and order.
    """

    service: str = ""
    agent: str = ""
    operation: str = ""
    conversation: str = ""
    status: str = ""
    min_duration_ns: int = 0
    since_ns: int = 0
    until_ns: int = (1 << 63) - 1
    text: str = ""
    pattern: str = ""


class TraceReader:
    """A connection that cannot write; as many as one likes, each of one thread."""

    def __init__(self, path: Path) -> None:
        """Opens the file.

        Raises:
            ServiceUnavailable: there is none yet, or of another version.
        """
        try:
            self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.DatabaseError as error:
            raise ServiceUnavailable(f"no traces in {path} ({error}): is `streams traces feed` running?") from error
        if version != traceschema.VERSION:
            raise ServiceUnavailable(f"{path} has version {version}, not {traceschema.VERSION}: start the feeder anew")

    def close(self) -> None:
        """Ends the connection."""
        self._db.close()

    def page(self, asked: Filter, *, limit: int = 100, cursor: str = "") -> Page:
        """Newest first.

        Args:
            asked: what must hold.
            limit: 1 to 1000 traces.
            cursor: of the page before; traces that came since do not move what follows.

        Raises:
            ValueError: limit, status, pattern or cursor cannot be.
        """
        if not 1 <= limit <= MAX_LIMIT:
            raise ValueError(f"limit is {limit}: allowed is 1 to {MAX_LIMIT}")
        position = _position(cursor)
        if self._rare(asked.text):
            sql, values = _select(asked, position)
            rows = self._db.execute(sql, (*values, limit + 1)).fetchall()
        else:
            rows = self._with_words(asked, position, limit + 1)
        traces = tuple(Summary(*(*row[:7], bool(row[7]))) for row in rows[:limit])
        last = rows[limit - 1] if len(rows) > limit else None
        return Page(traces, f"{last[3]}-{last[8]}" if last else "")

    def _rare(self, text: str) -> bool:
        """Whether few traces hold the words (or none are asked for)."""
        counted = "SELECT count(*) FROM (SELECT rowid FROM texts WHERE texts MATCH ? LIMIT ?)"
        words = quoted(text)
        return not words or self._db.execute(counted, (words, _RARE)).fetchone()[0] < _RARE

    def _with_words(self, asked: Filter, after: tuple[int, int], count: int) -> list[tuple[Any, ...]]:
        """The first ``count`` rows after a position that hold the words, in the order of the list."""
        found: list[tuple[Any, ...]] = []
        others, portion = replace(asked, text=""), _PORTION
        while len(found) < count:
            sql, values = _select(others, after)
            rows = self._db.execute(sql, (*values, portion)).fetchall()
            if rows:
                numbers = [row[8] for row in rows]
                within = "SELECT rowid FROM texts WHERE texts MATCH ? AND rowid BETWEEN ? AND ?"
                holding = self._db.execute(within, (quoted(asked.text), min(numbers), max(numbers)))
                hits = {row[0] for row in holding}
                found += [row for row in rows if row[8] in hits]
                after = (rows[-1][3], rows[-1][8])
            if len(rows) < portion:
                break
            portion = min(2 * portion, _LARGEST_PORTION)
        return found[:count]

    def outlines(self, since_ns: int, most: int) -> list[Outline]:
        """The newest traces that began since, at most so many."""
        rows = self._db.execute(
            "SELECT service, operation, duration_ns, span_count, error_count, complete FROM traces "
            "WHERE start_ns >= ? ORDER BY start_ns DESC LIMIT ?",
            (since_ns, most),
        )
        return [Outline(*row) for row in rows]

    def records(self, since_ns: int, until_ns: int, most: int) -> list[TraceRecord]:
        """The newest traces that began in [since, until), at most so many."""
        rows = self._db.execute(
            "SELECT value FROM traces JOIN records USING (id) WHERE start_ns >= ? AND start_ns < ? "
            "ORDER BY start_ns DESC LIMIT ?",
            (since_ns, until_ns, most),
        )
        return [decode_trace(bytes(cramjam.zstd.decompress(row[0]))) for row in rows]

    def trace(self, trace_id: str) -> TraceRecord | None:
        """The newest revision, or None."""
        row = self._db.execute(
            "SELECT value FROM records JOIN traces USING (id) WHERE trace_id = ?", (trace_id,)
        ).fetchone()
        return None if row is None else decode_trace(bytes(cramjam.zstd.decompress(row[0])))


def _position(cursor: str) -> tuple[int, int]:
    """The trace after which the page begins."""
    if not cursor:
        return (1 << 63) - 1, (1 << 63) - 1
    start, _, number = cursor.partition("-")
    numbers = [int(part) for part in (start, number) if part.isascii() and part.isdigit() and len(part) < 20]
    if len(numbers) < 2 or max(numbers) >= 1 << 63:
        raise ValueError(f"cursor is {cursor!r}: give the next_cursor of a page")
    return numbers[0], numbers[1]


def _select(asked: Filter, after: tuple[int, int]) -> tuple[str, list[object]]:
    """The first name that is given leads: its index is in the order of the list. The others are looked up."""
    kinds = (
        (CONVERSATION, asked.conversation),
        (PATTERN, _pattern(asked.pattern)),
        (AGENT, asked.agent),
        (OPERATION, asked.operation),
        (SERVICE, asked.service),
    )
    names = [(kind, name) for kind, name in kinds if name]
    lead = "n" if names else "t"
    tables = "names n CROSS JOIN traces t ON t.id = n.id" if names else "traces t"
    where = [f"{lead}.start_ns >= ?", f"{lead}.start_ns < ?", f"({lead}.start_ns, {lead}.id) < (?, ?)"]
    values: list[object] = [asked.since_ns, asked.until_ns, *after]
    for position, (kind, name) in enumerate(names):
        same = (
            "EXISTS (SELECT 1 FROM names m WHERE m.kind = ? AND m.name = ? AND m.start_ns = n.start_ns AND m.id = n.id)"
        )
        where.append(same if position else "n.kind = ? AND n.name = ?")
        values += [kind, name]
    if asked.min_duration_ns:
        where.append("t.duration_ns >= ?")
        values.append(asked.min_duration_ns)
    if asked.status:
        where.append({"error": "t.error_count > 0", "ok": "t.error_count = 0"}[_status(asked.status)])
    if words := quoted(asked.text):
        where.append("t.id IN (SELECT rowid FROM texts WHERE texts MATCH ?)")
        values.append(words)
    order = f"ORDER BY {lead}.start_ns DESC, {lead}.id DESC LIMIT ?"
    return f"SELECT {_COLUMNS} FROM {tables} WHERE {' AND '.join(where)} {order}", values  # noqa: S608 - only constants


def _status(status: str) -> str:
    if status not in ("error", "ok"):
        raise ValueError(f"status is {status!r}: allowed is error or ok")
    return status


def _pattern(pattern: str) -> str:
    if pattern and pattern not in SHAPES:
        raise ValueError(f"pattern is {pattern!r}: allowed is one of {', '.join(SHAPES)}")
    return pattern


def quoted(text: str) -> str:
    """A query of FTS5 that has no operators: each word quoted; "" where there is none. A NUL would end the query."""
    return " ".join('"' + word.replace('"', '""') + '"' for word in text.replace("\0", " ").split())
