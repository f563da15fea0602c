"""Which parts a role is made of, and what they report."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from typing import Any, Final

from streams import topics
from streams.app import alerts, capacity, incidents, metrics, rekey, relay, traces
from streams.app.alerts import AlertsPart
from streams.app.blob import choose
from streams.app.capacity import CapacityPart
from streams.app.export import log_export, self_tracer, trace_export
from streams.app.factory import make_runtime
from streams.app.incidents import IncidentsPart
from streams.app.metrics import MetricsPartition
from streams.app.part import Part
from streams.app.redact import redactor_of
from streams.app.rekey import RekeyPart
from streams.app.relay import RelayPart
from streams.app.rulewatch import RuleWatch
from streams.app.runtime import Runtime
from streams.app.traces import TracesPart
from streams.correlate.bounds import Bounds
from streams.correlate.incidents import IncidentOperator
from streams.correlate.notices import notices, standing
from streams.correlate.operator import CorrelateOperator, usable_thresholds
from streams.correlate.rule import Thresholds
from streams.detect.bands import BandOperator
from streams.detect.capacity import CapacityOperator, Users
from streams.detect.operator import DetectOperator
from streams.detect.ratios import RatioOperator
from streams.detect.vectors import VectorOperator
from streams.domain.alert import SEVERITIES, AlertTransition
from streams.domain.capacity import Capacity
from streams.domain.expected import Expected
from streams.domain.incident import Incident
from streams.domain.judged import DeploymentVerdict
from streams.publish.access import Access
from streams.publish.alertmanager import AlertmanagerPublisher, AlertmanagerSettings
from streams.publish.health import Health
from streams.publish.progress import Progress
from streams.publish.prometheus import WindowCollector
from streams.publish.unsent import UnsentAlarm, read_url
from streams.settings import Settings, read_text
from streams.trace.assembly import TraceOperator
from streams.trace.hung import HungWatch
from streams.window.operator import SECOND_NS

ROLES: Final = ("metrics", "traces", "alerts")


class Roles:
    """Builds the parts of each role from the settings and gathers what they report."""

    def __init__(self, settings: Settings, health: Health, collector: WindowCollector) -> None:
        self._settings, self._health, self._collector = settings, health, collector
        self.names = ROLES if settings.role == "all" else (settings.role,)
        self.runtimes: list[Runtime] = []
        self._publisher: AlertmanagerPublisher | None = None
        self._alarm: UnsentAlarm | None = None
        self._export = trace_export(settings, health) if "traces" in self.names else None
        self._logs = log_export(settings, health) if "metrics" in self.names else None
        self._tracer = self_tracer(settings, version("agent-streams"))
        self._marks = settings.incident_markers == "on"
        self._thresholds = Thresholds(())
        self._rule_watch: RuleWatch | None = None
        if "alerts" in self.names:
            self._thresholds = usable_thresholds(read_text(settings, "thresholds_path"), settings.pane_seconds)
            self._rule_watch = RuleWatch(settings.thresholds_path, settings.pane_seconds, self._reload, health)
        self._spec = metrics.window_spec(settings)
        self._step_ns = capacity.step_seconds(settings.window_seconds) * SECOND_NS
        self._redactor = redactor_of(settings, health)

    async def start(self) -> None:
        """Starts the publishers (Alertmanager, OTLP) that have an address to send to."""
        if self._export is not None:
            self._export.exporter.start()
        if self._logs is not None:
            self._logs.start()
        if self._rule_watch is not None:
            self._rule_watch.start()
        if "alerts" in self.names and self._settings.alertmanager_urls:
            self._publisher = AlertmanagerPublisher(
                self._settings.alertmanager_urls,
                clock_ns=time.time_ns,  # noqa: TID251 - the shell gives the clock
                stats=self._health,
                settings=_manner(self._settings),
                caught_up=self._caught_up,
            )
            self._alarm = _alarm(self._settings, self._publisher, self._health)
            await self._publisher.start()
            if self._alarm is not None:
                self._alarm.start()

    async def stop(self) -> None:
        """Delivers what is unsent for a while; resolves nothing."""
        if self._rule_watch is not None:
            await self._rule_watch.stop()
        if self._alarm is not None:
            await self._alarm.stop()
        if self._publisher is not None:
            await self._publisher.stop()
        if self._export is not None:
            await asyncio.to_thread(self._export.exporter.stop)
        if self._logs is not None:
            await asyncio.to_thread(self._logs.stop)
        if self._tracer is not None:
            await asyncio.to_thread(self._tracer.stop)

    def make_runtimes(self) -> list[Runtime]:
        """One runtime per role of this worker."""
        made: dict[str, tuple[tuple[str, ...], Any]] = {
            "metrics": (metrics.SOURCES, self._metrics),
            "traces": ((*traces.SOURCES, *rekey.SOURCES), self._traces),
            "alerts": (
                (*alerts.SOURCES, *incidents.SOURCES, *relay.SOURCES, *capacity.SOURCES),
                self._alerts,
            ),
        }
        self.runtimes = [
            make_runtime(self._settings, name, *made[name], choose, self._health, self._release, self._tracer)
            for name in self.names
        ]
        return self.runtimes

    def _metrics(self, topic: str, partition: int) -> MetricsPartition:
        spec = self._spec
        if topic == topics.RED:
            spec = metrics.red_spec(spec)
        part = MetricsPartition(
            topic,
            partition,
            spec,
            self._settings.state_snapshot_windows,
            self._health,
            redactor=self._redactor,
            logs=self._logs.offer if self._logs is not None else None,
        )
        self._collector.add(part.fold)
        return part

    def _traces(self, topic: str, partition: int) -> TracesPart | RekeyPart:
        settings = self._settings
        if topic in rekey.SOURCES:
            return RekeyPart(topic, partition, settings.partitions, self._health, self._redactor)
        operator = TraceOperator(
            quiet_seconds=settings.trace_quiet_seconds,
            cap_seconds=settings.trace_cap_seconds,
            max_spans_per_trace=settings.trace_span_limit,
            max_open_traces=settings.open_trace_limit,
        )
        hung = HungWatch(round(settings.trace_hung_seconds * SECOND_NS))
        part = TracesPart(
            topic,
            partition,
            operator,
            self._health,
            partitions=settings.partitions,
            hung=hung,
            redactor=self._redactor,
        )
        if self._export is not None:
            part.assembled = self._export.take
        return part

    def _alerts(self, topic: str, partition: int) -> AlertsPart | CapacityPart | IncidentsPart | RelayPart:
        settings = self._settings
        if topic in capacity.SOURCES:
            return CapacityPart(topic, partition, self._capacity(), self._health)
        if topic in relay.SOURCES:
            return RelayPart(topic, partition, self._health)
        owner = _owner(topic, partition)
        if topic in incidents.SOURCES:
            return IncidentsPart(
                topic,
                partition,
                partial(self._tell, owner),
                partial(self._retell, owner),
                alert=partial(self._notify, owner),
                resume_alerts=partial(self._resume, owner),
                told=self._told,
                health=self._health,
                operator=IncidentOperator(self._thresholds.weights),
            )
        return AlertsPart(
            topic,
            partition,
            make_detect=self._detect,
            make_correlate=self._correlate,
            notify=partial(self._notify, owner),
            resume=partial(self._resume, owner),
            snapshot_every=settings.state_snapshot_windows,
            pane_ns=self._spec.pane_ns,
            detector=settings.detector,
            make_bands=self._bands,
            make_ratios=self._ratios,
            make_vectors=self._vectors,
            users=Users(self._thresholds.capacity),
            step_ns=self._step_ns,
            health=self._health,
            told=self._told,
        )

    def _detect(self) -> DetectOperator:
        settings = self._settings
        return DetectOperator(
            settings.detector,
            threshold=settings.detector_threshold,
            warmup_windows=settings.detector_warmup_windows,
            window_seconds=settings.pane_seconds,
        )

    def _bands(self) -> BandOperator:
        return BandOperator(self._thresholds.bands, Bounds(self._thresholds.rules), self._spec.pane_ns)

    def _ratios(self) -> RatioOperator:
        return RatioOperator(
            self._thresholds.ratios,
            self._spec.pane_ns,
            threshold=self._settings.detector_threshold,
            warmup_windows=self._settings.detector_warmup_windows,
        )

    def _vectors(self) -> VectorOperator:
        return VectorOperator(
            self._thresholds.vectors,
            self._spec.pane_ns,
            threshold=self._settings.detector_threshold,
            warmup_windows=self._settings.detector_warmup_windows,
        )

    def _correlate(self) -> CorrelateOperator:
        return CorrelateOperator(self._thresholds.rules, window_seconds=self._settings.pane_seconds)

    def _capacity(self) -> CapacityOperator:
        return CapacityOperator(self._thresholds.capacity, self._step_ns)

    def _reload(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        for part in self._parts():
            if isinstance(part, AlertsPart):
                part.reload(Users(thresholds.capacity))
            elif isinstance(part, CapacityPart):
                part.reload(self._capacity())
            elif isinstance(part, IncidentsPart):
                part.reload(IncidentOperator(thresholds.weights))

    def _notify(self, owner: str, transition: AlertTransition) -> None:
        labels = (transition.previous or "new", transition.state, transition.severity)
        self._health.alert_transitions.labels(*labels).inc()
        if self._publisher is not None:
            self._publisher.update(transition, owner)

    def _resume(self, owner: str, alerts: Sequence[AlertTransition]) -> None:
        if self._publisher is not None:
            self._publisher.restore(alerts, owner)

    def _tell(self, owner: str, incident: Incident, before: Incident | None) -> list[AlertTransition]:
        told = list(notices(incident, before, markers=self._marks))
        if self._publisher is not None:
            for notice in told:
                self._publisher.update(notice, owner)
        return told

    def _retell(self, owner: str, open_now: Sequence[Incident]) -> None:
        if self._publisher is not None:
            told = [n for incident in open_now for n in standing(incident, markers=self._marks)]
            self._publisher.restore(told, owner)

    def _caught_up(self) -> bool:
        """Whether the alerts role has applied what its partitions' owners before could have told of."""
        return all(runtime.replayed() for runtime in self.runtimes if runtime.role == "alerts")

    def _told(self) -> bool:
        return self._publisher is None or not self._publisher.unsent

    def _release(self, part: Part) -> None:
        """Another worker may own the partition now: stop showing its figures and repeating its alerts."""
        if isinstance(part, MetricsPartition):
            self._collector.remove(part.topic, part.partition)
        elif isinstance(part, AlertsPart | IncidentsPart) and self._publisher is not None:
            self._publisher.forget(_owner(part.topic, part.partition))

    def _show_firing(self) -> None:
        parts = self._parts()
        active = [t for part in parts if isinstance(part, AlertsPart) for t in part.correlate.active()]
        for severity in SEVERITIES:
            firing = sum(1 for t in active if t.state == "firing" and t.severity == severity)
            self._health.alerts_firing.labels(severity).set(firing)
        self._show_incidents([part for part in parts if isinstance(part, IncidentsPart)])

    def _show_incidents(self, parts: Sequence[IncidentsPart]) -> None:
        found = [incident for part in parts for incident in part.operator.open()]
        for severity in SEVERITIES:
            self._health.incidents_open.labels(severity).set(sum(i.severity == severity for i in found))
        flapping = Counter(m.alertname for i in found for m in i.members if m.suppressed == "flapping")
        self._health.alerts_flapping.clear()
        for name, count in flapping.items():
            self._health.alerts_flapping.labels(name).set(count)
        self._health.deployment_started.clear()
        for service, environment, known_version, began_ns in (d for part in parts for d in part.deployed.newest()):
            self._health.deployment_started.labels(environment, service, known_version).set(began_ns / 1e9)

    def _parts(self) -> list[Part]:
        return [part for runtime in self.runtimes for part in list(runtime.parts.values())]

    def capacities(self) -> list[Capacity]:
        """What is used of what has a limit, as values, where this worker adds it up. As :meth:`progress`."""
        parts = self._parts()
        return [c for part in parts if isinstance(part, CapacityPart) for c in part.operator.capacities()]

    def verdicts(self) -> list[DeploymentVerdict]:
        """What gates last said of the newest deployments, where this worker keeps incidents. As :meth:`progress`."""
        parts = self._parts()
        return [one for part in parts if isinstance(part, IncidentsPart) for one in part.deployed.verdicts()]

    def expected(self) -> list[Expected]:
        """What is expected of the series that this worker judges, as values. As :meth:`progress`."""
        parts = self._parts()
        bands = [bands for part in parts if isinstance(part, AlertsPart) for bands in part.bands.values()]
        return [one for operator in bands for one in operator.expected()]

    def progress(self) -> list[Progress]:
        """All partitions of this worker, as values. Call it in the event loop's thread: it reads live state."""
        now_ns = time.time_ns()  # noqa: TID251 - the shell reads the clock
        self._show_firing()
        return [one for runtime in self.runtimes for one in runtime.progress(now_ns)]


def _owner(topic: str, partition: int) -> str:
    """Whose alerts they are, for the publisher."""
    return f"{topic}/{partition}"


def _manner(settings: Settings) -> AlertmanagerSettings:
    """Its times in proportion to the repetition: a peer that comes back is told of everything within one."""
    resend_seconds = settings.alertmanager_resend_seconds
    return AlertmanagerSettings(
        resend_seconds=resend_seconds,
        valid_seconds=4 * resend_seconds,
        reconcile_seconds=resend_seconds / 4,
        settle_at_most_seconds=2 * resend_seconds,
        backoff_seconds=(0.5, max(0.5, min(30.0, resend_seconds / 2))),
        access=Access(
            ca_file=settings.alertmanager_ca_file,
            cert_file=settings.alertmanager_cert_file,
            key_file=settings.alertmanager_key_file,
            user=settings.alertmanager_user,
            password_file=settings.alertmanager_password_file,
            token_file=settings.alertmanager_token_file,
        ),
    )


def _alarm(settings: Settings, publisher: AlertmanagerPublisher, health: Health) -> UnsentAlarm | None:
    if not settings.unsent_webhook_file:
        return None
    return UnsentAlarm(
        read_url(settings.unsent_webhook_file),
        publisher.failing,
        time.time_ns,  # noqa: TID251 - the shell gives the clock
        health,
        after_seconds=settings.unsent_after_seconds,
    )
