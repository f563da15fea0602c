"""The state machine as tables of readings and transitions, and the statistics it is fed with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.correlate import template
from streams.correlate.lifecycle import Reading, new_alert
from streams.correlate.pane import Pane, Panes, Row, load_pane, statistic
from streams.correlate.rule import Level, Rule
from streams.domain.alert import fingerprint
from tests.unit.correlate.scenes import rule
from tests.unit.window_batches import EPOCH, WINDOW, batch, series

SECOND = 1_000_000_000
GOLDEN = Path(__file__).parents[2] / "golden" / "alert_fingerprints.json"


def shaped(levels: list[Level], keep: float = 0.0) -> Rule:
    return replace(rule("AgentMemoryHigh"), unit="1", levels=tuple(levels), keep_firing_seconds=keep)


WARNING = Level("warning", ">", 10.0, 8.0, 20.0)
CRITICAL = Level("critical", ">", 20.0, 20.0, 0.0)
NONE = None

TABLES = {
    "below the limit nothing begins": ([WARNING], 0, [5, 10, 9], [""] * 3),
    "pending, then firing when for has passed": ([WARNING], 0, [11, 11, 11, 11], ["pending", "", "firing", ""]),
    "a good value in between begins again": (
        [WARNING],
        0,
        [11, 10, 11, 11, 11],
        ["pending", "resolved", "pending", "", "firing"],
    ),
    "for of zero fires at once": ([CRITICAL], 0, [21, 19], ["firing", "resolved"]),
    "hysteresis: over the clear threshold it stays": (
        [WARNING],
        0,
        [11, 11, 11, 9, 9, 8],
        ["pending", "", "firing", "", "", "resolved"],
    ),
    "hysteresis does not begin an alert": ([WARNING], 0, [9, 9, 9, 9], [""] * 4),
    "keep firing": ([CRITICAL], 20, [21, 5, 5, 5, 5], ["firing", "", "", "resolved", ""]),
    "keep firing starts anew with each bad value": (
        [CRITICAL],
        20,
        [21, 5, 21, 5, 5, 5],
        ["firing", "", "", "", "", "resolved"],
    ),
    "no data is good": ([WARNING], 0, [11, 11, 11, NONE], ["pending", "", "firing", "resolved"]),
    "escalation and back": (
        [CRITICAL, WARNING],
        0,
        [11, 25, 11, 9, 8],
        ["pending warning", "firing critical", "firing warning", "", "resolved"],
    ),
    "a milder level takes over at once, with its own hysteresis": (
        [CRITICAL, replace(WARNING, for_seconds=100)],
        0,
        [25, 11, 9, 8],
        ["firing critical", "firing warning", "", "resolved"],
    ),
    "pending may change its severity too": (
        [replace(CRITICAL, for_seconds=50), WARNING],
        0,
        [11, 21, 11, 7],
        ["pending warning", "pending critical", "firing warning", "resolved"],
    ),
}


@pytest.mark.parametrize("case", sorted(TABLES))
def test_table(case: str) -> None:
    levels, keep, values, expected = TABLES[case]
    alert = new_alert(shaped(levels, keep), {"agent.id": "a"}, seq=0)
    for number, (value, wanted) in enumerate(zip(values, expected, strict=True), 1):
        made = alert.step(Reading(number * 10 * SECOND, value))
        found = "" if made is None else f"{made.state} {made.severity}"
        assert found == wanted if " " in wanted else found.split(" ")[0] == wanted, (number, value)


@given(st.lists(st.one_of(st.none(), st.floats(0, 30)), min_size=1, max_size=60))
def test_transitions_are_a_chain(values: list[float | None]) -> None:
    alert = new_alert(shaped([CRITICAL, WARNING], 15), {"agent.id": "a"}, seq=7)
    before, severity, seq, start = "", "", 7, 0
    for number, value in enumerate(values, 1):
        made = alert.step(Reading(number * 10 * SECOND, value))
        if made is None:
            continue
        assert made.previous == before
        assert made.seq == seq + 1
        assert (made.state, made.severity) != (before, severity)
        assert made.at_ns >= made.starts_at_ns
        assert start in (0, made.starts_at_ns)
        assert (made.ends_at_ns > 0) == (made.state == "resolved")
        assert not (before == "firing" and made.state == "pending")
        over = made.state == "resolved"
        before, severity, seq = ("", "", made.seq) if over else (made.state, made.severity, made.seq)
        start = 0 if over else made.starts_at_ns


def test_time_never_goes_back() -> None:
    alert = new_alert(shaped([WARNING]), {"agent.id": "a"}, seq=0)
    alert.step(Reading(100 * SECOND, 11))
    alert.step(Reading(50 * SECOND, 11))
    made = alert.step(Reading(60 * SECOND, 5))
    assert made is not None
    assert made.at_ns == 100 * SECOND


def test_fingerprints_are_those_of_the_golden_file() -> None:
    """They name alerts in topics, in Alertmanager and in people's notes: they must never change."""
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert golden
    for item in golden:
        assert fingerprint(item["identity"]) == item["fingerprint"]
        name = item["identity"]["alertname"]
        labels = {label: value for label, value in item["identity"].items() if label != "alertname"}
        alert = new_alert(rule(name), labels, seq=0)
        assert alert.fingerprint == item["fingerprint"]
        assert new_alert(rule(name), {**labels, "region": ""}, seq=3).fingerprint == item["fingerprint"]
        changed = replace(rule(name), levels=rule(name).levels[:1], keep_firing_seconds=1.0)
        assert new_alert(changed, labels, seq=0).fingerprint == item["fingerprint"]


# statistics


def panes_of(found: Rule, columns: list[list[float]]) -> Panes:
    which, role = series("m", "histogram"), "sketch" if found.statistic.startswith("p") else "value"
    panes = Panes()
    for number, values in enumerate(columns):
        if values:
            Row(batch(number, {which: values})).feed(panes, 0, role)
    return panes


@given(
    st.sampled_from(["mean", "p50", "p95", "p99", "max", "min", "sum", "rate"]),
    st.lists(st.lists(st.floats(0.001, 1e4), max_size=20), min_size=1, max_size=6).filter(any),
)
def test_statistics_over_panes_equal_those_over_the_values(name: str, columns: list[list[float]]) -> None:
    found = replace(rule("AgentMemoryHigh"), statistic=name, window_seconds=60.0)
    values = np.concatenate(columns)
    expected = {
        "mean": values.mean(),
        "max": values.max(),
        "min": values.min(),
        "sum": values.sum(),
        "rate": values.sum() / 60,
    }
    result = statistic(found, panes_of(found, columns))
    assert result is not None
    assert result[1] == len(values)
    if name in expected:
        assert result[0] == pytest.approx(expected[name])
    else:
        exact = np.quantile(values, float(name[1:]) / 100, method="inverted_cdf")
        assert result[0] == pytest.approx(exact, rel=0.02)


def test_growth_needs_half_a_window_and_is_per_minute() -> None:
    found = replace(rule("AgentMemoryLeak"), window_seconds=60.0, min_count=1)
    assert statistic(found, panes_of(found, [[1.0], [2.0], [3.0]])) is None
    result = statistic(found, panes_of(found, [[0.0, 2.0], [], [9.0], [4.0]]))
    assert result == (pytest.approx(6.0), 4)


def ratio_panes(*columns: Pane) -> Panes:
    panes = Panes()
    panes.by_start = dict(enumerate(columns))
    return panes


def test_ratio_of_nothing_is_no_evidence() -> None:
    found = replace(rule("AgentErrorsHigh"), min_count=1)
    assert statistic(found, ratio_panes(Pane(numerator=3.0))) is None
    assert statistic(found, ratio_panes(Pane(numerator=1.0, denominator=4.0), Pane(denominator=4.0))) == (0.125, 8)


def test_panes_expire_with_their_share_of_the_sketch_and_come_back_from_their_dump() -> None:
    columns = [[1.0, 2.0, 900.0], [2.0], [0.5, 2.0]]
    panes, later = panes_of(rule("InferenceSlow"), columns), panes_of(rule("InferenceSlow"), [[], *columns[1:]])
    panes.expire(EPOCH + WINDOW)
    back = Panes()
    back.load(json.loads(json.dumps(panes.dump())))
    for found in (panes, back):
        assert (found.by_start, found.sketch) == (later.by_start, later.sketch)
    assert load_pane(Pane(numerator=2.0).dump()) == Pane(numerator=2.0)


# texts


def test_templates_replace_names_and_nothing_else() -> None:
    values = {"agent.id": "a1", "value": "3 MB"}
    assert template.render("{agent.id} has {value} {x} {value.__class__}", values) == "a1 has 3 MB  "
    assert template.unknown_names("{a} {b!r} {c[0]}", ["a"]) == ["b!r", "c[0]"]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (36_175_872, "By", "34.5 MB"),
        (2_097_152, "By/min", "2 MB/min"),
        (0.0512, "ratio", "5.12 %"),
        (0.2, "s", "200 ms"),
        (2.5, "s", "2.5 s"),
        (0.5, "1/s", "0.5/s"),
        (8.25, "nat", "8.25 nat"),
        (3, "windows", "3 windows"),
        (100, "1", "100"),
    ],
)
def test_figures(value: float, unit: str, text: str) -> None:
    assert template.figure(value, unit) == text
