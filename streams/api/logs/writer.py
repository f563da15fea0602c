"""The writing side of the read model of logs: records of the topics of logs to rows, each exactly once."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import orjson

from agents_emitter.redaction import Redactor
from streams import topics
from streams.api.board.writer import Fetched, PlacedWriter
from streams.api.logs import schema
from streams.decode.logrows import read_logs
from streams.domain.span import Log

_PRUNE_ROWS: Final = 5_000
_LOGGER: Final = "logger.name"


class LogWriter(PlacedWriter):
    """The only writer of a file.

    Attributes:
        written, unreadable: records by fate. pruned: logs deleted by age or count.
    """

    sources: Final = (topics.LOGS, topics.OTLP_LOGS)

    def __init__(self, path: Path, redactor: Redactor) -> None:
        """Opens or makes the file; its folder exists."""
        super().__init__(path, schema.VERSION, schema.TABLES)
        self.written = self.unreadable = self.pruned = 0
        self._redactor = redactor

    def prune(self, seconds: float, now_ns: int, most: int = schema.MAX_LOGS) -> None:
        """Deletes logs that were appended longer ago, and the oldest beyond so many; a few thousand at a time."""
        before_ns = max(0, now_ns - round(seconds * 1e9))
        beyond = "(SELECT coalesce(max(id), 0) FROM logs) - ?"
        while self._delete(f"appended_ns < ? OR id <= {beyond}", before_ns, most):
            pass
        self._db.execute("PRAGMA incremental_vacuum").fetchall()

    def _take(self, record: Fetched) -> None:
        appended_ns = record.timestamp_ms * 1_000_000
        try:
            found = read_logs(record.value or b"", appended_ns, self._redactor)
        except ValueError:
            self.unreadable += 1  # the metrics role sets it aside, with the reason
            return
        for log in found:
            self._insert(log, appended_ns)
        self.written += 1

    def _insert(self, log: Log, appended_ns: int) -> None:
        attributes = {name: value for name, value in log.attributes.items() if name != _LOGGER}
        row = (
            appended_ns,
            log.time_ns,
            log.severity_number,
            str(log.resource.get("service.name") or ""),
            str(log.resource.get("gen_ai.agent.id") or log.resource.get("service.instance.id") or ""),
            str(log.attributes.get(_LOGGER) or ""),
            log.trace_id,
            log.span_id,
            log.body,
            orjson.dumps(attributes, default=str).decode(),
        )
        number = self._db.execute("INSERT INTO logs VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row).lastrowid
        self._db.execute("INSERT INTO texts (rowid, body) VALUES (?, ?)", (number, log.body))

    def _delete(self, where: str, *values: int) -> int:
        """The oldest rows of a condition that holds for the oldest only."""
        chosen = f"SELECT id, body FROM (SELECT * FROM logs ORDER BY id LIMIT {_PRUNE_ROWS}) WHERE {where}"  # noqa: S608
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            rows = self._db.execute(chosen, values).fetchall()
            self._db.executemany("INSERT INTO texts (texts, rowid, body) VALUES ('delete', ?, ?)", rows)
            self._db.executemany("DELETE FROM logs WHERE id = ?", [(number,) for number, _ in rows])
        self.pruned += len(rows)
        return len(rows)
