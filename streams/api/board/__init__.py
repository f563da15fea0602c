"""The read model of all but traces and agents: one SQLite file, rebuilt from topics."""
