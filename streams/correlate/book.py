"""The open alerts, and the sequence numbers of all that ever were."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from streams.correlate.lifecycle import Alert, Reading, new_alert
from streams.correlate.rule import Rule
from streams.domain.alert import AlertTransition

Key = tuple[str, tuple[tuple[str, str], ...]]
"""Rule name and sorted identity labels (without ``alertname``)."""

MAX_OPEN: Final = 10_000
MAX_NUMBERS: Final = 100_000


def key_of(rule: Rule, labels: Iterable[tuple[str, str]]) -> Key:
    """What an alert is found by."""
    return rule.name, tuple(sorted(labels))


class AlertBook:
    """Steps alerts and keeps those that are pending or firing.

    Bounded: at most ``max_open`` open alerts, further ones are refused and counted (``refused_total``) until some
    resolve; sequence numbers of the last :data:`MAX_NUMBERS` fingerprints (one that comes back after that many others
    begins at 1 again).
    """

    def __init__(self, max_open: int = MAX_OPEN) -> None:
        self.max_open = max_open
        self.refused_total = 0
        self.alerts: dict[Key, Alert] = {}
        self.numbers: OrderedDict[str, int] = OrderedDict()
        self.orphans: list[AlertTransition] = []

    def is_open(self, key: Key) -> bool:
        """Pending or firing."""
        return key in self.alerts

    def step(self, rule: Rule, key: Key, reading: Reading) -> AlertTransition | None:
        """One reading of one group; the transition it makes."""
        alert = self.alerts.get(key)
        if alert is None:
            alert = self._begin(rule, key, reading)
            if alert is None:
                return None
        transition = alert.step(reading)
        if transition is not None:
            self._number(transition)
            if transition.state == "resolved":
                del self.alerts[key]
        return transition

    def _begin(self, rule: Rule, key: Key, reading: Reading) -> Alert | None:
        value = reading.value
        if value is None or not any(level.breached(value) for level in rule.levels):
            return None
        if len(self.alerts) >= self.max_open:
            self.refused_total += 1
            return None
        alert = new_alert(rule, dict(key[1]), 0)
        alert.seq = self.numbers.get(alert.fingerprint, 0)
        self.alerts[key] = alert
        return alert

    def _number(self, transition: AlertTransition) -> None:
        self.numbers[transition.fingerprint] = transition.seq
        self.numbers.move_to_end(transition.fingerprint)
        if len(self.numbers) > MAX_NUMBERS:
            self.numbers.popitem(last=False)

    def end_orphans(self, at_ns: int) -> Iterator[AlertTransition]:
        """Resolve alerts whose rule was changed or removed while we were away."""
        orphans, self.orphans = self.orphans, []
        for last in orphans:
            at_ns = max(at_ns, last.at_ns)
            ended = replace(
                last,
                seq=last.seq + 1,
                state="resolved",
                previous=last.state,
                annotations={**last.annotations, "resolution": "its rule was changed or removed"},
                at_ns=at_ns,
                ends_at_ns=at_ns,
            )
            self._number(ended)
            yield ended

    def active(self) -> list[AlertTransition]:
        """The last transition of each open alert, sorted by fingerprint."""
        found = [alert.last for alert in self.alerts.values() if alert.last is not None]
        return sorted((*found, *self.orphans), key=lambda transition: transition.fingerprint)
