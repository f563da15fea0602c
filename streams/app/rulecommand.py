"""``streams rules check | test | replay``: rules tried before they wake anybody."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from streams.app.textfile import text_of
from streams.errors import ConfigurationError
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.correlate.rehearsal import Rehearsal
    from streams.correlate.rule import Rule

FIXTURES: Final = Path("monitoring/rulefixtures.yml")
SHOWN_TIMES: Final = 5


def add_arguments(rules: argparse.ArgumentParser) -> None:
    """The three actions of ``streams rules``."""
    actions = rules.add_subparsers(dest="action", required=True)
    check = actions.add_parser("check", help="say what is wrong with rule files; exit code 2 if anything is")
    check.add_argument("files", nargs="*", type=Path, metavar="FILE", help="default: STREAMS_THRESHOLDS_PATH")
    test = actions.add_parser("test", help="every rule must fire on its fixture and be silent on the other; else 1")
    test.add_argument("--rules", type=Path, help="default: STREAMS_THRESHOLDS_PATH")
    test.add_argument("--fixtures", type=Path, default=FIXTURES, help=f"default: {FIXTURES}")
    replay = actions.add_parser("replay", help="what would have fired, from the windows still in Kafka; tells nobody")
    replay.add_argument("--rules", type=Path, help="default: STREAMS_THRESHOLDS_PATH")
    replay.add_argument("--since", type=float, default=3600.0, metavar="SECONDS", help="how far back; default: 3600")
    replay.add_argument("--json", action="store_true", help="one JSON object")


def run(settings: Settings, arguments: argparse.Namespace, now_ns: int) -> tuple[int, list[str]]:
    """Runs an action: the exit code and what to print.

    Raises:
        ConfigurationError: a file cannot be read or used. ServiceUnavailable: no broker, or the topics are missing.
    """
    from streams.correlate.fixture import failures, load_fixtures  # NumPy: every start of the command would wait for it
    from streams.records.rulereplay import rehearsed

    if arguments.action == "check":
        files = arguments.files or [settings.thresholds_path]
        return 0, [f"{path}: {len(_rules(path, settings))} rules" for path in files]
    path = arguments.rules or settings.thresholds_path
    rules = _rules(path, settings)
    if arguments.action == "test":
        wrong = failures(rules, load_fixtures(text_of(arguments.fixtures)), settings.pane_seconds)
        good = len(rules) - len({line.partition(":")[0] for line in wrong})
        return (1 if wrong else 0), [*wrong, f"{path}: {good} of {len(rules)} rules do as their fixtures say"]
    if not arguments.since > 0:
        raise ConfigurationError(f"--since is {arguments.since:g}; write a number of seconds above 0")
    rehearsal, unreadable = asyncio.run(rehearsed(settings, rules, now_ns - round(arguments.since * 1e9)))
    return 0, _json(rehearsal, unreadable) if arguments.json else _table(rehearsal, unreadable)


def _rules(path: Path, settings: Settings) -> Sequence[Rule]:
    from streams.correlate.operator import usable_rules

    text = text_of(path)
    try:
        return usable_rules(text, settings.pane_seconds)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _json(rehearsal: Rehearsal, unreadable: int) -> list[str]:
    from streams.records.rulereplay import summary

    return [orjson.dumps(summary(rehearsal, unreadable)).decode()]


def _table(rehearsal: Rehearsal, unreadable: int) -> list[str]:
    lines = [f"{rehearsal.windows} windows; alerts that would have fired:"]
    for name, outcome in rehearsal.outcomes.items():
        if outcome.fired:
            shown = ", ".join(
                f"{datetime.fromtimestamp(at / 1e9, UTC):%H:%M:%S}" for at in outcome.began_ns[:SHOWN_TIMES]
            )
            more = f" and {outcome.fired - SHOWN_TIMES} more" if outcome.fired > SHOWN_TIMES else ""
            lines.append(f"{name:28} {outcome.fired:5} of {len(outcome.groups)} groups, {outcome.worst}: {shown}{more}")
    silent = [name for name, outcome in rehearsal.outcomes.items() if not outcome.fired]
    remarks = [f"{unreadable} records could not be read and do not count"] if unreadable else []
    return [*lines, f"silent: {', '.join(silent) or 'none'}", *remarks]
