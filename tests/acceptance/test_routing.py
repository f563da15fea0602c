"""Every shipped alert at its receiver, with severity and runbook: by amtool, and through the real ones to a webhook.

Stream alerts: fixture, rule, publisher, Alertmanager, webhook. Prometheus' alerts: their expressions are replaced by
one that is true at once (promtool fires the real ones), labels, annotations and templates are as shipped.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from streams.correlate.deployments import SEVERITIES, DeploymentAlerts
from streams.correlate.fixture import played
from streams.correlate.notices import INCIDENT_ALERT, notices
from streams.correlate.ratecap import FLOOD_ALERT, Floods
from streams.correlate.rule import Rule
from streams.domain.alert import AlertTransition
from streams.publish.alertmanager import AlertmanagerPublisher
from streams.services import install
from streams.services.alertmanager import AlertmanagerService
from streams.services.prometheus import PrometheusService
from streams.services.webhook import WebhookReceiver
from tests.pipeline import eventually
from tests.unit.correlate.scenes import FIXTURES, RULES
from tests.unit.correlate.test_deployments import FAIL, deployment
from tests.unit.publish.builders import CountedStats
from tests.unit.subscribe.drawing import incident

pytestmark = pytest.mark.integration
MONITORING = Path(__file__).parents[2] / "monitoring"
SECURITY = {"SecurityAnomaly", "AccessViolation", "AuthFailuresHigh"}
OF_SEVERITY = {"critical": "page", "high": "operators", "warning": "notices", "info": "notices"}
PROMETHEUS = [
    rule
    for name in ("alerts.yml", "slo.yml")
    for group in yaml.safe_load((MONITORING / "rules" / name).read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
]


def wanted(name: str, severity: str) -> set[str]:
    """Who should hear of it."""
    if name == "Watchdog":
        return {"nobody"}
    if name in SECURITY:
        return {"security", "page"} if severity == "critical" else {"security"}
    return {OF_SEVERITY[severity]}


def shipped() -> list[tuple[str, str]]:
    """All alerts by name and severity."""
    of_stream = {(rule.name, level.severity) for rule in RULES for level in rule.levels}
    incidents = {(INCIDENT_ALERT, severity) for severity in OF_SEVERITY} | {(FLOOD_ALERT, "high"), *SEVERITIES.items()}
    return sorted(of_stream | incidents | {(rule["alert"], rule["labels"]["severity"]) for rule in PROMETHEUS})


@pytest.fixture(scope="module")
def amtool(monitoring_packages: None) -> Path:
    return Path(install.program("prometheus-alertmanager")).parent / "amtool"


@pytest.mark.parametrize("name", ["alertmanager.yml", "channels.yml"])
def test_amtool_takes_the_file_and_sends_every_alert_to_its_receiver(amtool: Path, name: str) -> None:
    path = MONITORING / "alertmanager" / name
    checked = subprocess.run([amtool, "check-config", path], capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    for alert, severity in shipped():
        labels = [f"alertname={alert}", f"severity={severity}", "service_name=planning"]
        line = [amtool, "config", "routes", "test", f"--config.file={path}", *labels]
        answer = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True).stdout
        assert set(answer.strip().split(",")) == wanted(alert, severity), (alert, severity)


def heard(private_webhook: WebhookReceiver, key: Callable[[dict[str, Any]], str]) -> dict[str, set[str]]:
    """Receivers by alert."""
    found: dict[str, set[str]] = {}
    for request in private_webhook.requests:
        for alert in request["alerts"]:
            found.setdefault(key(alert), set()).add(request["receiver"])
    return found


def complete(alert: dict[str, Any]) -> bool:
    """It says how bad it is, what is the matter, and where to read on."""
    texts = alert["annotations"]
    runbook = MONITORING.parent / texts.get("runbook", "none")
    return alert["labels"]["severity"] in OF_SEVERITY and bool(texts.get("summary")) and runbook.is_file()


def worst(rule: Rule) -> AlertTransition:
    """The transition with which a rule reaches the severity its fixture names."""
    scene = FIXTURES[rule.name].fires
    made = played(rule, scene)
    return [t for t in made if t.state == "firing" and t.severity == scene.severity][-1]


def made_of_others() -> list[AlertTransition]:
    """Alerts that no rule makes: of incidents, of deployments, and of more alerts than are told one by one."""
    failed = (deployment("failed", 10, FAIL), deployment("failed", 10))
    flood = Floods().changes({"AgentErrorsHigh": {"a", "b"}}, time.time_ns(), 1)
    (one,) = incident().members
    led = notices(incident(members=(one, replace(one, fingerprint="f2"))), None, markers=False)
    return [*led, *flood, *(alert for one in failed for alert in DeploymentAlerts().take(one))]


def test_all_that_is_shipped_is_sent_in_one_of_these_tests() -> None:
    sent = {t.alertname for t in [*map(worst, RULES), *made_of_others()]} | {rule["alert"] for rule in PROMETHEUS}
    assert sent == {name for name, _ in shipped()} == {path.stem for path in (MONITORING / "runbooks").glob("*.md")}


def test_every_alert_of_the_stream_reaches_its_receiver(
    private_alertmanager: AlertmanagerService, private_webhook: WebhookReceiver
) -> None:
    transitions = [worst(rule) for rule in RULES] + made_of_others()
    expected = {t.alertname: wanted(t.alertname, t.severity) for t in transitions}

    async def publish() -> None:
        publisher = AlertmanagerPublisher([private_alertmanager.url], clock_ns=time.time_ns, stats=CountedStats())
        await publisher.start()
        try:
            for transition in transitions:
                publisher.update(transition)
            said = lambda: heard(private_webhook, lambda alert: str(alert["labels"]["alertname"])) == expected  # noqa: E731
            await asyncio.to_thread(eventually, said, "every alert at its receiver", 60.0)
        finally:
            await publisher.stop()

    asyncio.run(publish())
    assert all(complete(alert) for alert in private_webhook.alerts if alert["status"] == "firing")


def test_every_alert_of_prometheus_reaches_its_receiver(
    tmp_path: Path, private_alertmanager: AlertmanagerService, private_webhook: WebhookReceiver
) -> None:
    rules, expected = [], {}
    for number, rule in enumerate(PROMETHEUS):  # a service each: a worse one of the same name would inhibit it
        expression = f'label_replace(vector(1), "service_name", "s{number}", "", "")'
        rules.append({name: rule[name] for name in ("alert", "labels", "annotations")} | {"expr": expression})
        expected[f"s{number}"] = wanted(rule["alert"], rule["labels"]["severity"]) - {"nobody"}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    expected = {service: receivers for service, receivers in expected.items() if receivers}
    with PrometheusService(
        tmp_path / "prometheus", rule_files=[tmp_path / "rules.yml"], alertmanager_url=private_alertmanager.url
    ):
        eventually(
            lambda: heard(private_webhook, lambda alert: str(alert["labels"]["service_name"])) == expected,
            "every alert at its receiver",
        )
    assert all(complete(alert) for alert in private_webhook.alerts if alert["status"] == "firing")
    assert "Watchdog" in {alert["labels"]["alertname"] for alert in private_alertmanager.alerts()}


def test_what_is_critical_of_one_agent_does_not_silence_another(private_alertmanager: AlertmanagerService) -> None:
    """At a real Alertmanager: the same trouble of the same agent is inhibited, another agent's is not."""
    whose = {("a", "critical"): False, ("a", "warning"): True, ("b", "warning"): False}
    labels = [
        {"alertname": "AgentMemoryHigh", "service_name": "planning", "agent_id": agent, "severity": severity}
        for agent, severity in whose
    ]
    httpx.post(f"{private_alertmanager.url}/api/v2/alerts", json=[{"labels": one} for one in labels]).raise_for_status()

    def inhibited() -> dict[tuple[str, str], bool]:
        held = private_alertmanager.alerts()
        return {(a["labels"]["agent_id"], a["labels"]["severity"]): bool(a["status"]["inhibitedBy"]) for a in held}

    eventually(lambda: inhibited() == whose, "only the same agent's is inhibited", 30.0)
