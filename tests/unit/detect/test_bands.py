"""Expected values of chosen series: within the rules' limits, once per window, bounded, restored."""

from __future__ import annotations

import math

import pytest

from streams.correlate.bounds import Bounds
from streams.correlate.rules import load_rules
from streams.detect.bands import MAX_AGE_NS, BandOperator
from streams.domain.expected import Expected
from streams.domain.selector import Selector
from streams.domain.series import Series
from streams.errors import StateVersionError
from tests.unit.window_batches import WINDOW, batch, series

RULES = load_rules(
    """
version: 1
rules:
  Memory: {metric: mem, statistic: max, group_by: [a], summary: s, levels: [
    {severity: warning, op: ">", threshold: 30}, {severity: critical, op: ">", threshold: 36}]}
  Idle: {metric: mem, statistic: min, where: {a: "x*"}, group_by: [a], summary: s, levels: [
    {severity: warning, op: "<", threshold: 12}]}
  Slow: {metric: time, statistic: p99, unit: s, group_by: [a], summary: s, levels: [
    {severity: warning, op: ">=", threshold: 1}]}
"""
)
ALL = [Selector("mem"), Selector("time"), Selector("steps", (("outcome", ("success",)),))]


def operator(**more: int) -> BandOperator:
    return BandOperator(ALL, Bounds(RULES), WINDOW, **more)


def fed(rows: dict[Series, list[float]], windows: int = 40) -> BandOperator:
    made = operator()
    for number in range(windows):
        made.apply(batch(number, rows))
    return made


def only(made: BandOperator) -> Expected:
    (found,) = made.expected()
    return found


def test_limits_are_the_tightest_of_the_rules_that_match() -> None:
    bounds = Bounds(RULES)
    assert bounds(series("mem", a="x1"), "mean") == (12, 30)
    assert bounds(series("mem", a="y"), "mean") == (-math.inf, 30)
    assert bounds(series("time", a="y"), "p95") == (-math.inf, 1)
    assert bounds(series("time", a="y"), "mean") == (-math.inf, math.inf)
    assert bounds(series("other"), "rate") == (-math.inf, math.inf)


def test_the_band_stays_within_the_limits() -> None:
    wild = fed({series("mem", a="x1"): [2.0, 58.0, 29.0]})
    assert only(wild)[2:6] == pytest.approx((29.667, 29.667, 29.073, 30.0), abs=0.01)
    assert only(wild).provisional
    above = only(fed({series("mem", a="y"): [50.0]}))
    assert (above.expected, above.lower, above.upper) == (50.0, 30.0, 30.0), "what is too much is not normal"


def test_counts_are_not_expected_below_zero() -> None:
    made = operator()
    for number in range(40):
        made.apply(batch(number, {series("steps", "counter", outcome="success"): [100.0 * (number % 7 == 0)]}))
    found = only(made)
    assert (found.feature, found.lower) == ("rate", 0.0)


def test_histograms_of_time_have_their_tail_too() -> None:
    found = list(fed({series("time", "histogram", "s", a="y"): [0.1, 0.2, 0.3]}).expected())
    assert [one.feature for one in found] == ["mean", "p95"]


def test_only_chosen_series_windows_of_the_base_size_and_once() -> None:
    rows: dict[Series, list[float]] = {series("other"): [1.0], series("steps", "counter", outcome="failure"): [1.0]}
    assert len(fed(rows)) == 0
    made = fed({series("mem", a="y"): [10.0]})
    before = made.snapshot()
    made.apply(batch(39, {series("mem", a="y"): [99.0]}))
    made.apply(batch(8, {series("mem", a="y"): [99.0]}, window_ns=6 * WINDOW))
    assert made.snapshot() == before


def test_series_over_the_bound_are_counted_and_old_ones_make_room() -> None:
    made = operator(max_series=2)
    made.apply(batch(0, {series("mem", a=name): [1.0] for name in "abc"}))
    assert (len(made), made.refused_total) == (2, 1)
    made.apply(batch(MAX_AGE_NS // WINDOW + 2, {series("mem", a="c"): [1.0]}))
    assert len(made) == 1


def test_series_that_are_gone_are_not_shown() -> None:
    made = fed({series("mem", a="gone"): [10.0], series("mem", a="there"): [10.0]})
    for number in range(40, 80):
        made.apply(batch(number, {series("mem", a="there"): [10.0]}))
    assert only(made).series.label("a") == "there"


def test_after_a_restart_a_series_is_shown_again_from_its_next_window_on() -> None:
    rows = {series("mem", a="y"): [20.0, 21.0], series("time", "histogram", "s", a="y"): [0.5]}
    before, after = fed(rows), operator()
    assert after.restore(before.snapshot()) == ""
    assert list(after.expected()) == []
    for made in (before, after):
        made.apply(batch(40, rows))
    assert list(after.expected()) == list(before.expected()) != []


def test_a_snapshot_changes_nothing_and_one_that_does_not_fit_says_why() -> None:
    rows = {series("mem", a="y"): [10.0, 12.0], series("time", "histogram", "s", a="y"): [0.1, 0.3]}
    stayed = fed(rows)
    data = stayed.snapshot()
    through = operator()
    assert through.restore(data) == ""
    for made in (stayed, through):
        made.apply(batch(40, rows))
    assert list(through.expected()) == list(stayed.expected())
    assert "windows" in BandOperator(ALL, Bounds(()), 60 * 10**9).restore(data)
    assert "damaged" in operator().restore(b"[]")
    fewer = BandOperator(ALL[:1], Bounds(()), WINDOW)
    assert (fewer.restore(data), len(fewer)) == ("", 1)
    with pytest.raises(StateVersionError):
        operator().restore(data.replace(b'"v":1', b'"v":2', 1))
