"""A deployment that is told while a worker runs is the cause of the alerts that follow it; the states are held."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from streams import topics
from streams.domain.alert import AlertTransition, encode_alert
from streams.domain.deployment import decode_deployment, encode_deployment
from streams.domain.incident import Incident, decode_incident
from streams.services.ports import free_port
from streams.subscribe.commands import checked
from tests.pipeline import Pipeline, Sent, eventually, open_pipeline
from tests.unit.correlate.test_incidents import alert

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
KEY = b"0123456789abcdef"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[Pipeline]:
    with open_pipeline(tmp_path_factory.mktemp("deployments"), cache_folder, partitions=1) as made:
        yield made


def deployments(pipeline: Pipeline, *arguments: str) -> subprocess.CompletedProcess[str]:
    return pipeline.command("deployments", *arguments)


def findings(pipeline: Pipeline) -> list[bytes]:
    return [record.value or b"" for record in pipeline.read(topics.FINDINGS)]


def now(transition: AlertTransition, seconds: float) -> AlertTransition:
    at_ns = time.time_ns() + round(seconds * 1e9)
    return replace(transition, starts_at_ns=at_ns, at_ns=at_ns)


def test_a_deployment_is_a_reason_of_the_incident_after_it(pipeline: Pipeline) -> None:
    worker = pipeline.worker("alerts").up()
    answer = deployments(
        pipeline, *("start", "d1", "--service", "back", "--version", "2.0", "--by", "ci", "--sha", "abc")
    )
    assert answer.returncode == 0, answer.stderr
    assert "d1  back 2.0 in production: registered" in answer.stdout
    eventually(lambda: any(b"agents.deployment/1" in r and b'"d1"' in r for r in findings(pipeline)), "it is relayed")
    shown = {"service_name": "back", "service_version": "2.0", "environment": "production"}
    eventually(lambda: worker.total("streams_deployment_started_seconds", **shown) > time.time() - 300, "it is shown")
    judged = {
        "verdict": "fail",
        "gates": [{"name": "p95", "unit": "s", "status": "fail", "blocking": True, "value": 2}],
    }
    records = [decode_deployment(r.value or b"") for r in pipeline.read(topics.DEPLOYMENTS)]
    told = next(one for one in records if one.id == "d1")
    failed = replace(told, updated_ns=time.time_ns(), verdict=judged)
    pipeline.produce([Sent(topics.DEPLOYMENTS, b"d1", encode_deployment(failed))])
    eventually(lambda: worker.total("streams_gate_status", gate="p95", **shown) == -1, "the verdict is shown")
    assert worker.total("streams_gate_candidate", gate="p95", unit="s", **shown) == 2
    pipeline.produce([Sent(topics.FINDINGS, b"f", encode_alert(now(alert("back", 0), 5.0)))])

    def incidents() -> list[Incident]:
        return [decode_incident(record.value or b"") for record in pipeline.read(topics.INCIDENTS)]

    eventually(incidents, "an incident opens")
    reasons = [reason for cause in incidents()[-1].causes for reason in cause.reasons]
    assert any("it was deployed" in str(reason) for reason in reasons), reasons


def test_a_rollback_is_shown_and_only_then_sent_signed(pipeline: Pipeline, tmp_path: Path) -> None:
    for name in ("r1", "r2"):
        start = ("start", name, "--service", "side", "--version", name, "--baseline", "1", "--by", "ci")
        assert deployments(pipeline, *start).returncode == 0
    asked = ("rollback", "r1", "--why", "errors", "--by", "ann")
    shown = deployments(pipeline, *asked)
    assert (shown.returncode, shown.stdout.startswith("not sent (--execute sends it): {")) == (0, True), shown.stderr
    refused = deployments(pipeline, *asked, "--execute")
    assert (refused.returncode, "STREAMS_COMMANDS_KEY_FILE" in refused.stderr) == (2, True)
    assert pipeline.read(topics.COMMANDS) == []
    (tmp_path / "key").write_bytes(KEY)
    key = {"STREAMS_COMMANDS_KEY_FILE": str(tmp_path / "key")}
    sent = pipeline.command("deployments", *asked, "--execute", **key)
    assert (sent.returncode, "rollback_requested" in sent.stdout) == (0, True), sent.stderr
    (record,) = pipeline.read(topics.COMMANDS)
    command = checked(KEY, record.value or b"", record.headers, time.time_ns())
    assert (record.key, command.from_version, command.to_version) == (b"side", "r1", "1")
    hook = {"STREAMS_COMMANDS_URL": f"http://127.0.0.1:{free_port()}/"}
    for allowed, why in (("off", "STREAMS_COMMANDS_PRIVATE=on"), ("on", "there was no answer")):
        told = pipeline.command("deployments", *asked, "--execute", **key, **hook, STREAMS_COMMANDS_PRIVATE=allowed)
        assert (told.returncode, why in told.stderr) == (3, True), told.stderr
    again = [checked(KEY, r.value or b"", r.headers, time.time_ns()).id for r in pipeline.read(topics.COMMANDS)]
    assert again == [command.id] * 3, "each time the topic has it, and it is the same"
    soon = pipeline.command("deployments", "rollback", "r2", *asked[2:], "--execute", **key)
    assert (soon.returncode, "(deployment r1): again in" in soon.stderr) == (2, True), soon.stdout
    assert len(pipeline.read(topics.COMMANDS)) == 3


def test_states_follow_the_machine_and_repeats_change_nothing(pipeline: Pipeline) -> None:
    start = ("start", "d2", "--service", "front", "--version", "3", "--by", "ci")
    assert deployments(pipeline, *start).returncode == 0
    written = len(pipeline.read(topics.DEPLOYMENTS))
    assert deployments(pipeline, *start).returncode == 0
    assert len(pipeline.read(topics.DEPLOYMENTS)) == written, "the same words again write nothing"
    taken = deployments(pipeline, *start[:5], "4", *start[6:])
    assert taken.returncode == 2
    assert "choose a new id" in taken.stderr or "required" in taken.stderr
    assert deployments(pipeline, "move", "d2", "rolling", "--why", "go", "--by", "ci").returncode == 0
    refused = deployments(pipeline, "move", "d2", "rolled_back", "--why", "no", "--by", "ci")
    assert refused.returncode == 2
    assert "d2 is rolling: failed, rollback_requested, validating may follow, not rolled_back" in refused.stderr
    assert (
        "there is no deployment 'd9'"
        in deployments(pipeline, *("move", "d9", "rolling", "--why", "go", "--by", "ci")).stderr
    )
    assert "d2  front 3 in production: rolling" in deployments(pipeline, "list", "--service", "front").stdout
