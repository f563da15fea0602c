"""An alert and an incident."""

from __future__ import annotations

from typing import Any

from streams.domain.alert import AlertTransition
from streams.domain.incident import Cause, Incident, Member

SECOND = 1_000_000_000


def alert(**more: Any) -> AlertTransition:
    given: dict[str, Any] = {
        "fingerprint": "f1",
        "seq": 3,
        "state": "firing",
        "previous": "pending",
        "alertname": "AgentErrorsHigh",
        "severity": "high",
        "identity": {"alertname": "AgentErrorsHigh", "service.name": "planning", "agent.id": "a1"},
        "annotations": {"summary": "30 % of the steps of a1 fail"},
        "starts_at_ns": 5 * SECOND,
        "at_ns": 9 * SECOND,
        "ends_at_ns": 0,
        "value": 0.3,
        "threshold": 0.05,
    }
    return AlertTransition(**{**given, **more})


def incident(**more: Any) -> Incident:
    member = Member("f1", "AgentErrorsHigh", "high", "planning", "a1", 5 * SECOND, 0, "")
    given: dict[str, Any] = {
        "incident_id": "i1",
        "revision": 7,
        "status": "open",
        "merged_into": "",
        "severity": "high",
        "environment": "prod",
        "title": "planning fails",
        "causes": (Cause("dependency", "contoso", 0.9, ("all callers fail (0.4)", "began first (0.5)")),),
        "members": (member,),
        "services": ("planning",),
        "opened_at_ns": 5 * SECOND,
        "updated_at_ns": 9 * SECOND,
        "resolved_at_ns": 0,
        "reopened": 0,
    }
    return Incident(**{**given, **more})
