"""Queries ask for labels that their metrics have: one that is not there gives no error, only an empty answer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from monitoring.source.dashboards.board import BOARDS
from monitoring.source.dashboards.panel import Board, Target
from tests.unit.monitoring.test_rules import RULES, rules
from tests.unit.monitoring.test_runbooks import RUNBOOKS, blocks

GOLDEN = Path(__file__).parents[2] / "golden/metrics_catalogue.txt"
SCRAPED = {"job", "instance", "__name__", "overflow"}
"""Of all series; the last one of those beyond a budget."""
GROUP = {"environment", "service_name", "agent_id", "agent_type"}
"""Of metrics that say something of another metric's series."""
OF_GROUPS = ("agents_capacity_", "agents_expected", "agents_observed")
OTHERS = {
    "up": set(),
    "process_start_time_seconds": set(),
    "ALERTS": {"alertname", "alertstate", "severity", "service_name", "topic", "slo"},
    "node_filesystem_avail_bytes": {"mountpoint", "fstype", "device"},
    "node_filesystem_size_bytes": {"mountpoint", "fstype", "device"},
}
TEXT = re.compile(r'"[^"]*"')
GROUPING = re.compile(r"\b(?:by|on|ignoring|without) ?\(([^)]*)\)")
SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)(\{[^}]*\})?")
MADE = re.compile(r', "(\w+)", "[^"]*", "\w+"')
"""The label that label_replace or label_join makes."""


def catalogue() -> dict[str, set[str]]:
    found = {name: own | SCRAPED for name, own in OTHERS.items()}
    for line in GOLDEN.read_text().splitlines():
        name, kind, labels = line.split()[:3]
        own = {*filter(None, labels.strip("{}").split(","))} | SCRAPED
        own |= GROUP if name.startswith(OF_GROUPS) else set()
        names = [name + suffix for suffix in ("_bucket", "_sum", "_count")] if kind == "histogram" else [name]
        found |= {one: own | ({"le"} if one.endswith("_bucket") else set()) for one in names}
    return found


def grouped(query: str) -> set[str]:
    """Labels that are grouped or matched by, and those that are made."""
    by = {label for inside in GROUPING.findall(query) for label in re.findall(r"\w+", inside)}
    return by | {*MADE.findall(query)}


def selectors(query: str, known: dict[str, set[str]]) -> list[tuple[str, set[str]]]:
    """Metrics, each with the labels that it is chosen by."""
    bare = GROUPING.sub("", TEXT.sub('""', query))
    return [(name, {*re.findall(r"(\w+)(?==|!)", inside)}) for name, inside in SELECTOR.findall(bare) if name in known]


def unknown(query: str, known: dict[str, set[str]], shown: str = "") -> set[str]:
    """Labels that a query chooses or groups by, or its legend shows, and that are not there."""
    chosen = selectors(query, known)
    there = {"__name__", *MADE.findall(query), *(label for name, _ in chosen for label in known[name])}
    wrong = {label for name, labels in chosen for label in labels - known[name]} | (grouped(query) - there)
    return wrong | ({*re.findall(r"{{(\w+)}}", shown)} - (grouped(query) if "by (" in query else there))


def recorded(known: dict[str, set[str]]) -> dict[str, set[str]]:
    """Labels of what rules record: what they group by, or all that is there."""
    found: dict[str, set[str]] = {}
    for path in sorted(RULES.glob("*.yml")):
        for rule in (rule for rule in rules(path.name) if "record" in rule):
            own = grouped(rule["expr"]) or {
                label for name, _ in selectors(rule["expr"], known | found) for label in (known | found)[name]
            }
            found[rule["record"]] = found.get(rule["record"], SCRAPED) | own | {*rule.get("labels", {})}
    return found


KNOWN = catalogue()
KNOWN |= recorded(KNOWN)


@pytest.mark.parametrize("path", sorted(RULES.glob("*.yml")), ids=lambda path: path.name)
def test_rules_ask_for_labels_that_are_there(path: Path) -> None:
    wrong = {(r.get("alert") or r["record"], label) for r in rules(path.name) for label in unknown(r["expr"], KNOWN)}
    assert wrong == set()


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_panels_ask_for_and_show_labels_that_are_there(board: Board) -> None:
    targets = [(panel.title, target) for _, row in board.rows for panel in row for target in panel.targets]
    wrong = {(title, label) for title, one in targets for label in unknown(one.expr, KNOWN, one.legend)}
    assert wrong == set()


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_runbooks_ask_for_labels_that_are_there(path: Path) -> None:
    assert {(line, label) for line in blocks(path, "promql") for label in unknown(line, KNOWN)} == set()


@pytest.mark.parametrize(
    ("target", "wrong"),
    [
        (Target('sum by (service_name) (rate(http_requests_total{status=~"5.."}[5m]))', "{{service_name}}"), set()),
        (Target('http_requests_total{code="500"}'), {"code"}),
        (Target("sum by (service_version) (rate(http_requests_total[5m]))"), {"service_version"}),
        (Target("sum by (route) (http_requests_total)", "{{method}} {{route}}"), {"method"}),
        (Target("http_requests_total", "{{pod}}"), {"pod"}),
        (Target('label_replace(up, "worker", "$1", "instance", "(.+):.*")', "{{worker}}"), set()),
    ],
)
def test_a_label_that_is_not_there_is_found(target: Target, wrong: set[str]) -> None:
    assert unknown(target.expr, KNOWN, target.legend) == wrong
