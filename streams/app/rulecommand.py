"""``streams rules check | test | replay``: rules tried before they wake anybody."""

from __future__ import annotations

import argparse
import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from streams import topics
from streams.app.history import History
from streams.app.textfile import text_of
from streams.errors import ConfigurationError
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.correlate.rehearsal import Rehearsal
    from streams.correlate.rule import Rule
    from streams.domain.anomaly import Anomaly
    from streams.domain.series import Series

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
    from streams.correlate.rehearsal import Rehearsal

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
    rehearsal = Rehearsal(rules, settings.pane_seconds)
    unreadable = asyncio.run(_replay(settings, rehearsal, now_ns - round(arguments.since * 1e9)))
    return 0, _json(rehearsal, unreadable) if arguments.json else _table(rehearsal, unreadable)


def _rules(path: Path, settings: Settings) -> Sequence[Rule]:
    from streams.correlate.operator import usable_rules

    text = text_of(path)
    try:
        return usable_rules(text, settings.pane_seconds)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error


async def _replay(settings: Settings, rehearsal: Rehearsal, since_ns: int) -> int:
    """Anomalies first, by window; then the windows in the order of their partitions. How many records are neither."""
    from streams.domain.anomaly import decode_anomaly
    from streams.domain.window import WindowAssembler, decode_window_batch

    strange: dict[tuple[int, Series], list[Anomaly]] = defaultdict(list)
    anomalies = History(topics.ANOMALIES, decode_anomaly)
    async for past in anomalies.since(settings, since_ns):
        strange[past.body.start_ns, past.body.series].append(past.body)
    assemblers: dict[int, WindowAssembler] = defaultdict(WindowAssembler)
    windows = History(topics.WINDOWS, decode_window_batch)
    async for record, batch in windows.since(settings, since_ns):
        if batch.end_ns - batch.start_ns != round(settings.pane_seconds * 1e9):
            continue
        whole = assemblers[record.partition].add(batch)
        if whole is not None:
            found = [one for series in whole.series for one in strange.get((whole.start_ns, series), ())]
            rehearsal.apply(record.partition, whole, found)
    return anomalies.unreadable + windows.unreadable


def _json(rehearsal: Rehearsal, unreadable: int) -> list[str]:
    rules: dict[str, Any] = {
        name: {
            "fired": outcome.fired,
            "pending": outcome.pending,
            "resolved": outcome.resolved,
            "groups": len(outcome.groups),
            "worst": outcome.worst,
            "began_ns": outcome.began_ns,
        }
        for name, outcome in rehearsal.outcomes.items()
    }
    return [orjson.dumps({"windows": rehearsal.windows, "unreadable_records": unreadable, "rules": rules}).decode()]


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
