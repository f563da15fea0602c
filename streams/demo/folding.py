"""Alerts and the incidents that they are folded into: what an operator was told, and of how much apart from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from streams.demo.notices import Notices
from streams.demo.plan import SECOND_NS
from streams.demo.screen import number
from streams.demo.watch import Seen, Step
from streams.domain.incident import Incident

MOST_INCIDENTS: Final = 5
"""Of the summary: the largest."""


@dataclass(frozen=True, slots=True)
class Folded:
    """An incident with alerts of the fault: how many of them were notified apart from it, and when it was."""

    incident: Incident
    apart: int
    told_ns: int | None


def make_folded(after_ns: int, seen: Seen, notices: Notices | None) -> list[Folded]:
    """Incidents of several alerts of which one fired after a moment, the largest first."""
    found = [_folded(incident, after_ns, seen, notices) for incident in seen.incidents.values()]
    return sorted((one for one in found if one is not None), key=lambda one: -len(one.incident.members))


def _folded(incident: Incident, after_ns: int, seen: Seen, notices: Notices | None) -> Folded | None:
    lives = [seen.alerts.get(member.fingerprint, ()) for member in incident.members]
    fired = [step for life in lives if (step := first_firing(life, after_ns))]
    if len(incident.members) < 2 or not fired or incident.status == "merged":
        return None
    if notices is None:
        return Folded(incident, 0, None)
    apart = sum(told_apart(step, notices) for step in fired)
    return Folded(incident, apart, notices.first_of_incident(incident.incident_id, "firing", after_ns))


def first_firing(steps: Sequence[Step], after_ns: int) -> Step | None:
    """The first step to firing whose event time is after a moment."""
    return next((s for s in steps if s.transition.state == "firing" and s.transition.at_ns > after_ns), None)


def told_apart(fired: Step, notices: Notices | None) -> bool:
    """Whether Alertmanager notified an alert itself."""
    return notices is not None and notices.first(fired.transition, "firing", fired.published_ns) is not None


def told_of_incident(fired: Step, seen: Seen, notices: Notices | None) -> tuple[int | None, int | None]:
    """When Alertmanager first told of an incident that holds an alert, and of its end."""
    if notices is None:
        return None, None
    for incident in seen.incidents.values():
        if all(m.fingerprint != fired.transition.fingerprint for m in incident.members):
            continue
        began_ns = notices.first_of_incident(incident.incident_id, "firing", fired.transition.starts_at_ns)
        if began_ns is not None:
            return began_ns, notices.end_of_incident(incident.incident_id, began_ns)
    return None, None


def counted(count: int, noun: str) -> str:
    """A number and what it counts."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def folded_lines(one: Folded, since_ns: int) -> list[str]:
    """An incident for the summary, its cause first."""
    cause = one.incident.causes[0]
    seconds = None if one.told_ns is None else (one.told_ns - since_ns) / SECOND_NS
    told = "not notified" if seconds is None else f"notified after {number(seconds, 's', 1)}"
    return [
        f"  Incident of {len(one.incident.members)} alerts, {told}; {one.apart} of them were notified apart from it",
        f"    {one.incident.title}",
        f"    cause: {cause.kind} {cause.place} ({cause.score:.2f}): {'; '.join(cause.reasons[:2])}",
    ]
