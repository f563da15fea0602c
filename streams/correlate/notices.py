"""What Alertmanager is told of an incident: one alert for it, and a marker for each member nobody needs to hear of.

An alert's labels are its identity, so an incident can not be written into them later. Members therefore carry their own
fingerprint as a label from birth, and a marker with the same label makes Alertmanager inhibit them. If we are gone,
markers end by themselves and the members speak again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from streams.correlate.quality import handled
from streams.domain.alert import AlertTransition, State, fingerprint
from streams.domain.incident import Incident, Member

INCIDENT_ALERT: Final = "AgentIncident"
MARKER_ALERT: Final = "AgentIncidentMember"
MARKED_LABEL: Final = "fingerprint"
MAX_REASONS: Final = 3


def notices(incident: Incident, before: Incident | None, *, markers: bool) -> Iterator[AlertTransition]:
    """Transitions that bring Alertmanager from what ``before`` told it to what is true now.

    An incident of one alert is told by that alert, also where others were taken out. A merged one ends; its markers go
    on as those of the other. What was taken out ends to be marked, and its own incident may mark it again. An incident
    whose alerts all are acked or in maintenance is marked itself.

    Args:
        incident: as it is now.
        before: as it was told last, None if never.
        markers: whether members are marked at all.
    """
    led = len(incident.members) > 1
    if led or (before is not None and len(before.members) > 1):
        yield _incident(incident)
    if markers and _handled(incident) != (before is not None and _handled(before)):
        yield _own_marker(incident)
    if not markers or incident.status == "merged":
        return
    was = {member.fingerprint: member for member in before.members if member.suppressed} if before else {}
    now = {member.fingerprint: member for member in incident.members}
    for name in sorted(was.keys() | now.keys()):
        member = now.get(name) or replace(was[name], suppressed="", suppressed_by="")
        if bool(member.suppressed) != (name in was):
            yield _marker(member, incident, "firing" if member.suppressed else "resolved")


def standing(incident: Incident, *, markers: bool) -> Iterator[AlertTransition]:
    """All that Alertmanager should hold of an incident: what to repeat after a restart."""
    yield from (n for n in notices(incident, None, markers=markers) if n.state == "firing")


def _handled(incident: Incident) -> bool:
    """Whether it has an alert of its own that nobody needs to hear."""
    return len(incident.members) > 1 and handled(incident)


def _incident(incident: Incident) -> AlertTransition:
    cause = incident.causes[0]
    texts = {
        "summary": incident.title,
        "description": f"{cause.kind} {cause.place}: " + "; ".join(cause.reasons[:MAX_REASONS]),
        "cause": cause.place,
        "cause_kind": cause.kind,
        "other_causes": ", ".join(f"{c.place} ({c.score:.2f})" for c in incident.causes[1:3]),
        "members": str(len(incident.members)),
        "services": ", ".join(incident.services[:20]),
        "runbook": f"monitoring/runbooks/{INCIDENT_ALERT}.md",
    }
    if incident.status == "merged":
        texts["merged_into"] = incident.merged_into
    identity = {"incident.id": incident.incident_id, "environment": incident.environment}
    if incident.status == "open" and len(incident.members) == 1:
        texts["resolution"] = "one alert is left, which speaks for itself"
    state: State = "firing" if incident.status == "open" and len(incident.members) > 1 else "resolved"
    return _transition(INCIDENT_ALERT, identity, incident, state, incident.severity, texts)


def _marker(member: Member, incident: Incident, state: State) -> AlertTransition:
    reason = f"{member.suppressed} {member.suppressed_by}".strip() or "no longer suppressed"
    texts = {"reason": reason, "incident": incident.incident_id}
    return _transition(MARKER_ALERT, {MARKED_LABEL: member.fingerprint}, incident, state, "info", texts)


def _own_marker(incident: Incident) -> AlertTransition:
    hushed = _handled(incident)
    texts = {"reason": "all of it is acked or in maintenance" if hushed else "no longer suppressed"}
    identity = {MARKED_LABEL: _incident(incident).fingerprint}
    return _transition(MARKER_ALERT, identity, incident, "firing" if hushed else "resolved", "info", texts)


def _transition(
    name: str, identity: dict[str, str], incident: Incident, state: State, severity: str, texts: dict[str, str]
) -> AlertTransition:
    whole = {"alertname": name, **{label: value for label, value in identity.items() if value}}
    return AlertTransition(
        fingerprint=fingerprint(whole),
        seq=incident.revision,
        state=state,
        previous="",
        alertname=name,
        severity=severity,
        identity=whole,
        annotations=texts,
        starts_at_ns=incident.opened_at_ns,
        at_ns=incident.updated_at_ns,
        ends_at_ns=0 if state == "firing" else (incident.resolved_at_ns or incident.updated_at_ns),
        value=float(len(incident.members)),
        threshold=0.0,
    )
