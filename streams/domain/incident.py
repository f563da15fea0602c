"""An incident: alerts that belong together, with its cause and the reasons (``agents.incidents``)."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import orjson

INCIDENT_SCHEMA: Final = "agents.incident/1"
Status = Literal["open", "resolved", "merged"]
CauseKind = Literal["service", "agent", "dependency", "deployment", "silence"]


def incident_id(fingerprint: str, starts_at_ns: int) -> str:
    """16 hex digits over the alert episode that opened it: the same log gives the same id."""
    return hashlib.sha256(f"{fingerprint}@{starts_at_ns}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Cause:
    """One place where it may have begun.

    Attributes:
        kind: ``dependency`` is something that sends no alerts itself (a model provider, a tool); ``silence`` several
            agents that fell silent at once (a network, a host).
        place: service, agent id, name of the dependency; for ``silence`` the agent ids, sorted, with commas.
        score: sum of the weights that spoke for it, about 0 to 1.5.
        reasons: what spoke for it, in words, each with its weight.
    """

    kind: CauseKind
    place: str
    score: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """One alert episode of an incident.

    Attributes:
        why: what joined it to the incident, in words ("" for the alert that opened it).
        suppressed: why nobody needs to be told of it apart from the incident (``maintenance``, ``acked``, ``symptom``,
            ``flapping``), "" where it speaks for itself.
        suppressed_by: who acked it or which maintenance it is, and why, in words.
        ends_at_ns: 0 while it fires.
    """

    fingerprint: str
    alertname: str
    severity: str
    service: str
    agent: str
    starts_at_ns: int
    ends_at_ns: int
    why: str
    suppressed: str = ""
    suppressed_by: str = ""


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident as it is known at one moment: a record of ``agents.incidents`` (key = incident id).

    Attributes:
        revision: grows with each record, over all incidents of the log: of two records the higher one counts.
        merged_into: the incident that took its members over (status ``merged``), else "".
        severity: the worst of its firing members (of all once it is resolved).
        causes: the likeliest first, at most five.
        members: by onset; ``services``: sorted.
        reopened: how often it came back after it was resolved.
        resolved_by: who resolved it and why, in words, "" where its alerts did; those that went on are acked.
    """

    incident_id: str
    revision: int
    status: Status
    merged_into: str
    severity: str
    environment: str
    title: str
    causes: tuple[Cause, ...]
    members: tuple[Member, ...]
    services: tuple[str, ...]
    opened_at_ns: int
    updated_at_ns: int
    resolved_at_ns: int
    reopened: int
    resolved_by: str = ""

    @property
    def fires(self) -> bool:
        """Whether an alert of it does; where somebody resolved it, it may."""
        return self.status != "merged" and any(not member.ends_at_ns for member in self.members)


def encode_incident(incident: Incident) -> bytes:
    """One record of ``agents.incidents``."""
    return orjson.dumps({"v": 1, "schema": INCIDENT_SCHEMA, **asdict(incident)})


def decode_incident(value: bytes) -> Incident:
    """The inverse of :func:`encode_incident`; unknown fields are ignored.

    Raises:
        ValueError: not an incident record.
    """
    body: dict[str, Any] = orjson.loads(value)
    if body.get("schema") != INCIDENT_SCHEMA:
        raise ValueError(f"not an incident record: schema {body.get('schema')!r}")
    own = {name: body[name] for name in Incident.__slots__ if name != "resolved_by"}
    own["resolved_by"] = body.get("resolved_by", "")  # older records have none
    own["causes"] = tuple(Cause(c["kind"], c["place"], c["score"], tuple(c["reasons"])) for c in body["causes"])
    own["members"] = tuple(Member(**{n: m[n] for n in Member.__slots__ if n in m}) for m in body["members"])
    own["services"] = tuple(body["services"])
    return Incident(**own)
