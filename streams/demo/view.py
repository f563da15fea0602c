"""Everything that the demo shows at one moment, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from streams import topics
from streams.demo.figures import OTLP, SIMULATED, Figures
from streams.demo.notices import Notices
from streams.demo.plan import SECOND_NS, Plan
from streams.demo.watch import Seen, Step
from streams.domain.alert import SEVERITIES
from streams.domain.anomaly import Anomaly

ORDER: Final = {"firing": 0, "pending": 1, "resolved": 2}
RATE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One alert as it is now.

    Attributes:
        key: its fingerprint. who: agent, else service. figure: value and limit.
        age_seconds: since it is what it is, in event time.
        notified: whether Alertmanager notified this state; None where there is no Alertmanager, or nothing to notify.
        folded: whether its incident speaks for it.
    """

    key: str
    name: str
    severity: str
    who: str
    state: str
    figure: str
    age_seconds: float
    notified: bool | None
    folded: bool = False


@dataclass(frozen=True, slots=True)
class SourceRow:
    """Events of one origin. ``per_second`` is None until two scrapes are apart."""

    name: str
    topics: str
    events: int | None
    per_second: float | None


@dataclass(frozen=True, slots=True)
class View:
    """One moment.

    Attributes:
        elapsed_seconds: since the display began; total_seconds: its length, None = no end set.
        story: what the simulated system is going through.
        figures: None while the worker does not answer. per_second: events of all sources.
        alerts: firing, pending, then resolved ones; counts: state -> how many. notified: status -> how many alerts
            Alertmanager notified, None without one.
        addresses: name -> address or command.
    """

    elapsed_seconds: float
    total_seconds: float | None
    story: str
    figures: Figures | None
    per_second: float | None
    sources: Sequence[SourceRow] = ()
    alerts: Sequence[AlertRow] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    notified: Mapping[str, int] | None = None
    anomalies: int = 0
    traces: int = 0
    last_anomaly: str = ""
    addresses: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""


def story(plan: Plan, now_ns: int) -> str:
    """What the simulated system is going through."""
    if plan.scenario == "normal_day":
        return "all healthy"
    until, since = (plan.fault_start_ns - now_ns) / SECOND_NS, (now_ns - plan.fault_end_ns) / SECOND_NS
    if until > 0:
        return f"all healthy; {plan.scenario} begins in {until:.0f} s"
    if since < 0:
        return f"{plan.scenario} since {-until:.0f} s"
    return f"{plan.scenario} ended {since:.0f} s ago"


def source_rows(figures: Sequence[Figures], seen: Seen, with_otel: bool) -> list[SourceRow]:
    """Who sent how much: the simulator, the OpenTelemetry program by topic, and you.

    Args:
        figures: scrapes of the last seconds, oldest first; the newest counts, the oldest gives the rate.
        seen: what others sent and what was passed on is not the simulator's.
        with_otel: whether that program runs.
    """
    last, first = (figures[-1], figures[0]) if figures else (None, None)
    yours = sum(seen.others.values())
    foreign = {**seen.others, topics.SPANS: seen.others.get(topics.SPANS, 0) + seen.passed_on}
    rows = [
        SourceRow("simulator", topic, None if last is None else last.events([topic]) - foreign.get(topic, 0), None)
        for topic in SIMULATED
    ]
    if with_otel:
        rows += [
            SourceRow("OTel program", topic, None if last is None else last.events([topic]), None) for topic in OTLP[:2]
        ]
    rated = [SourceRow(r.name, r.topics, r.events, None if last is None else rate(figures, (r.topics,))) for r in rows]
    return [*rated, SourceRow("you", "any of agents.*", yours if first is not None else None, None)]


def rate(figures: Sequence[Figures], names: Sequence[str]) -> float | None:
    """Events per second of some topics over the scrapes given; None from fewer than two."""
    if len(figures) < 2:
        return None
    seconds = figures[-1].at_seconds - figures[0].at_seconds
    return (figures[-1].events(names) - figures[0].events(names)) / seconds if seconds > 0 else None


def alert_rows(seen: Seen, notices: Notices | None, since_ns: int, now_ns: int) -> list[AlertRow]:
    """Alerts that are open, or fired and were resolved since a moment; the worst first."""
    found = []
    folded = {m.fingerprint for incident in seen.incidents.values() for m in incident.members if m.suppressed}
    for steps in seen.alerts.values():
        last = steps[-1]
        t = last.transition
        if t.state != "resolved" or (t.previous == "firing" and t.at_ns >= since_ns):
            found.append((_order(last), _row(last, notices, now_ns, folded=t.fingerprint in folded)))
    return [row for _, row in sorted(found, key=lambda pair: pair[0])]


def _order(step: Step) -> tuple[int, int, int, str]:
    t = step.transition
    return ORDER[t.state], SEVERITIES.index(t.severity), -t.at_ns, t.fingerprint


def _row(step: Step, notices: Notices | None, now_ns: int, *, folded: bool) -> AlertRow:
    t = step.transition
    notified = None
    if notices is not None and t.state != "pending" and (t.state == "firing" or t.previous == "firing"):
        notified = notices.told(t)
    value, limit = t.annotations.get("value", f"{t.value:g}"), t.annotations.get("threshold", f"{t.threshold:g}")
    age_seconds = max(0.0, (now_ns - t.at_ns) / SECOND_NS)
    figure = f"{value} (limit {limit})"
    return AlertRow(
        t.fingerprint, t.alertname, t.severity, who(t.identity), t.state, figure, age_seconds, notified, folded
    )


def anomaly_line(anomaly: Anomaly) -> str:
    """One anomaly in words."""
    score = anomaly.score
    of = anomaly.series.label("agent.id") or anomaly.series.label("service.name") or "-"
    band = f"expected {score.expected:.3g} ({score.lower:.3g} to {score.upper:.3g})"
    return f"{anomaly.series.name} {anomaly.feature} of {of}: {anomaly.value:.3g}, {band}, score {score.score:.5f}"


def who(identity: Mapping[str, str]) -> str:
    """Whom an alert is about."""
    return identity.get("agent.id") or identity.get("service.name") or "-"
