"""The one place where incidents are formed: findings of all partitions in, incidents and their alerts out.

``agents.findings`` has one partition, so it has one owner in the group of the alerts role, and its order is the order
in which alerts and calls are seen: the same log gives the same incidents.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import ConsumerRecord

from streams import topics
from streams.app.keeper import Keeper
from streams.app.outbox import Step
from streams.app.part import Restored
from streams.app.sink import Output, dead_letter_output
from streams.correlate.incidents import IncidentOperator
from streams.domain.alert import AlertTransition
from streams.domain.control import Ack, Maintenance
from streams.domain.deployment import Deployment
from streams.domain.finding import decode_finding
from streams.domain.incident import Incident, encode_incident
from streams.domain.source import Source, SourceLog, first_seat
from streams.errors import StateError, StateVersionError
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
class IncidentsPart:
    """The partition of ``agents.findings``.

    Attributes:
        notify: takes each incident, with what was told of it before, to Alertmanager's desired state; must not block.
        resume: takes incidents that were open before a restart. told: see
            :class:`streams.app.alerts.AlertsPart`; a snapshot waits for it, for ten times its interval at most.
        counts: findings by what they were: ``alerts``, ``edges``, ``controls``, ``deployments``,
            ``rejected``.
    """

    topic: str
    partition: int
    notify: Callable[[Incident, Incident | None], None]
    resume: Callable[[Sequence[Incident]], None]
    told: Callable[[], bool] = lambda: True
    health: Health = field(default_factory=unobserved)
    committable: int | None = None
    operator: IncidentOperator = field(default_factory=IncidentOperator)
    source: Source = field(default_factory=Source)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_KINDS, 0))
    _last: dict[str, Incident] = field(default_factory=dict)
    _applied: int = -1
    _saved_ns: int = 0

    def __post_init__(self) -> None:
        self._keeper = Keeper(f"alerts/{self.topic}/{self.partition}", self.partition)

    def restore(self, state: Mapping[str, bytes], log: SourceLog) -> Restored:
        """Incidents as of the last snapshot; what came after it is read again."""
        try:
            found = self._keeper.restore(state, log)
        except StateVersionError:
            raise
        except StateError as error:
            self._discarded(str(error))
            found = None
        if found is None:
            self.source = first_seat(log)
            return Restored()
        body, seat = found
        reason = self.operator.restore(body["incidents"].encode())
        if reason:
            self._discarded(reason)
        self._applied, self.source = seat.applied, seat.source
        self._last = {incident.incident_id: incident for incident in self.operator.open()}
        self.resume(list(self._last.values()))
        return Restored(seat.held, seat=seat)

    def _discarded(self, reason: str) -> None:
        _log.warning("incidents begin anew: %s", reason)
        self.health.snapshot_discarded.labels("alerts", "incidents").inc()

    def save(self) -> Step:
        """A snapshot as of what was restored."""
        return self._snapshot([])

    def skip(self, offsets: int) -> None:
        """Counts what retention removed."""
        self.source = self.source.skipping(offsets)

    def read_back(self, record: ConsumerRecord) -> None:
        """Nothing of it comes back through windows."""

    @property
    def time_ns(self) -> int:
        """It wants no ticks, so nobody asks."""
        return 0

    def next_tick_ns(self) -> int | None:
        """Time comes with the findings."""
        return None

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
            return self._told(self.operator.alert(finding))
        if isinstance(finding, Ack | Maintenance):
            self.counts["controls"] += 1
            return self._told(self.operator.control(finding))
        if isinstance(finding, Deployment):
            self.counts["deployments"] += 1
            if finding.state in GOES_OUT:
                self.operator.deployed(finding.service, finding.updated_ns)
            return []
        self.counts["edges"] += len(finding)
        return [output for edge in finding for output in self._told(self.operator.edge(edge))]

    def _told(self, incidents: Sequence[Incident]) -> list[Output]:
        for incident in incidents:
            before = self._last.pop(incident.incident_id, None)
            self.notify(incident, before)
            if incident.status == "open":
                self._last[incident.incident_id] = incident
        return [Output(topics.INCIDENTS, i.incident_id.encode(), encode_incident(i)) for i in incidents]

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
        body: dict[str, Any] = {"incidents": self.operator.snapshot().decode()}
        applied = self._applied

        def delivered() -> None:
            self.committable = applied + 1

        return self._keeper.step(results, body, applied, self.source, delivered)
