"""The read model of agents, one SQLite file: who they are, and how they did in the last hour's closed windows."""
