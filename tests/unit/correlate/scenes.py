"""The shipped fixtures of rules (``monitoring/rulefixtures.yml``) as rows of windows, and when each rule fires."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from streams.correlate.fixture import Scene as FixtureScene
from streams.correlate.fixture import load_fixtures
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


def gauge(metric: str, value: float, unit: str = "1", **labels: str) -> Callable[[int], Rows]:
    return lambda _: {of(metric, "gauge", unit, **labels): [value]}


def drawn(scene: FixtureScene) -> Callable[[int], Rows]:
    return lambda number: {row.series: values for row in scene.rows if (values := row.at(number))}


QUIET = gauge("process.thread.count", 3)
AFTER_WINDOWS = {
    "AgentMemoryHigh": 13,
    "AgentMemoryLeak": 76,
    "ProcessMemoryHigh": 31,
    "AgentErrorsHigh": 13,
    "HighErrorRatio": 13,
    "TraceErrorsHigh": 31,
    "InferenceSlow": 31,
    "InferenceTailSlow": 13,
    "CoordinationSuccessLow": 31,
    "CoordinationTimeouts": 13,
    "CoordinationSlow": 31,
    "CoordinationSessionsHigh": 31,
    "AuthFailuresHigh": 9,
    "SecurityAnomaly": 1,
    "AccessViolation": 1,
    "AgentToolLoop": 1,
    "CoordinationHung": 1,
    "ResponseQualityLow": 70,
    "FreeEnergyOutOfRange": 31,
    "BeliefAccuracyLow": 61,
    "AgentCrashLoop": 3,
    "BeliefConvergenceSlow": 31,
    "TraceSlow": 61,
    "TraceTailSlow": 61,
    "FatalLog": 1,
}
"""Rules of kind threshold: the window in which the worst severity is reached. Others have tests
of their own."""
FIXTURES = load_fixtures((THRESHOLDS.parent / "rulefixtures.yml").read_text(encoding="utf-8"))
SCENES = {
    name: Scene(drawn(FIXTURES[name].fires), drawn(FIXTURES[name].silent), FIXTURES[name].fires.severity, after)
    for name, after in AFTER_WINDOWS.items()
}


def rule(name: str) -> Rule:
    return next(r for r in RULES if r.name == name)


def anomaly(number: int, which: Series | None = None, score: float = 0.9999, value: float = 50.0) -> Anomaly:
    judged = Score(score, 10.0, 8.0, 12.0, warming_up=False)
    start = EPOCH + number * WINDOW
    found = which or of("agents.memory", "gauge", "By")
    return Anomaly(found, start, start + WINDOW, "mean", value, judged, "novelty", 0.9999)
