"""The writing side of the board: records of topics to rows, each exactly once.

Rows and the offsets they came from are one transaction, so a writer that is killed goes on where the file says. Nothing
is in the file that the topics do not give again: a file of another version, or a damaged one, is deleted.
"""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from streams import topics
from streams.api.board import schema
from streams.domain.alert import decode_alert
from streams.domain.anomaly import decode_anomaly
from streams.domain.control import Ack, Maintenance, control_key, decode_control
from streams.domain.deployment import decode_deployment
from streams.domain.incident import decode_incident
from streams.domain.progress import decode_standing
from streams.domain.trace import decode_edge
from streams.gate.lifecycle import OVER

_PRUNE_ROWS: Final = 5_000
_PROGRESS_NS: Final = 2 * 3600 * 10**9
"""Nobody asks for what was longer ago."""
_OVER: Final = ", ".join(f"'{state}'" for state in sorted(OVER))


class Fetched(NamedTuple):
    """A record of a topic; ``timestamp_ms``: when the broker appended it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    value: bytes | None


class PlacedWriter(ABC):
    """The only writer of a file: rows, and in the table ``offsets`` where partitions go on, in one transaction."""

    def __init__(self, path: Path, version: int, tables: str) -> None:
        """Opens or makes the file; its folder exists."""
        self._db = opened(path, version, tables)

    def close(self) -> None:
        """Ends the connection; the file is whole."""
        self._db.close()

    def offsets(self) -> dict[tuple[str, int], int]:
        """(topic, partition) -> the offset to go on from."""
        rows = self._db.execute("SELECT topic, partition, next_offset FROM offsets").fetchall()
        return {(topic, partition): offset for topic, partition, offset in rows}

    def write(self, records: Sequence[Fetched]) -> None:
        """Takes records in the order of each partition, in one transaction; those it has already are passed over."""
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            self._advance(records)

    def _advance(self, records: Sequence[Fetched]) -> None:
        done = self.offsets()
        places: dict[tuple[str, int], tuple[int, int]] = {}
        for record in records:
            place = (record.topic, record.partition)
            if record.offset >= done.get(place, 0):
                self._take(record)
                done[place] = record.offset + 1
                places[place] = (record.offset + 1, record.timestamp_ms * 1_000_000)
        self._db.executemany(
            "INSERT INTO offsets VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset, "
            "appended_ns = max(appended_ns, excluded.appended_ns)",
            [(*place, *values) for place, values in places.items()],
        )

    @abstractmethod
    def _take(self, record: Fetched) -> None:
        """One record that is new; the transaction is open."""


class BoardWriter(PlacedWriter):
    """The only writer of a file.

    Attributes:
        written, unreadable, outdated: records by fate; outdated ones say less than the row that is there.
        pruned: rows deleted by retention.
    """

    def __init__(self, path: Path) -> None:
        """Opens or makes the file; its folder exists."""
        super().__init__(path, schema.VERSION, schema.TABLES)
        self.written = self.unreadable = self.outdated = self.pruned = 0
        self._takers: Mapping[str, Callable[[bytes], bool]] = {
            topics.ALERTS: self._alert,
            topics.INCIDENTS: self._incident,
            topics.ANOMALIES: self._anomaly,
            topics.EDGES: self._edge,
            topics.DEPLOYMENTS: self._deployment,
            topics.CONTROL: self._control,
            topics.PROGRESS: self._progress,
        }

    @property
    def sources(self) -> tuple[str, ...]:
        """The topics it takes."""
        return tuple(self._takers)

    def prune(self, seconds: float, now_ns: int) -> None:
        """Deletes what is older than so many seconds; what is open stays."""
        before_ns = now_ns - round(seconds * 1e9)
        old: Iterable[tuple[str, str]] = (
            ("alerts", "state = 'resolved' AND at_ns < ?"),
            ("incidents", "status != 'open' AND at_ns < ?"),
            ("anomalies", "at_ns < ?"),
            ("edges", "last_seen_ns < ?"),
            ("deployments", f"state IN ({_OVER}) AND at_ns < ?"),
            ("progress", f"at_ns < max({now_ns - _PROGRESS_NS}, ?)"),
            ("controls", "ends_ns != 0 AND ends_ns < ?"),
        )
        for table, condition in old:
            found = _PRUNE_ROWS
            while found == _PRUNE_ROWS:
                found = self._db.execute(
                    f"DELETE FROM {table} WHERE rowid IN "  # noqa: S608 - constants
                    f"(SELECT rowid FROM {table} WHERE {condition} LIMIT {_PRUNE_ROWS})",
                    (before_ns,),
                ).rowcount
                self.pruned += found
        self._db.execute("PRAGMA incremental_vacuum").fetchall()

    def _take(self, record: Fetched) -> None:
        try:
            new = self._takers[record.topic](record.value or b"")
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            self.unreadable += 1
            return
        self.written += new
        self.outdated += not new

    def _alert(self, value: bytes) -> bool:
        alert = decode_alert(value)
        labels = alert.identity
        row = (
            *(alert.fingerprint, alert.starts_at_ns, *alert.place, alert.state, alert.severity, alert.alertname),
            *(labels.get("service.name", ""), labels.get("agent.id", ""), labels.get("environment", "")),
            *(alert.at_ns, value),
        )
        # A pending episode that never fires ends without a record of its own: the next one begins at another time.
        self._db.execute(
            "DELETE FROM alerts WHERE fingerprint = ? AND state = 'pending' AND starts_at_ns != ? AND seq < ?",
            (alert.fingerprint, alert.starts_at_ns, alert.seq),
        )
        return (
            self._db.execute(
                "INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                "seq = excluded.seq, revision = excluded.revision, state = excluded.state, "
                "severity = excluded.severity, at_ns = excluded.at_ns, value = excluded.value "
                "WHERE (excluded.seq, excluded.revision) > (alerts.seq, alerts.revision)",
                row,
            ).rowcount
            > 0
        )

    def _incident(self, value: bytes) -> bool:
        found = decode_incident(value)
        row = (found.incident_id, found.revision, found.status, found.severity, found.environment, found.updated_at_ns)
        return (
            self._db.execute(
                "INSERT INTO incidents VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                "revision = excluded.revision, status = excluded.status, severity = excluded.severity, "
                "at_ns = excluded.at_ns, value = excluded.value WHERE excluded.revision > incidents.revision",
                (*row, value),
            ).rowcount
            > 0
        )

    def _anomaly(self, value: bytes) -> bool:
        found = decode_anomaly(value)
        labels = dict(found.series.labels)
        row = (found.series.id, found.end_ns, found.feature, found.series.name)
        return (
            self._db.execute(
                "INSERT INTO anomalies VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (*row, labels.get("service.name", ""), labels.get("agent.id", ""), value),
            ).rowcount
            > 0
        )

    def _edge(self, value: bytes) -> bool:
        edge = decode_edge(value)
        self._db.execute(
            "INSERT INTO edges VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "calls = calls + excluded.calls, failed = failed + excluded.failed, "
            "seconds_sum = seconds_sum + excluded.seconds_sum, seconds_max = max(seconds_max, excluded.seconds_max), "
            "first_seen_ns = min(first_seen_ns, excluded.first_seen_ns), "
            "last_seen_ns = max(last_seen_ns, excluded.last_seen_ns)",
            (
                *(edge.client, edge.server, edge.connection_type, edge.calls, edge.failed),
                *(edge.duration_seconds_sum, edge.duration_seconds_max, edge.first_seen_ns, edge.last_seen_ns),
            ),
        )
        return True

    def _deployment(self, value: bytes) -> bool:
        found = decode_deployment(value)
        row = (found.id, found.service, found.environment, found.state, found.profile, found.verdict is not None)
        self._db.execute(
            "INSERT OR REPLACE INTO deployments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*row, found.started_ns, found.updated_ns, value),
        )
        return True

    def _progress(self, value: bytes) -> bool:
        found = decode_standing(value)
        fates = (found.fates.get(fate, 0) for fate in ("late", "duplicate", "rejected", "overflow"))
        self._db.execute(
            "INSERT OR REPLACE INTO progress VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(found.role, found.topic, found.partition, found.at_ns // (60 * 10**9), found.at_ns),
                *(*fates, found.lag, found.lag_seconds, found.watermark_delay_seconds),
            ),
        )
        return True

    def _control(self, value: bytes) -> bool:
        found = decode_control(value)
        match found:
            case Ack():
                kind, ends_ns = "ack", found.at_ns if found.cleared else found.until_ns
            case Maintenance():
                kind, ends_ns = "maintenance", found.ends_at_ns
            case _:
                return False  # the incident's own record says it
        row = (control_key(found).decode(), kind, ends_ns, value)
        self._db.execute("INSERT OR REPLACE INTO controls VALUES (?, ?, ?, ?)", row)
        return True


def delete(path: Path) -> None:
    """Deletes a file with its log: a new file beside an old log would be damaged by it."""
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def opened(path: Path, version: int, tables: str) -> sqlite3.Connection:
    """A connection to a file of this version with these tables; any other file is deleted first."""
    if path.exists() and _version(path) != version:
        delete(path)
    fresh = not path.exists()
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    if fresh:
        db.executescript(tables)
    db.execute("PRAGMA synchronous = NORMAL")
    return db


def _version(path: Path) -> int:
    db = sqlite3.connect(path)
    try:
        return int(db.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.DatabaseError:
        return -1
    finally:
        db.close()
