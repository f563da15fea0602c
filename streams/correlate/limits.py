"""Threshold rules over closed windows: which series feed which group, and the readings that come out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from streams.correlate.book import Key, key_of
from streams.correlate.lifecycle import Reading
from streams.correlate.pane import PERCENTILES, Panes, Row, statistic
from streams.correlate.rule import Rule
from streams.domain.series import Series
from streams.domain.window import WindowBatch

Source = tuple[str, int]
"""Topic and partition that windows came from."""
MAX_AGE_NS: Final = 3_600_000_000_000
"""A group without a window for this long is forgotten, unless its alert is open."""


@dataclass(slots=True)
class Group:
    """The panes of one rule and one set of identity labels. ``clock_ns``: event time of its last reading."""

    rule: Rule
    key: Key
    source: Source
    clock_ns: int = 0
    panes: Panes = field(default_factory=Panes)

    def read(self, at_ns: int) -> Reading:
        """The statistic over [at - window, at)."""
        self.clock_ns = max(self.clock_ns, at_ns)
        first_ns = self.clock_ns - round(self.rule.window_seconds * 1e9)
        self.panes.expire(first_ns)
        found = statistic(self.rule, self.panes) if self.panes.by_start else None
        if found is None:
            return Reading(self.clock_ns, None)
        value, count = found
        evidence = {
            "metric": self.rule.selectors[0].metric,
            "statistic": self.rule.statistic,
            "start_ns": first_ns,
            "end_ns": self.clock_ns,
            "value": value,
            "count": count,
        }
        return Reading(self.clock_ns, value, evidence=(evidence,))


class Limits:
    """All threshold rules.

    Bounded: ``max_groups`` groups, the least recently fed leaves for a new one unless its alert is open (then the new
    one is refused, counted in ``refused_total``); each holds at most window / base size panes.
    """

    def __init__(self, rules: Sequence[Rule], max_groups: int, window_ns: int) -> None:
        self.rules = [rule for rule in rules if rule.kind == "threshold"]
        self._by_name = {rule.name: rule for rule in self.rules}
        self.max_groups = max_groups
        self.window_ns = window_ns
        self.refused_total = 0
        self.late_total = 0
        self.groups: OrderedDict[Key, Group] = OrderedDict()
        self._bindings: dict[Series, tuple[tuple[Rule, Key, str], ...]] = {}
        self._metrics = {s.metric for rule in self.rules for s in (*rule.selectors, *rule.denominator)}

    def apply(self, batch: WindowBatch, is_open: Callable[[Key], bool]) -> Iterator[tuple[Rule, Key, Reading]]:
        """Take in a window; a reading for each group it touched, in order of rule and labels."""
        rows = Row(batch)
        source = (batch.topic, batch.partition)
        touched: dict[Key, Group] = {}
        for row, series in enumerate(batch.series):
            if series.name not in self._metrics:
                continue
            for rule, key, role in self._bind(series):
                group = touched.get(key) or self._group(rule, key, source, is_open)
                if group is not None:
                    touched[key] = group
                    self._feed(group, batch.start_ns, rows, row, role)
        for key in sorted(touched):
            group = touched[key]
            yield group.rule, key, group.read(batch.end_ns)

    def _feed(self, group: Group, start_ns: int, rows: Row, row: int, role: str) -> None:
        if start_ns < group.clock_ns - round(group.rule.window_seconds * 1e9):
            self.late_total += 1
            return
        rows.feed(group.panes, row, role)

    def _bind(self, series: Series) -> tuple[tuple[Rule, Key, str], ...]:
        found = self._bindings.get(series)
        if found is None:
            if len(self._bindings) >= 2 * self.max_groups:
                self._bindings.clear()
            found = self._bindings[series] = tuple(self._bindings_of(series))
        return found

    def _bindings_of(self, series: Series) -> Iterator[tuple[Rule, Key, str]]:
        for rule in self.rules:
            for role in _roles(rule, series):
                yield rule, key_of(rule, ((name, series.label(name)) for name in rule.group_by)), role

    def _group(self, rule: Rule, key: Key, source: Source, is_open: Callable[[Key], bool]) -> Group | None:
        group = self.groups.get(key)
        if group is None:
            if len(self.groups) >= self.max_groups and not self._make_room(is_open):
                self.refused_total += 1
                return None
            group = self.groups[key] = Group(rule, key, source)
        group.source = source
        self.groups.move_to_end(key)
        return group

    def _make_room(self, is_open: Callable[[Key], bool]) -> bool:
        oldest = next(iter(self.groups), None)
        if oldest is None or is_open(oldest):
            return False
        del self.groups[oldest]
        return True

    def due(
        self, keys: Sequence[Key], source: Source | None, at_ns: int, is_open: Callable[[Key], bool]
    ) -> Iterator[tuple[Rule, Key, Reading]]:
        """Readings of open groups that no window touched: their panes grow old, and at last there is no data.

        One reading per base window up to ``at_ns``, however far time moved in one call: how often somebody says what
        time it is must not decide anything. An open alert without a group (lost at a bound) has no data from then on.

        Args:
            keys: of open alerts, in the order wanted.
            source: only groups last fed from there; None = all.
            at_ns: event time; groups that were read later than that are left alone.
            is_open: asked after each reading: the readings of an alert end with it.
        """
        for key in keys:
            rule, group = self._by_name.get(key[0]), self.groups.get(key)
            if group is None:
                if rule is not None and source is None:
                    yield rule, key, Reading(at_ns, None)
            elif source in (None, group.source):
                while is_open(key) and group.clock_ns + self.window_ns <= at_ns:
                    yield group.rule, key, group.read(group.clock_ns + self.window_ns)

    def forget(self, at_ns: int, is_open: Callable[[Key], bool]) -> None:
        """Drop groups that nothing fed for :data:`MAX_AGE_NS`."""
        while self.groups:
            key, oldest = next(iter(self.groups.items()))
            if is_open(key) or oldest.clock_ns >= at_ns - MAX_AGE_NS:
                return
            del self.groups[key]

    def dump(self) -> list[Any]:
        """As JSON-able data, least recently fed first."""
        return [[*key, group.source, group.clock_ns, group.panes.dump()] for key, group in self.groups.items()]

    def load(self, state: Sequence[Any], usable: Callable[[str], bool]) -> None:
        """The inverse of :meth:`dump`, for rules that are still the same."""
        for name, labels, source, clock_ns, panes in state:
            if name in self._by_name and usable(name):
                key = (name, tuple((label, value) for label, value in labels))
                group = Group(self._by_name[name], key, (source[0], source[1]), clock_ns)
                group.panes.load(panes)
                self.groups[key] = group


def _roles(rule: Rule, series: Series) -> Iterator[str]:
    """What a series is to a rule: nothing, one part, or both parts of a ratio."""
    if any(selector.matches(series) for selector in rule.selectors):
        yield "numerator" if rule.statistic == "ratio" else "sketch" if rule.statistic in PERCENTILES else "value"
    if any(selector.matches(series) for selector in rule.denominator):
        yield "denominator"
