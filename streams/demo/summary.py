"""How a demo ended: do the sums agree, and did the alert arrive?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from streams import topics
from streams.demo.figures import FATES, SIMULATED, Figures
from streams.demo.folding import MOST_INCIDENTS, Folded, counted, first_firing, folded_lines, told_of_incident
from streams.demo.notices import Notices
from streams.demo.plan import SECOND_NS, Plan, Report
from streams.demo.screen import number
from streams.demo.view import who
from streams.demo.watch import Seen, Step

EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130
SUMS: Final = "Events: emitted (+ by others, passed on) = aggregated + late + duplicate + rejected + dropped"


@dataclass(frozen=True, slots=True)
class Sum:
    """One topic's account.

    Attributes:
        emitted: events that the simulator's broker acknowledged; None if it did not say. others: sent by others.
        passed_on: brought here by the pipeline itself (spans of ``otlp_spans``).
        fates: what the worker counted. dropped: by emitters before the log, by their own account.
    """

    topic: str
    emitted: int | None
    others: int
    passed_on: int
    fates: Mapping[str, int]
    dropped: int

    @property
    def agrees(self) -> bool | None:
        """Whether what came is what was counted; what emitters dropped never came, and is on both sides."""
        return None if self.emitted is None else self.came == sum(self.fates.values())

    @property
    def came(self) -> int:
        """Events that were written to the topic, as their writers say."""
        return (self.emitted or 0) + self.others + self.passed_on


@dataclass(frozen=True, slots=True)
class Moments:
    """The life of one alert, nanoseconds since the epoch; None = did not happen.

    Attributes:
        window_end_ns: end of the window that made it fire (event time). fired_ns, resolved_ns: on ``agents.alerts``.
        own_ns, own_end_ns: notified by Alertmanager as an alert of its own.
        incident_ns, incident_end_ns: the incident that it is folded into, likewise.
    """

    name: str
    who: str
    severity: str
    figure: str
    window_end_ns: int
    fired_ns: int
    own_ns: int | None
    resolved_ns: int | None
    own_end_ns: int | None
    incident_ns: int | None = None
    incident_end_ns: int | None = None

    @property
    def arrived_ns(self) -> int | None:
        """When an operator was told, of it or of its incident."""
        return self.incident_ns if self.own_ns is None else self.own_ns

    @property
    def told_resolved_ns(self) -> int | None:
        """The end of what was told."""
        return self.own_end_ns if self.own_ns is not None else self.incident_end_ns


@dataclass(frozen=True, slots=True)
class Otel:
    """What the OpenTelemetry program says and what was seen of it. None = not known."""

    asked: int | None
    traces: int
    spans: int
    points: int
    steps: int | None
    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class Ending:
    """Everything that decides the exit code, and what is printed with it.

    Attributes:
        expected: names of alerts that the scenario's fault should raise. moments: of those that fired after it began.
        fired, notified: how many alerts fired since the fault began, and how many of them Alertmanager notified apart
            from their incident. folded: the incidents that hold them.
        interrupted: somebody ended the demo before its time.
    """

    plan: Plan
    sums: Sequence[Sum]
    moments: Sequence[Moments]
    expected: Sequence[str]
    with_alertmanager: bool
    fired: int = 0
    notified: int = 0
    folded: Sequence[Folded] = ()
    interrupted: bool = False
    otel: Otel | None = None
    trouble: Sequence[str] = field(default_factory=tuple)

    @property
    def best(self) -> Moments | None:
        """The expected alert that went furthest, of those the first to fire."""
        rank = [
            (m.arrived_ns is None, m.told_resolved_ns is None and m.resolved_ns is None, m.fired_ns)
            for m in self.moments
        ]
        return self.moments[rank.index(min(rank))] if rank else None

    @property
    def arrived(self) -> bool:
        """An expected alert reached its end of the line: Alertmanager's webhook, or its topic without one."""
        best = self.best
        return best is not None and (best.arrived_ns is not None or not self.with_alertmanager)

    @property
    def problems(self) -> list[str]:
        """What is wrong; empty when all is well."""
        found = list(self.trouble)
        found += [f"the sums of {s.topic} disagree" for s in self.sums if s.agrees is False]
        found += [f"the simulator did not say what it sent to {s.topic}" for s in self.sums if s.agrees is None]
        if self.expected and not self.arrived:
            where = "Alertmanager's webhook" if self.with_alertmanager else "agents.alerts"
            found.append(f"none of the expected alerts ({', '.join(self.expected)}) arrived at {where}")
        return found

    @property
    def exit_code(self) -> int:
        """0 all is well, 1 not, 130 interrupted before the alert had its time and nothing else is wrong."""
        if not self.problems:
            return 0
        only_early = self.interrupted and not self.trouble and all(s.agrees for s in self.sums)
        return EXIT_INTERRUPTED if only_early else EXIT_FAILED


def make_sums(report: Report | None, figures: Figures | None, seen: Seen) -> list[Sum]:
    """The accounts of the simulator's topics."""
    known = figures or Figures(0.0)
    return [
        Sum(
            topic,
            None if report is None else report.events.get(topic, 0),
            seen.others.get(topic, 0),
            seen.passed_on if topic == topics.SPANS else 0,
            {fate: known.fate(fate, (topic,)) for fate in FATES},
            known.dropped.get(topic, 0),
        )
        for topic in SIMULATED
    ]


def make_moments(plan: Plan, expected: Sequence[str], seen: Seen, notices: Notices | None) -> list[Moments]:
    """Expected alerts that fired after the fault began, in the order in which they fired."""
    found = []
    for steps in seen.alerts.values():
        fired = first_firing(steps, plan.fault_start_ns)
        if fired is not None and fired.transition.alertname in expected:
            found.append(_moments(fired, steps, seen, notices))
    return sorted(found, key=lambda m: m.fired_ns)


def _moments(fired: Step, steps: Sequence[Step], seen: Seen, notices: Notices | None) -> Moments:
    t = fired.transition
    after = [s for s in steps if s.transition.seq > t.seq and s.transition.state == "resolved"]
    resolved = after[0] if after else None
    own_ns = notices.first(t, "firing", fired.published_ns) if notices else None
    own_end_ns = notices.first(resolved.transition, "resolved", resolved.published_ns) if notices and resolved else None
    incident_ns, incident_end_ns = told_of_incident(fired, seen, notices)
    return Moments(
        name=t.alertname,
        who=who(t.identity),
        severity=t.severity,
        figure=f"{t.annotations.get('value', '-')}, limit {t.annotations.get('threshold', '-')}",
        window_end_ns=t.at_ns,
        fired_ns=fired.published_ns,
        own_ns=own_ns,
        resolved_ns=resolved.published_ns if resolved else None,
        own_end_ns=own_end_ns,
        incident_ns=incident_ns,
        incident_end_ns=incident_end_ns,
    )


def report_lines(ending: Ending) -> list[str]:
    """The closing summary."""
    lines = ["", SUMS, *_sum_lines(ending.sums)]
    if ending.otel is not None:
        lines += ["", *_otel_lines(ending.otel)]
    lines += ["", *_alert_lines(ending), ""]
    lines += [f"PROBLEM: {problem}" for problem in ending.problems]
    return [*lines, _verdict(ending)]


def _verdict(ending: Ending) -> str:
    if ending.exit_code == EXIT_INTERRUPTED:
        return "Ended before the alert had its time; the sums agree."
    if ending.exit_code:
        return "The demo FAILED."
    if not ending.expected:
        return "All is well: the sums agree (the scenario has no fault, so no alert was expected)."
    where = (
        "arrived at Alertmanager's webhook"
        if ending.with_alertmanager
        else "is on agents.alerts (no Alertmanager here)"
    )
    return f"All is well: the sums agree and the alert {where}."


def _sum_lines(sums: Sequence[Sum]) -> list[str]:
    """Topics side by side, so that it fits a small terminal."""
    verdicts = {True: "agree", False: "DISAGREE", None: "not known"}
    emitted = [None if s.emitted is None else s.emitted + s.dropped for s in sums]
    rows = [
        ("", *(s.topic for s in sums)),
        ("emitted", *map(number, emitted)),
        ("by others", *(number(s.others) for s in sums)),
        ("passed on from otlp_spans", *(number(s.passed_on) for s in sums)),
        *((fate, *(number(s.fates[fate]) for s in sums)) for fate in FATES),
        ("dropped by emitters", *(number(s.dropped) for s in sums)),
        ("the sums", *(verdicts[s.agrees] for s in sums)),
    ]
    return columns(rows)


def _otel_lines(otel: Otel) -> list[str]:
    return [
        f"OpenTelemetry program: {number(otel.asked)} questions asked, by its own count",
        "  one in seven has no answer: alerts at otel-librarian are about that, not about the scenario's fault",
        f"  read: {number(otel.spans)} spans, {number(otel.points)} metric points",
        f"  made of them: {number(otel.traces)} traces; agents.steps counts {number(otel.steps)} answers",
        f"  on /metrics: {', '.join(otel.names) or 'nothing'}",
    ]


def _alert_lines(ending: Ending) -> list[str]:
    plan, best = ending.plan, ending.best
    if not ending.expected:
        return [f"Alerts: {ending.fired} fired"]
    head = f"Alerts since {plan.scenario} began: {ending.fired} fired"
    head += _told(ending) if ending.with_alertmanager else "; no Alertmanager here"
    incidents = [line for one in ending.folded[:MOST_INCIDENTS] for line in folded_lines(one, plan.fault_start_ns)]
    if best is None:
        return [head, *incidents, f"  none of the expected ones: {', '.join(ending.expected)}"]
    rows = [
        ("fault began", plan.fault_start_ns),
        ("window closed that made it fire", best.window_end_ns),
        ("fired on agents.alerts", best.fired_ns),
        ("Alertmanager notified it" if best.own_ns else "Alertmanager notified its incident", best.arrived_ns),
        ("fault ended", plan.fault_end_ns),
        ("resolved on agents.alerts", best.resolved_ns),
        ("Alertmanager notified the end", best.told_resolved_ns),
    ]
    moments = [(name, number(_since(plan, at_ns), "s", 1).rjust(8)) for name, at_ns in rows]
    return [
        head,
        *incidents,
        f"  {best.name} of {best.who} ({best.severity}; {best.figure}):",
        *columns(moments, "    "),
    ]


def _told(ending: Ending) -> str:
    told = sum(one.told_ns is not None for one in ending.folded)
    return f"; Alertmanager notified {counted(told, 'incident')} and {counted(ending.notified, 'single alert')}"


def _since(plan: Plan, at_ns: int | None) -> float | None:
    return None if at_ns is None else (at_ns - plan.fault_start_ns) / SECOND_NS


def columns(rows: Sequence[Sequence[str]], indent: str = "  ") -> list[str]:
    """Rows of text as aligned columns: the first to the left, figures to the right, the last as it is."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append((indent + "  ".join(cells)).rstrip())
    return lines
