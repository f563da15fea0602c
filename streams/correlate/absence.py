"""Agents that fell silent: seen before, not seen while event time moved on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from streams.correlate.book import Key, key_of
from streams.correlate.lifecycle import Reading
from streams.correlate.rule import Rule
from streams.domain.series import Series
from streams.domain.window import WindowBatch

SEEN, ENROLS, STOPPED = 0, 1, 2
"""What a series says of its agent; the highest of a window counts."""
GAP_WEIGHT: Final = 0.1
"""Of the newest interval between signs of life in what is usual."""
MOST_GROWTH: Final = 3.0
"""One interval counts for at most this many usual ones: an outage does not make an agent slow."""
EXPECTED_GAPS: Final = 2.5
"""An agent that is silent for less than so many of its usual intervals is not missed, whatever the limit."""


@dataclass(slots=True)
class Life:
    """An agent's last sign of life, and how far apart they usually are (0 before the second)."""

    seen_ns: int
    gap_ns: float = 0.0
    gaps: int = 0

    def see(self, end_ns: int) -> None:
        """A sign of life in the window that ends then; older ones change nothing."""
        gap_ns = float(end_ns - self.seen_ns)
        if gap_ns <= 0:
            return
        self.seen_ns = end_ns
        self.gaps += 1
        if self.gaps > 1:
            gap_ns = min(gap_ns, MOST_GROWTH * self.gap_ns)
        self.gap_ns += max(1.0 / self.gaps, GAP_WEIGHT) * (gap_ns - self.gap_ns)

    def missed(self, silent_ns: int) -> bool:
        """Whether such a silence is more than its rhythm."""
        return silent_ns >= EXPECTED_GAPS * self.gap_ns


class Absence:
    """All absence rules.

    An agent is expected from its first heartbeat (the rule's metric; without one, from any series), seen through any
    of its series, no longer expected once it says that it stops, or after ``forget_seconds`` of silence. One that
    usually shows itself less often than the limit is missed after :data:`EXPECTED_GAPS` of its own intervals.

    Bounded: ``max_agents`` per operator, the one not seen for longest leaves for a new one (counted in
    ``evicted_total``).
    """

    def __init__(self, rules: Sequence[Rule], max_agents: int, window_ns: int) -> None:
        self.rules = [rule for rule in rules if rule.kind == "absence"]
        self.max_agents = max_agents
        self.window_ns = window_ns
        self.evicted_total = 0
        self.seen: OrderedDict[Key, Life] = OrderedDict()
        self._by_name = {rule.name: rule for rule in self.rules}
        self._bindings: dict[Series, tuple[tuple[Key, int], ...]] = {}

    def apply(
        self, batch: WindowBatch, watermark_ns: int, is_open: Callable[[Key], bool]
    ) -> Iterator[tuple[Rule, Key, Reading]]:
        """Note who is in a window; a reading for those whose alert is open: how long ago that is, 0 for a goodbye."""
        told: dict[Key, int] = {}
        for series in batch.series if self.rules else ():
            for key, role in self._bind(series):
                told[key] = max(told.get(key, SEEN), role)
        for key in sorted(told):
            self._note(key, told[key], batch.end_ns)
            if is_open(key):
                life = self.seen.get(key)
                silent_ns = max(0, watermark_ns - life.seen_ns) if life else 0
                yield self._by_name[key[0]], key, Reading(batch.end_ns, silent_ns / 1e9)

    def _note(self, key: Key, role: int, end_ns: int) -> None:
        if role == STOPPED:
            self.seen.pop(key, None)
        elif role == ENROLS or key in self.seen:
            if key in self.seen:
                self.seen[key].see(end_ns)
            else:
                self.seen[key] = Life(end_ns)
            self.seen.move_to_end(key)
            if len(self.seen) > self.max_agents:
                self.seen.popitem(last=False)
                self.evicted_total += 1

    def _bind(self, series: Series) -> tuple[tuple[Key, int], ...]:
        found = self._bindings.get(series)
        if found is None:
            if len(self._bindings) >= 50 * self.max_agents:
                self._bindings.clear()
            found = self._bindings[series] = tuple(self._bindings_of(series))
        return found

    def _bindings_of(self, series: Series) -> Iterator[tuple[Key, int]]:
        for rule in self.rules:
            if not series.label("agent.id"):
                continue
            key = key_of(rule, ((name, series.label(name)) for name in rule.group_by))
            if any(selector.matches(series) for selector in rule.stopped_by):
                yield key, STOPPED
            else:
                enrols = not rule.selectors or any(selector.matches(series) for selector in rule.selectors)
                yield key, ENROLS if enrols else SEEN

    def due(
        self, since_ns: int, at_ns: int, is_open: Callable[[Key], bool], keys: Sequence[Key]
    ) -> Iterator[tuple[Rule, Key, Reading]]:
        """How long each agent has been silent, where that matters or an alert is open (``keys``).

        One reading per base window in (since, at], as in ``Limits.due``.
        """
        opened = {key for key in keys if key[0] in self._by_name}
        for key in sorted(opened | self.seen.keys()):
            rule, life = self._by_name[key[0]], self.seen.get(key)
            if life is None:
                yield rule, key, Reading(at_ns, None)
                continue
            if key in opened or _matters(rule, life, at_ns - life.seen_ns):
                yield from self._silence(rule, key, max(since_ns, life.seen_ns), at_ns, is_open)

    def _silence(
        self, rule: Rule, key: Key, since_ns: int, at_ns: int, is_open: Callable[[Key], bool]
    ) -> Iterator[tuple[Rule, Key, Reading]]:
        life = self.seen[key]
        for moment in range((since_ns // self.window_ns + 1) * self.window_ns, at_ns + 1, self.window_ns):
            silent_ns = moment - life.seen_ns
            if silent_ns >= rule.forget_seconds * 1e9:
                del self.seen[key]
                yield rule, key, Reading(moment, None)
                return
            if is_open(key) or _matters(rule, life, silent_ns):
                seconds = {"silent_seconds": silent_ns / 1e9, "usual_seconds": life.gap_ns / 1e9}
                evidence = {"last_seen_ns": life.seen_ns, **seconds}
                yield rule, key, Reading(moment, silent_ns / 1e9, evidence=(evidence,))

    def dump(self) -> list[Any]:
        """As JSON-able data, longest unseen first."""
        return [[*key, life.seen_ns, life.gap_ns, life.gaps] for key, life in self.seen.items()]

    def load(self, state: Sequence[Any], usable: Callable[[str], bool]) -> None:
        """The inverse of :meth:`dump`, for rules that are still the same."""
        for name, labels, *fields in state:  # those from before rhythms were learned have only the last sign
            if name in self._by_name and usable(name):
                self.seen[name, tuple((label, value) for label, value in labels)] = Life(*fields)


def _matters(rule: Rule, life: Life, silent_ns: int) -> bool:
    return life.missed(silent_ns) and any(level.breached(silent_ns / 1e9) for level in rule.levels)
