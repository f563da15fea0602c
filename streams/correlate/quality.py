"""What alerting is worth, as figures: how much is folded, how soon people and we are, how often people say noise."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

from streams.correlate.suppression import HANDLED
from streams.domain.alert import AlertTransition
from streams.domain.control import Ack
from streams.domain.incident import Incident, Member

INCIDENTS: Final = "incidents"
EPISODES: Final = "alert_episodes"
SUPPRESSED: Final = "alerts_suppressed"
SECONDS: Final = "incident_seconds"
DETECTED: Final = "alert_detection"
JUDGED: Final = "alerts_judged"
UNKNOWN: Final = "unknown"


class Figure(NamedTuple):
    """One thing to count, or a time to observe. ``name``: one of this module's; ``value``: 1, or seconds."""

    name: str
    labels: tuple[str, ...]
    value: float = 1.0


def of_incident(incident: Incident, before: Incident | None) -> Iterator[Figure]:
    """What a new record of an incident says beside the last one.

    ``incidents`` by what became of them (opened, reopened, merged, resolved; ``not_closed``, ``not_unlinked``: somebody
    wanted it, see :mod:`streams.correlate.closing`); ``incident_seconds`` from its first alert until it was ``handled``
    (all that fires is acked or in maintenance) and until it was ``resolved``.
    """
    was_open = before is None or before.status == "open"
    if before is None:
        yield Figure(INCIDENTS, ("opened",))
    elif incident.reopened > before.reopened:
        yield Figure(INCIDENTS, ("reopened",))
    if incident.status != "open" and was_open:
        yield Figure(INCIDENTS, (incident.status,))
    if incident.status == "resolved" and was_open:
        yield Figure(SECONDS, ("resolved",), (incident.resolved_at_ns - incident.opened_at_ns) / 1e9)
    if handled(incident) and not (before is not None and handled(before)):
        yield Figure(SECONDS, ("handled",), (incident.updated_at_ns - incident.opened_at_ns) / 1e9)


def handled(incident: Incident) -> bool:
    """Whether people know of all that fires in it."""
    firing = [member for member in incident.members if not member.ends_at_ns]
    return incident.status == "open" and bool(firing) and all(m.suppressed in HANDLED for m in firing)


def of_alert(transition: AlertTransition) -> Iterator[Figure]:
    """An episode that begins: ``alert_episodes`` and ``alert_detection``, by severity.

    The latter are seconds of event time from the first window on the bad side until it fired, ``for`` included.
    """
    if transition.state == "firing" and transition.previous != "firing":
        yield Figure(EPISODES, (transition.severity,))
        yield Figure(DETECTED, (transition.severity,), (transition.at_ns - transition.starts_at_ns) / 1e9)


def of_ack(ack: Ack, alertnames: Collection[str]) -> Iterator[Figure]:
    """``alerts_judged`` by alertname and verdict, where somebody said useful or noise."""
    if ack.verdict and not ack.cleared:
        yield from (Figure(JUDGED, (name, ack.verdict)) for name in sorted(alertnames) or (UNKNOWN,))


class Standing:
    """Which alerts need no notification of their own, as it was told last.

    Bounded by the members of open incidents: an alert leaves when it is resolved or its incident ends.
    """

    def __init__(self) -> None:
        self._told: dict[str, tuple[int, str, str]] = {}

    def take(self, incident: Incident) -> list[tuple[Member, bool]]:
        """Firing members for which it changed, or that are silent in another incident than before.

        Each with whether its episode is suppressed for the first time.
        """
        if incident.status == "merged":
            return []
        changed = []
        for member in incident.members:
            if member.ends_at_ns:
                self._told.pop(member.fingerprint, None)
                continue
            starts_ns, before, where = self._told.get(member.fingerprint, (member.starts_at_ns, "", ""))
            self._told[member.fingerprint] = (member.starts_at_ns, member.suppressed, incident.incident_id)
            if member.suppressed != before or (before and where != incident.incident_id):
                changed.append((member, not before or starts_ns != member.starts_at_ns))
        return changed

    def __len__(self) -> int:
        return len(self._told)
