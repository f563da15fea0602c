"""A view as a live page for a terminal, or as plain lines for a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from streams.demo.figures import FATES
from streams.demo.view import AlertRow, SourceRow, View

STYLES: Final = {"firing": "bold red", "pending": "yellow", "resolved": "green"}
LEAST_ALERTS: Final = 3
FULL_HEIGHT: Final = 30
FULL_WIDTH: Final = 100
SEND: Final = "send"
SHORT_ADDRESSES: Final = frozenset({"metrics", "alertmanager", SEND})
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


def page(view: View, width: int, height: int) -> RenderableType:
    """The live page; on a small terminal it says less. It shows as many alerts as there is room for."""
    full = height >= FULL_HEIGHT
    head = Text.assemble(("agent-streams demo", "bold"), f"   {clock(view)}   ", (view.story, "bold yellow"))
    sources = view.sources if full else by_origin(view.sources)
    addresses = {n: a for n, a in view.addresses.items() if full or n in SHORT_ADDRESSES}
    strange = [Text.assemble(("last anomaly ", "dim"), view.last_anomaly, no_wrap=True, overflow="ellipsis")]
    strange = strange if full and view.last_anomaly else []
    taken = 2 + 3 + len(strange) + len(sources) + 3 + 1 + 1 + 1 + len(addresses) + bool(view.trouble)
    parts: list[RenderableType] = [head, Text(), _pipeline(view), *strange, Text(), _sources(view, sources), Text()]
    parts += [
        _alerts(view, max(LEAST_ALERTS, height - taken - 1), wide=width >= FULL_WIDTH),
        Text(),
        _addresses(addresses),
    ]
    if view.trouble:
        parts.append(Text(view.trouble, style="bold red"))
    return Group(*parts)


def by_origin(sources: Sequence[SourceRow]) -> list[SourceRow]:
    """One row for each origin."""
    found: dict[str, SourceRow] = {}
    for row in sources:
        before = found.get(row.name)
        if before is not None:
            events, rate = _sum(before.events, row.events), _sum(before.per_second, row.per_second)
            row = SourceRow(row.name, "all", None if events is None else round(events), rate)
        found[row.name] = row
    return list(found.values())


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _pipeline(view: View) -> Table:
    f = view.figures
    cells = [
        ("events/s", number(view.per_second)),
        ("lag", number(f.lag if f else None)),
        ("watermark delay", number(f.watermark_delay_seconds if f else None, "s", 1)),
        ("windows closed", number(f.windows if f else None)),
        ("anomalies", number(view.anomalies)),
        ("traces", number(view.traces)),
        ("series", number(f.series if f else None)),
        ("judged", number(f.judged if f else None)),
    ]
    table = Table.grid(padding=(0, 2))
    for row in (cells[:4], cells[4:]):
        table.add_row(*(Text.assemble((f"{name} ", "dim"), (value, "bold")) for name, value in row))
    return table


def _sources(view: View, sources: Sequence[SourceRow]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_row(*(Text(word, style="dim") for word in ("events from", "topic", "read", "per s")))
    for row in sources:
        table.add_row(row.name, row.topics, number(row.events), number(row.per_second, digits=1))
    return Group(table, Text.assemble(("became ", "dim"), fates(view)))


def counts(view: View) -> str:
    """Alerts by state, and what Alertmanager has notified."""
    states = ", ".join(f"{view.counts.get(state, 0)} {state}" for state in ("pending", "firing", "resolved"))
    if view.notified is None:
        return f"{states}; no Alertmanager"
    told = ", ".join(f"{view.notified.get(status, 0)} {status}" for status in ("firing", "resolved"))
    return f"{states}; notified: {told}"


def _alerts(view: View, room: int, *, wide: bool) -> RenderableType:
    title = Text.assemble(("alerts ", "dim"), counts(view))
    groups = grouped(view.alerts)
    table = Table.grid(padding=(0, 2))
    for rows in groups[:room]:
        first = rows[0]
        age_seconds = max(row.age_seconds for row in rows)
        cells = [first.name, names(rows), first.figure if wide else first.figure.partition(" (")[0], told(rows)]
        table.add_row(
            Text(first.state, style=STYLES[first.state]),
            Text(f"{age_seconds:.0f} s", justify="right"),
            *([first.severity] if wide else []),
            *(Text(cell, no_wrap=True, overflow="ellipsis") for cell in cells),
        )
    left = sum(len(rows) for rows in groups[room:])
    return Group(title, table, *([Text(f"and {left} more", style="dim")] if left > 0 else []))


def grouped(alerts: Iterable[AlertRow]) -> list[list[AlertRow]]:
    """Alerts of one name, severity and state together, in the order of the first of each."""
    found: dict[tuple[str, str, str], list[AlertRow]] = {}
    for row in alerts:
        found.setdefault((row.state, row.name, row.severity), []).append(row)
    return list(found.values())


def names(rows: Sequence[AlertRow]) -> str:
    """Whom a group of alerts is about: the first, and how many more."""
    others = len({row.key for row in rows}) - 1
    return rows[0].who + (f" +{others}" if others else "")


def told(rows: Sequence[AlertRow]) -> str:
    """How many of a group Alertmanager has notified, and how many it need not; "" where there is nothing to notify."""
    known = [row for row in rows if row.notified is not None]
    notified, folded = sum(bool(row.notified) for row in known), sum(row.folded and not row.notified for row in known)
    parts = [(notified, "notified")] if notified or not folded else []
    parts += [(folded, "folded")] if folded else []
    return ", ".join(word if count == len(known) else f"{count}/{len(known)} {word}" for count, word in parts if known)


def _addresses(addresses: Mapping[str, str]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, address in addresses.items():
        if name != SEND:
            table.add_row(name, address)
    # a line of its own, so that it can be copied from a narrow terminal
    return Group(table, Text(addresses.get(SEND, ""), style="dim"))


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
    strange = f" | last anomaly: {view.last_anomaly}" if view.last_anomaly else ""
    return f"    events from: {sources} | became: {fates(view)}{strange}"


def changes(before: Sequence[AlertRow], now: Iterable[AlertRow]) -> list[str]:
    """Alerts whose state changed, one line per name and state."""
    known = {row.key: row.state for row in before}
    fresh: dict[tuple[str, str, str], list[str]] = {}
    for row in now:
        if known.get(row.key) != row.state:
            fresh.setdefault((row.state, row.name, row.severity), []).append(f"{row.who} {row.figure}")
    return [f"    {state}: {name} ({severity}) {'; '.join(who)}" for (state, name, severity), who in fresh.items()]
