"""Dashboards as Grafana's JSON, by its foundation SDK."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    nodegraph,
    piechart,
    prometheus,
    stat,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.common import GraphTresholdsStyleMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from monitoring.source.dashboards import agents, links, pipeline
from monitoring.source.dashboards.panel import Board, Panel
from streams.correlate.rule import Baseline

BOARDS: Final = (*agents.BOARDS, *pipeline.BOARDS)
_SOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="prometheus")
_KINDS: Final[Mapping[str, Any]] = {
    "timeseries": timeseries.Panel,
    "stat": stat.Panel,
    "bargauge": bargauge.Panel,
    "piechart": piechart.Panel,
    "table": table.Panel,
    "nodegraph": nodegraph.Panel,
}
_LINE: Final = GraphTresholdsStyleMode.DASHED
_TABLE: Final = PromQueryFormat.TABLE
_HEIGHTS: Final = {"stat": 4}
_TABULAR: Final = ("table", "nodegraph")
_INSTANCE: Final = dict.fromkeys(("Time", "__name__", "instance", "job"), True)
"""Columns of a table that say nothing of what is in it."""
_COLOURS: Final[Mapping[str, Mapping[str, str]]] = {
    "{{outcome}}": {"success": "green", "failure": "red", "timeout": "orange"},
    "{{severity}}": {"critical": "red", "high": "orange", "warning": "yellow", "info": "blue"},
    "{{fate}}": {"aggregated": "green", "late": "yellow", "duplicate": "blue", "overflow": "orange", "rejected": "red"},
}
"""Of lines whose name is one of these words: Grafana's palette would give failure a green one."""
_TALL: Final = 8
VERDICT: Final[Mapping[int, tuple[str, str]]] = {-1: ("fail", "red"), 0: ("undecided", "yellow"), 1: ("pass", "green")}
"""What gates say, as words and colours."""


def render(board: Board, baselines: Mapping[str, Baseline]) -> str:
    """A dashboard as the file that Grafana provisions."""
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .tags(list(board.tags))
        .refresh(board.refresh)
        .time("now-1h", "now")
        .timezone("utc")
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(_link("Dashboards", list(board.tags)))
        .link(links.page())
        .annotation(_restarts())
        .annotation(_deployments())
        .with_variable(links.address())
    )
    for name, query in board.variables:
        made = made.with_variable(_variable(name, query, board.single))
    for title, panels in board.rows:
        made = made.with_row(dashboard.Row(title))
        for panel in panels:
            made = made.with_panel(_panel(panel, baselines))
    body = json.loads(json.dumps(made.build(), cls=JSONEncoder))
    body["annotations"]["list"][-1].update(_MARK)
    return json.dumps(body, sort_keys=True, indent=2) + "\n"


def _panel(panel: Panel, baselines: Mapping[str, Baseline]) -> Any:
    made = (
        _KINDS[panel.kind]()
        .title(panel.title)
        .description(panel.about)
        .datasource(_SOURCE)
        .unit(panel.unit)
        .span(panel.width)
        .height(_HEIGHTS.get(panel.kind, _TALL))
    )
    if panel.kind != "nodegraph":
        made = _judged(made.data_links(links.of(panel)), panel, baselines)
    if panel.rare:
        made = made.no_value("none")
    if panel.unit == "short" and panel.kind in ("stat", "table"):
        made = made.decimals(0)
    if panel.kind == "timeseries" and not panel.signed:
        made = made.min(0)
    if panel.verdict:
        made = _in_words(made, panel)
    for transformation in _shaped(panel) if panel.kind in _TABULAR else ():
        made = made.with_transformation(transformation)
    for number, target in enumerate(panel.targets):
        made = made.with_target(_query(panel, number, target.expr, target.legend))
    return made


def _judged(made: Any, panel: Panel, baselines: Mapping[str, Baseline]) -> Any:
    """Colours say what is good and what is not; where nothing says so, nothing is green."""
    if panel.limits:
        made = made.thresholds(_thresholds(baselines[panel.limits], panel.kind))
        if panel.kind == "timeseries":
            made = made.thresholds_style(common.GraphThresholdsStyleConfig().mode(_LINE))
    else:
        made = made.thresholds(_steps(*_WRONG[panel.wrong]))
    for word, colour in _COLOURS.get(panel.targets[0].legend, {}).items():
        made = made.override_by_name(word, [_coloured(panel, colour)])
    return made


def _coloured(panel: Panel, colour: str) -> Any:
    if panel.kind == "stat":  # nothing of it is as good as nothing of the others
        return models.DynamicConfigValue("thresholds", _steps(("green", None), (colour, 1)).build())
    return models.DynamicConfigValue("color", models.FieldColor(models.FieldColorModeId.FIXED, colour))


def _in_words(made: Any, panel: Panel) -> Any:
    words = {
        str(value): models.ValueMappingResult(text=text, color=colour) for value, (text, colour) in VERDICT.items()
    }
    made = made.mappings([models.ValueMap(options=words)])
    if panel.kind == "table":
        cell = models.DynamicConfigValue("custom.cellOptions", {"type": "color-text"})
        made = made.override_by_regexp(".*", [cell])
    return made


def _shaped(panel: Panel) -> list[Any]:
    """What becomes of the answers of a table or graph before they are drawn."""
    if panel.matrix is not None:
        rows, columns = panel.matrix
        options = {"rowField": rows, "columnField": columns, "valueField": "Value"}
        return [models.DataTransformerConfig("groupingToMatrix", options=options)]
    joined = panel.kind == "table" and len(panel.targets) > 1
    merged = [models.DataTransformerConfig("merge", options={})] if joined else []
    return [*merged, _columns(panel)]


def _columns(panel: Panel) -> Any:
    """Without those that say nothing; those of a graph's nodes and edges as Grafana wants them."""
    name = "mainstat" if panel.kind == "nodegraph" else panel.title
    names = {"Value": name}
    for number, target in enumerate(panel.targets):
        names[f"Value #{chr(ord('A') + number)}"] = target.legend or name
    return models.DataTransformerConfig("organize", options={"excludeByName": _INSTANCE, "renameByName": names})


def _query(panel: Panel, number: int, expr: str, legend: str) -> Any:
    query = prometheus.Dataquery().expr(expr).legend_format(legend or "__auto").ref_id(chr(ord("A") + number))
    if panel.kind == "timeseries":
        return query.range().exemplar(panel.unit == "s")
    query = query.instant()
    return query.format(_TABLE) if panel.kind in _TABULAR else query


_WRONG: Final[Mapping[str, tuple[tuple[str, float | None], ...]]] = {
    "": (("text", None),),
    "any": (("green", None), ("red", 1)),
    "negative": (("red", None), ("green", 0)),
}


def _thresholds(baseline: Baseline, kind: str) -> Any:
    """Green, yellow from warning, red from critical; the other way round where higher is better.

    A line has the colour of what lies beyond it, not of what lies above.
    """
    lines = [("yellow", baseline.warning), ("red", baseline.critical)]
    if baseline.direction == "lower":
        return _steps(("green", None), *lines)
    if kind == "timeseries":
        return _steps(("transparent", None), *reversed(lines))
    return _steps(("red", None), ("yellow", baseline.critical), ("green", baseline.warning))


def _steps(*colours: tuple[str, float | None]) -> Any:
    steps = [models.Threshold(value=value, color=colour) for colour, value in colours]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _variable(name: str, query: str, single: bool) -> Any:
    made = (
        dashboard.QueryVariable(name)
        .query(query)
        .datasource(_SOURCE)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )
    return made if single else made.multi(True).include_all(True).all_value(".*")


def _link(title: str, tags: list[str]) -> Any:
    return (
        dashboard.DashboardLink(title)
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags(tags)
        .as_dropdown(True)
        .keep_time(True)
    )


def _restarts() -> Any:
    return (
        dashboard.AnnotationQuery()
        .name("Pipeline restarts")
        .datasource(_SOURCE)
        .enable(True)
        .icon_color("blue")
        .expr("changes(process_start_time_seconds[1m]) > 0")
    )


_MARK: Final = {
    "useValueForTime": True,
    "titleFormat": "{{service_name}} {{service_version}}",
    "tagKeys": "environment",
}
"""Of an annotation whose value is its time in milliseconds; the SDK has no words for these."""


def _deployments() -> Any:
    """A mark where the newest deployment of each service began."""
    return (
        dashboard.AnnotationQuery()
        .name("Deployments")
        .datasource(_SOURCE)
        .enable(True)
        .icon_color("purple")
        .expr("streams_deployment_started_seconds * 1000")
    )
