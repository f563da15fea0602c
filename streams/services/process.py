"""One child process: own process group, log file, dies with its parent, readiness by condition."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from streams.errors import ServiceUnavailable

_LAUNCHER: Final = Path(__file__).with_name("launcher.py")
_POLL_SECONDS: Final = 0.02
_LOG_TAIL_BYTES: Final = 2_000


def launched(command: Sequence[str | Path], variables: Mapping[str, str] | None = None) -> list[str]:
    """The command line that runs a command as a child of ours that the kernel kills when the calling thread ends."""
    added = [f"{name}={value}" for name, value in (variables or {}).items()]
    return [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), *added, "--", *map(str, command)]


def wait_until(condition: Callable[[], object], *, seconds: float, what: str) -> None:
    """Poll a condition every 20 ms until it is true.

    Raises:
        ServiceUnavailable: it was not true within ``seconds``; the message carries ``what``.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            raise ServiceUnavailable(f"{what}: not within {seconds:g} s")
        time.sleep(_POLL_SECONDS)


class _Spawner:
    """The one thread that forks. The kernel ties a parent-death signal to the *thread* that forked, so a child made
    by a short-lived thread would be killed when that thread ends; this one lives as long as the process.
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Future[subprocess.Popen[bytes]], Callable[[], subprocess.Popen[bytes]]]]
        self._jobs = queue.SimpleQueue()
        self._owner = 0
        self._lock = threading.Lock()

    def run(self, job: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._owner != os.getpid():  # first use, or first use after a fork (threads do not survive one)
                self._owner, self._jobs = os.getpid(), queue.SimpleQueue()
                threading.Thread(target=self._serve, args=(self._jobs,), name="spawner", daemon=True).start()
        future: Future[subprocess.Popen[bytes]] = Future()
        self._jobs.put((future, job))
        return future.result()

    @staticmethod
    def _serve(
        jobs: queue.SimpleQueue[tuple[Future[subprocess.Popen[bytes]], Callable[[], subprocess.Popen[bytes]]]],
    ) -> None:
        while True:
            future, job = jobs.get()
            try:
                future.set_result(job())
            except OSError as error:
                future.set_exception(error)


_spawner = _Spawner()


class ChildProcess:
    """A program that runs beside us and never outlives us.

    Args:
        name: for messages.
        command: program and arguments.
        log: file its stdout and stderr are appended to.
        variables: environment variables added to the inherited ones.
        folder: working folder of the child; ours by default.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        variables: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.name = name
        self.command = [str(part) for part in command]
        self.log = log
        self._variables = dict(variables or {})
        self._folder = folder
        self._popen: subprocess.Popen[bytes] | None = None
        self._paused = False

    @property
    def pid(self) -> int:
        """Process id; also the process group's.

        Raises:
            ServiceUnavailable: never started.
        """
        if self._popen is None:
            raise ServiceUnavailable(f"{self.name}: not started")
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def returncode(self) -> int | None:
        """Exit code; minus the signal number; None while running or before the start."""
        return None if self._popen is None else self._popen.poll()

    def start(self) -> None:
        """Fork and exec; returns at once. Starting a running child does nothing."""
        if self.running:
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._paused = False
        self._popen = _spawner.run(self._spawn)

    def wait_ready(self, condition: Callable[[], object], *, seconds: float) -> None:
        """Wait for a condition of the running child.

        Raises:
            ServiceUnavailable: the child ended first, or the time is over; the message ends with the log's last lines.
        """

        def ended_or_ready() -> object:
            return not self.running or condition()

        try:
            wait_until(ended_or_ready, seconds=seconds, what=f"{self.name}: ready")
        except ServiceUnavailable as error:
            raise ServiceUnavailable(f"{error}; its log ends with:\n{self.log_tail()}") from None
        if not self.running:
            ended = f"{self.name}: ended with code {self.returncode} before it was ready"
            raise ServiceUnavailable(f"{ended}; its log ends with:\n{self.log_tail()}")

    def stop(self, *, seconds: float = 10.0) -> None:
        """TERM, then KILL after ``seconds``. A paused child is resumed first, else it could not end by itself."""
        if self.running:
            self.resume()
            self._signal(signal.SIGTERM)
            self._wait(seconds)
        self.kill()

    def kill(self) -> None:
        """KILL the whole group (kill -9) and reap it; also what a stopped child may have left in its group."""
        if self._popen is None:
            return
        self._signal(signal.SIGKILL)
        self._wait(None)
        self._paused = False

    def pause(self) -> None:
        """SIGSTOP: keeps its sockets open and answers nothing."""
        self._signal(signal.SIGSTOP)
        self._paused = True

    def resume(self) -> None:
        """SIGCONT; does nothing unless paused."""
        if self._paused:
            self._signal(signal.SIGCONT)
            self._paused = False

    def wait(self, *, seconds: float) -> int:
        """Wait for its end and return the exit code.

        Raises:
            ServiceUnavailable: still running after ``seconds``.
        """
        wait_until(lambda: not self.running, seconds=seconds, what=f"{self.name}: end")
        code = self.returncode
        if code is None:
            raise ServiceUnavailable(f"{self.name}: not started")
        return code

    def log_tail(self) -> str:
        """The last 2,000 bytes of the log, as text."""
        with contextlib.suppress(OSError), self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - _LOG_TAIL_BYTES))
            return file.read().decode(errors="replace").strip()
        return "(no log)"

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                launched(self.command, self._variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                process_group=0,
            )

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _wait(self, seconds: float | None) -> None:
        if self._popen is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(seconds)
