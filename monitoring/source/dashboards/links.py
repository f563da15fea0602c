"""Ways from what a panel shows to the operator's page: the agent, its traces, its logs, the incidents."""

from __future__ import annotations

from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models

from monitoring.source.dashboards.panel import Panel

ADDRESS: Final = "http://localhost:8180"
"""Of ``streams api`` as compose publishes it; a field above each dashboard changes it."""
_OF: Final = (
    ("agent_id", (("The agent", "agent/{}"), ("Its traces", "traces?agent_id={}"), ("Its logs", "logs?agent_id={}"))),
    ("service_name", (("Its traces", "traces?service={}"), ("Its logs", "logs?service={}"))),
    ("client", (("Its failed traces", "traces?status=error&service={}"),)),
    ("severity", (("Incidents", ""), ("Alerts", "alerts"))),
)
"""Label that a line is named by, and what it leads to; the first that is there counts."""


def address() -> Any:
    """The variable that says where the operator's page is."""
    return dashboard.TextBoxVariable("page").label("Operator's page").default_value(ADDRESS)


def page() -> Any:
    """The link above each dashboard."""
    kind = models.DashboardLinkType.LINK
    return dashboard.DashboardLink("Incidents").type(kind).url("${page}/#/").target_blank(True)


def of(panel: Panel) -> list[Any]:
    """Links of a panel's lines, bars and rows."""
    shown = " ".join(target.legend or target.expr for target in panel.targets)
    value = "${{__data.fields.{}}}" if panel.kind == "table" else "${{__field.labels.{}}}"
    for label, ways in _OF:
        if label in shown:
            return [_link(title, way.format(value.format(label))) for title, way in ways]
    return []


def _link(title: str, way: str) -> Any:
    return dashboard.DashboardLink(title).type(models.DashboardLinkType.LINK).url("${page}/#/" + way).target_blank(True)
