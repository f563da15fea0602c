"""``streams gate compare``: two files of benchmark results, for people, for programs and for a pull request."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from streams.errors import ConfigurationError

if TYPE_CHECKING:
    from streams.gate.results import Change

SAID = {"pass": "nothing has become worse", "fail": "WORSE than before", "inconclusive": "undecided (hold)"}


def add_arguments(compare: argparse.ArgumentParser) -> None:
    """The arguments of ``streams gate compare``."""
    compare.add_argument("old", type=Path, help="JSON of a benchmark before; of several lines the last that is JSON")
    compare.add_argument("new", type=Path, help="the same now")
    compare.add_argument("--tolerance", type=float, default=0.1, help="share that may change; default: 0.1")
    for name, what in (("higher", "more"), ("lower", "less")):
        compare.add_argument(
            f"--{name}", action="append", default=[], metavar="PATTERN", help=f"figures of which {what} is better"
        )
    compare.add_argument("--json", action="store_true", help="one JSON object")
    compare.add_argument("--summary", type=Path, metavar="FILE", help="append a table in Markdown to this file")


def run(arguments: argparse.Namespace) -> tuple[int, list[str]]:
    """The exit code (0 nothing is worse, 1 something is, 2 undecided) and what to print.

    Raises:
        ConfigurationError: a file cannot be read or holds no JSON.
    """
    # SciPy: a second of each start of the command
    from streams.gate.results import compare_results, overall
    from streams.gate.summary import EXIT_CODES

    changes = compare_results(
        _result(arguments.old),
        _result(arguments.new),
        tolerance_ratio=arguments.tolerance,
        higher=arguments.higher,
        lower=arguments.lower,
    )
    status = overall(changes)
    if arguments.summary:
        with arguments.summary.open("a", encoding="utf-8") as file:
            file.write("\n".join(_markdown(changes, SAID[status])) + "\n")
    if arguments.json:
        body = {"status": status, "figures": [_object(change) for change in changes]}
        return EXIT_CODES[status], [orjson.dumps(body).decode()]
    return EXIT_CODES[status], list(_lines(changes, SAID[status]))


def _result(path: Path) -> object:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    for text in (data, *reversed(data.splitlines())):
        try:
            found = orjson.loads(text)
        except orjson.JSONDecodeError:
            continue
        if isinstance(found, dict | list):
            return found
    raise ConfigurationError(f"{path}: holds no JSON object; write the output of a benchmark with --json to it")


def _object(change: Change) -> dict[str, Any]:
    return {
        "name": change.name,
        "old": change.old,
        "new": change.new,
        "change_ratio": change.change_ratio,
        "p": change.p,
        "better": {True: "higher", False: "lower", None: None}[change.higher],
        "verdict": change.verdict,
    }


def _shown(changes: Sequence[Change]) -> list[Change]:
    """What matters first; what did not change is counted only."""
    order = ("worse", "missing", "undecided", "better", "new")
    return sorted((c for c in changes if c.verdict in order), key=lambda c: order.index(c.verdict))


def _lines(changes: Sequence[Change], said: str) -> Iterator[str]:
    yield said
    for change in _shown(changes):
        yield f"{change.verdict:10} {change.name}: {_figure(change.old)} -> {_figure(change.new)}{_percent(change)}"
    yield _rest(changes)


def _markdown(changes: Sequence[Change], said: str) -> Iterator[str]:
    from streams.gate.summary import cell, code

    yield f"### Benchmark: {said}\n"
    yield "| | figure | before | now | change |\n|---|---|---|---|---|"
    for change in _shown(changes):
        name = cell(code(change.name))
        yield f"| {change.verdict} | `{name}` | {_figure(change.old)} | {_figure(change.new)} |{_percent(change)} |"
    yield f"\n{_rest(changes)}"


def _rest(changes: Sequence[Change]) -> str:
    same = sum(change.verdict == "same" for change in changes)
    unjudged = sum(change.verdict == "not judged" for change in changes)
    return f"{same} within the tolerance, {unjudged} not judged (say --higher or --lower for them)"


def _percent(change: Change) -> str:
    if math.isnan(change.change_ratio):
        return ""
    chance = "" if math.isnan(change.p) else f", p {change.p:.2g}"
    return f" ({change.change_ratio:+.1%}{chance})"


def _figure(value: float) -> str:
    return "none" if math.isnan(value) else f"{value:,.6g}"
