"""When what happens in a demo, the simulator's command line, and what it reports."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from streams import topics

SECOND_NS: Final = 1_000_000_000
HISTORY_SECONDS: Final = 2_400
WARMUP_WINDOWS: Final = 300
"""25 of the 40 minutes: a counter that is not in every pane has fewer windows than panes."""
PANE_SECONDS: Final = 5
LATENESS_SECONDS: Final = 3
SET_UP_SECONDS: Final = 15.0
"""What reading the history takes at about; the fault's begin is fixed before that is known."""
ONSET_SECONDS: Final = 25.0
FAULT_SECONDS: Final = 30.0
LONGEST_SECONDS: Final = 4 * 3_600
"""Simulated when no end is set; with the history below the length at which the simulator's load follows the day."""
SEED: Final = 24
"""A run in which no agent fails twice in a row before the fault: what is shown before it is a healthy system."""
AGENTS: Final = 12
EVENTS_PER_SECOND: Final = 240
"""Enough for rules that want 20 steps of an agent in a window of 15 s."""
LIVE_ONLY: Final = (topics.SPANS, topics.LOGS)
"""Not in the history: partitions of spans are read at different speeds, so the metrics of old spans would be late."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One demo.

    Attributes:
        scenario: the simulator's.
        seconds: of live display; None = until somebody stops it.
        start_ns: event time at which the history begins; launch_ns: where it meets the clock at the launch.
        fault_start_ns, fault_end_ns: half-open, event time.
    """

    scenario: str
    seconds: float | None
    start_ns: int
    launch_ns: int
    fault_start_ns: int
    fault_end_ns: int

    def simulator(self, brokers: str) -> list[str]:
        """The command that sends the history at once and then goes live."""
        span_seconds = (self.fault_end_ns - self.fault_start_ns) / SECOND_NS
        live = LONGEST_SECONDS if self.seconds is None else round(self.seconds) + 600
        options = {
            "--scenario": self.scenario,
            "--seed": SEED,
            "--agents": AGENTS,
            "--events-per-second": EVENTS_PER_SECOND,
            "--brokers": brokers,
            "--start-ns": self.start_ns,
            "--seconds": HISTORY_SECONDS + live,
            "--fault-from-seconds": f"{(self.fault_start_ns - self.start_ns) / SECOND_NS:g}",
            "--fault-seconds": f"{span_seconds:g}",
        }
        command = [sys.executable, "-m", "agents_emitter.simulator", "--catch-up"]
        command += [part for topic in LIVE_ONLY for part in ("--live-only", topic)]
        return command + [str(part) for option in options.items() for part in option]


def make_plan(scenario: str, seconds: float | None, now_ns: int) -> Plan:
    """The plan of a demo that is launched now.

    The fault begins about 25 s after the display and lasts 30 s; in a demo shorter than 120 s both shrink with it.
    """
    share = 1.0 if seconds is None else min(1.0, seconds / 120.0)
    fault_start_ns = now_ns + round((SET_UP_SECONDS + ONSET_SECONDS * share) * SECOND_NS)
    return Plan(
        scenario=scenario,
        seconds=seconds,
        start_ns=now_ns - HISTORY_SECONDS * SECOND_NS,
        launch_ns=now_ns,
        fault_start_ns=fault_start_ns,
        fault_end_ns=fault_start_ns + round(FAULT_SECONDS * share * SECOND_NS),
    )


@dataclass(frozen=True, slots=True)
class History:
    """What the simulator said when its history had met the clock."""

    events_total: int
    caught_up_ns: int


@dataclass(frozen=True, slots=True)
class Report:
    """What the simulator sent: its last word.

    Attributes:
        events: by topic, as acknowledged by the broker. faults: (kind, root, start_ns, end_ns).
        expected_alerts: names of alerts that the fault should raise; empty in a healthy scenario.
    """

    events: Mapping[str, int]
    faults: Sequence[tuple[str, str, int, int]] = ()
    expected_alerts: Sequence[str] = ()
    affected: Sequence[str] = field(default_factory=tuple)


def read_history(log: str) -> History | None:
    """The line that says that the history was sent; None while it is not there."""
    for line in log.splitlines():
        if line.startswith('{"caught_up_ns"'):
            body: dict[str, Any] = orjson.loads(line)
            return History(body["events_total"], body["caught_up_ns"])
    return None


def read_report(log: str) -> Report | None:
    """The indented JSON object that ends the simulator's output; None if it did not end in order."""
    begin = log.rfind("\n{\n")
    begin = 0 if begin < 0 and log.startswith("{\n") else begin
    if begin < 0:
        return None
    try:
        body: dict[str, Any] = orjson.loads(log[begin:])
    except orjson.JSONDecodeError:
        return None
    faults = body["faults"]
    return Report(
        events=body["events"],
        faults=tuple((f["kind"], f["root"], f["start_ns"], f["end_ns"]) for f in faults),
        expected_alerts=tuple(dict.fromkeys(name for f in faults for name in f["expected_alerts"])),
        affected=tuple(dict.fromkeys(name for f in faults for name in f["affected"])),
    )
