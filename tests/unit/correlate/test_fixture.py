"""Fixtures: the shipped ones hold, planted errors are found, wrong files say what to write."""

from __future__ import annotations

import pytest

from streams.correlate.fixture import failures, load_fixtures
from streams.correlate.rules import load_rules
from streams.errors import ConfigurationError
from tests.unit.correlate.scenes import FIXTURES, RULES

RULE = """
version: 1
rules:
  High:
    {metric: load, statistic: max, window_seconds: 10, group_by: [], summary: s,
     levels: [{severity: high, threshold: LIMIT}]}
"""
FIXTURE = """
version: 1
fixtures:
  High:
    fires: {severity: high, windows: 3, series: [{metric: load, kind: gauge, values: {5: 1}}]}
    silent: {windows: 3, series: [{metric: load, kind: gauge, values: {1: 1}}]}
"""


def test_every_shipped_rule_does_as_its_fixtures_say() -> None:
    assert failures(RULES, FIXTURES) == []


@pytest.mark.parametrize(
    ("limit", "says"), [("3", []), ("9", ["High: fires should reach high"]), ("0.5", ["High: silent should not fire"])]
)
def test_a_limit_that_has_moved_is_found(limit: str, says: list[str]) -> None:
    found = failures(load_rules(RULE.replace("LIMIT", limit)), load_fixtures(FIXTURE))
    assert len(found) == len(says)
    assert all(line.startswith(start) for line, start in zip(found, says, strict=True))


def test_a_rule_without_fixture_and_a_fixture_without_rule_are_found() -> None:
    found = failures(load_rules(RULE.replace("LIMIT", "3")), load_fixtures(FIXTURE.replace("High:", "Low:")))
    assert [line.partition(":")[0] for line in found] == ["Low", "High"]


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [
        ("version: 1", "version: 2", "version is 2; write 1"),
        ("severity: high", "severity: loud", "fixture High: fires: severity is 'loud'"),
        ("values: {5: 1}", "values: [5]", "write a mapping of each value"),
        ("values: {5: 1}", "values: {.nan: 1}", "write a mapping of each value"),
        ("values: {5: 1}", "values: {5: 0}", "write a mapping of each value"),
        ("windows: 3", "windows: 10000000", "at most 10000"),
        ("kind: gauge", "kind: gage", "kind is 'gage'"),
        ("metric: load", "metrik: load", "metrik is not a field"),
        ("fires:", "- fires", "not YAML"),
        ("    silent:", "    fires: {severity: high}\n    silent:", r"fixtures: fires is written twice \(line 6\)"),
    ],
)
def test_a_wrong_file_says_what_to_write(was: str, now: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        load_fixtures(FIXTURE.replace(was, now, 1))
