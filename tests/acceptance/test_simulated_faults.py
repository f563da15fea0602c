"""The shipped rules and the default detector on simulated faults with known truth, with their real waiting times.

Events -> decode -> window -> detect -> correlate, without a broker: an hour of event time takes seconds.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from agents_emitter.simulator import ground_truth, simulate
from benchmarks.line import Line
from streams.correlate.rules import load_rules
from streams.domain.alert import AlertTransition

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
RULES = load_rules((Path(__file__).parents[2] / "monitoring" / "thresholds.yml").read_text(encoding="utf-8"))
NOT_FED = {"TraceErrorsHigh", "DeploymentRegression"}
"""Alerts from spans and from deployment gates: not on this path."""
SLOWLY = {"memory_leak": {"MetricAnomaly"}}
"""A ramp this slow is normal again in every window; AgentMemoryLeak is the rule for it."""


def run(scenario: str, seconds: float, fault: tuple[float, float] | None) -> list[AlertTransition]:
    line = Line(RULES, warmup_windows=40)
    line.play(simulate(scenario, seed=1, start_ns=START, duration_seconds=seconds, fault_seconds=fault))
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
