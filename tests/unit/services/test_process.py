"""Child processes: what they inherit, how they end, and that they never stay behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from streams.errors import ServiceUnavailable
from streams.services.process import ChildProcess, wait_until

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
]


def _up(child: ChildProcess) -> bool:
    return "up" in child.log_tail()


def _started(command: list[str], folder: Path) -> ChildProcess:
    child = ChildProcess("sleeper", command, log=folder / "child.log")
    child.start()
    child.wait_ready(lambda: _up(child), seconds=20)
    return child


def test_it_gets_the_variables_and_logs_to_the_file(tmp_path: Path) -> None:
    program = "import os; print(os.environ['GIVEN'], 'PATH' in os.environ)"
    child = ChildProcess(
        "printer", [sys.executable, "-c", program], log=tmp_path / "deep" / "log", variables={"GIVEN": "a=b c"}
    )
    child.start()
    assert child.wait(seconds=20) == 0
    assert child.log_tail() == "a=b c True"


def test_it_is_the_leader_of_its_own_group(tmp_path: Path) -> None:
    child = _started(SLEEP, tmp_path)
    with open(f"/proc/{child.pid}/stat") as stat:
        assert int(stat.read().rsplit(")", 1)[1].split()[2]) == child.pid
    child.kill()


def test_stop_ends_it_with_term(tmp_path: Path) -> None:
    child = _started(SLEEP, tmp_path)
    child.stop()
    assert child.returncode == -signal.SIGTERM


def test_stop_kills_what_ignores_term(tmp_path: Path) -> None:
    child = _started(STUBBORN, tmp_path)
    child.stop(seconds=0.2)
    assert child.returncode == -signal.SIGKILL


def test_kill_takes_the_whole_group(tmp_path: Path) -> None:
    program = "import subprocess, time; c = subprocess.Popen(['sleep', '600']); print('up', c.pid, flush=True)\n"
    program += "time.sleep(600)"
    child = _started([sys.executable, "-c", program], tmp_path)
    grandchild = psutil.Process(int(child.log_tail().split()[1]))
    child.kill()
    wait_until(
        lambda: not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE, seconds=10, what="end"
    )


def test_pause_and_resume(tmp_path: Path) -> None:
    child = _started(SLEEP, tmp_path)
    child.pause()
    process = psutil.Process(child.pid)
    wait_until(lambda: process.status() == psutil.STATUS_STOPPED, seconds=10, what="stopped state")
    assert child.running
    child.resume()
    wait_until(lambda: process.status() != psutil.STATUS_STOPPED, seconds=10, what="running state")
    child.pause()
    wait_until(lambda: process.status() == psutil.STATUS_STOPPED, seconds=10, what="stopped state")
    child.stop()
    assert child.returncode == -signal.SIGTERM, "a paused child is resumed so that it can end by itself"


def test_a_child_that_ends_before_it_is_ready_says_why(tmp_path: Path) -> None:
    child = ChildProcess("failing", [sys.executable, "-c", "raise SystemExit('no disk')"], log=tmp_path / "log")
    child.start()
    with pytest.raises(ServiceUnavailable, match=r"failing: ended with code 1 before it was ready(.|\n)*no disk"):
        child.wait_ready(lambda: False, seconds=20)


def test_a_child_that_is_never_ready_says_what_it_logged(tmp_path: Path) -> None:
    child = _started(SLEEP, tmp_path)
    with pytest.raises(ServiceUnavailable, match=r"sleeper: ready: not within 0\.1 s(.|\n)*up"):
        child.wait_ready(lambda: False, seconds=0.1)
    child.kill()


def test_an_unknown_program_is_named(tmp_path: Path) -> None:
    child = ChildProcess("missing", ["no-such-program"], log=tmp_path / "log")
    child.start()
    with pytest.raises(ServiceUnavailable, match="cannot run no-such-program"):
        child.wait_ready(lambda: False, seconds=20)


def test_it_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    """The kernel kills a child when the *thread* that forked it ends; ours is forked by a thread that stays."""
    children: list[ChildProcess] = []
    thread = threading.Thread(target=lambda: children.append(_started(SLEEP, tmp_path)))
    thread.start()
    thread.join()
    second = _started(SLEEP, tmp_path / "second")  # a round trip later
    assert children[0].running
    children[0].kill()
    second.kill()


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    # Running, not paused: the kernel hangs up on the stopped members of an orphaned group whatever we do.
    program = f"""
import time
from pathlib import Path
from streams.services.process import ChildProcess
child = ChildProcess("orphan", {STUBBORN!r}, log=Path({str(tmp_path / "log")!r}))
child.start()
child.wait_ready(lambda: "up" in child.log_tail(), seconds=20)
print(child.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        orphan = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    _, alive = psutil.wait_procs([orphan], timeout=20)
    assert alive == []


def test_starting_twice_is_starting_once_and_stopping_twice_is_allowed(tmp_path: Path) -> None:
    child = _started(SLEEP, tmp_path)
    pid = child.pid
    child.start()
    assert child.pid == pid
    child.stop()
    child.stop()
    child.start()
    assert child.pid != pid
    child.kill()


def test_one_that_was_never_started_is_not_running(tmp_path: Path) -> None:
    child = ChildProcess("never", SLEEP, log=tmp_path / "log")
    assert not child.running
    assert child.returncode is None
    assert child.log_tail() == "(no log)"
    child.stop()
    with pytest.raises(ServiceUnavailable, match="never: not started"):
        _ = child.pid
