"""Exactly-once effect under faults: ``python -m benchmarks.faults --seed N --kills 100 --json``.

Workers are killed (at random points and between every two steps of emitting, checkpointing and committing), stopped
past their session, joined and left; the broker is killed and stopped; connections are delayed, reset and left half
open. Then everything that came out is held against what a slow computation makes of the source log: windows, totals,
Prometheus counters, alerts. The last line is JSON; the exit code is 0 when nothing was lost or doubled and all lag was
gone in time. The same seed gives the same schedule; the history file gives it too (``--replay FILE``).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.nemesis import pipeline, stock
from benchmarks.nemesis.arena import Arena, wait
from benchmarks.nemesis.checker import Verdict
from benchmarks.nemesis.history import History, planned
from benchmarks.nemesis.schedule import Action, schedule
from benchmarks.nemesis.source import AGENTS, PERIOD_SECONDS
from benchmarks.nemesis.truth import Truth
from streams.errors import DependencyMissing
from streams.services.alertmanager import AlertmanagerService
from streams.services.webhook import WebhookReceiver

AFTERWARDS_SECONDS: Final = 10.0
"""Agents go on for so long after the last fault: what comes then must come out too."""


@dataclass
class Report:
    """What one run came to."""

    subject: str
    seed: int
    kills: int
    verdicts: list[Verdict]
    events: int
    late: int
    lag_zero_seconds: float | None
    seconds: float
    actions: dict[str, int]
    points: dict[str, dict[str, int]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    @property
    def lost(self) -> int:
        """Over all checks."""
        return sum(v.lost for v in self.verdicts)

    @property
    def doubled(self) -> int:
        """Over all checks."""
        return sum(v.doubled for v in self.verdicts)

    @property
    def unreached(self) -> list[str]:
        """Crash points that were wanted and that no life came to: gone from the code, or the run was too short."""
        return [point for point, found in self.points.items() if found["missed"] and not found["reached"]]

    @property
    def holds(self) -> bool:
        """Whether the claim does."""
        in_time = self.lag_zero_seconds is not None and self.lag_zero_seconds <= pipeline.LAG_SECONDS
        return not self.lost and not self.doubled and in_time

    def figures(self) -> dict[str, Any]:
        """For the JSON line."""
        return {
            "subject": self.subject,
            "seed": self.seed,
            "kills": self.kills,
            "lost": self.lost,
            "doubled": self.doubled,
            "events": self.events,
            "late": self.late,
            "lag_zero_seconds": self.lag_zero_seconds,
            "seconds": round(self.seconds),
            "checks": {v.name: {"checked": v.checked, "lost": v.lost, "doubled": v.doubled} for v in self.verdicts},
            "examples": [example for v in self.verdicts for example in v.examples],
            "actions": self.actions,
            "crash_points": self.points,
            "unreached": self.unreached,
            **self.absent,
        }


def run_pipeline(folder: Path, history: History, seed: int, actions: list[Action]) -> Report:
    """Our pipeline through one schedule."""
    with ExitStack() as stack:
        url, webhook, absent = "", None, {}
        try:
            receiver = stack.enter_context(WebhookReceiver())
            service = AlertmanagerService(folder / "alertmanager", webhook_url=receiver.url)
            url, webhook = stack.enter_context(service).url, receiver
        except DependencyMissing as error:
            absent["alertmanager"] = f"absent: {error}"
        arena = stack.enter_context(Arena(folder, pipeline.subject(folder, url), history, seed))
        report = run(arena, seed, actions, lambda: pipeline.caught_up(arena), lambda: pipeline.settle(arena, webhook))
        report.absent |= absent
        return report


def run_stock(folder: Path, history: History, seed: int, actions: list[Action]) -> Report:
    """The stock Faust app through one schedule."""
    with Arena(folder, stock.subject(folder), history, seed) as arena:
        few = round(5 * AGENTS / PERIOD_SECONDS)  # agents go on, and it commits every 3 s
        return run(arena, seed, actions, lambda: 0 <= stock.lag(arena) < few, lambda: stock.settle(arena))


def run(
    arena: Arena,
    seed: int,
    actions: list[Action],
    caught_up: Callable[[], bool],
    settle: Callable[[], tuple[list[Verdict], Truth]],
) -> Report:
    """Plays a schedule, heals, lets everything come out and checks it."""
    begin = time.monotonic()
    arena.begin()
    arena.play(actions)
    if actions:
        arena.reach()
    arena.top_up(sum(action.kills for action in actions))
    arena.heal()
    try:
        lag = round(wait(caught_up, 3 * pipeline.LAG_SECONDS, "no lag"), 1)
    except TimeoutError:
        lag = None
    time.sleep(AFTERWARDS_SECONDS)
    unsent = arena.source.finish()
    verdicts, found = settle()
    absent = {"proxy": f"absent: {arena.proxy_absent}"} if arena.proxy is None else {}
    if unsent:
        absent["unsent"] = f"{unsent} sends the broker did not take"
    fates = sum(found.fates.values(), Counter[str]())
    return Report(
        subject=arena.subject.name,
        seed=seed,
        kills=arena.slots.kills,
        verdicts=verdicts,
        events=fates.total(),
        late=fates["late"],
        lag_zero_seconds=lag,
        seconds=time.monotonic() - begin,
        actions=dict(Counter(action.op for action in actions)),
        points={point: arena.slots.points[point] for point in arena.subject.points},
        absent=absent,
    )


def table(reports: list[Report]) -> str:
    """For people."""
    lines = []
    for report in reports:
        seconds, lag = f"{report.seconds:.0f} s", report.lag_zero_seconds
        lines.append(
            f"{report.subject}: {report.kills} kills, {report.events:,} events in {seconds}: {report.lost} lost, "
            f"{report.doubled} doubled, {report.late} late; lag 0 after {'never' if lag is None else f'{lag} s'}"
        )
        lines += [f"    {op:16} {count:4}" for op, count in sorted(report.actions.items())]
        lines += [
            f"    crash {point:14} reached {found['reached']:3}  missed {found['missed']:3}"
            for point, found in report.points.items()
        ]
        for v in report.verdicts:
            lines.append(f"    {v.name:16} checked {v.checked:8,}  lost {v.lost:6}  doubled {v.doubled:6}")
            lines += [f"        {example}" for example in v.examples]
        lines += [f"    {name}: {text}" for name, text in report.absent.items()]
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--kills", type=int, default=100, help="workers killed with SIGKILL")
    made.add_argument("--quick", action="store_true", help="no fault lasts longer than 8 s")
    made.add_argument(
        "--baseline-kills",
        type=int,
        default=12,
        help="kills of the stock Faust Table app that is run through a short schedule of the same seed; 0: no such run",
    )
    made.add_argument("--replay", type=Path, help="a history file: its schedule again")
    made.add_argument(
        "--folder", type=Path, help="where history, logs and data are kept; default: a new one in the temporary folder"
    )
    made.add_argument("--json", action="store_true", help="no table, only the JSON line")
    return made


def main() -> int:
    arguments = parser().parse_args()
    seed, quick = arguments.seed, arguments.quick
    actions = schedule(seed, arguments.kills, quick=quick)
    if arguments.replay:
        seed, quick, actions = planned(arguments.replay)
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="streams-faults-"))
    kills = sum(action.kills for action in actions)
    sys.stderr.write(f"history and logs: {folder}; about {actions[-1].at_seconds if actions else 0:.0f} s\n")
    history = History(folder / "history.jsonl", seed=seed, kills=kills, quick=quick, actions=actions)
    reports = [run_pipeline(folder, history, seed, actions)]
    if arguments.baseline_kills:
        few = schedule(seed, arguments.baseline_kills, quick=True)
        beside = folder / "stock"
        stocks = History(beside / "history.jsonl", seed=seed, kills=arguments.baseline_kills, quick=True, actions=few)
        reports.append(run_stock(beside, stocks, seed, few))
    if not arguments.json:
        print(table(reports))
    line = {**reports[0].figures(), "history": str(history.path), "baseline": [r.figures() for r in reports[1:]]}
    print(json.dumps(line))
    return 0 if reports[0].holds else 1


if __name__ == "__main__":
    sys.exit(main())
