"""Process events that concern every open emitter: exit and fork.

At exit each emitter is closed, with its own bounded timeout. At a fork the parent goes on as if nothing had happened;
the child gets empty rings, a new producer id and a thread of its own. Children of ``multiprocessing`` leave without
``atexit``, so they are closed through multiprocessing's own finalizers.
"""

from __future__ import annotations

import atexit
import os
import sys
from typing import Any, Protocol


class Process(Protocol):
    """What exit and fork ask of an emitter."""

    def before_fork(self) -> None:
        """Let no other thread be in the middle of anything."""
        ...

    def after_fork_in_parent(self) -> None:
        """Go on."""
        ...

    def after_fork_in_child(self) -> None:
        """Start anew."""
        ...

    def close(self) -> bool:
        """Deliver what is left, within a bounded time."""
        ...


_open: list[Process] = []
_held: list[Process] = []
_known_to_multiprocessing: set[int] = set()


def opened(emitter: Process) -> None:
    """From now on the emitter takes part. It is kept alive until it is closed."""
    _open.append(emitter)


def closed(emitter: Process) -> None:
    """No more."""
    if emitter in _open:
        _open.remove(emitter)
    _known_to_multiprocessing.discard(id(emitter))


def _close_all() -> None:
    for emitter in list(_open):
        emitter.close()


def _close_with_multiprocessing(emitter: Process) -> None:
    from multiprocessing.util import Finalize

    Finalize(None, emitter.close, exitpriority=100)


def _before_fork() -> None:
    util: Any = sys.modules.get("multiprocessing.util")
    for emitter in list(_open):
        if util is not None and id(emitter) not in _known_to_multiprocessing:
            util.register_after_fork(emitter, _close_with_multiprocessing)
            _known_to_multiprocessing.add(id(emitter))
        emitter.before_fork()
        _held.append(emitter)


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop().after_fork_in_parent()


def _after_fork_in_child() -> None:
    while _held:
        _held.pop().after_fork_in_child()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
