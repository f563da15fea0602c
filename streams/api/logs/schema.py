"""The tables of the read model of logs. One writer, readers that never wait for it."""

from __future__ import annotations

from typing import Final

VERSION: Final = 1
"""Another version in the file: it is deleted and read again from the topics. Raise it with any change below."""

KEPT_SECONDS: Final = 86_400.0
"""Logs that were appended longer ago are deleted, and passed over at the start."""
MAX_LOGS: Final = 1_000_000
"""Beyond it the oldest are deleted, whatever their age: about 1 GB of usual lines."""

TABLES: Final = f"""
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
BEGIN;
-- id: the order in which they came. severity: OpenTelemetry's number. attributes: JSON.
CREATE TABLE logs (
    id INTEGER PRIMARY KEY, appended_ns INTEGER NOT NULL, time_ns INTEGER NOT NULL, severity INTEGER NOT NULL,
    service TEXT NOT NULL, agent_id TEXT NOT NULL, logger TEXT NOT NULL, trace_id TEXT NOT NULL, span_id TEXT NOT NULL,
    body TEXT NOT NULL, attributes TEXT NOT NULL
) STRICT;
CREATE INDEX logs_by_agent ON logs (agent_id, id);
CREATE INDEX logs_by_service ON logs (service, id);
CREATE INDEX logs_by_trace ON logs (trace_id, id) WHERE trace_id != '';
-- The words alone: the text is in logs.
CREATE VIRTUAL TABLE texts USING fts5 (body, content = 'logs', content_rowid = 'id', tokenize = 'unicode61');
CREATE TABLE offsets (
    topic TEXT, partition INTEGER, next_offset INTEGER NOT NULL, appended_ns INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) STRICT;
PRAGMA user_version = {VERSION};
COMMIT;
"""
