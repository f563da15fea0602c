"""Alerts, call edges, deployments, acks and maintenance in, incidents out: a fold in the order of its inputs.

Every firing alert belongs to exactly one incident. It opens one of its own unless a link
(``streams.correlate.affinity``) to a member of another is strong enough; two incidents between which such a link
appears merge into the older one. What has joined stays, unless somebody takes it out. An incident ends with its last
member and comes back when a member does so soon.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import Any, Final, Literal

import orjson

from streams.correlate.affinity import Episode, Together, episode, link
from streams.correlate.callgraph import CallGraph
from streams.correlate.casefile import CaseFile, restored_case
from streams.correlate.closing import Refusal, refusal, unlinking
from streams.correlate.ratecap import RateCap
from streams.correlate.suppression import Suppression
from streams.correlate.weights import Weights
from streams.domain.alert import AlertTransition
from streams.domain.control import Ack, Close, Control, Unlink
from streams.domain.incident import Incident, incident_id
from streams.domain.trace import Edge
from streams.domain.upgrade import upgraded

FORMAT_VERSION: Final = 1
MAX_DEPLOYMENTS: Final = 1_000
MAX_COMPARED: Final = 500
MAX_SEQUENCES: Final = 100_000


class IncidentOperator:
    """All incidents of one log of findings.

    Bounded: ``max_incidents`` (the one that ended first leaves; while all are open a new alert gets none, counted as
    ``refused``), ``max_members`` alerts in one (it takes no more, further ones open their own), ``max_edges`` edges,
    1,000 deployments, the sequence numbers of the last 100,000 alerts; an alert is compared with the 500 newest at
    most. Incidents that ended leave after ``reopen_seconds``.

    Attributes:
        counts: ``stale`` transitions (seen before), ``refused`` alerts, ``opened``, ``merged``, ``reopened``,
            ``resolved`` incidents, ``unlinked`` alerts, ``restarts`` (a snapshot that was not used), ``unknown``,
            ``over``, ``overtaken``, ``full``, ``alone`` (what was said and not done, see
            :mod:`streams.correlate.closing`).
        refused: the last of these, "" where what was said last was done.
    """

    def __init__(
        self,
        weights: Weights | None = None,
        *,
        max_incidents: int = 2_000,
        max_members: int = 1_000,
        max_edges: int = 20_000,
        max_pairs: int = 20_000,
    ) -> None:
        self.weights = weights or Weights()
        self.counts: Counter[str] = Counter()
        self.refused: Refusal = ""
        self._bounds = (max_incidents, max_members, max_edges, max_pairs)
        self._clear()

    def _clear(self) -> None:
        self._max_incidents, self._max_members, max_edges, max_pairs = self._bounds
        self.now_ns = 0
        self.revision = 0
        self.graph = CallGraph(self.weights, max_edges)
        self.together = Together(max_pairs)
        self.cases: OrderedDict[str, CaseFile] = OrderedDict()
        self.deployments: OrderedDict[str, int] = OrderedDict()
        self.suppression = Suppression(RateCap(self.weights.cap_alerts, self.weights.cap_seconds))
        self._case_of: dict[str, str] = {}
        self._at: dict[str, dict[str, None]] = {}
        self._sequences: OrderedDict[str, int] = OrderedDict()

    def alert(self, transition: AlertTransition) -> list[Incident]:
        """One transition. Pending ones wait; one whose number is not newer than the last of its alert is ignored."""
        if transition.state == "pending":
            return []
        if transition.seq <= self._sequences.get(transition.fingerprint, -1):
            self.counts["stale"] += 1
            return []
        self._sequences.pop(transition.fingerprint, None)
        self._sequences[transition.fingerprint] = transition.seq
        if len(self._sequences) > MAX_SEQUENCES:
            self._sequences.popitem(last=False)
        turned = self._advance(transition.at_ns)
        changed = self._resolved(transition) if transition.state == "resolved" else self._firing(transition)
        return self._publish(changed | turned)

    def edge(self, edge: Edge) -> list[Incident]:
        """One record of ``agents.edges``; when its calls begin to suffer, alerts around it are compared again."""
        turned = self._advance(edge.last_seen_ns)
        if not self.graph.add(edge):
            return self._publish(turned)
        around = self._around(edge.client) | self._around(edge.server)
        return self._publish(self._join(around) | turned)

    def control(self, control: Control) -> list[Incident]:
        """What somebody says: the incidents in which it changes something."""
        self.refused = ""
        if isinstance(control, Close):
            return self._publish(self._close(control))
        if isinstance(control, Unlink):
            return [incident for name in self._unlink(control) for incident in self._publish({name})]
        self.suppression.take(control)
        if isinstance(control, Ack):
            return self._publish({self._case_of.get(control.target, control.target)})
        return self._publish(self._unresolved())

    def _close(self, close: Close) -> set[str]:
        """Resolved by hand: alerts of it that go on are acked until they end."""
        case, into = self.cases.get(close.incident_id), self.cases.get(close.into)
        if self._refuses(refusal(close, case, into, self._max_members)) or case is None:
            return set()
        if into is not None:
            return self._merge(into, case, next(iter(case.members)), f"{close.by}: {close.why}")
        for member in case.firing():
            self.suppression.take(Ack(member.fingerprint, close.by, close.why, self.now_ns))
        case.close(f"{close.by}: {close.why}", self.now_ns)
        self._over(case)
        return {case.incident_id}

    def _unlink(self, unlink: Unlink) -> list[str]:
        """The incident first, then that of the alert: the latter says last whether the alert speaks for itself."""
        case, fingerprint = self.cases.get(unlink.incident_id), unlink.fingerprint
        if self._refuses(unlinking(unlink, case) or self._crowded()) or case is None:
            return []
        name = incident_id(f"{case.incident_id}/{fingerprint}", unlink.at_ns)
        self.cases[name] = case.unlink(
            fingerprint, name, f"taken out of {case.incident_id} by {unlink.by}: {unlink.why}"
        )
        self._case_of[fingerprint] = name
        self.counts["unlinked"] += 1
        self.counts["opened"] += 1
        if case.resolved_at_ns:
            self._over(case)
        return [case.incident_id, name]

    def _refuses(self, reason: Refusal) -> bool:
        self.refused = reason
        self.counts[reason] += bool(reason)
        return bool(reason)

    def _over(self, case: CaseFile) -> None:
        self.counts["resolved"] += 1
        self.suppression.ended(case.incident_id)
        self.together.learn(member.kind for member in case.members.values())

    def deployed(self, service: str, at_ns: int) -> None:
        """A version of a service went out."""
        self.deployments.pop(service, None)
        self.deployments[service] = at_ns
        if len(self.deployments) > MAX_DEPLOYMENTS:
            self.deployments.popitem(last=False)

    def open(self) -> list[Incident]:
        """All that are open, as last published, oldest first."""
        return [incident for incident in self.firing() if incident.status == "open"]

    def firing(self) -> list[Incident]:
        """All with a firing member, as last published, oldest first; one that was resolved by hand may have some."""
        found = [case.last for case in self.cases.values() if case.last is not None and case.last.fires]
        return sorted(found, key=lambda incident: (incident.opened_at_ns, incident.incident_id))

    def _advance(self, at_ns: int) -> set[str]:
        """Time goes on; incidents that may read otherwise because maintenance or an ack begins or ends by it."""
        step_ns, turned = 10 * 10**9, False
        if at_ns // step_ns > self.now_ns // step_ns:
            self.graph.advance(at_ns)
            limit_ns = at_ns - round(self.weights.reopen_seconds * 1e9)
            for case in [c for c in self._ended() if c.resolved_at_ns < limit_ns]:
                self._forget(case)
            turned = self.suppression.turned(self.now_ns // step_ns * step_ns, at_ns // step_ns * step_ns)
        self.now_ns = max(self.now_ns, at_ns)
        return self._unresolved() if turned else set()

    def _ended(self) -> list[CaseFile]:
        return [case for case in self.cases.values() if case.resolved_at_ns and not case.firing()]

    def _unresolved(self) -> set[str]:
        return {name for name, case in self.cases.items() if not case.resolved_at_ns}

    def _forget(self, case: CaseFile) -> None:
        self._drop(case.incident_id)
        for fingerprint, member in case.members.items():
            del self._case_of[fingerprint]
            self._leave(fingerprint, member)

    def _drop(self, name: str) -> None:
        """The incident is not known any more."""
        for other in self.cases.pop(name).apart:
            self.cases[other].apart.discard(name)

    def _leave(self, fingerprint: str, member: Episode) -> None:
        for place in {member.service, member.family}:
            self._at[place].pop(fingerprint, None)
            if not self._at[place]:
                del self._at[place]

    def _firing(self, transition: AlertTransition) -> set[str]:
        fingerprint = transition.fingerprint
        new = episode(transition, self.weights)
        known = self._case_of.get(fingerprint)
        if known is not None:
            self.counts["reopened"] += self.cases[known].again(new)
        elif not self._open(new):
            return set()
        for place in {new.service, new.family}:
            self._at.setdefault(place, {}).pop(fingerprint, None)
            self._at[place][fingerprint] = None
        if new.family == "silence":
            self.graph.silent.add(new.service)
            around = self._around(new.service)
        else:
            around = {fingerprint}
        return {self._case_of[fingerprint]} | self._join(around | {fingerprint})

    def _open(self, new: Episode) -> bool:
        if self._crowded():
            self.counts["refused"] += 1
            return False
        name = incident_id(new.fingerprint, new.transition.starts_at_ns)
        self.cases[name] = CaseFile(name, new)
        self._case_of[new.fingerprint] = name
        self.counts["opened"] += 1
        return True

    def _crowded(self) -> Literal["", "full"]:
        """Whether all incidents that there may be are open; the one that ended first leaves where that makes room."""
        if len(self.cases) < self._max_incidents:
            return ""
        ended = self._ended()
        if not ended:
            return "full"
        self._forget(min(ended, key=lambda case: (case.resolved_at_ns, case.incident_id)))
        return ""

    def _resolved(self, transition: AlertTransition) -> set[str]:
        name = self._case_of.get(transition.fingerprint)
        if name is None:
            return set()
        case = self.cases[name]
        member = case.members[transition.fingerprint]
        self.suppression.cap.ended(member.transition)
        if case.ended(transition):
            self._over(case)
        if member.family == "silence":
            still = (self._member(f) for f in self._at.get(member.service, ()))
            if not any(m.family == "silence" and m.transition.state == "firing" for m in still):
                self.graph.silent.discard(member.service)
        return {name}

    def transition(self, fingerprint: str) -> AlertTransition | None:
        """The last transition of an alert that is in an incident."""
        return self._member(fingerprint).transition if fingerprint in self._case_of else None

    def alertnames(self, target: str) -> set[str]:
        """Names of the alerts that an incident id or a fingerprint stands for; none where it is not known any more."""
        if target in self.cases:
            return {member.transition.alertname for member in self.cases[target].members.values()}
        found = self.transition(target)
        return {found.alertname} if found is not None else set()

    def _member(self, fingerprint: str) -> Episode:
        return self.cases[self._case_of[fingerprint]].members[fingerprint]

    def _around(self, service: str) -> set[str]:
        """Alerts that a service's calls may link: its own, its callers', its callees', those of who shares a callee."""
        below = self.graph.below(service) | self.graph.callees.get(service, set())
        above = self.graph.above(service) | self.graph.callers.get(service, set())
        near = {service} | below | above
        for place in self.graph.below(service) | self.graph.above(service):
            near |= self.graph.above(place) | self.graph.below(place)
        return {fingerprint for place in near for fingerprint in self._at.get(place, ())}

    def _join(self, fingerprints: Iterable[str]) -> set[str]:
        """Compares alerts with those around them; incidents that changed."""
        changed: set[str] = set()
        for fingerprint in sorted(fingerprints):
            mine = self._member(fingerprint)
            for other in self._candidates(mine):
                if self._case_of[other] != self._case_of[fingerprint]:
                    changed |= self._compare(mine, self._member(other))
        return changed

    def _candidates(self, mine: Episode) -> list[str]:
        near = self._around(mine.service)
        if mine.family in ("silence", "security"):
            near |= self._at.get(mine.family, {}).keys()
        else:  # labels and what was together before may link what no call does
            near |= set(list(self._at.get(mine.family, {}))[-MAX_COMPARED:])
        near.discard(mine.fingerprint)
        return sorted(near, key=lambda f: (-self._member(f).transition.starts_at_ns, f))[:MAX_COMPARED]

    def _compare(self, mine: Episode, other: Episode) -> set[str]:
        strength, why = link(mine, other, self.graph, self.together, self.weights)
        one, two = self.cases[self._case_of[mine.fingerprint]], self.cases[self._case_of[other.fingerprint]]
        full = len(one.members) + len(two.members) > self._max_members
        over = one.resolved_at_ns and two.resolved_at_ns
        if strength < self.weights.join or full or over or two.incident_id in one.apart:
            return set()
        older, newer = sorted((one, two), key=lambda case: (case.last is None, case.opened_at_ns, case.incident_id))
        joiner = mine if mine.fingerprint in newer.members else other
        return self._merge(older, newer, joiner.fingerprint, f"{why} ({strength:.2f})")

    def _merge(self, case: CaseFile, part: CaseFile, joiner: str, why: str) -> set[str]:
        """The second becomes a part of the first; ``why`` is what the link of the joining member says."""
        for fingerprint in part.members:
            self._case_of[fingerprint] = case.incident_id
        for other in part.apart - {case.incident_id}:
            self.cases[other].apart.add(case.incident_id)
        self.suppression.merged(part.incident_id, part.members, self.now_ns)
        case.take(part, joiner, why)
        if part.last is None:  # nobody has heard of it
            self._drop(part.incident_id)
            self.counts["opened"] -= 1
        else:
            self.counts["merged"] += 1
        return {case.incident_id, part.incident_id}

    def _publish(self, names: Iterable[str]) -> list[Incident]:
        told = []
        for name in sorted(set(names) & self.cases.keys()):
            incident = self.cases[name].tell(
                self.graph, self.deployments, self.suppression, self.now_ns, self.revision + 1, self.weights
            )
            if incident is not None:
                told.append(incident)
                self.revision = incident.revision
            if not self.cases[name].members:
                self._drop(name)
        return told

    def snapshot(self) -> bytes:
        """Everything that decides later incidents, as JSON (UTF-8)."""
        return orjson.dumps(
            {
                "v": FORMAT_VERSION,
                "now_ns": self.now_ns,
                "revision": self.revision,
                "edges": self.graph.dump(),
                "silent": sorted(self.graph.silent),
                "together": self.together.dump(),
                "deployments": list(self.deployments.items()),
                "control": self.suppression.dump(),
                "cap": self.suppression.cap.dump(),
                "sequences": list(self._sequences.items()),
                "cases": [case.dump() for case in self.cases.values()],
                "order": [[place, list(found)] for place, found in self._at.items()],
            }
        )

    def restore(self, data: bytes) -> str:
        """Replaces the state by a snapshot's; the reason where it cannot be used (then the state is empty, counted).

        Raises:
            StateVersionError: written by a newer version of this code.
        """
        self._clear()
        try:
            self._load(upgraded("the state of incidents", orjson.loads(data), FORMAT_VERSION, {}))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            self._clear()
            self.counts["restarts"] += 1
            return f"not a snapshot of incidents: {error!r}"
        return ""

    def _load(self, body: dict[str, Any]) -> None:
        self.now_ns, self.revision = int(body["now_ns"]), int(body["revision"])
        self.graph.load(body["edges"])
        self.graph.silent = set(body["silent"])
        self.together.load(body["together"])
        self.deployments = OrderedDict(body["deployments"])
        self.suppression.load(body.get("control", ()))  # older snapshots have none, and none of the cap
        if "cap" in body:
            self.suppression.cap.load(body["cap"])
        self._sequences = OrderedDict(body["sequences"])
        for row in body["cases"]:
            case = restored_case(row, self.weights)
            self.cases[case.incident_id] = case
            self._case_of.update(dict.fromkeys(case.members, case.incident_id))
        self._at = {place: dict.fromkeys(found) for place, found in body["order"]}
