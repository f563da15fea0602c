"""Markdown of a reference page: heads and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_HEAD = "Written by `python -m monitoring.source` from {source}; do not edit."


def page(title: str, source: str, *parts: str) -> str:
    """One page; ``source`` is where a reader changes what it says."""
    return "\n\n".join((f"# {title}", _HEAD.format(source=source), *parts)) + "\n"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; bars inside of cells are escaped, line ends become spaces."""
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return "\n".join((*lines, *(f"| {' | '.join(map(_cell, row))} |" for row in rows)))


def code(names: Iterable[str]) -> str:
    """Names as code, separated by commas; a dash where there are none."""
    return ", ".join(f"`{name}`" for name in names) or "-"


def _cell(value: object) -> str:
    return " ".join(str(value).replace("|", "\\|").split()) or "-"
