"""The one place where incidents are formed: findings of all partitions in, incidents and their alerts out.

``agents.findings`` has one partition, so it has one owner in the group of the alerts role, and its order is the order
in which alerts and calls are seen: the same log gives the same incidents.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from aiokafka import ConsumerRecord

from streams import topics
from streams.app.keeper import Keeper
from streams.app.outbox import Step
from streams.app.part import Restored, Tickless
from streams.app.sink import Output, dead_letter_output
from streams.correlate import quality
from streams.correlate.deployments import DeploymentAlerts
from streams.correlate.ended import Ended
from streams.correlate.incidents import IncidentOperator
from streams.correlate.ratecap import Floods
from streams.domain.alert import AlertTransition, encode_alert
from streams.domain.control import Ack, Control, Unlink
from streams.domain.deployment import Deployment
from streams.domain.finding import decode_finding
from streams.domain.incident import Incident, encode_incident
from streams.domain.source import Source, SourceLog, first_seat
from streams.publish.health import Health, unobserved
from streams.publish.progress import Progress

_log = logging.getLogger(__name__)
SOURCES: Final = (topics.FINDINGS,)
GOES_OUT: Final = frozenset({"registered", "rolling", "rolling_back"})
"""States of a deployment in which another version takes over: what may be the cause of what follows."""
SNAPSHOT_NS: Final = 10 * 10**9
"""A snapshot is written at most this often: what lies between is read again after a restart."""


_KINDS: Final = ("alerts", "edges", "controls", "deployments", "rejected")


@dataclass
class IncidentsPart(Tickless):
    """The partition of ``agents.findings``.

    Attributes:
        notify: takes each incident, with what was told of it before, to Alertmanager's desired state and returns what
            that is; must not block. resume: takes incidents that were open before a restart. alert: takes alerts that
            are made here (deployments, floods). resume_alerts: takes those that were open before a restart, and all
            that was told as ended not long before. told: see
            :class:`streams.app.alerts.AlertsPart`; a snapshot waits for it, for ten times its interval at most.
        counts: findings by what they were: ``alerts``, ``edges``, ``controls``, ``deployments``,
            ``rejected``.
    """

    topic: str
    partition: int
    notify: Callable[[Incident, Incident | None], Iterable[AlertTransition]]
    resume: Callable[[Sequence[Incident]], None]
    alert: Callable[[AlertTransition], None] = lambda _: None
    resume_alerts: Callable[[Sequence[AlertTransition]], None] = lambda _: None
    told: Callable[[], bool] = lambda: True
    health: Health = field(default_factory=unobserved)
    committable: int | None = None
    operator: IncidentOperator = field(default_factory=IncidentOperator)
    source: Source = field(default_factory=Source)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_KINDS, 0))
    deployed: DeploymentAlerts = field(default_factory=DeploymentAlerts)
    floods: Floods = field(default_factory=Floods)
    _standing: quality.Standing = field(default_factory=quality.Standing)
    _last: dict[str, Incident] = field(default_factory=dict)
    _ended: Ended = field(default_factory=Ended)
    _applied: int = -1
    _saved_ns: int = 0

    def __post_init__(self) -> None:
        self._keeper = Keeper(f"alerts/{self.topic}/{self.partition}", self.partition)

    def restore(self, state: Mapping[str, bytes], log: SourceLog) -> Restored:
        """Incidents as of the last snapshot; what came after it is read again."""
        found = self._keeper.usable(state, log, self._discarded)
        if found is None:
            self.source = first_seat(log)
            return Restored()
        body, seat = found
        reason = self.operator.restore(body["incidents"].encode())
        if reason:
            self._discarded(reason)
        self._applied, self.source = seat.applied, seat.source
        self.deployed.load(body.get("deployed", ()))  # older snapshots have neither
        self.floods.load(body.get("floods", ()))
        self._last = {incident.incident_id: incident for incident in self.operator.firing()}
        for incident in self._last.values():
            self._standing.take(incident)
        self._ended.load(body.get("ended", ()))
        self.resume(list(self._last.values()))
        self.resume_alerts([*self._ended.alerts(), *self.deployed.active(), *self.floods.told.values()])
        return Restored(seat.held, seat=seat)

    def reload(self, operator: IncidentOperator) -> None:
        """Goes on with other weights: for alerts to come; what has joined stays together."""
        operator.counts.update(self.operator.counts)
        reason = operator.restore(self.operator.snapshot())
        if reason:
            self._discarded(reason)
        self.operator = operator

    def _discarded(self, reason: str) -> None:
        _log.warning("incidents begin anew: %s", reason)
        self.health.snapshot_discarded.labels("alerts", "incidents").inc()

    def save(self) -> Step:
        """A snapshot as of what was restored."""
        return self._snapshot([])

    def process(self, records: Sequence[ConsumerRecord], now_ns: int) -> Sequence[Step]:
        """Applies a run of findings."""
        results: list[Output] = []
        for record in records:
            results += self._record(record, now_ns)
        self._applied = records[-1].offset
        waited_ns = now_ns - self._saved_ns
        if waited_ns >= (SNAPSHOT_NS if self.told() else 10 * SNAPSHOT_NS):
            self._saved_ns = now_ns
            return [self._snapshot(results)]
        return [Step(results)] if results else []

    def _record(self, record: ConsumerRecord, now_ns: int) -> list[Output]:
        try:
            finding = decode_finding(record.value or b"")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self.counts["rejected"] += 1
            self.health.dead_letters.labels(self.topic, "not_a_finding").inc()
            return [dead_letter_output(record, "not_a_finding", str(error), self.topic, now_ns)]
        if isinstance(finding, AlertTransition):
            self.counts["alerts"] += 1
            return self._alert(finding)
        if isinstance(finding, Control):
            self.counts["controls"] += 1
            return self._control(finding)
        if isinstance(finding, Deployment):
            self.counts["deployments"] += 1
            return self._deployment(finding)
        self.counts["edges"] += len(finding)
        return [output for edge in finding for output in self._told(self.operator.edge(edge))]

    def _control(self, control: Control) -> list[Output]:
        if isinstance(control, Ack):
            self.health.figures(quality.of_ack(control, self.operator.alertnames(control.target)))
        told = self.operator.control(control)
        if self.operator.refused:
            change = "not_unlinked" if isinstance(control, Unlink) else "not_closed"
            self.health.figures([quality.Figure(quality.INCIDENTS, (change,))])
            _log.warning("not done, %s: %s", self.operator.refused, control)
        return self._told(told)

    def _alert(self, transition: AlertTransition) -> list[Output]:
        stale = self.operator.counts["stale"]
        told = self._told(self.operator.alert(transition))
        if self.operator.counts["stale"] == stale:
            self.health.figures(quality.of_alert(transition))
        return told

    def _deployment(self, deployment: Deployment) -> list[Output]:
        if deployment.state in GOES_OUT:
            self.operator.deployed(deployment.service, deployment.updated_ns)
        made = self.deployed.take(deployment)
        return [*self._said(made), *(output for alert in made for output in self._alert(alert))]

    def _told(self, incidents: Sequence[Incident]) -> list[Output]:
        outputs = []
        for incident in incidents:
            before = self._last.pop(incident.incident_id, None)
            for notice in self.notify(incident, before):
                self._ended.take(notice)
            if incident.fires:
                self._last[incident.incident_id] = incident
            self.health.figures(quality.of_incident(incident, before))
            outputs.append(Output(topics.INCIDENTS, incident.incident_id.encode(), encode_incident(incident)))
            outputs += self._restanding(incident)
        return outputs + self._flooded()

    def _restanding(self, incident: Incident) -> list[Output]:
        """Records of its alerts that need no notification of their own any more, or need one again."""
        outputs = []
        for member, first in self._standing.take(incident):
            if first and member.suppressed:
                self.health.figures([quality.Figure(quality.SUPPRESSED, (member.suppressed,))])
            last = self.operator.transition(member.fingerprint)
            if last is not None:
                said = replace(
                    last,
                    revision=incident.revision,
                    incident_id=incident.incident_id,
                    suppressed=member.suppressed,
                    suppressed_by=member.suppressed_by,
                )
                outputs.append(Output(topics.ALERTS, said.fingerprint.encode(), encode_alert(said)))
        return outputs

    def _flooded(self) -> list[Output]:
        operator = self.operator
        return self._said(self.floods.changes(operator.suppression.cap.held, operator.now_ns, operator.revision))

    def _said(self, alerts: Iterable[AlertTransition]) -> list[Output]:
        outputs = []
        for transition in alerts:
            self.alert(transition)
            self._ended.take(transition)
            outputs.append(Output(topics.ALERTS, transition.fingerprint.encode(), encode_alert(transition)))
        return outputs

    def progress(self, lag: int, now_ns: int) -> Progress:
        """The figures as values."""
        fates = {"aggregated": sum(self.counts.values()) - self.counts["rejected"]}
        return Progress(
            self.topic,
            self.partition,
            fates=fates,
            reasons={"not_a_finding": self.counts["rejected"]},
            source=self.source,
            lag=None if lag < 0 else lag,
        )

    def _snapshot(self, results: list[Output]) -> Step:
        body: dict[str, Any] = {
            "incidents": self.operator.snapshot().decode(),
            "deployed": self.deployed.dump(),
            "floods": self.floods.dump(),
            "ended": self._ended.dump(),
        }
        applied = self._applied

        def delivered() -> None:
            self.committable = applied + 1

        return self._keeper.step(results, body, applied, self.source, delivered)
