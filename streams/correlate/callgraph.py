"""Who calls whom, how the calls do now and how they usually do: the map on which failures travel to their callers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Final

from streams.correlate.weights import Weights
from streams.domain.trace import Edge

MAX_AGE_NS: Final = 24 * 3600 * 10**9
LEARNS_FROM_CALLS: Final = 30
"""Before so many calls nothing is usual, and slowness is not judged."""


@dataclass(slots=True)
class CallState:
    """Sums over calls that fade: ``calls``, ``failed``, ``seconds`` quickly, those that say what is usual slowly."""

    at_ns: int
    calls: float = 0.0
    failed: float = 0.0
    seconds: float = 0.0
    usual_calls: float = 0.0
    usual_failed: float = 0.0
    usual_seconds: float = 0.0
    suffers_since_ns: int = 0
    suffered_at_ns: int = 0

    def add(self, edge: Edge, weights: Weights) -> None:
        """One delta."""
        self._fade(edge.last_seen_ns, weights)
        self.calls += edge.calls
        self.failed += edge.failed
        self.seconds += edge.duration_seconds_sum
        if self.suffers(weights):
            self.suffers_since_ns = self.suffers_since_ns or edge.last_seen_ns
            self.suffered_at_ns = self.at_ns

    def _fade(self, at_ns: int, weights: Weights) -> None:
        passed = max(0, at_ns - self.at_ns) / 1e9
        self.at_ns = max(self.at_ns, at_ns)
        now, usual = 0.5 ** (passed / weights.recent_seconds), 0.5 ** (passed / weights.usual_seconds)
        # What fades from now becomes usual, unless it suffers: if each delta did at once, a trouble that takes a minute
        # to be seen would have become usual by then.
        gone = 0.0 if self.suffers(weights) else 1 - now
        self.usual_calls = self.usual_calls * usual + self.calls * gone
        self.usual_failed = self.usual_failed * usual + self.failed * gone
        self.usual_seconds = self.usual_seconds * usual + self.seconds * gone
        self.calls, self.failed, self.seconds = self.calls * now, self.failed * now, self.seconds * now

    def suffers(self, weights: Weights) -> bool:
        """Whether calls fail or last clearly more than usual."""
        if self.calls < weights.suffers_calls:
            return False
        usual = self.usual_failed / self.usual_calls if self.usual_calls else 0.0
        ratio = self.failed / self.calls
        fails = ratio >= max(weights.suffers_failed_ratio, 3 * usual) and self.failed >= weights.suffers_failed
        known = self.usual_calls >= LEARNS_FROM_CALLS and self.usual_seconds > 0
        if fails or not known:
            return fails
        return self.seconds / self.calls >= weights.suffers_slow_factor * self.usual_seconds / self.usual_calls


class CallGraph:
    """Edges between services, and to what sends no spans (model providers, tools, databases).

    Bounded: ``max_edges``, the one not seen for longest leaves for a new one; none older than a day.
    """

    def __init__(self, weights: Weights, max_edges: int) -> None:
        self._weights, self._max_edges = weights, max_edges
        self.edges: OrderedDict[tuple[str, str], CallState] = OrderedDict()
        self.callees: dict[str, set[str]] = {}
        self.callers: dict[str, set[str]] = {}
        self.suffering: dict[str, set[str]] = {}
        self.suffered_by: dict[str, set[str]] = {}
        self.silent: set[str] = set()

    def add(self, edge: Edge) -> bool:
        """One record of ``agents.edges``; True when the edge begins to suffer."""
        key = (edge.client, edge.server)
        state = self.edges.get(key)
        if state is None:
            state = self.edges[key] = CallState(edge.last_seen_ns)
            self.callees.setdefault(edge.client, set()).add(edge.server)
            self.callers.setdefault(edge.server, set()).add(edge.client)
        state.add(edge, self._weights)
        self.edges.move_to_end(key)
        self._bound(state.at_ns)
        begins = bool(state.suffered_at_ns) and edge.server not in self.suffering.get(edge.client, ())
        if begins:
            self.suffering.setdefault(edge.client, set()).add(edge.server)
            self.suffered_by.setdefault(edge.server, set()).add(edge.client)
        return begins

    def _bound(self, at_ns: int) -> None:
        while self.edges:
            key, oldest = next(iter(self.edges.items()))
            if len(self.edges) <= self._max_edges and oldest.at_ns >= at_ns - MAX_AGE_NS:
                return
            del self.edges[key]
            self.callees[key[0]].discard(key[1])
            self.callers[key[1]].discard(key[0])
            self._recover(key)

    def advance(self, at_ns: int) -> None:
        """Calls that have not suffered for ``far_seconds`` are well again."""
        for key, state in self.edges.items():
            if state.suffered_at_ns and at_ns - state.suffered_at_ns > self._weights.far_seconds * 1e9:
                state.suffers_since_ns = state.suffered_at_ns = 0
                self._recover(key)

    def _recover(self, key: tuple[str, str]) -> None:
        for sets, one, other in ((self.suffering, *key), (self.suffered_by, key[1], key[0])):
            if one in sets:
                sets[one].discard(other)
                if not sets[one]:
                    del sets[one]

    def below(self, place: str) -> set[str]:
        """What a place calls and suffers from; a service that is silent cannot answer, whatever its last calls did."""
        return self.suffering.get(place, set()) | (self.callees.get(place, set()) & self.silent)

    def above(self, place: str) -> set[str]:
        """Who calls it and suffers from it."""
        return self.callers.get(place, set()) if place in self.silent else self.suffered_by.get(place, set())

    def calls(self, place: str) -> bool:
        """Whether it calls anything."""
        return bool(self.callees.get(place))

    def suffering_since(self, place: str) -> list[int]:
        """When each of the calls to it began to suffer."""
        return [self.edges[caller, place].suffers_since_ns for caller in self.suffered_by.get(place, ())]

    def dump(self) -> list[Any]:
        """As JSON-able data, longest unseen first."""
        return [[*key, *astuple(state)] for key, state in self.edges.items()]

    def load(self, rows: Sequence[Any]) -> None:
        """The inverse of :meth:`dump`, into an empty graph."""
        for client, server, *fields in rows:
            state = self.edges[client, server] = CallState(*fields)
            self.callees.setdefault(client, set()).add(server)
            self.callers.setdefault(server, set()).add(client)
            if state.suffered_at_ns:
                self.suffering.setdefault(client, set()).add(server)
                self.suffered_by.setdefault(server, set()).add(client)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Edges as (client, server)."""
        return iter(self.edges)


def reached_by(places: Iterable[str], step: Callable[[str], set[str]]) -> set[str]:
    """Places and all that is reached from them by any number of steps."""
    found = set(places)
    waiting = list(found)
    while waiting:
        new = step(waiting.pop()) - found
        found |= new
        waiting.extend(new)
    return found
