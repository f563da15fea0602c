"""Limits that panels draw: baselines, and those of the stream's rules, so that a line is where its alert fires."""

from __future__ import annotations

from typing import Final

from streams.correlate.rule import Baseline, Rule, Thresholds

_WORSE: Final = ("info", "warning", "high", "critical")


def limits(thresholds: Thresholds) -> dict[str, Baseline]:
    """By name of a baseline or of a rule with several levels."""
    return {**thresholds.baselines, **{rule.name: _of_rule(rule) for rule in thresholds.rules if len(rule.levels) > 1}}


def _of_rule(rule: Rule) -> Baseline:
    mild, *_, worst = sorted(rule.levels, key=lambda level: _WORSE.index(level.severity))
    better = "lower" if ">" in worst.op else "higher"
    return Baseline(rule.name, rule.unit, better, mild.threshold, mild.threshold, worst.threshold)
