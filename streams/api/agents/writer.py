"""The writing side of the agents' read model: closed windows to rows, each exactly once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from streams import topics
from streams.api.agents import schema
from streams.api.agents.activity import activity, dump
from streams.api.agents.fold import Row, Who, rows
from streams.api.board.writer import Fetched, PlacedWriter
from streams.domain.window import SeriesLists, WindowBatch, decode_window_batch

_PRUNE_ROWS: Final = 20_000
_COLUMNS: Final = ("steps", "failed_steps", "predictions", "correct_predictions")


class AgentWriter(PlacedWriter):
    """The only writer of a file.

    Attributes:
        written, unreadable, passed: records by fate; passed ones are of another size than panes.
        pruned: rows deleted by age or count.
    """

    sources: Final = (topics.WINDOWS,)

    def __init__(self, path: Path, pane_seconds: float) -> None:
        """Opens or makes the file; its folder exists."""
        super().__init__(path, schema.VERSION, schema.TABLES)
        self.written = self.unreadable = self.passed = self.pruned = 0
        self._pane_seconds = pane_seconds
        self._series = SeriesLists()

    def prune(self, seconds: float, now_ns: int) -> None:
        """Forgets agents that were silent for so long or are beyond the bound, and their panes and other old ones."""
        before_ns = now_ns - round(seconds * 1e9)
        self._delete("agents", "agent_id", "last_ns <= ?", before_ns)
        beyond = "agent_id IN (SELECT agent_id FROM agents ORDER BY last_ns DESC LIMIT -1 OFFSET ?)"
        for table in ("panes", "agents"):
            deleted = f"DELETE FROM {table} WHERE {beyond}"  # noqa: S608 - constants
            self.pruned += self._db.execute(deleted, (schema.MAX_AGENTS,)).rowcount
        self._delete("panes", "agent_id, start_ns, source", "start_ns <= ?", before_ns)
        self._delete("activity", "start_ns, source", "start_ns <= ?", before_ns)
        self._db.execute("PRAGMA incremental_vacuum").fetchall()

    def _delete(self, table: str, key: str, condition: str, value: int) -> None:
        found = _PRUNE_ROWS
        while found == _PRUNE_ROWS:
            found = self._db.execute(
                f"DELETE FROM {table} WHERE ({key}) IN "  # noqa: S608 - constants
                f"(SELECT {key} FROM {table} WHERE {condition} LIMIT {_PRUNE_ROWS})",
                (value,),
            ).rowcount
            self.pruned += found

    def _take(self, record: Fetched) -> None:
        try:
            batch = decode_window_batch(record.value or b"", self._series.of)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            self.unreadable += 1
            return
        if batch.size_seconds != self._pane_seconds:
            self.passed += 1
            return
        found = rows(batch)
        self._db.executemany(_AGENT, (_agent(row, batch) for row in found.values()))
        self._db.executemany(_PANE, _panes(found.values(), batch))
        if done := dump(activity(batch)):
            self._db.execute("INSERT OR REPLACE INTO activity VALUES (?, ?, ?)", (batch.start_ns, _source(batch), done))
        self.written += 1


_NEWEST: Final = ", ".join(
    f"{name} = CASE WHEN excluded.last_ns >= last_ns AND excluded.{name} != '' THEN excluded.{name} ELSE {name} END"
    for name in Who._fields[1:]
)
_AGENT: Final = (
    f"INSERT INTO agents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET {_NEWEST}, "  # noqa: S608
    "first_ns = min(first_ns, excluded.first_ns), last_ns = max(last_ns, excluded.last_ns), "
    "event = CASE WHEN excluded.event != '' AND excluded.event_ns >= event_ns THEN excluded.event ELSE event END, "
    "event_ns = max(event_ns, excluded.event_ns)"
)
_PANE: Final = "INSERT OR REPLACE INTO panes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def _agent(row: Row, batch: WindowBatch) -> tuple[Any, ...]:
    return (*row.who, batch.end_ns, batch.end_ns, row.event, batch.end_ns if row.event else 0)


def _source(batch: WindowBatch) -> str:
    return f"{batch.topic}/{batch.partition}/{batch.chunk}"


def _panes(found: Iterable[Row], batch: WindowBatch) -> Iterator[tuple[Any, ...]]:
    source = _source(batch)
    for row in found:
        gauges = [row.gauge(name) for name in ("memory_bytes", "cpu_ratio", "sessions", "free_energy")]
        sums = [row.sums.get(name) for name in _COLUMNS]
        count = sum(row.sketch.values()) or None
        sketch = orjson.dumps([list(row.sketch), list(row.sketch.values())]) if count else None
        if row.gauges or row.sums or count:
            yield (row.who.agent_id, batch.start_ns, source, *gauges, *sums, count, sketch)
