"""Verdicts of gates as metrics: from what the gates themselves say, through the record and a snapshot, to samples."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from streams.correlate import deployments
from streams.correlate.deployments import DeploymentAlerts
from streams.domain.deployment import decode_deployment, encode_deployment
from streams.domain.judged import MAX_GATES, DeploymentVerdict, judged
from streams.gate.summary import as_json
from streams.publish.verdicts import VERDICTS, VerdictCollector
from tests.unit.correlate.test_deployments import deployment
from tests.unit.gate import test_scenarios as gates

OTHERS: dict[str, Any] = {"name": "p95", "unit": "s", "status": "pass", "blocking": True, "value": 1}


def shown(alerts: DeploymentAlerts) -> dict[tuple[str, ...], float]:
    """Name and gate (or profile) -> value."""
    families = VerdictCollector(alerts.verdicts).collect()
    rows = [(family.name, sample) for family in families for sample in family.samples]
    declared = {metric.name: set(metric.labels) for metric in VERDICTS}
    assert all(set(sample.labels) == declared[name] for name, sample in rows)
    return {(name, s.labels.get("gate", s.labels.get("profile", ""))): s.value for name, s in rows}


def test_each_gate_of_a_real_verdict_is_shown_with_what_it_was_held_against() -> None:
    verdict = gates.judged(gates.windows(gates.USUAL, gates.SLOW))
    record = deployment("failed", 10_000_000_000, as_json(verdict, "planning", "2", "1"))
    before, alerts = DeploymentAlerts(), DeploymentAlerts()
    before.take(decode_deployment(encode_deployment(record)))
    alerts.load(orjson.loads(orjson.dumps(before.dump())))
    found = shown(alerts)
    assert found == shown(before)
    assert found["streams_deployment_verdict", "default"] == -1
    assert found["streams_deployment_judged_seconds", "default"] == 10
    words = {"pass": 1, "inconclusive": 0, "fail": -1}
    for gate in verdict.gates:
        assert found["streams_gate_status", gate.name] == words[gate.status]
        assert found.get(("streams_gate_candidate", gate.name)) == gate.value
        assert found.get(("streams_gate_baseline", gate.name)) == gate.baseline
        assert found.get(("streams_gate_effect_ratio", gate.name)) == gate.effect
    assert found["streams_gate_effect_ratio", "inference_p95_regression"] > 0.1
    assert found["streams_gate_p_value", "inference_p95_regression"] < 0.01
    registry = CollectorRegistry()
    registry.register(VerdictCollector(alerts.verdicts))
    assert b'gate="response_quality",' in generate_latest(registry)


@pytest.mark.parametrize(
    "verdict",
    [None, {}, {"verdict": "maybe"}, {"verdict": 3, "gates": [OTHERS]}, {"verdict": ["fail"]}],
    ids=["none yet", "empty", "another word", "a number", "a list"],
)
def test_what_is_no_verdict_shows_nothing(verdict: dict[str, Any] | None) -> None:
    assert judged(deployment("validating", 10, verdict)) is None


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        (None, []),
        ({"p95": 1}, []),
        ([OTHERS, 3, None, [], {"name": "x"}, {**OTHERS, "name": None}], ["p95"]),
        ([{**OTHERS, "status": ["pass"]}, {**OTHERS, "status": {}}], []),
        ([OTHERS, OTHERS], ["p95"]),
        ([{**OTHERS, "name": f"g{number}"} for number in range(MAX_GATES + 5)], [f"g{n}" for n in range(MAX_GATES)]),
    ],
)
def test_gates_that_are_none_are_left_out_and_there_is_a_bound(rows: object, names: list[str]) -> None:
    found = judged(deployment("validating", 10, {"verdict": "pass", "gates": rows}))
    assert found is not None
    assert [gate.name for gate in found.gates] == names


@pytest.mark.parametrize("value", [None, "1", True, float("nan"), float("inf"), [], {}])
def test_a_figure_that_is_none_is_not_shown(value: object) -> None:
    alerts = DeploymentAlerts()
    row = {**OTHERS, "value": value, "effect": value, "p_value": value, "baseline": value}
    alerts.take(deployment("validating", 10, {"verdict": "pass", "gates": [row]}))
    assert {name for name, _ in shown(alerts)} == {
        *("streams_deployment_verdict", "streams_deployment_judged_seconds", "streams_gate_status"),
    }


def test_only_the_newest_are_shown_and_a_newer_deployment_has_no_verdict_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployments, "SHOWN_VERDICTS", 2)
    alerts = DeploymentAlerts()
    for number in range(4):
        alerts.take(replace(deployment("validating", 10, {"verdict": "pass"}), service=f"s{number}"))
    assert [one.service for one in alerts.verdicts()] == ["s3", "s2"]
    alerts.take(replace(deployment("registered", 30, version="3", started=20), service="s3"))
    found: list[DeploymentVerdict] = alerts.verdicts()
    assert [one.service for one in found] == ["s2", "s1"]
