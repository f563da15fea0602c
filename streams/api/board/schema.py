"""The tables of the board. One writer, readers that never wait for it."""

from __future__ import annotations

from typing import Final

VERSION: Final = 5
"""Another version in the file: it is deleted and read again from the topics. Raise it with any change below."""

TABLES: Final = f"""
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
BEGIN;
-- An episode of an alert: from its first transition to its end. value: the newest record, JSON.
CREATE TABLE alerts (
    fingerprint TEXT NOT NULL, starts_at_ns INTEGER NOT NULL, seq INTEGER NOT NULL, revision INTEGER NOT NULL,
    state TEXT NOT NULL, severity TEXT NOT NULL, alertname TEXT NOT NULL, service TEXT NOT NULL, agent TEXT NOT NULL,
    environment TEXT NOT NULL, at_ns INTEGER NOT NULL, value BLOB NOT NULL, PRIMARY KEY (fingerprint, starts_at_ns)
) STRICT;
CREATE INDEX alerts_by_time ON alerts (at_ns, fingerprint, starts_at_ns);
CREATE INDEX alerts_by_state ON alerts (state, at_ns, fingerprint, starts_at_ns);
CREATE INDEX alerts_by_name ON alerts (alertname, at_ns, fingerprint, starts_at_ns);
CREATE INDEX alerts_by_service ON alerts (service, at_ns, fingerprint, starts_at_ns);
CREATE INDEX alerts_by_agent ON alerts (agent, at_ns, fingerprint, starts_at_ns);
CREATE TABLE incidents (
    incident_id TEXT PRIMARY KEY, revision INTEGER NOT NULL, status TEXT NOT NULL, severity TEXT NOT NULL,
    environment TEXT NOT NULL, at_ns INTEGER NOT NULL, value BLOB NOT NULL
) STRICT;
CREATE INDEX incidents_by_time ON incidents (at_ns, incident_id);
CREATE INDEX incidents_by_status ON incidents (status, at_ns, incident_id);
CREATE TABLE anomalies (
    series_id TEXT NOT NULL, at_ns INTEGER NOT NULL, feature TEXT NOT NULL, metric TEXT NOT NULL, service TEXT NOT NULL,
    agent TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (series_id, at_ns, feature)
) STRICT;
CREATE INDEX anomalies_by_time ON anomalies (at_ns, series_id, feature);
-- Calls between two services, summed over all records of the topic.
CREATE TABLE edges (
    client TEXT NOT NULL, server TEXT NOT NULL, connection_type TEXT NOT NULL, calls INTEGER NOT NULL,
    failed INTEGER NOT NULL, seconds_sum REAL NOT NULL, seconds_max REAL NOT NULL, first_seen_ns INTEGER NOT NULL,
    last_seen_ns INTEGER NOT NULL, PRIMARY KEY (client, server)
) STRICT;
CREATE TABLE deployments (
    id TEXT PRIMARY KEY, service TEXT NOT NULL, environment TEXT NOT NULL, state TEXT NOT NULL, profile TEXT NOT NULL,
    judged INTEGER NOT NULL, started_ns INTEGER NOT NULL, at_ns INTEGER NOT NULL, value BLOB NOT NULL
) STRICT;
CREATE INDEX deployments_by_time ON deployments (at_ns, id);
CREATE INDEX deployments_by_start ON deployments (started_ns);
-- What people said. kind: ack or maintenance; ends_ns: when it counts no more, 0 = open; value: the newest record.
CREATE TABLE controls (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, ends_ns INTEGER NOT NULL, value BLOB NOT NULL
) STRICT;
-- How far roles are, a row a minute; late: counted since the beginning. lag, seconds, delay: NULL = unknown.
CREATE TABLE progress (
    role TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, minute INTEGER NOT NULL,
    at_ns INTEGER NOT NULL, late INTEGER NOT NULL, duplicate INTEGER NOT NULL, rejected INTEGER NOT NULL,
    overflow INTEGER NOT NULL,
    lag INTEGER, lag_seconds REAL, delay_seconds REAL, PRIMARY KEY (role, topic, partition, minute)
) STRICT;
-- next_offset: the first record that is not in the tables yet. appended_ns: when the last one that is was written.
CREATE TABLE offsets (
    topic TEXT, partition INTEGER, next_offset INTEGER NOT NULL, appended_ns INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) STRICT;
PRAGMA user_version = {VERSION};
COMMIT;
"""
