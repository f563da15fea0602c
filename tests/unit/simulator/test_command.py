"""The command line without a broker."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

import pytest

from agents_emitter.simulator import simulate
from agents_emitter.simulator.__main__ import main


def test_a_dry_run_counts_exactly(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--scenario", "cascade", "--seed", "5", "--seconds", "20", "--start-ns", "1000", "--dry-run"]) == 0
    said = json.loads(capsys.readouterr().out)
    expected: Counter[str] = Counter()
    for emission in simulate("cascade", seed=5, start_ns=1_000, duration_seconds=20.0):
        expected[emission.topic] += emission.events
    assert said["events"] == expected
    assert said["events_total"] == expected.total()
    assert said["faults"][0]["kind"] == "cascade"
    assert said["calls"]["coordinator-1>planner-1"]["total"] > 0


@pytest.mark.parametrize(
    "line", ["--scenario cascade", "--scenario nothing --dry-run", "--agents 2 --dry-run", "--seconds x --dry-run"]
)
def test_senseless_arguments_exit_with_two(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(line.split())
    assert exit_.value.code == 2
    assert capsys.readouterr().err


def test_it_runs_as_a_module_and_loads_no_kafka_client() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "agents_emitter.simulator", "--seconds", "1", "--dry-run"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout)["scenario"] == "normal_day"
    assert "aiokafka" not in done.stderr
    assert "numpy" not in done.stderr
