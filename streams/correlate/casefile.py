"""One incident while it lives: its members, why each joined, and what was last told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import orjson

from streams.correlate.affinity import Episode, episode
from streams.correlate.callgraph import CallGraph
from streams.correlate.cause import rank
from streams.correlate.remembered import Remembered, Suffered, remember
from streams.correlate.suppression import Reason, Suppression
from streams.correlate.weights import Weights
from streams.domain.alert import SEVERITIES, AlertTransition, decode_alert, encode_alert
from streams.domain.incident import Cause, Incident, Member, Status, decode_incident, encode_incident

MAX_BEGINNINGS: Final = 20


class CaseFile:
    """Members by fingerprint, in the order they joined; each at its last transition.

    Bounded by the operator that owns it; of a member's beginnings the last :data:`MAX_BEGINNINGS` are kept.

    Attributes:
        suffered: calls around it that suffered while it was open.
        apart: incidents that somebody has parted from this one: no link makes them one again.
    """

    def __init__(self, name: str, first: Episode) -> None:
        self.incident_id = name
        self.members: dict[str, Episode] = {first.fingerprint: first}
        self.why: dict[str, str] = {}
        self.begun: dict[str, list[int]] = {first.fingerprint: [first.transition.starts_at_ns]}
        self.opened_at_ns = first.transition.starts_at_ns
        self.resolved_at_ns = 0
        self.resolved_by = ""
        self.reopened = 0
        self.merged_into = ""
        self.suffered: Suffered = {}
        self.apart: set[str] = set()
        self.last: Incident | None = None

    def again(self, new: Episode) -> bool:
        """A member fires (again, or at another severity); True when the incident comes back by it.

        Where somebody resolved the incident, an episode that went on then does not bring it back.
        """
        began, before = self.begun[new.fingerprint], self.members[new.fingerprint].transition
        goes_on = before.state == "firing" and before.starts_at_ns == new.transition.starts_at_ns
        if new.transition.starts_at_ns not in began:
            self.begun[new.fingerprint] = [*began, new.transition.starts_at_ns][-MAX_BEGINNINGS:]
        self.members[new.fingerprint] = new
        if self.resolved_by and goes_on:
            return False
        self.resolved_by = ""
        back = bool(self.resolved_at_ns)
        self.reopened += back
        self.resolved_at_ns = 0
        return back

    def ended(self, transition: AlertTransition) -> bool:
        """A member is resolved; True when it was the last, and nobody resolved the incident before."""
        fingerprint = transition.fingerprint
        self.members[fingerprint] = self.members[fingerprint]._replace(transition=transition)
        if self.resolved_by or self.firing():
            return False
        self.resolved_at_ns = max(transition.ends_at_ns, self.opened_at_ns)
        return True

    def firing(self) -> list[Episode]:
        """Members that fire."""
        return [member for member in self.members.values() if member.transition.state == "firing"]

    def close(self, by: str, now_ns: int) -> None:
        """Somebody resolves it; ``by`` says who and why."""
        self.resolved_by, self.resolved_at_ns = by, max(now_ns, self.opened_at_ns)

    def unlink(self, fingerprint: str, name: str, why: str) -> CaseFile:
        """Takes a firing member out, into an incident of its own with that name; ``why`` is what it says there."""
        out = CaseFile(name, self.members.pop(fingerprint))
        out.begun[fingerprint] = self.begun.pop(fingerprint)
        self.why.pop(fingerprint, None)
        out.why[fingerprint] = why
        out.apart.add(self.incident_id)
        self.apart.add(name)
        if not self.firing():
            self.resolved_at_ns = max(self.opened_at_ns, *(m.transition.ends_at_ns for m in self.members.values()))
        return out

    def take(self, other: CaseFile, joiner: str, why: str) -> None:
        """All members of another incident, which ends by it; ``why`` is what the joining one's link says."""
        self.members |= other.members
        self.begun |= other.begun
        self.why |= other.why
        self.why[joiner] = why
        self.opened_at_ns = min(self.opened_at_ns, other.opened_at_ns)
        self.resolved_at_ns = 0 if self.firing() else max(self.resolved_at_ns, other.resolved_at_ns)
        self.resolved_by = "" if self.firing() else self.resolved_by
        self.suffered = other.suffered | self.suffered
        self.apart = (self.apart | other.apart) - {self.incident_id, other.incident_id}
        other.members, other.merged_into = {}, self.incident_id

    def tell(
        self,
        graph: CallGraph,
        deployments: Mapping[str, int],
        suppression: Suppression,
        now_ns: int,
        revision: int,
        weights: Weights,
    ) -> Incident | None:
        """The incident as it is now; None when nothing but the time has changed."""
        if self.merged_into:
            assert self.last is not None
            self.last = replace(
                self.last,
                revision=revision,
                status="merged",
                merged_into=self.merged_into,
                updated_at_ns=now_ns,
            )
            return self.last
        causes = self.last.causes if self.resolved_at_ns and self.last is not None else ()
        causes = causes or self._ranked(graph, deployments, weights)
        told = self._incident(causes, suppression, now_ns, revision, weights)
        if self.last is not None and told == replace(
            self.last, revision=told.revision, updated_at_ns=told.updated_at_ns
        ):
            return None
        self.last = told
        return told

    def _ranked(self, graph: CallGraph, deployments: Mapping[str, int], weights: Weights) -> tuple[Cause, ...]:
        members = list(self.members.values())
        remember(self.suffered, (member.service for member in members), graph)
        return rank(members, Remembered(graph, self.suffered), deployments, weights)

    def _incident(
        self, causes: tuple[Cause, ...], suppression: Suppression, now_ns: int, revision: int, weights: Weights
    ) -> Incident:
        firing = self.firing()
        severities = {m.transition.severity for m in firing or self.members.values()}
        status: Status = "resolved" if self.resolved_at_ns else "open"
        services = tuple(sorted({m.service for m in self.members.values()}))
        return Incident(
            incident_id=self.incident_id,
            revision=revision,
            status=status,
            merged_into="",
            severity=next((s for s in SEVERITIES if s in severities), "info"),
            environment=next((m.environment for m in self.members.values() if m.environment), ""),
            title=_title(causes[0], len(self.members), len(services)),
            causes=causes,
            members=self._members(suppression, now_ns, weights),
            services=services,
            opened_at_ns=self.opened_at_ns,
            updated_at_ns=now_ns,
            resolved_at_ns=self.resolved_at_ns,
            reopened=self.reopened,
            resolved_by=self.resolved_by,
        )

    def _members(self, suppression: Suppression, now_ns: int, weights: Weights) -> tuple[Member, ...]:
        rows = []
        for fingerprint, member in self.members.items():
            transition = member.transition
            inner = self._reasons(fingerprint, now_ns, weights)
            rows.append(
                Member(
                    fingerprint,
                    transition.alertname,
                    transition.severity,
                    member.service,
                    member.agent,
                    transition.starts_at_ns,
                    transition.ends_at_ns,
                    self.why.get(fingerprint, ""),
                    *suppression.judge(transition, self.incident_id, now_ns, inner),
                )
            )
        return tuple(sorted(rows, key=lambda row: (row.starts_at_ns, row.fingerprint)))

    def _reasons(self, fingerprint: str, now_ns: int, weights: Weights) -> list[Reason]:
        """What in the incident itself makes a notification of its own needless, the first that counts first."""
        since_ns = now_ns - round(weights.flapping_seconds * 1e9)
        flapping = sum(begun >= since_ns for begun in self.begun[fingerprint]) >= weights.flapping_times
        reasons: list[Reason] = ["symptom"] if len(self.members) > 1 else []
        return [*reasons, "flapping"] if flapping else reasons

    def dump(self) -> dict[str, Any]:
        """As JSON-able data."""
        return {
            "id": self.incident_id,
            "members": [orjson.Fragment(encode_alert(m.transition)) for m in self.members.values()],
            "why": self.why,
            "begun": self.begun,
            "opened_at_ns": self.opened_at_ns,
            "resolved_at_ns": self.resolved_at_ns,
            "reopened": self.reopened,
            "resolved_by": self.resolved_by,
            "suffered": [[*key, since_ns] for key, since_ns in self.suffered.items()],
            "apart": sorted(self.apart),
            "last": orjson.Fragment(encode_incident(self.last)) if self.last else None,
        }


def restored_case(row: Mapping[str, Any], weights: Weights) -> CaseFile:
    """The inverse of :meth:`CaseFile.dump`."""
    members = [episode(decode_alert(orjson.dumps(item)), weights) for item in row["members"]]
    case = CaseFile(row["id"], members[0])
    case.members = {member.fingerprint: member for member in members}
    case.why, case.begun = dict(row["why"]), dict(row["begun"])
    case.opened_at_ns, case.resolved_at_ns = row["opened_at_ns"], row["resolved_at_ns"]
    case.reopened, case.resolved_by = row["reopened"], row.get("resolved_by", "")  # older snapshots have none
    case.suffered = {(client, server): since_ns for client, server, since_ns in row.get("suffered", ())}
    case.apart = set(row.get("apart", ()))
    case.last = decode_incident(orjson.dumps(row["last"])) if row["last"] else None
    return case


def _title(cause: Cause, alerts: int, services: int) -> str:
    counted = f"{alerts} alert{'s' * (alerts > 1)} at {services} service{'s' * (services > 1)}"
    if cause.kind == "silence":
        return f"{cause.place.count(',') + 1} agents fell silent at once: {counted}"
    what = "a deployment of " * (cause.kind == "deployment") + cause.place
    return f"{what}: {counted}"
