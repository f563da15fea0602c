"""What an agent emitted last must arrive although nobody closed the emitter, and its end must not be held up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = """
import asyncio, pathlib, sys
import concurrent.futures.thread as pools
from agents_emitter import Emitter

path = pathlib.Path(sys.argv[1])

class FileTransport:
    async def send(self, topic, key, value):
        with path.open("ab") as file:
            file.write(value + b"\\n")
    async def close(self):
        pass

async def connect():
    {connect}
    return FileTransport()

emitter = Emitter(None, service_name="s", connect=connect, process_interval_seconds=0, flush_interval_seconds=3600.0,
    exit_timeout_seconds={timeout})
emitter.counter("c").labels().add(1)
with emitter.span("x"):
    pass
{end}
"""


def run(path: Path, *, connect: str = "pass", end: str = "", timeout: float = 30.0) -> Any:
    script = SCRIPT.format(connect=connect, end=end, timeout=timeout)
    return subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=120)


def schemas(path: Path) -> list[str]:
    return sorted(json.loads(line)["schema"] for line in path.read_bytes().splitlines())


@pytest.mark.parametrize(("end", "status"), [("", 0), ("sys.exit(3)", 3), ("raise RuntimeError('boom')", 1)])
def test_the_last_events_arrive_however_the_program_ends(tmp_path: Path, end: str, status: int) -> None:
    done = run(tmp_path / "records", end=end)
    assert done.returncode == status
    assert schemas(tmp_path / "records") == ["agents.metric/1", "agents.span/1"]
    assert done.stderr == "" or "boom" in done.stderr
    assert "agents_emitter" not in done.stderr


def test_the_first_connection_may_be_made_after_the_main_thread_ended(tmp_path: Path) -> None:
    """Names are resolved when the interpreter already refuses work for its thread pools."""
    wait = "while not pools._shutdown: await asyncio.sleep(0.01)\n"
    resolve = '    await asyncio.get_running_loop().getaddrinfo("localhost", 1)'
    done = run(tmp_path / "records", connect=wait + resolve)
    assert (done.returncode, done.stderr) == (0, "")
    assert schemas(tmp_path / "records") == ["agents.metric/1", "agents.span/1"]


def test_a_missing_broker_holds_the_end_up_for_a_bounded_time_and_in_silence(tmp_path: Path) -> None:
    done = run(tmp_path / "records", connect="raise OSError", timeout=0.2)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (tmp_path / "records").exists()


def test_aiokafka_against_a_closed_port_is_silent_too() -> None:
    script = """
import socket
from agents_emitter import Emitter
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
emitter = Emitter(f"127.0.0.1:{port}", service_name="s", backoff_seconds=0.01, exit_timeout_seconds=1.0)
emitter.counter("c").add(1)
while not emitter.stats().errors:
    pass
print(emitter.stats().errors)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert "KafkaConnectionError" in done.stdout
