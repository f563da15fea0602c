"""Dashboards as Grafana's JSON, by its foundation SDK."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
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

from monitoring.source.dashboards import agents, pipeline
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
}
_LINE: Final = GraphTresholdsStyleMode.DASHED
_TABLE: Final = PromQueryFormat.TABLE
_HEIGHTS: Final = {"stat": 4}
_TALL: Final = 8


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
        .annotation(_deployments())
    )
    for name, query in board.variables:
        made = made.with_variable(_variable(name, query))
    for title, panels in board.rows:
        made = made.with_row(dashboard.Row(title))
        for panel in panels:
            made = made.with_panel(_panel(panel, baselines))
    return json.dumps(made.build(), cls=JSONEncoder, sort_keys=True, indent=2) + "\n"


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
    if panel.limits:
        made = made.thresholds(_thresholds(baselines[panel.limits]))
        if panel.kind == "timeseries":
            line = common.GraphThresholdsStyleConfig().mode(_LINE)
            made = made.thresholds_style(line)
    for number, target in enumerate(panel.targets):
        made = made.with_target(_query(panel, number, target.expr, target.legend))
    return made


def _query(panel: Panel, number: int, expr: str, legend: str) -> Any:
    query = prometheus.Dataquery().expr(expr).legend_format(legend or "__auto").ref_id(chr(ord("A") + number))
    if panel.kind == "timeseries":
        return query.range().exemplar(panel.unit == "s")
    query = query.instant()
    return query.format(_TABLE) if panel.kind == "table" else query


def _thresholds(baseline: Baseline) -> Any:
    """Green, yellow from warning, red from critical; the other way round where higher is better."""
    colours = [("green", None), ("yellow", baseline.warning), ("red", baseline.critical)]
    if baseline.direction == "higher":
        colours = [("red", None), ("yellow", baseline.critical), ("green", baseline.warning)]
    steps = [models.Threshold(value=value, color=colour) for colour, value in colours]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _variable(name: str, query: str) -> Any:
    return (
        dashboard.QueryVariable(name)
        .query(query)
        .datasource(_SOURCE)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )


def _link(title: str, tags: list[str]) -> Any:
    return (
        dashboard.DashboardLink(title)
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags(tags)
        .as_dropdown(True)
        .keep_time(True)
    )


def _deployments() -> Any:
    """A mark where a new version of a service begins to send."""
    return (
        dashboard.AnnotationQuery()
        .name("Pipeline restarts")
        .datasource(_SOURCE)
        .enable(True)
        .icon_color("blue")
        .expr("changes(process_start_time_seconds[1m]) > 0")
    )
