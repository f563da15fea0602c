"""A runbook for every alert, with all its parts; what it tells people to type exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from monitoring.source.__main__ import FOLDER
from streams.cli import parser
from streams.correlate.deployments import SEVERITIES
from streams.correlate.notices import INCIDENT_ALERT
from streams.correlate.ratecap import FLOOD_ALERT
from streams.correlate.rules import load_thresholds
from tests.unit.monitoring.test_rules import ALERTS, known, metrics_of

RUNBOOKS = sorted((FOLDER / "runbooks").glob("*.md"))
STREAM = {rule.name: rule.runbook for rule in load_thresholds((FOLDER / "thresholds.yml").read_text()).rules}
STREAM |= {name: f"monitoring/runbooks/{name}.md" for name in (INCIDENT_ALERT, FLOOD_ALERT, *SEVERITIES)}
PROMETHEUS = {rule["alert"]: rule["annotations"]["runbook"] for rule in ALERTS}
PARTS = ["Meaning", "Impact", "Look at", "First action", "Escalate"]


def blocks(path: Path, kind: str) -> list[str]:
    found = re.findall(rf"```{kind}\n(.*?)```", path.read_text(), flags=re.DOTALL)
    return [line for block in found for line in block.splitlines() if line]


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    named = {**STREAM, **PROMETHEUS}
    assert {path.stem for path in RUNBOOKS} == set(named)
    assert {name: path for name, path in named.items() if path != f"monitoring/runbooks/{name}.md"} == {}


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_is_complete(path: Path) -> None:
    text = path.read_text()
    assert text.startswith(f"# {path.stem}\n")
    assert re.findall(r"^## (.+)$", text, flags=re.MULTILINE) == PARTS
    sections = re.split(r"^## .+$", text, flags=re.MULTILINE)[1:]
    assert all(len(section.split()) >= 2 for section in sections)


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_its_queries_are_about_metrics_that_exist(path: Path) -> None:
    assert blocks(path, "promql") or blocks(path, "sh")
    names = {"process_start_time_seconds", "__name__"}
    wrong = {m for line in blocks(path, "promql") for m in metrics_of(line) if not known(m) and m not in names}
    assert wrong == set()


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_its_commands_are_commands(path: Path) -> None:
    for line in blocks(path, "sh"):
        program, *arguments = shlex.split(line)
        assert program == "streams", line
        parser().parse_args(arguments)


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_it_says_where_to_look(path: Path) -> None:
    """Alerts of the stream are part of an incident; what those of Prometheus are about is on a dashboard."""
    text = path.read_text()
    boards = set(re.findall(r"`/d/([a-z-]+)`", text))
    assert boards <= {board.stem for board in (FOLDER / "grafana/dashboards").glob("*.json")}
    if path.stem in PROMETHEUS:
        assert boards
        assert "it is in no incident" in text
        assert "incident this alert belongs to" not in text
    else:
        assert "The page (`streams api`)" in text


def test_the_operations_page_names_only_what_is_there() -> None:
    text = (FOLDER.parent / "docs" / "OPERATIONS.md").read_text()
    named = set(re.findall(r"\(([A-Z][A-Za-z]+[a-z])\)", text))
    assert {name for name in named if name[0].isupper() and name not in {*STREAM, *PROMETHEUS}} == set()
