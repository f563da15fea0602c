"""``monitoring/slo.yml`` as recording rules and multi-window burn-rate alerts.

Method: Google SRE workbook, chapter 5 ("multiwindow, multi-burn-rate alerts"). The error ratio over a long window is
recorded once per objective, every 30 s, so that alerts and dashboards read a few series. The budget that is left is
Sloth's: the mean of the five-minute ratios over the period, so an hour without traffic costs nothing. A burn rate that
no error ratio can reach (14.4 times a budget of 10 %) is capped at 99 % errors.
"""

from __future__ import annotations

from typing import Any, Final

Group = dict[str, Any]

WINDOWS: Final = ("5m", "30m", "1h", "2h", "6h", "24h")
"""Of the error ratios that are recorded; every window of ``burn`` is one of these."""


def groups(config: dict[str, Any]) -> list[Group]:
    """Rule groups for one parsed ``slo.yml``.

    Args:
        config: the mapping; see the file's comments.

    Returns:
        One group of recordings per objective, one group of alerts for all.
    """
    recordings = [_recordings(name, slo, config) for name, slo in config["objectives"].items()]
    return [*recordings, {"name": "slo_alerts", "rules": [_alert(config, burn) for burn in config["burn"]]}]


def _recordings(name: str, slo: dict[str, Any], config: dict[str, Any]) -> Group:
    labels = {"slo": name}
    rules = [{"record": "slo:objective:ratio", "labels": labels, "expr": f"vector({slo['objective']})"}]
    rules += [
        {"record": f"slo:errors:ratio_{window}", "labels": labels, "expr": _ratio(name, slo, window, config["by"])}
        for window in WINDOWS
    ]
    days = config["period_days"]
    spent = f'avg_over_time(slo:errors:ratio_5m{{slo="{name}"}}[{days}d])'
    budget = round(1 - slo["objective"], 6)
    rules.append({"record": "slo:budget_left:ratio", "labels": labels, "expr": f"1 - {spent} / {budget}"})
    return {"name": f"slo_{name}", "interval": "30s", "rules": rules}


def _ratio(name: str, slo: dict[str, Any], window: str, by: list[str]) -> str:
    keep = ", ".join(by)

    def rate(selector: str) -> str:
        return f"sum by ({keep}) (rate({selector}[{window}]))"

    if "ratio" in slo:
        # A gauge: the share now for the shortest window, the mean of those for the others.
        if window == WINDOWS[0]:
            return f"({slo['ratio']}) / ({slo['of']})"
        return f'avg_over_time(slo:errors:ratio_{WINDOWS[0]}{{slo="{name}"}}[{window}])'
    for key in ("errors_above", "errors_below"):
        if key in slo:
            histogram, le = slo[key]["histogram"], slo[key]["le"]
            total, good = rate(f"{histogram}_count"), rate(f'{histogram}_bucket{{le="{le}"}}')
            return f"1 - {good} / {total}" if key == "errors_above" else f"{good} / {total}"
    total, errors = rate(slo["total"]), rate(slo["errors"])
    return f"({errors} or 0 * {total}) / {total}"


def _alert(config: dict[str, Any], burn: dict[str, Any]) -> dict[str, Any]:
    terms = []
    for name, slo in config["objectives"].items():
        limit = round(min(burn["factor"] * (1 - slo["objective"]), 0.99), 6)
        long, short = (f'slo:errors:ratio_{burn[w]}{{slo="{name}"}} > {limit}' for w in ("long", "short"))
        terms.append(f"({long} and {short})")
    return {
        "alert": burn["alert"],
        "expr": "\nor\n".join(terms),
        "for": burn["for"],
        "labels": {"severity": burn["severity"]},
        "annotations": {
            "summary": "{{ $labels.service_name }} uses up its error budget for {{ $labels.slo }}",
            "description": f"{{{{ $value | humanizePercentage }}}} errors over {burn['long']} and {burn['short']}: "
            f"{burn['factor']} times what the objective allows in {config['period_days']} days.",
            "runbook": f"monitoring/runbooks/{burn['alert']}.md",
        },
    }
