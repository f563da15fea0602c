"""``rules.md``: every alert, by who owns it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from monitoring.source.reference.page import code, page, table
from streams.correlate.rule import Level, Rule


def rules(stream: Iterable[Rule], groups: Iterable[dict[str, Any]], recordings: Iterable[dict[str, Any]]) -> str:
    """Rules of the stream, alerts of Prometheus, and recorded series."""
    ours = ("alert", "kind", "of", "statistic", "levels", "one alert per", "runbook")
    theirs = ("alert", "severity", "for", "expression", "runbook")
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    recorded = [rule for group in recordings for rule in group["rules"] if "record" in rule]
    return page(
        "Alerts and recorded series",
        "`monitoring/thresholds.yml`, `monitoring/slo.yml` and `monitoring/source/`",
        "## Judged in the stream",
        "Limits are in base units, times are event time. From `agents.windows` to `agents.alerts` and Alertmanager.",
        table(ours, map(_stream, stream)),
        "## Judged by Prometheus",
        table(theirs, map(_prometheus, alerts)),
        "## Recorded",
        table(("series", "expression"), ((f"`{r['record']}`", f"`{r['expr']}`") for r in recorded)),
    )


def _stream(rule: Rule) -> tuple[object, ...]:
    window = f" over {rule.window_seconds:g} s" if rule.window_seconds else ""
    metrics = code(dict.fromkeys(selector.metric for selector in (*rule.selectors, *rule.denominator)))
    levels = "; ".join(_level(level, rule.unit) for level in rule.levels)
    return (
        f"`{rule.name}`",
        rule.kind,
        metrics,
        f"{rule.statistic}{window}",
        levels,
        code(rule.group_by),
        _link(rule.name),
    )


def _level(level: Level, unit: str) -> str:
    return f"{level.severity}: {level.op} {level.threshold:.12g} {unit} for {level.for_seconds:g} s"


def _prometheus(rule: dict[str, Any]) -> tuple[object, ...]:
    labels = rule.get("labels", {})
    name = rule["alert"]
    return f"`{name}`", labels.get("severity", "-"), rule.get("for", "0s"), f"`{rule['expr']}`", _link(name)


def _link(name: str) -> str:
    return f"[{name}](../../monitoring/runbooks/{name}.md)"
