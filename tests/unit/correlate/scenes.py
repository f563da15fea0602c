"""For every rule of ``monitoring/thresholds.yml``: rows of one window that are bad, and rows just on the good side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from streams.correlate.rule import Rule
from streams.correlate.rules import load_rules
from streams.domain.anomaly import Anomaly, Score
from streams.domain.series import Series
from tests.unit.window_batches import EPOCH, WINDOW, series

THRESHOLDS = Path(__file__).parents[3] / "monitoring" / "thresholds.yml"
RULES = load_rules(THRESHOLDS.read_text(encoding="utf-8"))
MB = 1_048_576

Rows = Mapping[Series, Sequence[float]]
IDENTITY = {"agent__id": "a1", "agent__type": "planner", "environment": "test", "service__name": "planning"}


def of(name: str, kind: str = "counter", unit: str = "1", **labels: str) -> Series:
    return series(name, kind, unit, **IDENTITY, **labels)


class Scene(NamedTuple):
    """Rows by window number; ``severity`` is the worst reached after an hour of bad windows, ``after`` when."""

    bad: Callable[[int], Rows]
    good: Callable[[int], Rows]
    severity: str
    after_windows: int


def always(rows: Rows) -> Callable[[int], Rows]:
    return lambda _: rows


def outcomes(metric: str, label: str, good: str, bad: str, bad_of_100: int) -> Rows:
    rows = {of(metric, **{label: good}): [1.0] * (100 - bad_of_100), of(metric, **{label: bad}): [1.0] * bad_of_100}
    return {s: values for s, values in rows.items() if values}


def gauge(metric: str, value: float, unit: str = "1", **labels: str) -> Callable[[int], Rows]:
    return always({of(metric, "gauge", unit, **labels): [value]})


def durations(metric: str, slow: float, slow_of_100: int) -> Callable[[int], Rows]:
    return always({of(metric, "histogram", "s"): [0.01] * (100 - slow_of_100) + [slow] * slow_of_100})


def leak(mb_per_minute: float) -> Callable[[int], Rows]:
    return lambda n: {of("agents.memory", "gauge", "By"): [(1 + n * mb_per_minute / 6) * 0.05 * MB]}


def spans(bad_of_100: int) -> Callable[[int], Rows]:
    def calls(status: str, kind: str) -> Series:
        labels = {"status__code": f"STATUS_CODE_{status}", "span__kind": f"SPAN_KIND_{kind}", "span__name": "x"}
        return series("traces.span.metrics.calls", "counter", service__name="planning", **labels)

    return always(
        {
            calls("UNSET", "SERVER"): [1.0] * (100 - bad_of_100),
            calls("ERROR", "SERVER"): [1.0] * bad_of_100,
            calls("ERROR", "INTERNAL"): [1.0] * 500,
        }
    )


def http(bad_of_100: int) -> Callable[[int], Rows]:
    rows = outcomes("http.requests", "status", "200", "503", bad_of_100)
    return always({**rows, **outcomes("agents.steps", "outcome", "success", "failure", bad_of_100)})


def share(metric: str, label: str, good: str, bad: str, of_100: int) -> Callable[[int], Rows]:
    return always(outcomes(metric, label, good, bad, of_100))


QUIET = gauge("process.thread.count", 3)
COORDINATION = ("agents.coordination.requests", "outcome", "success")
EVENT = {"event_type": "brute_force"}
VIOLATION = {"violation_type": "denied", "resource_class": "memory"}

SCENES: dict[str, Scene] = {
    "AgentMemoryHigh": Scene(
        gauge("agents.memory", 35 * MB, "By"), gauge("agents.memory", 30 * MB, "By"), "critical", 13
    ),
    "AgentMemoryLeak": Scene(lambda n: leak(110)(n), lambda n: leak(38)(n), "high", 76),
    "ProcessMemoryHigh": Scene(
        gauge("process.memory.usage", 2049 * MB, "By"), gauge("process.memory.usage", 1800 * MB, "By"), "critical", 31
    ),
    "AgentErrorsHigh": Scene(
        share("agents.steps", "outcome", "success", "timeout", 6),
        share("agents.steps", "outcome", "success", "failure", 5),
        "high",
        13,
    ),
    "HighErrorRatio": Scene(http(11), http(5), "critical", 13),
    "TraceErrorsHigh": Scene(spans(11), spans(10), "high", 31),
    "InferenceSlow": Scene(
        durations("agents.inference.duration", 0.25, 6), durations("agents.inference.duration", 0.25, 4), "high", 31
    ),
    "InferenceTailSlow": Scene(
        durations("agents.inference.duration", 1.1, 2), durations("agents.inference.duration", 0.9, 2), "critical", 13
    ),
    "CoordinationSuccessLow": Scene(
        share(*COORDINATION, "failure", 11), share(*COORDINATION, "failure", 5), "high", 31
    ),
    "CoordinationTimeouts": Scene(share(*COORDINATION, "timeout", 6), share(*COORDINATION, "timeout", 3), "high", 13),
    "CoordinationSlow": Scene(
        durations("agents.coordination.duration", 2.2, 6), durations("agents.coordination.duration", 1.7, 6), "high", 31
    ),
    "CoordinationSessionsHigh": Scene(
        gauge("agents.coordination.sessions.active", 101, coordination_type="task"),
        gauge("agents.coordination.sessions.active", 80, coordination_type="task"),
        "high",
        31,
    ),
    "AuthFailuresHigh": Scene(
        always(
            {of("agents.auth.attempts", outcome="failure"): [6.0], of("agents.auth.attempts", outcome="locked"): [6.0]}
        ),
        always(
            {of("agents.auth.attempts", outcome="failure"): [4.0], of("agents.auth.attempts", outcome="success"): [99]}
        ),
        "high",
        9,
    ),
    "SecurityAnomaly": Scene(
        always({of("agents.security.events", severity="high", **EVENT): [1.0]}),
        always({of("agents.security.events", severity="low", **EVENT): [1.0]}),
        "critical",
        1,
    ),
    "AccessViolation": Scene(always({of("agents.access.violations", **VIOLATION): [1.0]}), QUIET, "high", 1),
    "AgentToolLoop": Scene(
        always({of("agents.tool.loops", agent="ada", gen_ai__tool__name="search"): [2.0]}), QUIET, "warning", 1
    ),
    "CoordinationHung": Scene(always({of("agents.sessions.hung", operation="vote"): [1.0]}), QUIET, "high", 1),
    "ResponseQualityLow": Scene(
        always({of("agents.response.quality", "histogram", response_type="report"): [0.5, 0.65]}),
        always({of("agents.response.quality", "histogram", response_type="report"): [0.6, 0.85]}),
        "high",
        70,
    ),
    "FreeEnergyOutOfRange": Scene(
        gauge("agents.belief.free_energy", 0.05, "nat"), gauge("agents.belief.free_energy", 7.9, "nat"), "high", 31
    ),
    "BeliefAccuracyLow": Scene(
        share("agents.belief.predictions", "correct", "true", "false", 31),
        share("agents.belief.predictions", "correct", "true", "false", 20),
        "high",
        61,
    ),
    "AgentCrashLoop": Scene(
        lambda n: {of("agents.lifecycle.events", event="restart"): [1.0]},
        lambda n: {of("agents.lifecycle.events", event="restart" if n % 40 == 0 else "start"): [1.0]},
        "high",
        3,
    ),
}
"""Rules of kind threshold. AgentSilent and MetricAnomaly have tests of their own."""


def rule(name: str) -> Rule:
    return next(r for r in RULES if r.name == name)


def anomaly(number: int, which: Series | None = None, score: float = 0.9999, value: float = 50.0) -> Anomaly:
    judged = Score(score, 10.0, 8.0, 12.0, warming_up=False)
    start = EPOCH + number * WINDOW
    found = which or of("agents.memory", "gauge", "By")
    return Anomaly(found, start, start + WINDOW, "mean", value, judged, "novelty", 0.9999)
