"""What every embedded service shares: a folder, a readiness condition, and a life that can be cut short and resumed."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from streams.services import ports
from streams.services.process import ChildProcess


class Service(abc.ABC):
    """A neighbour as a child process. Also a context manager: started on entry, stopped on exit.

    Args:
        folder: its work folder: configuration, data, ``<name>.log``. Made if missing, never deleted.

    Attributes:
        name: what messages and the log file call it.
        ready_seconds: how long a start may take.
        stop_seconds: how long it may take to end after TERM before KILL.
    """

    name: ClassVar[str]
    ready_seconds: ClassVar[float] = 30.0
    stop_seconds: ClassVar[float] = 10.0

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._child: ChildProcess | None = None

    @property
    def log(self) -> Path:
        """File its output goes to."""
        return self.folder / f"{self.name}.log"

    @property
    def pid(self) -> int:
        """Process id.

        Raises:
            ServiceUnavailable: never started.
        """
        return self._made().pid

    @property
    def running(self) -> bool:
        """Whether its process lives (also when paused)."""
        return self._child is not None and self._child.running

    def start(self) -> Self:
        """Start it and wait until it answers. Starting a running service does nothing.

        Raises:
            ConfigurationError: one of its ports is taken.
            DependencyMissing: its program is not on this machine.
            ServiceUnavailable: it ended, or did not answer within ``ready_seconds``; nothing is left running.
        """
        if self.running:
            return self
        for port in self._ports():
            ports.require_free(port, service=self.name)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._prepare()
        self._child = ChildProcess(
            self.name, self._command(), log=self.log, variables=self._variables(), folder=self.folder
        )
        try:
            self._child.start()
            self._child.wait_ready(self._ready, seconds=self.ready_seconds)
        except BaseException:
            self._child.kill()
            raise
        return self

    def stop(self) -> None:
        """End it in order (TERM, then KILL). Stopping a stopped service does nothing."""
        if self._child is not None:
            self._child.stop(seconds=self.stop_seconds)

    def kill(self) -> None:
        """Kill -9."""
        if self._child is not None:
            self._child.kill()

    def pause(self) -> None:
        """SIGSTOP: a neighbour that hangs."""
        self._made().pause()

    def resume(self) -> None:
        """SIGCONT."""
        self._made().resume()

    def restart(self) -> Self:
        """Stop (if running) and start again on the same ports and data."""
        self.stop()
        return self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _made(self) -> ChildProcess:
        if self._child is None:
            self._child = ChildProcess(self.name, [], log=self.log)
        return self._child

    @abc.abstractmethod
    def _ports(self) -> Sequence[int]:
        """The ports it will listen on."""

    @abc.abstractmethod
    def _prepare(self) -> None:
        """Write configuration, format data; idempotent: a restart finds what the last start left."""

    @abc.abstractmethod
    def _command(self) -> Sequence[str | Path]:
        """Program and arguments."""

    @abc.abstractmethod
    def _ready(self) -> bool:
        """Whether it answers now."""

    def _variables(self) -> Mapping[str, str]:
        return {}
