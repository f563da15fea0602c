"""Alerts about deployments, by tables of what becomes of one."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streams.correlate import deployments
from streams.correlate.deployments import DeploymentAlerts
from streams.domain.deployment import Deployment, State, Step

FAIL = {"verdict": "fail", "reasons": ["p95 of inference is 31 % higher (p = 0.0004)"]}
PASS = {"verdict": "pass", "reasons": []}


def deployment(
    state: State, at: int, verdict: dict[str, Any] | None = None, version: str = "2", started: int = 1
) -> Deployment:
    return Deployment(
        id=f"d{version}",
        service="planning",
        version=version,
        environment="prod",
        baseline_version="1",
        strategy="rolling",
        git_sha="",
        profile="default",
        state=state,
        started_ns=started,
        updated_ns=at,
        idempotency_key="",
        request_hash="x",
        verdict=verdict,
        steps=(Step(at, state, f"because of {state}", "ci"),),
    )


@pytest.mark.parametrize(
    ("records", "told"),
    [
        pytest.param([("registered", None), ("validating", PASS), ("succeeded", PASS)], [], id="all is well"),
        pytest.param(
            [("validating", None), ("failed", FAIL)], ["DeploymentRegression firing"], id="the gate said fail"
        ),
        pytest.param(
            [("failed", FAIL), ("failed", FAIL), ("rollback_requested", FAIL), ("rolled_back", FAIL)],
            ["DeploymentRegression firing", "DeploymentRegression resolved"],
            id="until it is rolled back",
        ),
        pytest.param(
            [("failed", FAIL), ("validating", PASS)],
            ["DeploymentRegression firing", "DeploymentRegression resolved"],
            id="another look passes",
        ),
        pytest.param([("rolling", None), ("failed", None)], ["DeploymentFailed firing"], id="the deployer said failed"),
        pytest.param(
            [("failed", FAIL), ("rollback_failed", FAIL), ("rolled_back", FAIL)],
            [
                *["DeploymentRegression firing", "DeploymentFailed firing"],
                *["DeploymentFailed resolved", "DeploymentRegression resolved"],
            ],
            id="nor can it be rolled back",
        ),
    ],
)
def test_what_becomes_of_a_deployment(records: list[tuple[State, Any]], told: list[str]) -> None:
    alerts = DeploymentAlerts()
    made = [t for at, (state, verdict) in enumerate(records, 10) for t in alerts.take(deployment(state, at, verdict))]
    assert [f"{t.alertname} {t.state}" for t in made] == told
    by_name = {name: [t.seq for t in made if t.alertname == name] for name in {t.alertname for t in made}}
    assert all(numbers == sorted(set(numbers)) for numbers in by_name.values())


def test_it_says_which_version_of_what_and_why() -> None:
    (made,) = DeploymentAlerts().take(deployment("failed", 10, FAIL))
    labels = {"environment": "prod", "service.name": "planning", "service.version": "2"}
    assert made.identity == {"alertname": "DeploymentRegression", **labels}
    assert made.annotations["description"] == FAIL["reasons"][0]
    assert (made.severity, made.starts_at_ns) == ("high", 10)


def test_a_newer_deployment_ends_what_was_said_of_the_older_and_an_older_record_says_nothing() -> None:
    alerts = DeploymentAlerts()
    alerts.take(deployment("failed", 10, FAIL))
    (ended,) = alerts.take(deployment("registered", 20, version="3", started=20))
    assert (ended.state, ended.identity["service.version"], ended.ends_at_ns) == ("resolved", "2", 20)
    assert alerts.take(deployment("failed", 30, FAIL)) == []
    assert alerts.active() == []


def test_a_replay_says_the_same_and_a_snapshot_goes_on() -> None:
    log = [deployment("validating", 5), deployment("failed", 10, FAIL), deployment("rolled_back", 20, FAIL)]
    one, two = DeploymentAlerts(), DeploymentAlerts()
    whole = [t for record in log for t in one.take(record)]
    first = [t for record in log[:2] for t in two.take(record)]
    three = DeploymentAlerts()
    three.load(orjson.loads(orjson.dumps(two.dump())))
    assert three.active() == first
    assert first + three.take(log[2]) == whole


def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployments, "MAX_SERVICES", 1)
    alerts = DeploymentAlerts()
    alerts.take(deployment("failed", 10, FAIL))
    other = deployment("registered", 20)
    (ended,) = alerts.take(Deployment(**{**{n: getattr(other, n) for n in Deployment.__slots__}, "service": "other"}))
    assert (ended.state, ended.identity["service.name"]) == ("resolved", "planning")


def test_the_newest_of_each_place_is_known_with_its_version_also_after_a_restart() -> None:
    alerts = DeploymentAlerts()
    for one in (deployment("registered", 10), deployment("rolling", 20, version="3", started=2)):
        alerts.take(one)
    again = DeploymentAlerts()
    again.load(alerts.dump())
    assert alerts.newest() == again.newest() == [("planning", "prod", "3", 2)]
    older = DeploymentAlerts()
    older.load([row[:4] for row in alerts.dump()])
    assert older.newest() == []
    assert older.take(deployment("failed", 10, FAIL)) == [], "the order is known without the version"
