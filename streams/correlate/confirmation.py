"""K of N: an anomaly becomes an alert when k of the last n windows of its series were strange."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from streams.correlate import template
from streams.correlate.book import Key, key_of
from streams.correlate.lifecycle import Reading
from streams.correlate.limits import MAX_AGE_NS
from streams.correlate.rule import Rule
from streams.domain.anomaly import Anomaly

METRIC_LABEL = "metric"
"""Identity label of an anomaly alert beside the labels of its series."""


@dataclass(slots=True)
class Strange:
    """Which of the last n windows were strange. ``figures`` and ``evidence`` are of the strangest window of these."""

    window_ns: int
    clock_ns: int = 0
    starts: list[int] = field(default_factory=list)
    score: float = 0.0
    figures: dict[str, str] = field(default_factory=dict)
    evidence: dict[str, Any] = field(default_factory=dict)

    def read(self, n: int, at_ns: int) -> Reading:
        """How many of the n windows before ``at_ns`` were strange; nothing to say when none was."""
        self.clock_ns = max(self.clock_ns, at_ns)
        first_ns = self.clock_ns - n * self.window_ns
        self.starts = [start for start in self.starts if start >= first_ns]
        if not self.starts:
            self.score = 0.0
            return Reading(self.clock_ns, 0.0)
        return Reading(self.clock_ns, float(len(self.starts)), self.figures, (self.evidence,))


class Confirmation:
    """All anomaly rules. Bounded: ``max_groups`` series, the least recently strange leaves; none older than an hour.

    Anomalies may come more than once and out of order within the n windows: each window counts once.
    """

    def __init__(self, rules: Sequence[Rule], max_groups: int) -> None:
        self.rules = [rule for rule in rules if rule.kind == "anomaly"]
        self.max_groups = max_groups
        self.stale_total = 0
        self.groups: OrderedDict[Key, Strange] = OrderedDict()
        self._by_name = {rule.name: rule for rule in self.rules}

    def apply(self, anomalies: Sequence[Anomaly]) -> Iterator[tuple[Rule, Key, Reading]]:
        """Take in anomalies; a reading for each group they touched, in order of time, rule and labels."""
        for anomaly in sorted(anomalies, key=lambda a: (a.start_ns, a.series.name, a.series.labels, a.feature)):
            for rule in self._takers(anomaly):
                key = _key(rule, anomaly)
                if self._note(rule, key, anomaly):
                    yield rule, key, self.groups[key].read(rule.confirm[1], anomaly.end_ns)

    def _takers(self, anomaly: Anomaly) -> list[Rule]:
        """Rules that name this kind of series and side; where there are none, those that name no series."""
        sided = [rule for rule in self.rules if _on_side(rule, anomaly)]
        named = [rule for rule in sided if any(selector.matches(anomaly.series) for selector in rule.selectors)]
        return named or [rule for rule in sided if not rule.selectors]

    def _note(self, rule: Rule, key: Key, anomaly: Anomaly) -> bool:
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Strange(anomaly.end_ns - anomaly.start_ns)
            if len(self.groups) > self.max_groups:
                self.groups.popitem(last=False)
        known = anomaly.start_ns in group.starts
        if known or anomaly.end_ns <= group.clock_ns - rule.confirm[1] * group.window_ns:
            self.stale_total += 1
            return False
        self.groups.move_to_end(key)
        group.starts.append(anomaly.start_ns)
        if anomaly.score.score >= group.score:
            group.score = anomaly.score.score
            group.figures, group.evidence = _figures(anomaly), _evidence(anomaly)
        return True

    def due(
        self, keys: Sequence[Key], at_ns: int, is_open: Callable[[Key], bool]
    ) -> Iterator[tuple[Rule, Key, Reading]]:
        """Readings of open alerts as time moves on, one per window up to ``at_ns``."""
        for key in keys:
            rule, group = self._by_name.get(key[0]), self.groups.get(key)
            if rule is not None and group is None:
                yield rule, key, Reading(at_ns, None)
            elif rule is not None and group is not None:
                while is_open(key) and group.clock_ns + group.window_ns <= at_ns:
                    yield rule, key, group.read(rule.confirm[1], group.clock_ns + group.window_ns)

    def forget(self, at_ns: int, is_open: Callable[[Key], bool]) -> None:
        """Drop series that were not strange for an hour."""
        while self.groups:
            key, oldest = next(iter(self.groups.items()))
            if is_open(key) or oldest.clock_ns >= at_ns - MAX_AGE_NS:
                return
            del self.groups[key]

    def dump(self) -> list[Any]:
        """As JSON-able data, least recently strange first."""
        return [
            [*key, g.window_ns, g.clock_ns, g.starts, g.score, g.figures, g.evidence] for key, g in self.groups.items()
        ]

    def load(self, state: Sequence[Any], usable: Callable[[str], bool]) -> None:
        """The inverse of :meth:`dump`, for rules that are still the same."""
        for name, labels, *fields in state:
            if name in self._by_name and usable(name):
                self.groups[name, tuple((label, value) for label, value in labels)] = Strange(*fields)


def _on_side(rule: Rule, anomaly: Anomaly) -> bool:
    above = anomaly.value > anomaly.score.expected
    return not rule.side or above == (rule.side == "above")


def _key(rule: Rule, anomaly: Anomaly) -> Key:
    labels = [pair for pair in anomaly.series.labels if pair[0] not in rule.drop_labels and pair[1]]
    return key_of(rule, [*labels, (METRIC_LABEL, anomaly.series.name)])


def _figures(anomaly: Anomaly) -> dict[str, str]:
    unit, score = anomaly.series.unit, anomaly.score
    return {
        "metric": anomaly.series.name,
        "feature": anomaly.feature,
        "observed": template.figure(anomaly.value, unit),
        "expected": template.figure(score.expected, unit),
        "lower": template.figure(score.lower, unit),
        "upper": template.figure(score.upper, unit),
        "score": f"{score.score:.6g}",
        "detector": anomaly.detector,
        "unit": unit,
    }


def _evidence(anomaly: Anomaly) -> dict[str, Any]:
    return {
        "series_id": anomaly.series.id,
        "metric": anomaly.series.name,
        "feature": anomaly.feature,
        "start_ns": anomaly.start_ns,
        "end_ns": anomaly.end_ns,
        "value": anomaly.value,
        "expected": anomaly.score.expected,
        "lower": anomaly.score.lower,
        "upper": anomaly.score.upper,
        "score": anomaly.score.score,
        "detector": anomaly.detector,
    }
