"""What a subscriber wants to hear of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

from streams.domain.alert import SEVERITIES, AlertTransition
from streams.domain.incident import Incident
from streams.errors import ConfigurationError

STATES: Final = ("pending", "firing", "suppressed", "resolved", "open", "merged")
"""Of alerts the first four, of incidents the last three. One that fires and needs no notification is ``suppressed``."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """All that is given must hold.

    Attributes:
        severity: the least severe that is wanted: critical, high, warning or info; "" = any.
        states: of :data:`STATES`; empty = any.
        labels: label of an alert's identity (``alertname`` is one) to a pattern (``*`` and ``?``); an incident is
            wanted where one of its members has ``alertname``, ``service.name`` and ``agent.id`` so, and its own
            ``environment``; it has no other labels.
    """

    severity: str = ""
    states: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Checks the words.

        Raises:
            ConfigurationError: names the word and what is allowed.
        """
        if self.severity and self.severity not in SEVERITIES:
            raise ConfigurationError(f"severity is {self.severity!r}: allowed are {', '.join(SEVERITIES)}")
        unknown = sorted(self.states - set(STATES))
        if unknown:
            raise ConfigurationError(f"state is {unknown[0]!r}: allowed are {', '.join(STATES)}")

    def alert(self, alert: AlertTransition) -> bool:
        """Whether a transition is wanted."""
        labels = {"alertname": alert.alertname, **alert.identity}
        return self._severe(alert.severity) and self._in_state(state_of(alert)) and self._labelled(labels)

    def incident(self, incident: Incident) -> bool:
        """Whether a record of an incident is wanted."""
        if not self._severe(incident.severity) or not self._in_state(incident.status):
            return False
        own = {"environment": incident.environment}
        members = [
            {"alertname": m.alertname, "service.name": m.service, "agent.id": m.agent, **own} for m in incident.members
        ]
        return any(self._labelled(labels) for labels in members) if self.labels else True

    def _severe(self, severity: str) -> bool:
        if not self.severity or severity not in SEVERITIES:
            return not self.severity
        return SEVERITIES.index(severity) <= SEVERITIES.index(self.severity)

    def _in_state(self, state: str) -> bool:
        return not self.states or state in self.states

    def _labelled(self, labels: Mapping[str, str]) -> bool:
        return all(fnmatchcase(labels.get(name, ""), pattern) for name, pattern in self.labels.items())


def state_of(alert: AlertTransition) -> str:
    """One of :data:`STATES`."""
    return "suppressed" if alert.suppressed else alert.state


def read_labels(texts: Iterable[str]) -> dict[str, str]:
    """``label=pattern`` texts, as a command line has them.

    Raises:
        ConfigurationError: names the text.
    """
    found = {}
    for text in texts:
        name, equals, pattern = text.partition("=")
        if not name or not equals:
            raise ConfigurationError(f"{text!r} is no condition: write label=pattern, for example service.name=plan*")
        found[name] = pattern
    return found
