"""Dashboards: every metric exists, limits are those of thresholds.yml, files are what Grafana provisions."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from monitoring.source.__main__ import FOLDER
from monitoring.source.dashboards.board import BOARDS
from monitoring.source.dashboards.limits import limits
from monitoring.source.dashboards.panel import Board, Panel
from streams.correlate.rules import load_thresholds
from tests.unit.monitoring.test_rules import known, metrics_of

THRESHOLDS = load_thresholds((FOLDER / "thresholds.yml").read_text())
LIMITS = limits(THRESHOLDS)


def panels(board: Board) -> list[Panel]:
    return [panel for _, row in board.rows for panel in row]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_every_metric_is_exported_or_recorded(board: Board) -> None:
    own = {"process_start_time_seconds"}
    wrong = {
        (panel.title, metric)
        for panel in panels(board)
        for target in panel.targets
        for metric in metrics_of(target.expr)
        if not known(metric) and metric not in own
    }
    assert wrong == set()


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_panels_are_complete_and_limits_known(board: Board) -> None:
    for panel in panels(board):
        assert panel.targets, panel.title
        assert 0 < panel.width <= 24, panel.title
        assert not panel.limits or panel.limits in LIMITS, panel.title
    titles = [panel.title for panel in panels(board)]
    assert len(titles) == len(set(titles))


def test_files_are_where_grafana_looks() -> None:
    provider = yaml.safe_load((FOLDER / "grafana/provisioning/dashboards/agents.yml").read_text())["providers"][0]
    compose = (FOLDER.parent / "docker-compose.kafka.yml").read_text()
    assert f"./monitoring/grafana/dashboards:{provider['options']['path']}:ro" in compose
    files = {path.stem: json.loads(path.read_text()) for path in (FOLDER / "grafana/dashboards").glob("*.json")}
    assert set(files) == {board.uid for board in BOARDS}
    for uid, body in files.items():
        assert body["uid"] == uid
        used = {panel["datasource"]["uid"] for panel in body["panels"] if panel.get("datasource")}
        assert used == {"prometheus"}


def committed() -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in (FOLDER / "grafana/dashboards").glob("*.json")]


def test_nothing_is_green_or_red_that_nobody_judged() -> None:
    """Grafana's own default turns a figure red at 80."""
    judged = {panel.title for board in BOARDS for panel in panels(board) if panel.limits or panel.wrong}
    for body in committed():
        for panel in body["panels"]:
            if panel["type"] in ("row", "nodeGraph") or panel["title"] in judged:
                continue
            steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
            assert [step["color"] for step in steps] == ["text"], panel["title"]


def test_from_an_agent_to_its_traces_and_logs_and_from_an_alert_to_its_incident() -> None:
    """Each way is one that the operator's page knows, and starts at a label that the panel shows."""
    page = (FOLDER.parent / "streams/api/page/page.js").read_text()
    ways: dict[str, str] = {}
    for body in committed():
        assert body["templating"]["list"][0]["name"] == "page"
        assert {one["name"]: one["expr"] for one in body["annotations"]["list"]}["Deployments"].startswith(
            "streams_deployment"
        )
        for panel in body["panels"]:
            found = panel.get("fieldConfig", {}).get("defaults", {}).get("links", [])
            ways |= {link["url"]: json.dumps(panel["targets"]) for link in found}
    agent = "${page}/#/agent/${__field.labels.agent_id}"
    assert {agent, "${page}/#/logs?service=${__field.labels.service_name}", "${page}/#/"} <= ways.keys()
    for url, targets in ways.items():
        view = re.match(r"\$\{page\}/#/(\w*)", url)
        assert view is not None
        assert rf"[/^\/{view[1]}" in page, url
        assert all(label in targets for label in re.findall(r"(?:labels|fields)\.(\w+)", url)), url


def test_a_line_is_where_the_alert_fires() -> None:
    """No panel draws a baseline whose worst limit is that of a rule about the same metric, and whose other is not."""
    drawn = {panel.limits for board in BOARDS for panel in panels(board) if panel.limits in THRESHOLDS.baselines}
    apart = [
        (name, rule.name)
        for name in sorted(drawn)
        for rule in THRESHOLDS.rules
        if rule.name in LIMITS
        and THRESHOLDS.baselines[name].metric in {selector.metric for selector in rule.selectors}
        and THRESHOLDS.baselines[name].critical == LIMITS[rule.name].critical
        and THRESHOLDS.baselines[name].warning != LIMITS[rule.name].warning
    ]
    assert apart == []


def test_thresholds_ascend_as_grafana_wants_them() -> None:
    for path in (FOLDER / "grafana/dashboards").glob("*.json"):
        for panel in json.loads(path.read_text())["panels"]:
            steps = panel.get("fieldConfig", {}).get("defaults", {}).get("thresholds", {}).get("steps", [])
            values = [step["value"] for step in steps[1:]]
            assert values == sorted(values), panel["title"]


def test_no_query_reads_hours_of_raw_series_that_a_recording_has() -> None:
    for board in BOARDS:
        for panel in panels(board):
            for target in panel.targets:
                ranges = re.findall(r"_bucket\{[^}]*\}\[(\d+)([smhd])\]", target.expr)
                assert all(unit in "sm" for _, unit in ranges), panel.title
