"""Rules for Prometheus: generated, each tested by promtool, about metrics that exist, with limits from one file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring.source import slo
from monitoring.source.__main__ import FOLDER, files, main
from streams.correlate.rules import load_thresholds
from streams.domain.alert import SEVERITIES
from streams.publish.names import label_name

RULES = FOLDER / "rules"
ALERTMANAGER: dict[str, Any] = yaml.safe_load((FOLDER / "alertmanager/alertmanager.yml").read_text())
EXPORTED = {
    line.split()[0] for line in (Path(__file__).parents[2] / "golden/metrics_catalogue.txt").read_text().splitlines()
}
OTHERS = {"up", "ALERTS", "node_filesystem_avail_bytes", "node_filesystem_size_bytes"}
WORDS = re.compile(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|(?:by|without|on|ignoring) \([^)]*\)')
SUFFIXES = ("_bucket", "_sum", "_count")


def rules(name: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((RULES / name).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = [rule for name in ("alerts.yml", "slo.yml") for rule in rules(name) if "alert" in rule]
RECORDED = {rule["record"] for path in RULES.glob("*.yml") for rule in rules(path.name) if "record" in rule}


def metrics_of(expression: str) -> set[str]:
    bare = WORDS.sub(" ", expression)
    return {word for word in re.findall(r"[a-z_:][a-z0-9_:]*(?![a-z0-9_:]*\s*\()", bare) if "_" in word or ":" in word}


def known(metric: str) -> bool:
    stems = {metric, *(metric.removesuffix(suffix) for suffix in SUFFIXES)}
    return bool(stems & (EXPORTED | RECORDED | OTHERS))


def test_what_is_committed_is_what_the_source_gives(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("path", sorted(RULES.glob("*.yml")), ids=lambda path: path.name)
def test_every_metric_of_an_expression_is_exported_or_recorded(path: Path) -> None:
    wrong = {
        (rule.get("alert") or rule["record"], m)
        for rule in rules(path.name)
        for m in metrics_of(rule["expr"])
        if not known(m)
    }
    assert wrong == set()


def test_every_alert_fires_in_a_promtool_test_and_is_silent_in_another() -> None:
    texts = [path.read_text() for path in sorted((RULES / "tests").glob("*.yml"))]
    suites = [suite for text in texts for suite in yaml.safe_load(text)["tests"]]
    silent = {case["alertname"] for s in suites for case in s.get("alert_rule_test", []) if not case.get("exp_alerts")}
    fired = {case["alertname"] for s in suites for case in s.get("alert_rule_test", []) if case.get("exp_alerts")}
    for suite in suites:
        for case in suite.get("promql_expr_test", []):
            fired |= set(re.findall(r'alertname="(\w+)"', " ".join(x["labels"] for x in case.get("exp_samples", []))))
    names = {rule["alert"] for rule in ALERTS}
    assert names - fired == set(), "no test fires it"
    assert names - silent == {"Watchdog"}, "no test shows it silent"


def test_severities_are_of_the_vocabulary_and_texts_are_there() -> None:
    for rule in ALERTS:
        assert rule["labels"]["severity"] in {*SEVERITIES, "none"}, rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}, rule["alert"]


def test_an_alert_is_of_the_stream_or_of_prometheus_not_of_both() -> None:
    stream = {rule.name for rule in load_thresholds((FOLDER / "thresholds.yml").read_text()).rules}
    assert stream & {rule["alert"] for rule in ALERTS} == set()


def test_limits_come_from_the_thresholds_file() -> None:
    body = yaml.safe_load((FOLDER / "thresholds.yml").read_text())
    body["baselines"]["api_p95"]["critical"] = 0.789
    from monitoring.source import alerts
    from streams.correlate.rules import parse_thresholds

    made = alerts.groups(parse_thresholds(body).baselines)
    assert "0.789" in str([r["expr"] for g in made for r in g["rules"] if r["alert"] == "ApiLatencyP95High"])


def test_a_critical_alert_silences_the_others_of_its_own_trouble_and_of_no_other() -> None:
    """The labels that say whose trouble it is: another agent's or disk's of the same name must be told too."""
    (rule,) = (r for r in ALERTMANAGER["inhibit_rules"] if r["source_matchers"] == ['severity="critical"'])
    told: dict[str, set[str]] = {}
    for alert in ALERTS:
        told.setdefault(alert["alert"], set()).add(alert["labels"]["severity"])
    whose = {
        alert["alert"]: set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"]))
        for alert in ALERTS
        if len(told[alert["alert"]]) > 1 and "critical" in told[alert["alert"]]
    }
    for one in load_thresholds((FOLDER / "thresholds.yml").read_text()).rules:
        severities = {level.severity for level in one.levels}
        if len(severities) > 1 and "critical" in severities:
            whose[one.name] = {label_name(name) for name in one.group_by}
    assert {"DiskFreeLow", "AgentMemoryHigh"} <= whose.keys()
    assert {name: labels - set(rule["equal"]) for name, labels in whose.items() if labels - set(rule["equal"])} == {}


def test_windows_of_burn_rates_are_recorded() -> None:
    config = yaml.safe_load((FOLDER / "slo.yml").read_text())
    assert {burn[window] for burn in config["burn"] for window in ("long", "short")} <= set(slo.WINDOWS)


def test_generated_files_say_so() -> None:
    assert all("Do not edit" in text.splitlines()[0] for path, text in files().items() if path.suffix == ".yml")
