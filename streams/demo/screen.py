"""A view as a live page for a terminal, or as plain lines for a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from streams.demo.figures import FATES
from streams.demo.view import AlertRow, View

STYLES: Final = {"firing": "bold red", "pending": "yellow", "resolved": "green"}
LEAST_ALERTS: Final = 3
NOT_KNOWN: Final = "-"


def number(value: float | None, unit: str = "", digits: int = 0) -> str:
    """A figure with thousands separators; "-" for what is not known."""
    if value is None:
        return NOT_KNOWN
    return f"{value:,.{digits}f}{' ' + unit if unit else ''}"


def clock(view: View) -> str:
    """Where in the demo we are."""
    end = "" if view.total_seconds is None else f" of {view.total_seconds:.0f}"
    return f"{view.elapsed_seconds:.0f}{end} s"


def fates(view: View) -> str:
    """What became of the events, in words."""
    if view.figures is None:
        return NOT_KNOWN
    return ", ".join(f"{number(view.figures.fate(fate))} {fate}" for fate in FATES if fate != "overflow")


def page(view: View, height: int) -> RenderableType:
    """The live page; shows as many alerts as the height leaves room for."""
    head = Text.assemble(("agent-streams demo", "bold"), f"   {clock(view)}   ", (view.story, "bold yellow"))
    parts: list[RenderableType] = [head, Text(), _pipeline(view), Text(), _sources(view), Text()]
    used = 4 + 4 + len(view.sources) + 2 + len(view.addresses) + 3
    parts += [_alerts(view, max(LEAST_ALERTS, height - used)), Text(), _addresses(view)]
    if view.trouble:
        parts.append(Text(view.trouble, style="bold red"))
    return Group(*parts)


def _pipeline(view: View) -> Table:
    f = view.figures
    cells = [
        ("events/s", number(view.per_second)),
        ("lag", number(f.lag if f else None, "records")),
        ("watermark delay", number(f.watermark_delay_seconds if f else None, "s", 1)),
        ("windows closed", number(f.windows if f else None)),
        ("windows judged", number(f.judged if f else None)),
        ("anomalies", number(view.anomalies)),
        ("traces", number(view.traces)),
        ("series", number(f.series if f else None)),
    ]
    table = Table.grid(padding=(0, 2))
    for row in (cells[:4], cells[4:]):
        table.add_row(*(Text.assemble((f"{name} ", "dim"), (value, "bold")) for name, value in row))
    return table


def _sources(view: View) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_row(*(Text(word, style="dim") for word in ("events from", "topic", "read", "per s")))
    for row in view.sources:
        table.add_row(row.name, row.topics, number(row.events), number(row.per_second, digits=1))
    table.add_row(Text("became", style="dim"), Text(fates(view)))
    return table


def counts(view: View) -> str:
    """Alerts by state, and what Alertmanager notified."""
    states = ", ".join(f"{view.counts.get(state, 0)} {state}" for state in ("pending", "firing", "resolved"))
    if view.notified is None:
        return f"{states}; no Alertmanager"
    told = ", ".join(f"{view.notified.get(status, 0)} {status}" for status in ("firing", "resolved"))
    return f"{states}; Alertmanager notified {told}"


def _alerts(view: View, room: int) -> RenderableType:
    title = Text.assemble(("alerts ", "dim"), counts(view))
    table = Table.grid(padding=(0, 2))
    for row in view.alerts[:room]:
        table.add_row(
            Text(row.state, style=STYLES[row.state]),
            Text(f"{row.age_seconds:.0f} s", justify="right"),
            row.severity,
            Text(row.name, no_wrap=True, overflow="ellipsis"),
            row.who,
            Text(row.figure, no_wrap=True, overflow="ellipsis"),
            _told(row),
        )
    left = len(view.alerts) - room
    return Group(title, table, *([Text(f"and {left} more", style="dim")] if left > 0 else []))


def _told(row: AlertRow) -> str:
    return "" if row.notified is None else "notified" if row.notified else "on its way"


def _addresses(view: View) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, address in view.addresses.items():
        table.add_row(name, address)
    return table


def line(view: View) -> str:
    """The state of the pipeline in one line."""
    f = view.figures
    parts = [
        f"{number(view.per_second)} events/s",
        f"lag {number(f.lag if f else None)}",
        f"watermark delay {number(f.watermark_delay_seconds if f else None, 's', 1)}",
        f"windows {number(f.windows if f else None)}",
        f"anomalies {number(view.anomalies)}",
        f"traces {number(view.traces)}",
        f"alerts {counts(view)}",
        view.story,
    ]
    return f"[{clock(view)}] " + " | ".join(parts)


def detail(view: View) -> str:
    """Sources and fates in one line, for now and then."""
    sources = ", ".join(f"{row.name} {row.topics} {number(row.events)}" for row in view.sources)
    return f"    events from: {sources} | became: {fates(view)}"


def changes(before: Sequence[AlertRow], now: Iterable[AlertRow]) -> list[str]:
    """Alerts whose state changed, one line per name and state."""
    known = {row.key: row.state for row in before}
    fresh: dict[tuple[str, str, str], list[str]] = {}
    for row in now:
        if known.get(row.key) != row.state:
            fresh.setdefault((row.state, row.name, row.severity), []).append(f"{row.who} {row.figure}")
    return [f"    {state}: {name} ({severity}) {'; '.join(who)}" for (state, name, severity), who in fresh.items()]
