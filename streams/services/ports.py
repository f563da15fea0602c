"""Free loopback ports that no other process of ours will take before the service binds them."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
import threading
from pathlib import Path
from typing import Final

from streams.errors import ConfigurationError, ServiceUnavailable

# Below Linux' default ephemeral range (32768-60999). A client that keeps dialling a stopped broker on an ephemeral
# port can be given that very port as its own source port, connect to itself, and so keep the broker from coming back.
FIRST: Final = 20_000
LAST: Final = 32_000

_held: dict[int, int] = {}
_lock = threading.Lock()


def free_port() -> int:
    """Reserve one port on 127.0.0.1 for the life of this process.

    The reservation is a lock file, so that test sessions side by side never hand out the same port; the kernel drops
    it with the process. Costs one file descriptor per port.

    Returns:
        A port in [FIRST, LAST).

    Raises:
        ServiceUnavailable: every port of the range is taken.
    """
    start = FIRST + os.getpid() * 101 % (LAST - FIRST)
    candidates: list[int] = [*range(start, LAST), *range(FIRST, start)]
    with _lock:
        for port in candidates:
            if port not in _held and can_bind(port) and _reserve(port):
                return port
    raise ServiceUnavailable(f"no free port on 127.0.0.1 between {FIRST} and {LAST}: stop some services and try again")


def release_port(port: int) -> None:
    """Give a reserved port back; one that was not reserved is ignored."""
    with _lock:
        descriptor = _held.pop(port, None)
    if descriptor is not None:
        os.close(descriptor)


def can_bind(port: int) -> bool:
    """Whether a listener could bind 127.0.0.1:port now, the way the services do (SO_REUSEADDR)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def require_free(port: int, *, service: str) -> None:
    """Refuse a port that somebody listens on, by name, before a service dies of it with a stack trace.

    Raises:
        ConfigurationError: the port is taken.
    """
    if not can_bind(port):
        raise ConfigurationError(
            f"{service}: port 127.0.0.1:{port} is taken by another process; give another, or none to get a free one"
        )


def accepts(port: int) -> bool:
    """Whether something accepts connections on 127.0.0.1:port now."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return True
    except OSError:
        return False


def _reserve(port: int) -> bool:
    folder = Path(tempfile.gettempdir()) / f"agent-streams-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder / str(port), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return False
    _held[port] = descriptor
    return True
