"""Rules over closed windows that have already been: what would have fired, how often. Nobody is told anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from streams.correlate.operator import CorrelateOperator
from streams.correlate.rule import Rule
from streams.domain.alert import SEVERITIES, AlertTransition
from streams.domain.anomaly import Anomaly
from streams.domain.window import WindowBatch

MOST_TIMES = 1_000
"""Beginnings kept per rule; later ones are counted only."""


@dataclass
class Outcome:
    """One rule's alerts over the history.

    Attributes:
        fired: alerts that began to fire; resolved: of those, how many ended.
        groups: label sets that fired.
        worst: the highest severity, "" where none fired.
        began_ns: event times at which they began, the first :data:`MOST_TIMES`.
    """

    fired: int = 0
    pending: int = 0
    resolved: int = 0
    groups: set[str] = field(default_factory=set)
    worst: str = ""
    began_ns: list[int] = field(default_factory=list)

    def take(self, transition: AlertTransition) -> None:
        """Count one transition."""
        if transition.state == "pending":
            self.pending += 1
        elif transition.state == "resolved":
            self.resolved += transition.previous == "firing"
        else:
            self._firing(transition)

    def _firing(self, transition: AlertTransition) -> None:
        if transition.previous != "firing":
            self.fired += 1
            self.groups.add(transition.fingerprint)
            if len(self.began_ns) < MOST_TIMES:
                self.began_ns.append(transition.at_ns)
        if not self.worst or SEVERITIES.index(transition.severity) > SEVERITIES.index(self.worst):
            self.worst = transition.severity


class Rehearsal:
    """One set of rules over any number of partitions of windows, each with an operator of its own, as live.

    Args:
        rules: to try.
        window_seconds: base size; batches of other sizes are not read.

    Attributes:
        outcomes: per rule, all rules, in the order of the file.
        windows: batches applied.
    """

    def __init__(self, rules: Sequence[Rule], window_seconds: float = 10.0) -> None:
        self._rules = tuple(rules)
        self._window_seconds = window_seconds
        self._operators: dict[int, CorrelateOperator] = {}
        self.outcomes = {rule.name: Outcome() for rule in rules}
        self.windows = 0

    def apply(self, partition: int, batch: WindowBatch, anomalies: Sequence[Anomaly] = ()) -> list[AlertTransition]:
        """One closed window of one partition of ``agents.windows``, in the order of the log."""
        operator = self._operators.get(partition)
        if operator is None:
            operator = CorrelateOperator(self._rules, window_seconds=self._window_seconds)
            self._operators[partition] = operator
        self.windows += 1
        made = operator.apply(batch, anomalies) + operator.advance(batch.end_ns)
        self._take(made)
        return made

    def _take(self, made: Iterable[AlertTransition]) -> None:
        for transition in made:
            self.outcomes[transition.alertname].take(transition)
