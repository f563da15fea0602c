"""The tables of the trace read model. SQLite with a write-ahead log: one writer, and readers that never wait for it."""

from __future__ import annotations

from typing import Final

VERSION: Final = 2
"""Another version in the file: it is deleted and read again from the topic. Raise it with any change below."""

SERVICE: Final = 0
AGENT: Final = 1
OPERATION: Final = 2
CONVERSATION: Final = 3
PATTERN: Final = 4

TABLES: Final = f"""
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
BEGIN;
-- Narrow, so that a filter without an index of its own reads few pages; the records are apart.
CREATE TABLE traces (
    id INTEGER PRIMARY KEY, trace_id TEXT NOT NULL UNIQUE, revision INTEGER NOT NULL, service TEXT NOT NULL,
    operation TEXT NOT NULL, start_ns INTEGER NOT NULL, duration_ns INTEGER NOT NULL, span_count INTEGER NOT NULL,
    error_count INTEGER NOT NULL, complete INTEGER NOT NULL
) STRICT;
CREATE INDEX traces_by_start ON traces (start_ns, id, duration_ns, error_count);
CREATE TABLE records (id INTEGER PRIMARY KEY, value BLOB NOT NULL) STRICT;
-- kind: 0 service, 1 agent, 2 operation, 3 conversation, 4 pattern.
CREATE TABLE names (
    kind INTEGER NOT NULL, name TEXT NOT NULL, start_ns INTEGER NOT NULL, id INTEGER NOT NULL,
    PRIMARY KEY (kind, name, start_ns, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX names_by_trace ON names (id);
CREATE VIRTUAL TABLE texts USING fts5 (text, tokenize = 'unicode61');
-- next_offset: the first record of agents.traces that is not in the tables yet.
CREATE TABLE offsets (
    topic TEXT, partition INTEGER, next_offset INTEGER NOT NULL, PRIMARY KEY (topic, partition)
) STRICT;
PRAGMA user_version = {VERSION};
COMMIT;
"""
