"""Who calls whom: calls between services summed to edges.

A *call* is one of
- a pair: a span and its parent in another service, or a client/server or producer/consumer pair within one service;
- a virtual call: a client span (or a tool's span) that says whom it called, where the callee sends no spans of its own:
  a model provider, a tool, a database.

A pair is complete when its second span arrives (``streams.trace.take``), so that its time is close to the newest event
of the log and it is not late for its window. What stays alone (a client without a server, a server whose caller was not
seen) is counted when its trace leaves.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streams.domain.texts import Texts
from streams.domain.trace import (
    CONNECTION_DATABASE,
    CONNECTION_MESSAGING,
    CONNECTION_UNSET,
    CONNECTION_VIRTUAL,
    Edge,
)
from streams.trace.keys import Keys

NANOSECONDS: Final = 1e9
CONNECTIONS: Final = (CONNECTION_UNSET, CONNECTION_MESSAGING, CONNECTION_DATABASE, CONNECTION_VIRTUAL)
"""By the number in a call."""


def edges(calls: NDArray[Any], texts: Texts) -> list[Edge]:
    """Calls summed by client, server and connection type, sorted."""
    if not len(calls):
        return []
    ends = [calls["client"], calls["server"], calls["connection"]]
    known = Keys(3, 3, lambda *key: key)
    group = known.find(np.stack(ends, axis=1).astype(np.int64))
    keys, count = known.values[: len(known)].tolist(), len(known)
    seconds = np.where(calls["client_ns"] >= 0, calls["client_ns"], calls["server_ns"]) / NANOSECONDS
    most, earliest = np.zeros(count), np.full(count, np.iinfo(np.int64).max)
    latest = np.zeros(count, np.int64)
    np.maximum.at(most, group, seconds)
    np.minimum.at(earliest, group, calls["time_ns"])
    np.maximum.at(latest, group, calls["time_ns"])
    columns = (
        np.bincount(group, minlength=count).tolist(),
        np.bincount(group, calls["failed"], count).astype(np.int64).tolist(),
        np.bincount(group, seconds, count).tolist(),
        most.tolist(),
        earliest.tolist(),
        latest.tolist(),
    )
    found = [
        Edge(texts.text(client), texts.text(server), CONNECTIONS[connection], *figures)
        for (client, server, connection), *figures in zip(keys, *columns, strict=True)
    ]
    return sorted(found, key=lambda edge: (edge.client, edge.server, edge.connection_type))
