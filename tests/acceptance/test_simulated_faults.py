"""The shipped rules and the default detector on simulated faults with known truth, with their real waiting times.

Events -> decode -> window -> detect -> correlate, without a broker: an hour of event time takes seconds.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from agents_emitter.events import METRICS_TOPIC
from agents_emitter.simulator import Emission, ground_truth, simulate
from streams.correlate.operator import CorrelateOperator
from streams.correlate.rules import load_rules
from streams.decode.run import HeadCache, decode_run
from streams.detect.operator import DetectOperator
from streams.domain.alert import AlertTransition
from streams.window.operator import WindowOperator, WindowSpec

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
RULES = load_rules((Path(__file__).parents[2] / "monitoring" / "thresholds.yml").read_text(encoding="utf-8"))
NOT_FED = {"TraceErrorsHigh", "DeploymentRegression"}
"""Alerts from spans and from deployment gates: not on this path."""
SLOWLY = {"memory_leak": {"MetricAnomaly"}}
"""A ramp this slow is normal again in every window; AgentMemoryLeak is the rule for it."""


class Line:
    """The metrics path in one process."""

    def __init__(self) -> None:
        self.window = WindowOperator(METRICS_TOPIC, 0, WindowSpec())
        self.heads = HeadCache()
        self.detect = DetectOperator(warmup_windows=40)
        self.correlate = CorrelateOperator(RULES)
        self.made: list[AlertTransition] = []
        self.offset = 0

    def feed(self, emissions: list[Emission]) -> None:
        records = []
        for emission in emissions:
            where = {"offset": self.offset, "timestamp": emission.time_ns // 1_000_000}
            records.append(SimpleNamespace(value=emission.value, key=emission.key, **where))
            self.offset += 1
        columns = decode_run(records, self.window.table, self.heads, hint=METRICS_TOPIC)
        for batch in self.window.apply(columns).closed:
            found = self.detect.apply(batch)
            self.made += self.correlate.apply(batch, found.anomalies)
            self.made += self.correlate.advance(min(batch.end_ns, self.window.closed_ns))


def run(scenario: str, seconds: float, fault: tuple[float, float] | None) -> list[AlertTransition]:
    line, waiting, due_ns = Line(), [], START
    for emission in simulate(scenario, seed=1, start_ns=START, duration_seconds=seconds, fault_seconds=fault):
        if emission.topic == METRICS_TOPIC:
            waiting.append(emission)
            if emission.time_ns >= due_ns:
                line.feed(waiting)
                waiting, due_ns = [], emission.time_ns + 5 * SECOND
    if waiting:
        line.feed(waiting)
    return line.made


def test_a_normal_half_hour_fires_nothing() -> None:
    assert [t for t in run("normal_day", 1800, None) if t.state == "firing"] == []


@pytest.mark.parametrize(
    ("scenario", "until"),
    [
        ("slow_tool", 1000),
        ("memory_leak", 1500),
        ("model_outage", 1000),
        ("cascade", 1000),
        ("security_burst", 1000),
        ("agent_silence", 700),
    ],
)
def test_a_fault_raises_the_alerts_it_should(scenario: str, until: float) -> None:
    fault, seconds = (480.0, until), until + 60
    truth = ground_truth(scenario, seed=1, start_ns=START, duration_seconds=seconds, fault_seconds=fault)
    fired = [t for t in run(scenario, seconds, fault) if t.state == "firing" and t.previous != "firing"]
    expected = set(truth.faults[0].expected_alerts) - NOT_FED - SLOWLY.get(scenario, set())
    assert {t.alertname for t in fired} >= expected
    for transition in fired:
        if transition.alertname in expected - {"MetricAnomaly"}:
            assert transition.starts_at_ns >= truth.faults[0].start_ns, transition.annotations["summary"]
