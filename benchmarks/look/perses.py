"""A committed Grafana dashboard as Perses wants it: the same queries, units, thresholds and places."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

KINDS: Final = {
    "timeseries": "TimeSeriesChart",
    "stat": "StatChart",
    "bargauge": "BarChart",
    "piechart": "PieChart",
    "table": "Table",
    "nodeGraph": "NodeGraph",
}
"""Perses has no graphs of nodes: ``page.jsx`` draws them from what Grafana wants of the two queries."""
UNITS: Final[Mapping[str, dict[str, Any]]] = {
    "s": {"unit": "seconds"},
    "bytes": {"unit": "bytes", "shortValues": True},
    "percentunit": {"unit": "percent-decimal"},
    "ops": {"unit": "ops/sec"},
    "reqps": {"unit": "requests/sec"},
    "short": {"unit": "decimal", "shortValues": True},
    "none": {"unit": "decimal"},
}
_COLOURS: Final = {"green": "#5fd38a", "yellow": "#f2cf5b", "orange": "#ff9f45", "red": "#ff5d5d", "text": "#e6e9ee"}


def convert(board: Mapping[str, Any]) -> dict[str, Any]:
    """A dashboard; variables stand for all of their values.

    Raises:
        KeyError: a kind of panel or a unit that is not known here.
    """
    panels: dict[str, Any] = {}
    layouts: list[dict[str, Any]] = []
    top = 0
    for number, one in enumerate(board["panels"]):
        place = one["gridPos"]
        if one["type"] == "row":
            top = place["y"] + 1
            shown = {"title": one["title"], "collapse": {"open": True}}
            layouts.append({"kind": "Grid", "spec": {"display": shown, "items": []}})
        else:
            panels[f"p{number}"] = _panel(one)
            spot = {"x": place["x"], "y": place["y"] - top, "width": place["w"], "height": place["h"]}
            layouts[-1]["spec"]["items"].append({**spot, "content": {"$ref": f"#/spec/panels/p{number}"}})
    spec = {"display": {"name": board["title"]}, "duration": "1h", "panels": panels, "layouts": layouts}
    return {"kind": "Dashboard", "metadata": {"name": board["uid"], "project": "look"}, "spec": spec}


def _panel(one: Mapping[str, Any]) -> dict[str, Any]:
    defaults = one["fieldConfig"]["defaults"]
    kind, unit = KINDS[one["type"]], UNITS[defaults["unit"]]
    judged = defaults.get("thresholds", {"steps": [{"color": "text"}]})["steps"]
    first, *steps = [(_COLOURS.get(s["color"]), s.get("value")) for s in judged]
    thresholds = {"steps": [{"color": colour, "value": value} for colour, value in steps], "defaultColor": first[0]}
    spec: dict[str, Any] = {"format": unit, "calculation": "last-number"}
    if kind == "TimeSeriesChart":
        spec = {"yAxis": {"format": unit}, "legend": {"position": "bottom", "mode": "list", "size": "small"}}
        spec |= {"thresholds": thresholds} if steps else {}
    elif kind == "StatChart":
        spec |= {"thresholds": thresholds, "metricLabel": ""}
    elif kind == "PieChart":
        spec |= {"radius": 60, "legend": {"position": "right", "mode": "list"}}
    elif kind == "Table":
        spec = {"density": "compact", "cellSettings": [*map(_word, _words(defaults))]}
        spec |= {"transforms": [{"kind": "MergeSeries", "spec": {}}]} if len(one["targets"]) > 1 else {}
    display = {"name": one["title"], "description": one.get("description", "")}
    body = {"display": display, "plugin": {"kind": kind, "spec": spec}}
    body["queries"] = [_query(target) for target in one["targets"]]
    body["links"] = [{"name": way["title"], "url": way["url"]} for way in defaults.get("links", ())]
    return {"kind": "Panel", "spec": body}


def _words(defaults: Mapping[str, Any]) -> list[tuple[str, Mapping[str, str]]]:
    return [found for mapping in defaults.get("mappings") or () for found in mapping["options"].items()]


def _word(said: tuple[str, Mapping[str, str]]) -> dict[str, Any]:
    """A cell that says a word in place of a value."""
    value, shown = said
    condition = {"kind": "Value", "spec": {"value": value}}
    return {"condition": condition, "text": shown["text"], "textColor": _COLOURS[shown["color"]]}


def marks(board: Mapping[str, Any]) -> list[dict[str, str]]:
    """Annotations whose value is their time: what is asked, a mark's title. Perses draws none; the page lists them."""
    asked = board["annotations"]["list"]
    return [{"query": one["expr"], "title": one["titleFormat"]} for one in asked if one.get("useValueForTime")]


def _query(target: Mapping[str, Any]) -> dict[str, Any]:
    spec = {"query": re.sub(r"\$[a-z]\w*", ".*", target["expr"])}
    if target["legendFormat"] != "__auto":
        spec["seriesNameFormat"] = target["legendFormat"]
    return {"kind": "TimeSeriesQuery", "spec": {"plugin": {"kind": "PrometheusTimeSeriesQuery", "spec": spec}}}
