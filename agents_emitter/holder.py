"""The process's emitter, for libraries that cannot be handed one."""

from __future__ import annotations

import threading
from typing import Any

from agents_emitter.emitter import Emitter

_default_lock = threading.Lock()
_default: list[Emitter] = []


def configure(brokers: str | None, **arguments: Any) -> Emitter:
    """Make the process's emitter (arguments as :class:`Emitter`); one made before is closed."""
    emitter = Emitter(brokers, **arguments)
    with _default_lock:
        before = _default[:]
        _default[:] = [emitter]
    for old in before:
        old.close()
    return emitter


def get_emitter() -> Emitter:
    """The process's emitter. Before :func:`configure` a disabled one, so that libraries can emit without asking."""
    with _default_lock:
        if not _default:
            _default.append(Emitter(None, service_name="unknown_service"))
        return _default[0]
