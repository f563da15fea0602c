"""``streams demo`` as an operator runs it: to its end, and cut short."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

DEMO = [sys.executable, "-m", "streams", "demo"]
TOTAL_SECONDS = 280.0


def environment(folder: Path, cache_folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("STREAMS_", "DEMO_"))}
    return {**kept, "STREAMS_WORK_FOLDER": str(folder), "STREAMS_CACHE_FOLDER": str(cache_folder), **more}


def processes_in(folder: Path) -> list[str]:
    """Processes that have their working folder, or an argument, in a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
            if process.pid != os.getpid() and (process.cwd().startswith(str(folder)) or str(folder) in line):
                found.append(f"{process.pid} {line[-200:]}")
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


@contextmanager
def running(folder: Path, cache_folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A demo and the file with what it says; killed in any case."""
    output = folder / "output.txt"
    with output.open("wb") as file:
        demo = subprocess.Popen(
            [*DEMO, *arguments], stdout=file, stderr=subprocess.STDOUT, env=environment(folder / "demo", cache_folder)
        )
    try:
        yield demo, output
    finally:
        demo.kill()
        demo.wait()


def started(output: Path) -> bool:
    return "Live" in output.read_text()


@pytest.mark.timeout(TOTAL_SECONDS + 60)
def test_the_demo_ends_by_itself_and_all_is_well(tmp_path: Path, cache_folder: Path, monitoring_packages: None) -> None:
    done = subprocess.run(
        DEMO,
        env=environment(tmp_path, cache_folder, DEMO_SECONDS="75"),
        capture_output=True,
        text=True,
        timeout=TOTAL_SECONDS,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "Traceback" not in said
    assert "All is well: the sums agree and the alert arrived at Alertmanager's webhook." in said
    assert re.search(r"^ +agents\.metrics +agents\.spans +agents\.logs$", said, re.MULTILINE), said
    assert re.search(r"^  emitted( +[1-9][\d,]*){3}$", said, re.MULTILINE), said
    assert re.search(r"^  the sums +agree +agree +agree$", said, re.MULTILINE), said
    asked = re.search(r"OpenTelemetry program: ([\d,]+) questions asked", said)
    assert asked, said
    assert f"{asked[1]} traces; agents.steps counts {asked[1]} answers" in said
    assert re.search(r"^    Alertmanager notified it +\d+\.\d s$", said, re.MULTILINE), said
    assert re.search(r"^\[\d+ of 75 s\] [\d,]+ events/s \| lag [\d,]+ \| watermark delay", said, re.MULTILINE), said
    assert re.search(r"kcat -P -b 127\.0\.0\.1:\d+ -t agents\.metrics", said)
    assert processes_in(tmp_path) == []


@pytest.mark.timeout(TOTAL_SECONDS)
def test_ctrl_c_ends_it_with_a_summary_and_leaves_nothing(
    tmp_path: Path, cache_folder: Path, monitoring_packages: None
) -> None:
    with running(tmp_path, cache_folder, "--scenario", "normal_day") as (demo, output):
        wait_for(lambda: demo.poll() is not None or started(output), 150.0, "the demo goes live")
        demo.send_signal(signal.SIGINT)
        code = demo.wait(timeout=90.0)
    said = output.read_text()
    assert code == 0, said
    assert "no alert was expected" in said
    assert "Traceback" not in said
    wait_for(lambda: not processes_in(tmp_path / "demo"), 10.0, "every child is gone")


@pytest.mark.timeout(TOTAL_SECONDS)
def test_ctrl_c_while_it_is_set_up_leaves_nothing(tmp_path: Path, cache_folder: Path) -> None:
    with running(tmp_path, cache_folder) as (demo, output):
        kafka = tmp_path / "demo" / "demo" / "kafka" / "kafka.log"
        wait_for(lambda: demo.poll() is not None or kafka.exists(), 60.0, "Kafka is started")
        demo.send_signal(signal.SIGINT)
        assert demo.wait(timeout=60.0) == 130, output.read_text()
    assert "Traceback" not in output.read_text()
    wait_for(lambda: not processes_in(tmp_path / "demo"), 10.0, "every child is gone")


@pytest.mark.timeout(TOTAL_SECONDS)
def test_a_killed_demo_takes_its_children_with_it(tmp_path: Path, cache_folder: Path) -> None:
    with running(tmp_path, cache_folder) as (demo, output):
        log = tmp_path / "demo" / "demo" / "logs" / "simulator.log"
        wait_for(lambda: demo.poll() is not None or log.exists(), 120.0, "the simulator is started")
        assert demo.poll() is None, output.read_text()
        assert len(processes_in(tmp_path / "demo")) >= 4, "the services, the worker and the simulator"
        demo.kill()
        demo.wait()
    wait_for(lambda: not processes_in(tmp_path / "demo"), 15.0, "every child is gone")


def test_two_demos_do_not_share_a_folder(tmp_path: Path, cache_folder: Path) -> None:
    with running(tmp_path, cache_folder) as (demo, _):
        wait_for(lambda: demo.poll() is not None or (tmp_path / "demo" / "demo").exists(), 30.0, "the folder is taken")
        second = subprocess.run(
            DEMO, env=environment(tmp_path / "demo", cache_folder), capture_output=True, text=True, check=False
        )
        assert second.returncode == 2
        assert "another demo uses" in second.stderr
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(timeout=60.0) == 130


@pytest.mark.parametrize(
    ("arguments", "words"), [(["--seconds", "5"], "60 to 10800"), (["--seconds", "x"], "DEMO_SECONDS=x")]
)
def test_a_senseless_length_is_refused(arguments: list[str], words: str, tmp_path: Path, cache_folder: Path) -> None:
    done = subprocess.run(
        [*DEMO, *arguments], env=environment(tmp_path, cache_folder), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert words in done.stderr
