"""The demo's copy of the rules: waiting times shrink, limits stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.correlate.operator import CorrelateOperator
from streams.correlate.rules import load_rules
from streams.demo.rules import DIVISOR, SILENCE_SECONDS, shorten
from streams.errors import ConfigurationError

TEXT = (Path(__file__).parents[3] / "monitoring" / "thresholds.yml").read_text()


def test_waiting_times_are_divided_and_limits_stay() -> None:
    before, after = load_rules(TEXT), load_rules(shorten(TEXT, 5))
    assert [rule.name for rule in after] == [rule.name for rule in before]
    for old, new in zip(before, after, strict=True):
        assert new.keep_firing_seconds == old.keep_firing_seconds / DIVISOR
        assert new.min_count == old.min_count
        assert new.confirm == old.confirm
        for level_before, level_after in zip(old.levels, new.levels, strict=True):
            assert level_after.for_seconds == level_before.for_seconds / DIVISOR
            if old.kind != "absence":
                assert (level_after.threshold, level_after.clear) == (level_before.threshold, level_before.clear)


def test_an_absence_is_noticed_within_the_demo() -> None:
    rule = next(rule for rule in load_rules(shorten(TEXT, 5)) if rule.kind == "absence")
    assert [level.threshold for level in rule.levels] == [SILENCE_SECONDS]
    assert 0 < rule.levels[0].clear < SILENCE_SECONDS


@pytest.mark.parametrize(("pane_seconds", "divisor"), [(1, 1), (5, 8), (5, 100), (7, 3), (20, 8)])
def test_windows_stay_multiples_of_the_pane(pane_seconds: int, divisor: int) -> None:
    rules = load_rules(shorten(TEXT, pane_seconds, divisor))
    CorrelateOperator(rules, window_seconds=pane_seconds)  # refuses anything else


def test_a_window_is_never_longer_than_it_was_by_more_than_panes() -> None:
    for old, new in zip(load_rules(TEXT), load_rules(shorten(TEXT, 5)), strict=True):
        assert new.window_seconds <= max(15.0, old.window_seconds)


def test_a_wrong_file_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="thresholds"):
        shorten("rules: 3", 5)
