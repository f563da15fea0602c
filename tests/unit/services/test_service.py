"""The life of a service: what a failed start leaves, and that a restart keeps the address."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import psutil
import pytest

from streams.errors import ConfigurationError, ServiceUnavailable
from streams.services import ports
from streams.services.service import Service

LISTEN = """
import pathlib, socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    pathlib.Path("starts").open("a").write("start\\n")
    while True:
        server.accept()[0].close()
"""


class _Listener(Service):
    """Listens on a port; is never ready when it is told so."""

    name: ClassVar[str] = "listener"
    ready_seconds: ClassVar[float] = 20.0

    def __init__(self, folder: Path, *, never: bool = False) -> None:
        super().__init__(folder)
        self.port = ports.free_port()
        self.never = never

    def _ports(self) -> Sequence[int]:
        return (self.port,)

    def _prepare(self) -> None:
        pass

    def _command(self) -> Sequence[str | Path]:
        return (sys.executable, "-c", LISTEN, str(self.port))

    def _ready(self) -> bool:
        if self.never and ports.accepts(self.port):
            raise KeyboardInterrupt  # what Ctrl-C does to a start
        return ports.accepts(self.port)


def test_a_start_that_is_interrupted_leaves_nothing_running(tmp_path: Path) -> None:
    service = _Listener(tmp_path, never=True)
    with pytest.raises(KeyboardInterrupt):
        service.start()
    assert not service.running
    assert not psutil.pid_exists(service.pid)


def test_restart_keeps_the_port_and_the_folder(tmp_path: Path) -> None:
    with _Listener(tmp_path / "deep" / "folder") as service:
        port, pid = service.port, service.pid
        assert service.restart().pid != pid
        assert service.port == port
        service.kill()
        assert not ports.accepts(port)
        service.start()
        assert ports.accepts(port)
        assert service.start().running, "starting a running service does nothing, its own port is not in its way"
    assert not service.running
    assert (service.folder / "starts").read_text().count("start") == 3


def test_two_services_cannot_have_one_port(tmp_path: Path) -> None:
    with _Listener(tmp_path / "first") as first:
        second = _Listener(tmp_path / "second")
        second.port = first.port
        with pytest.raises(ConfigurationError, match=f"listener: port 127.0.0.1:{first.port} is taken"):
            second.start()
        assert not second.running


def test_what_was_never_started_can_be_stopped_but_not_paused(tmp_path: Path) -> None:
    service = _Listener(tmp_path)
    service.stop()
    service.kill()
    assert not service.running
    with pytest.raises(ServiceUnavailable, match="listener: not started"):
        service.pause()
