"""The supervisor with workers of one line each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event

import pytest

from streams.app.supervisor import Supervisor
from streams.services.process import wait_until


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def supervised(codes: Sequence[int]) -> tuple[Supervisor, list[float]]:
    """Workers that end with these codes, and the pauses between them."""
    left, pauses = iter(codes), []

    def wait(_: Event, seconds: float) -> None:
        pauses.append(seconds)

    return Supervisor(lambda: [sys.executable, "-c", f"raise SystemExit({next(left)})"], wait=wait), pauses


def test_a_stalled_worker_is_restarted_with_growing_pauses() -> None:
    supervisor, pauses = supervised([70, 3, 1, 70, 70, 70, 70, 70, 0])
    assert supervisor.run() == 0
    assert supervisor.restarts == 8
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize("code", [0, 2, 4])
def test_done_a_wrong_setting_and_unusable_state_are_final(code: int) -> None:
    supervisor, pauses = supervised([code])
    assert supervisor.run() == code
    assert not pauses


def test_a_worker_that_dies_of_a_signal_is_restarted() -> None:
    ends = iter(["import os; os.kill(os.getpid(), 9)", "raise SystemExit(0)"])
    supervisor = Supervisor(lambda: [sys.executable, "-c", next(ends)], wait=lambda *_: None)
    assert supervisor.run() == 0
    assert supervisor.restarts == 1


SCRIPT = """
import sys
from streams.app.supervisor import Supervisor
sys.exit(Supervisor(lambda: [sys.executable, "-c", {worker!r}]).run())
"""


def start(worker: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SCRIPT.format(worker=worker)], stderr=subprocess.DEVNULL)


def test_a_signal_ends_the_pause(tmp_path: Path) -> None:
    """The worker fails at once; its third pause lasts 2 s, and the supervisor ends without a fourth start."""
    starts = tmp_path / "starts"
    supervisor = start(f"open({str(starts)!r}, 'a').write('x'); raise SystemExit(70)")
    wait_until(lambda: starts.exists() and len(starts.read_text()) >= 3, seconds=60, what="three starts")
    os.kill(supervisor.pid, signal.SIGTERM)
    assert supervisor.wait(60) == 0
    assert len(starts.read_text()) == 3


def test_a_signal_that_kills_a_starting_worker_is_an_end_as_asked(tmp_path: Path) -> None:
    started = tmp_path / "started"
    supervisor = start(f"import time; open({str(started)!r}, 'w'); time.sleep(600)")
    wait_until(started.exists, seconds=60, what="the worker")
    os.kill(supervisor.pid, signal.SIGTERM)
    assert supervisor.wait(60) == 0


def test_the_worker_decides_how_to_end(tmp_path: Path) -> None:
    started = tmp_path / "started"
    worker = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(5));"
        f"open({str(started)!r}, 'w'); time.sleep(600)"
    )
    supervisor = start(worker)
    wait_until(started.exists, seconds=60, what="the worker")
    os.kill(supervisor.pid, signal.SIGTERM)
    assert supervisor.wait(60) == 5
