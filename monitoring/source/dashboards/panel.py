"""What a dashboard is made of, as values."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Kind = Literal["timeseries", "stat", "bargauge", "piechart", "table", "heatmap", "nodegraph", "text"]

W: Final = 'environment=~"$environment",service_name=~"$service"'
"""Label matchers of the variables that most dashboards have."""
E: Final = 'environment=~"$environment"'


class Target(NamedTuple):
    """A query and the name of its lines."""

    expr: str
    legend: str = ""


class Panel(NamedTuple):
    """One panel.

    Attributes:
        title: of the panel.
        kind: how it is drawn.
        targets: its queries.
        unit: Grafana's unit id.
        limits: name of a baseline, or of a rule where there is one, whose limits are drawn (thresholds.yml), "" = none.
        width: of 24 columns.
        about: what a reader should know.
        rare: no data is what a healthy system shows; else a test wants data.
        wrong: which values are drawn red where there are no limits: any but none, or those below zero.
        signed: whether values below zero are usual; else the axis begins at zero.
        matrix: of a table of one query: the labels whose values are its rows and its columns.
        verdict: whether values are what gates say: -1 fail, 0 undecided, 1 pass.
    """

    title: str
    kind: Kind
    targets: tuple[Target, ...]
    unit: str = "short"
    limits: str = ""
    width: int = 8
    about: str = ""
    rare: bool = False
    wrong: Literal["", "any", "negative"] = ""
    signed: bool = False
    matrix: tuple[str, str] | None = None
    verdict: bool = False


class Board(NamedTuple):
    """One dashboard.

    Attributes:
        uid, title, tags, refresh: Grafana's.
        rows: titles and panels.
        variables: name and the query of its values.
        single: whether one value of each variable is shown at a time, in place of all of them.
    """

    uid: str
    title: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]
    variables: tuple[tuple[str, str], ...] = (
        ("environment", "label_values(agents_heartbeat_total, environment)"),
        ("service", 'label_values(agents_heartbeat_total{environment=~"$environment"}, service_name)'),
    )
    tags: tuple[str, ...] = ("agents",)
    refresh: str = "10s"
    single: bool = False


def one(title: str, kind: Kind, expr: str, legend: str = "", **more: object) -> Panel:
    """A panel of one query."""
    return Panel(title, kind, (Target(expr, legend),), **more)  # type: ignore[arg-type]


def many(title: str, kind: Kind, *targets: tuple[str, str], **more: object) -> Panel:
    """A panel of several queries."""
    return Panel(title, kind, tuple(Target(*target) for target in targets), **more)  # type: ignore[arg-type]


def more(counter: str, window: str, by: str = "") -> str:
    """How much a counter grew in a window, with what counted for the first time in it.

    A counter with labels has no series before it first counts, so ``increase`` says 0 of the first event of its kind.
    What was not there in the six hours before the window is new, with all it shows.
    """
    kept = "without (instance, job)"
    new = f"sum {kept} ({counter}) unless sum {kept} (last_over_time({counter}[6h] offset {window}))"
    return f"sum {f'by ({by}) ' if by else ''}(({new}) or sum {kept} (increase({counter}[{window}])))"
