"""The call graph as an incident has seen it: calls that suffered while it was open count on when they are well again.

Alerts go on for a while after their trouble, and where callers give up there are no calls that could fail. What was the
cause then is not another because of that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from streams.correlate.callgraph import CallGraph, reached_by

MAX_SUFFERED: Final = 1_000
"""Calls that an incident remembers; it goes by what suffers now for any more."""

Suffered = dict[tuple[str, str], int]
"""(client, server) -> event time since when the calls suffered."""


class Remembered:
    """What :func:`streams.correlate.cause.rank` asks of a call graph, with what an incident remembers."""

    def __init__(self, graph: CallGraph, suffered: Mapping[tuple[str, str], int]) -> None:
        self._graph, self._suffered = graph, suffered
        self._below: dict[str, set[str]] = {}
        self._above: dict[str, set[str]] = {}
        for client, server in suffered:
            self._below.setdefault(client, set()).add(server)
            self._above.setdefault(server, set()).add(client)

    def below(self, place: str) -> set[str]:
        """What a place calls and suffers from, or suffered."""
        return self._graph.below(place) | self._below.get(place, set())

    def above(self, place: str) -> set[str]:
        """Who calls it and suffers from it, or suffered."""
        return self._graph.above(place) | self._above.get(place, set())

    def dependents(self, place: str) -> set[str]:
        """All that suffer or suffered from it directly or through others, itself included."""
        return reached_by([place], self.above)

    def calls(self, place: str) -> bool:
        """Whether it calls anything."""
        return self._graph.calls(place)

    def suffering_since(self, place: str) -> list[int]:
        """When each of the calls to it began to suffer."""
        known = [since_ns for (_, server), since_ns in self._suffered.items() if server == place]
        return self._graph.suffering_since(place) + known


def remember(suffered: Suffered, services: Iterable[str], graph: CallGraph) -> None:
    """Adds the calls below these services that suffer now; of those that are known the first time stays."""
    for place in sorted(reached_by(services, lambda one: graph.suffering.get(one, set()))):
        for server in sorted(graph.suffering.get(place, ())):
            if len(suffered) < MAX_SUFFERED:
                suffered.setdefault((place, server), graph.edges[place, server].suffers_since_ns)
