"""Reading thresholds.yml: the shipped file, and errors that say what to write."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import yaml

from agents_emitter.simulator.metrics import METRICS
from streams.correlate.rule import shortened
from streams.correlate.rules import load_rules, load_thresholds, parse_thresholds
from streams.correlate.weights import Weights
from streams.domain.alert import SEVERITIES
from streams.domain.selector import Selector
from streams.domain.vector import Feature
from streams.errors import ConfigurationError
from tests.unit.correlate.scenes import RULES, THRESHOLDS, rule
from tests.unit.window_batches import series

TEXT = THRESHOLDS.read_text(encoding="utf-8")


def test_the_owners_limits_are_in_the_file() -> None:
    memory = {level.severity: (level.threshold, level.for_seconds) for level in rule("AgentMemoryHigh").levels}
    assert memory == {"critical": (34.5 * 2**20, 120), "warning": (30 * 2**20, 600)}
    errors = rule("AgentErrorsHigh")
    assert (errors.levels[0].threshold, errors.min_count) == (0.05, 20)
    assert rule("MetricAnomaly").confirm == (3, 5)
    baselines = load_thresholds(TEXT).baselines
    assert (baselines["coordination_success"].baseline, baselines["active_agents"].critical) == (0.95, 50)
    assert baselines["agent_memory_max"].critical == memory["critical"][0]


def test_every_rule_names_a_severity_a_runbook_and_its_identity() -> None:
    for found in RULES:
        assert {level.severity for level in found.levels} <= set(SEVERITIES)
        assert found.runbook == f"monitoring/runbooks/{found.name}.md"
        assert found.kind == "anomaly" or found.group_by == tuple(sorted(found.group_by)) != ()
        assert found.kind == "anomaly" or {"agent.id", "service.name"} & set(found.group_by)


def test_levels_are_worst_first_and_clear_on_the_good_side() -> None:
    for found in RULES:
        ranks = [SEVERITIES.index(level.severity) for level in found.levels]
        assert ranks == sorted(ranks)
        for level in found.levels:
            assert level.clear == level.threshold or not level.breached(level.clear)


def test_baselines_are_in_order_of_badness() -> None:
    for baseline in load_thresholds(TEXT).baselines.values():
        figures = [baseline.baseline, baseline.warning, baseline.critical]
        assert figures == sorted(figures, reverse=baseline.direction == "higher")


def test_hash_changes_with_meaning_not_with_texts() -> None:
    reworded = TEXT.replace("uses {value} of memory", "has {value}")
    assert [r.hash for r in load_rules(reworded)] == [r.hash for r in RULES]
    changed = load_rules(TEXT.replace("threshold: 36175872, clear: 35127296", "threshold: 36175873, clear: 35127296"))
    assert [a.name for a, b in zip(changed, RULES, strict=True) if a.hash != b.hash] == ["AgentMemoryHigh"]


def test_shortened_touches_waiting_times_only() -> None:
    memory = shortened(rule("AgentMemoryHigh"), 0.1)
    assert [level.for_seconds for level in memory.levels] == [12, 60]
    assert memory.keep_firing_seconds == 3
    assert memory.window_seconds == rule("AgentMemoryHigh").window_seconds


def test_shortened_leaves_a_ratio_its_window() -> None:
    assert [level.for_seconds for level in shortened(rule("HighErrorRatio"), 0.1).levels] == [60, 60]


def test_selector_matches_values_lists_and_beginnings() -> None:
    selector = Selector("http.requests", (("method", ("GET", "POST")), ("status", ("5*", "429"))))
    assert selector.matches(series("http.requests", method="GET", status="503"))
    assert selector.matches(series("http.requests", method="POST", status="429"))
    assert not selector.matches(series("http.requests", method="GET", status="200"))
    assert not selector.matches(series("http.requests", status="500"))
    assert not selector.matches(series("http.request", method="GET", status="503"))


def changed(path: list[Any], value: Any) -> Any:
    body = copy.deepcopy(yaml.safe_load(TEXT))
    place = body
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return body


MEMORY = ["rules", "AgentMemoryHigh"]
WRONG: list[tuple[list[Any], Any, str]] = [
    (["version"], 2, r"thresholds: version is 2; write 1"),
    (
        ["rulez"],
        {},
        "rulez is not a field; the fields are bands, baselines, capacity, incidents, ratios, rules, vectors, version",
    ),
    ([*MEMORY, "metric"], None, r"rule AgentMemoryHigh: metric is missing; write a text"),
    ([*MEMORY, "kind"], "magic", r"rule AgentMemoryHigh: kind is 'magic'; write one of threshold, absence, anomaly"),
    ([*MEMORY, "windows"], 5, r"rule AgentMemoryHigh: windows is not a field; the fields are .*window_seconds"),
    ([*MEMORY, "statistic"], "p93", r"statistic is 'p93'; write one of mean, p50, p90, p95"),
    ([*MEMORY, "statistic"], "ratio", r"metric is 'agents.memory'; write numerator and denominator"),
    ([*MEMORY, "numerator"], [], r"numerator is \[\]; write it only with statistic ratio"),
    ([*MEMORY, "window_seconds"], -1, r"window_seconds is -1; write a number of at least 1"),
    ([*MEMORY, "window_seconds"], True, r"window_seconds is True; write a number"),
    ([*MEMORY, "window_seconds"], float("nan"), r"window_seconds is nan; write a number"),
    ([*MEMORY, "min_count"], 1.5, r"min_count is 1.5; write a whole number of at least 1"),
    ([*MEMORY, "group_by"], "agent.id", r"group_by is 'agent.id'; write a list of texts"),
    ([*MEMORY, "unit"], "MB", r"unit is 'MB'; write one of 1, s, By"),
    ([*MEMORY, "where"], {"status": 500}, r"where: status is 500; write a text or a list of texts \(quote numbers\)"),
    ([*MEMORY, "levels"], [], r"levels is \[\]; write a list with at least one element"),
    (
        [*MEMORY, "levels", 0, "severity"],
        "page",
        r"levels: severity is 'page'; write one of critical, high, warning, info",
    ),
    ([*MEMORY, "levels", 0, "op"], "==", r"levels: op is '=='; write one of >, >=, <, <="),
    ([*MEMORY, "levels", 0, "threshold"], "30 MB", r"levels: threshold is '30 MB'; write a number"),
    (
        [*MEMORY, "levels", 0, "clear"],
        4e7,
        r"levels: clear is 40000000.0; write the threshold \(3.61759e\+07\) or a number",
    ),
    ([*MEMORY, "levels", 0, "for_seconds"], -3, r"for_seconds is -3; write a number of at least 0"),
    (
        [*MEMORY, "summary"],
        "{agent}",
        r"summary is '\{agent\}'; write only the placeholders value, .*agent.id.*not agent\)",
    ),
    ([*MEMORY, "summary"], "", r"summary is ''; write a text"),
    (["rules", "AgentErrorsHigh", "numerator"], [{"metric": "x", "were": {}}], r"numerator: were is not a field"),
    (["rules", "MetricAnomaly", "confirm_k"], 6, r"rule MetricAnomaly: confirm_k is 6; write at most confirm_n \(5\)"),
    (["rules", "MetricAnomaly", "confirm_n"], 101, r"rule MetricAnomaly: confirm_n is 101; write at most 100"),
    (
        ["rules", "AgentSilent", "forget_seconds"],
        0,
        r"rule AgentSilent: forget_seconds is 0; write a number of at least 1",
    ),
    (["rules", "AgentSilent"], 7, r"rule AgentSilent: is 7; write a mapping of fields"),
    (["baselines", "cpu", "direction"], "up", r"baseline cpu: direction is 'up'; write one of higher, lower"),
    (
        ["baselines", "cpu", "warning"],
        0.1,
        r"baseline cpu: warning is 0.1; write baseline, warning and critical in order",
    ),
]


@pytest.mark.parametrize(("path", "value", "message"), WRONG, ids=lambda item: item if isinstance(item, str) else "")
def test_errors_name_the_rule_the_field_what_is_there_and_what_is_allowed(
    path: list[Any], value: Any, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse_thresholds(changed(path, value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: [", "thresholds: not YAML"),
        ("", "thresholds: is None; write a mapping"),
        ("version: 1\nrules: {}\nrules: {}", "thresholds: rules is written twice .line 3"),
        ("version: 1\nrules: !!python/object/apply:os.system [x]", "thresholds: not YAML"),
    ],
)
def test_text_that_is_no_thresholds_file(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_thresholds(text)


def test_limits_of_capacity_are_those_of_the_rules_and_baselines() -> None:
    thresholds = load_thresholds(TEXT)
    limits = {resource.name: resource.limit for resource in thresholds.capacity}
    assert limits["agent_memory"] == rule("AgentMemoryHigh").levels[0].threshold
    assert limits["service_memory"] == rule("ProcessMemoryHigh").levels[0].threshold
    for name in ("active_agents", "total_agent_memory", "disk"):
        assert limits[name] == thresholds.baselines[name].critical


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{metric: m, statistic: sum, limit: 0, group_by: [a]}", "limit is 0; write a number above 0"),
        (
            "{metric: m, statistic: mean, limit: 1, group_by: [a]}",
            "statistic is 'mean'; write one of sum, max, increase",
        ),
        ("{metric: m, statistic: increase, limit: 1, group_by: [a]}", "period_seconds is missing"),
        ("{metric: m, statistic: max, limit: 1, group_by: [a], period_seconds: 60}", "period_seconds is 60"),
        ("{metric: m, statistic: max, limit: 1, group_by: [a], unit: By}", "unit is not a field"),
    ],
)
def test_a_wrong_resource_says_what_to_write(line: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(f"capacity r: {says}")):
        load_thresholds(f"version: 1\nrules: {{}}\ncapacity:\n  r: {line}\n")


def test_features_of_a_vector_are_read_in_order() -> None:
    (work,) = load_thresholds(TEXT).vectors
    assert work.features[0] == Feature("steps", Selector("agents.steps"), "rate")
    assert "agent.id" in work.group_by, "all of an agent is in one partition"
    assert {feature.selector.metric for feature in work.features} <= set(METRICS)


FEATURE = "{metric: m, statistic: mean}"


@pytest.mark.parametrize(
    ("features", "says"),
    [
        (
            f"{{a: {FEATURE}}}",
            "vector v: features is {'a': {'metric': 'm', 'statistic': 'mean'}}; write 2 to 16 of them",
        ),
        ("[a, b]", "vector v: features: is ['a', 'b']; write a mapping of fields"),
        (
            f"{{a: {FEATURE}, b: {{metric: m, statistic: p95}}}}",
            "vector v: b: statistic is 'p95'; write one of",
        ),
        (f"{{a: {FEATURE}, b: {{statistic: mean}}}}", "vector v: b: metric is missing"),
        (f"{{a: {FEATURE}, b: {{metric: m, statistic: mean, unit: s}}}}", "b: unit is not a field"),
    ],
)
def test_a_wrong_vector_says_what_to_write(features: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        load_thresholds(f"version: 1\nrules: {{}}\nvectors:\n  v:\n    group_by: [a]\n    features: {features}\n")


def test_weights_are_settings_of_the_file() -> None:
    shipped = load_thresholds(TEXT).weights
    assert shipped == Weights()
    body = {"version": 1, "rules": {}, "incidents": {"join": 0.7, "cap_alerts": 5, "linking_labels": ["host.name"]}}
    assert parse_thresholds(body).weights == Weights(join=0.7, cap_alerts=5, linking_labels=("host.name",))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"joins": 0.6}, "joins is not a field"),
        ({"join": "much"}, "join is 'much'; write a number of at least 0"),
        ({"cap_alerts": 0}, "cap_alerts is 0; write a whole number of at least 1"),
        ({"security_alerts": "all"}, "security_alerts is 'all'; write a list of texts"),
    ],
)
def test_a_weight_that_cannot_be_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse_thresholds({"version": 1, "rules": {}, "incidents": given})
