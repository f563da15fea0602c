"""Free ports are free, and nobody else of ours gets the same one."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from streams.errors import ConfigurationError
from streams.services import ports


def test_ports_differ_are_free_and_outside_the_ephemeral_range() -> None:
    found = [ports.free_port() for _ in range(20)]
    assert len(set(found)) == 20
    assert all(ports.FIRST <= port < ports.LAST and ports.can_bind(port) for port in found)
    for port in found:
        ports.release_port(port)


def test_a_reserved_port_is_not_given_to_another_process() -> None:
    port = ports.free_port()
    program = f"from streams.services import ports; print(ports._reserve({port}))"
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "False"
    ports.release_port(port)
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "True"


def test_a_port_somebody_listens_on_is_passed_over_and_refused_by_name() -> None:
    port = ports.free_port()
    ports.release_port(port)
    with socket.create_server(("127.0.0.1", port)):
        assert ports.accepts(port)
        assert ports.free_port() != port
        with pytest.raises(ConfigurationError, match=rf"broker: port 127\.0\.0\.1:{port} is taken"):
            ports.require_free(port, service="broker")
    ports.require_free(port, service="broker")
    assert not ports.accepts(port)
