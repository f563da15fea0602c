"""When what happens, and the simulator's words."""

from __future__ import annotations

import json
import subprocess

import pytest

from streams.demo.plan import FAULT_SECONDS, HISTORY_SECONDS, SECOND_NS, make_plan, read_history, read_report

NOW_NS = 1_700_000_000 * SECOND_NS


@pytest.mark.parametrize("seconds", [60.0, 75.0, 120.0, 600.0, None])
def test_the_fault_lies_within_the_display(seconds: float | None) -> None:
    plan = make_plan("model_outage", seconds, NOW_NS)
    assert NOW_NS < plan.fault_start_ns < plan.fault_end_ns
    end_ns = NOW_NS + round((600.0 if seconds is None else seconds) * SECOND_NS)
    assert plan.fault_end_ns < end_ns
    assert plan.fault_end_ns - plan.fault_start_ns <= FAULT_SECONDS * SECOND_NS


def test_the_simulator_takes_the_command_and_places_the_fault() -> None:
    plan = make_plan("cascade", 60.0, NOW_NS)
    command = [*plan.simulator("127.0.0.1:1"), "--dry-run"]
    command[command.index("--seconds") + 1] = str(HISTORY_SECONDS // 40)  # counting it all would take seconds
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    report = read_report(done.stdout)
    assert report is not None
    assert [(kind, start, end) for kind, _, start, end in report.faults] == [
        ("cascade", plan.fault_start_ns, plan.fault_end_ns)
    ]
    assert report.events["agents.metrics"] > 0
    assert report.expected_alerts


def test_words_are_found_among_others() -> None:
    report = {"events": {"agents.metrics": 5}, "faults": []}
    log = "a warning\n" + '{"caught_up_ns":17,"events":{},"events_total":4}\n' + json.dumps(report, indent=2) + "\n"
    history = read_history(log)
    assert history is not None
    assert (history.events_total, history.caught_up_ns) == (4, 17)
    found = read_report(log)
    assert found is not None
    assert found.events == {"agents.metrics": 5}
    assert found.expected_alerts == ()


@pytest.mark.parametrize("log", ["", "{", "Traceback\n", '{\n  "events": {', '{"caught_up_ns":17'])
def test_a_simulator_that_was_cut_short_has_not_reported(log: str) -> None:
    assert read_report(log) is None
    assert log.startswith('{"caught') or read_history(log) is None
