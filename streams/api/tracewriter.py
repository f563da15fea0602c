"""The writing side of the trace read model: records of ``agents.traces`` to rows, each exactly once.

Rows and the offset they came from are one transaction: a writer that is killed at any moment goes on where the file
says. Nothing is in the file that the topic does not give again, so a file of another version, or a damaged one, is
deleted.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NamedTuple

import cramjam

from streams.api import traceschema
from streams.api.traceschema import AGENT, CONVERSATION, OPERATION, PATTERN, SERVICE
from streams.domain import conventions
from streams.domain.trace import TraceRecord, decode_trace
from streams.errors import ServiceUnavailable
from streams.trace.patterns import shapes

MAX_NAMES: Final = 256
"""Distinct names of one kind that a trace is found by."""
MAX_TEXT_CHARACTERS: Final = 8_192
"""Of names, messages and text attributes of a trace, in the order of its spans; what is beyond is not searched."""
_PRUNE_TRACES: Final = 1_000
_COMPRESSION: Final = 1


class Fetched(NamedTuple):
    """A record of the topic."""

    partition: int
    offset: int
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept: traces that began within ``seconds``, and the newest of them that fit into ``max_bytes``."""

    seconds: float
    max_bytes: int


class TraceWriter:
    """The only writer of a file.

    Attributes:
        written, unreadable, outdated: records by fate; outdated ones say less than the row that is there.
        pruned: traces deleted by retention.
    """

    def __init__(self, path: Path, topic: str) -> None:
        """Opens or makes the file; its folder exists.

        Raises:
            ServiceUnavailable: another writer has it.
        """
        self._topic = topic
        self._lock = _locked(path)
        self.written = self.unreadable = self.outdated = self.pruned = 0
        self._db = _opened(path)

    def close(self) -> None:
        """Ends the connection; the file is whole."""
        self._db.close()
        self._lock.close()

    def offsets(self) -> dict[int, int]:
        """Partition -> the offset to go on from."""
        rows = self._db.execute("SELECT partition, next_offset FROM offsets WHERE topic = ?", (self._topic,))
        return dict(rows.fetchall())

    def write(self, records: Sequence[Fetched]) -> None:
        """Takes records in the order of each partition, in one transaction; those it has already are passed over."""
        with self._transaction():
            done = self.offsets()
            for partition, offset, value in records:
                if offset >= done.get(partition, 0):
                    self._take(value)
                    done[partition] = offset + 1
            self._db.executemany(
                "INSERT INTO offsets VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset",
                [(self._topic, partition, offset) for partition, offset in done.items()],
            )

    def prune(self, retention: Retention, now_ns: int) -> None:
        """Deletes the oldest traces until the retention holds; each step is a transaction of its own."""
        before_ns = now_ns - round(retention.seconds * 1e9)
        while self._delete("SELECT id FROM traces WHERE start_ns < ? ORDER BY start_ns LIMIT ?", before_ns):
            pass
        while self.used_bytes() > retention.max_bytes:
            if not self._delete("SELECT id FROM traces WHERE start_ns > ? ORDER BY start_ns LIMIT ?", -1):
                break
        self._db.execute("PRAGMA incremental_vacuum").fetchall()

    def used_bytes(self) -> int:
        """Of the pages that hold something."""
        page, pages, free = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
        )
        return int(page * (pages - free))

    def _transaction(self) -> sqlite3.Connection:
        self._db.execute("BEGIN IMMEDIATE")
        return self._db

    def _take(self, value: bytes | None) -> None:
        try:
            trace = decode_trace(value or b"")
        except (ValueError, KeyError, TypeError, IndexError):
            self.unreadable += 1
            return
        known = self._db.execute(
            "SELECT id, span_count, revision FROM traces WHERE trace_id = ?", (trace.trace_id,)
        ).fetchone()
        if known is not None and (trace.span_count, trace.revision) <= known[1:]:  # see TraceRecord.supersedes
            self.outdated += 1
            return
        if known is not None:
            self._remove([known[0]])
        self._insert(trace, value or b"", None if known is None else known[0])
        self.written += 1

    def _insert(self, trace: TraceRecord, value: bytes, known: int | None) -> None:
        root = next((span for span in trace.spans if span.span_id == trace.root), trace.spans[0])
        found = self._db.execute(
            "INSERT INTO traces VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                known,
                trace.trace_id,
                trace.revision,
                root.service,
                root.name,
                trace.start_ns,
                trace.duration_ns,
                trace.span_count,
                trace.error_count,
                int(trace.complete),
            ),
        ).lastrowid
        compressed = bytes(cramjam.zstd.compress(value, _COMPRESSION))
        self._db.execute("INSERT INTO records VALUES (?, ?)", (found, compressed))
        rows = [(kind, name, trace.start_ns, found) for kind, name in _names(trace)]
        self._db.executemany("INSERT INTO names VALUES (?, ?, ?, ?)", rows)
        self._db.execute("INSERT INTO texts (rowid, text) VALUES (?, ?)", (found, _text(trace)))

    def _delete(self, select: str, bound: int) -> int:
        with self._transaction():
            ids = [row[0] for row in self._db.execute(select, (bound, _PRUNE_TRACES))]
            self._remove(ids)
        self.pruned += len(ids)
        return len(ids)

    def _remove(self, ids: Iterable[int]) -> None:
        keys = [(number,) for number in ids]
        for statement in (
            "DELETE FROM traces WHERE id = ?",
            "DELETE FROM records WHERE id = ?",
            "DELETE FROM names WHERE id = ?",
            "DELETE FROM texts WHERE rowid = ?",
        ):
            self._db.executemany(statement, keys)


def _locked(path: Path) -> IO[bytes]:
    """A lock that ends with the process, beside the file: the file itself may be deleted and made again."""
    lock = path.with_name(path.name + ".lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise ServiceUnavailable(f"{path} has a feeder already: stop that one, or name another file") from error
    return lock


def delete(path: Path) -> None:
    """Deletes a file with its log: a new file beside an old log would be damaged by it."""
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _opened(path: Path) -> sqlite3.Connection:
    """A connection to a file of this version; any other file is deleted first."""
    if path.exists() and _version(path) != traceschema.VERSION:
        delete(path)
    fresh = not path.exists()
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    if fresh:
        db.executescript(traceschema.TABLES)
    # A power cut may lose the last transactions, rows and offsets together: they are read again from the topic.
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA cache_size = -65536")
    return db


def _version(path: Path) -> int:
    db = sqlite3.connect(path)
    try:
        return int(db.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.DatabaseError:
        return -1
    finally:
        db.close()


def _names(trace: TraceRecord) -> Iterator[tuple[int, str]]:
    kinds: dict[int, set[str]] = {
        SERVICE: set(trace.services),
        AGENT: {name for span in trace.spans for name in _agents(span.attributes) | _agents(span.resource)},
        OPERATION: {span.name for span in trace.spans},
        CONVERSATION: set(trace.conversation_ids),
        PATTERN: shapes(trace),
    }
    for kind, names in kinds.items():
        yield from ((kind, name) for name in sorted(names)[:MAX_NAMES])


_AGENT_KEYS: Final = (conventions.AGENT_NAME, conventions.AGENT_ID, "agent.id", "agent.name")


def _agents(source: object) -> set[str]:
    assert isinstance(source, dict)
    return {str(source[key]) for key in _AGENT_KEYS if source.get(key)}


def _text(trace: TraceRecord) -> str:
    """What a trace can be found by: names, messages, error types, values of text attributes; each once."""
    parts: dict[str, None] = {}
    size = 0
    for span in trace.spans:
        texts = (value for value in span.attributes.values() if isinstance(value, str))
        for part in (span.service, span.name, span.status_message, *texts):
            if part and part not in parts:
                parts[part] = None
                size += len(part) + 1
        if size > MAX_TEXT_CHARACTERS:
            break
    return "\n".join(parts)[:MAX_TEXT_CHARACTERS]
