"""A short run of ``python -m benchmarks.faults``: every kind of fault, and nothing lost or doubled."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.faults import run_pipeline, table
from benchmarks.nemesis.history import History
from benchmarks.nemesis.schedule import schedule

SEED = 3
KILLS = 14
pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


def test_windows_totals_and_alerts_are_exact_under_faults(tmp_path: Path, monitoring_packages: None) -> None:
    actions = schedule(SEED, KILLS, quick=True)
    history = History(tmp_path / "history.jsonl", seed=SEED, kills=KILLS, quick=True, actions=actions)
    report = run_pipeline(tmp_path, history, SEED, actions)
    print(f"\n{table([report])}")
    assert report.kills >= KILLS
    assert all(verdict.checked for verdict in report.verdicts)
    assert (report.lost, report.doubled) == (0, 0), table([report])
    assert report.holds, f"lag was gone after {report.lag_zero_seconds} s"
