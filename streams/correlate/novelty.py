"""Labels with a value that was never seen before: an error of a new class, a log line of a new shape."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from streams.correlate.book import Key, key_of
from streams.correlate.lifecycle import Reading
from streams.correlate.rule import Rule
from streams.domain.series import Series
from streams.domain.window import WindowBatch

MAX_VALUES: Final = 1_000
"""Values that one memory keeps; the one not seen for longest leaves for a new one, and would be new again."""


@dataclass(slots=True)
class Known:
    """Values of one label that were seen, by when they were seen last; ``since_ns``: end of the first window."""

    since_ns: int
    values: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def see(self, value: str, at_ns: int, forget_ns: int) -> bool:
        """Remembers a value; whether it is new."""
        last_ns = self.values.pop(value, None)
        self.values[value] = at_ns
        if len(self.values) > MAX_VALUES:
            self.values.popitem(last=False)
        return last_ns is None or at_ns - last_ns >= forget_ns


class Novelty:
    """All novelty rules: a new value reads 1 in its window and 0 from then on, so its alert ends by keep-firing.

    A memory (the values of one ``known_by`` group) says nothing until it has learned for ``learn_seconds``.

    Bounded: ``max_groups`` memories, the one that was fed least recently leaves for a new one, which learns anew
    (counted in ``evicted_total``); :data:`MAX_VALUES` values each.
    """

    def __init__(self, rules: Sequence[Rule], max_groups: int, window_ns: int) -> None:
        self.rules = [rule for rule in rules if rule.kind == "novelty"]
        self.max_groups = max_groups
        self.window_ns = window_ns
        self.evicted_total = 0
        self.memories: OrderedDict[Key, Known] = OrderedDict()
        self.clocks: dict[Key, int] = {}
        self._by_name = {rule.name: rule for rule in self.rules}
        self._metrics = {selector.metric for rule in self.rules for selector in rule.selectors}

    def apply(self, batch: WindowBatch) -> Iterator[tuple[Rule, Key, Reading]]:
        """Take in a window; a reading of 1 for each value that is new in it, in order of rule and labels."""
        new: dict[Key, Rule] = {}
        for series in batch.series if self.rules else ():
            if series.name in self._metrics:
                new.update(self._new(series, batch.end_ns))
        for key in sorted(new):
            self.clocks[key] = batch.end_ns
            evidence = {"metric": new[key].selectors[0].metric, "start_ns": batch.start_ns, "end_ns": batch.end_ns}
            yield new[key], key, Reading(batch.end_ns, 1.0, evidence=(evidence,))

    def _new(self, series: Series, at_ns: int) -> Iterator[tuple[Key, Rule]]:
        for rule in self.rules:
            value = series.label(rule.label)
            if not value or not any(selector.matches(series) for selector in rule.selectors):
                continue
            known = self._memory(key_of(rule, ((name, series.label(name)) for name in rule.known_by)), at_ns)
            is_new = known.see(value, at_ns, round(rule.forget_seconds * 1e9))
            if is_new and at_ns - known.since_ns >= rule.learn_seconds * 1e9:
                yield key_of(rule, ((name, series.label(name)) for name in rule.group_by)), rule

    def _memory(self, key: Key, at_ns: int) -> Known:
        known = self.memories.get(key)
        if known is None:
            known = self.memories[key] = Known(at_ns)
            if len(self.memories) > self.max_groups:
                self.memories.popitem(last=False)
                self.evicted_total += 1
        self.memories.move_to_end(key)
        return known

    def due(
        self, keys: Sequence[Key], at_ns: int, is_open: Callable[[Key], bool]
    ) -> Iterator[tuple[Rule, Key, Reading]]:
        """Readings of open alerts as time moves on, one per window up to ``at_ns``: it is not new any more."""
        for key in keys:
            rule = self._by_name.get(key[0])
            if rule is None:
                continue
            clock_ns = self.clocks.get(key, at_ns - self.window_ns)
            while is_open(key) and clock_ns + self.window_ns <= at_ns:
                clock_ns += self.window_ns
                yield rule, key, Reading(clock_ns, 0.0)
            self.clocks[key] = clock_ns
        for key in [key for key in self.clocks if not is_open(key)]:
            del self.clocks[key]

    def dump(self) -> dict[str, Any]:
        """As JSON-able data, least recently fed first."""
        memories = [[*key, known.since_ns, list(known.values.items())] for key, known in self.memories.items()]
        return {"memories": memories, "clocks": [[*key, clock_ns] for key, clock_ns in self.clocks.items()]}

    def load(self, state: dict[str, Any], usable: Callable[[str], bool]) -> None:
        """The inverse of :meth:`dump`, for rules that are still the same."""
        for name, labels, since_ns, values in state["memories"]:
            if name in self._by_name and usable(name):
                seen = OrderedDict((value, last_ns) for value, last_ns in values)
                self.memories[name, _pairs(labels)] = Known(since_ns, seen)
        for name, labels, clock_ns in state["clocks"]:
            if name in self._by_name and usable(name):
                self.clocks[name, _pairs(labels)] = clock_ns


def _pairs(labels: Sequence[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((label, value) for label, value in labels)
