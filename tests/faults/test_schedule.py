"""The nemesis' schedule is a function of its seed, covers every kind of fault, and a history file gives it back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.nemesis.crash import Trap
from benchmarks.nemesis.history import History, planned
from benchmarks.nemesis.schedule import CRASH_POINTS, GUEST, SLOTS, schedule

OPS = {
    *("worker.kill", "worker.crash", "worker.stop", "worker.continue", "worker.join", "worker.leave"),
    *("broker.kill", "broker.start", "broker.stop", "broker.continue"),
    *("proxy.latency", "proxy.reset", "proxy.half-open", "proxy.heal"),
}


@given(seed=st.integers(0, 10**9), kills=st.integers(0, 150), quick=st.booleans())
def test_the_same_seed_gives_the_same_schedule(seed: int, kills: int, quick: bool) -> None:
    actions = schedule(seed, kills, quick=quick)
    assert actions == schedule(seed, kills, quick=quick)
    assert [a.at_seconds for a in actions] == sorted(a.at_seconds for a in actions)
    assert sum(a.kills for a in actions) >= kills
    assert {a.target for a in actions if a.op.startswith("worker")} <= {*SLOTS, GUEST}


@given(seed=st.integers(0, 10**9))
def test_a_hundred_kills_meet_every_kind_of_fault_and_every_crash_point(seed: int) -> None:
    actions = schedule(seed, 100)
    assert {a.op for a in actions} == OPS
    assert {a.value.partition(":")[0] for a in actions if a.op == "worker.crash"} == set(CRASH_POINTS)
    stops = [a.at_seconds for a in actions if a.op == "broker.stop"]
    ends = [a.at_seconds for a in actions if a.op == "broker.continue"]
    assert {5, 20, 60} <= {round(end - begin) for begin, end in zip(stops, ends, strict=True)}
    assert actions[-1].at_seconds < 1_200


@given(seed=st.integers(0, 10**9))
def test_a_quick_run_meets_every_kind_of_fault_as_well(seed: int) -> None:
    actions = schedule(seed, 14, quick=True)
    assert {a.op for a in actions} >= OPS - {"worker.kill", "worker.crash"}
    assert actions[-1].at_seconds < 200


@given(seed=st.integers(0, 10**9), kills=st.integers(1, 100))
def test_what_is_stopped_goes_on(seed: int, kills: int) -> None:
    paused: set[str] = set()
    for action in schedule(seed, kills):
        if action.op.endswith(".stop"):
            paused.add(action.op.partition(".")[0] + action.target)
        if action.op.endswith(".continue"):
            paused.remove(action.op.partition(".")[0] + action.target)
    assert paused == set()


def test_a_history_file_gives_seed_and_schedule_back(tmp_path: Path) -> None:
    actions = schedule(7, 20, quick=True)
    history = History(tmp_path / "history.jsonl", seed=7, kills=20, quick=True, actions=actions)
    history.note("worker.kill", "first")
    assert planned(history.path) == (7, True, actions)


@pytest.mark.parametrize("passage", [1, 3])
def test_a_trap_ends_the_process_at_its_passage_and_no_other(passage: int) -> None:
    ended: list[int] = []
    passed: list[int] = []
    trap = Trap("after-core", passage, lambda: ended.append(len(passed)))
    for number in range(5):
        trap.passes("before-core")
        trap.passes("after-core")
        passed.append(number)
    assert ended == [passage - 1]
