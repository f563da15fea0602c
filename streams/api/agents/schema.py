"""The tables of the agents' read model. One writer, readers that never wait for it."""

from __future__ import annotations

from typing import Final

VERSION: Final = 2
"""Another version in the file: it is deleted and read again from the topic. Raise it with any change below."""

KEPT_SECONDS: Final = 3_600.0
"""An agent that was silent for so long is forgotten (as by rule AgentSilent), and no pane is kept for longer."""
MAX_AGENTS: Final = 20_000
"""Beyond it those that were seen longest ago are forgotten."""

TABLES: Final = f"""
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
BEGIN;
-- first_ns: end of the first window it was in; last_ns: of the newest. event: its newest life event, event_ns: of it.
CREATE TABLE agents (
    agent_id TEXT PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL, service TEXT NOT NULL, version TEXT NOT NULL,
    environment TEXT NOT NULL, first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL, event TEXT NOT NULL,
    event_ns INTEGER NOT NULL
) STRICT;
CREATE INDEX agents_by_time ON agents (last_ns);
-- One agent in one record of agents.windows. NULL: not measured. sketch: of inferences, JSON [buckets, weights].
CREATE TABLE panes (
    agent_id TEXT, start_ns INTEGER, source TEXT, memory_bytes REAL, cpu_ratio REAL, sessions REAL, free_energy REAL,
    steps REAL, failed_steps REAL, predictions REAL, correct_predictions REAL, inferences INTEGER, sketch BLOB,
    PRIMARY KEY (agent_id, start_ns, source)
) STRICT, WITHOUT ROWID;
CREATE INDEX panes_by_time ON panes (start_ns);
-- All series of one record of agents.windows together, see streams.api.agents.activity.
CREATE TABLE activity (
    start_ns INTEGER, source TEXT, value BLOB NOT NULL, PRIMARY KEY (start_ns, source)
) STRICT, WITHOUT ROWID;
CREATE TABLE offsets (
    topic TEXT, partition INTEGER, next_offset INTEGER NOT NULL, appended_ns INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) STRICT;
PRAGMA user_version = {VERSION};
COMMIT;
"""
