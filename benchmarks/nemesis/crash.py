"""Runs a worker that kills itself with SIGKILL at the nth passage of a point.

``python -m benchmarks.nemesis.crash --at after-core:3 -- worker --role all --no-supervise``. The worker's own code is
not changed: what passes the points is wrapped from outside, so a point that no longer exists fails at start.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any


class Trap:
    """Counts passages of one point; the nth is the end."""

    def __init__(self, point: str, passage: int, end: Callable[[], None]) -> None:
        self.point, self._end, self._passage = point, end, passage
        self._count = itertools.count(1)

    def passes(self, point: str) -> None:
        """A passage; does not return from the one that was asked for."""
        if point == self.point and next(self._count) == self._passage:
            self._end()


def die() -> None:
    """SIGKILL: no handler, no flush, no goodbye to the group."""
    os.kill(os.getpid(), signal.SIGKILL)


def _around(trap: Trap, before: str, function: Callable[..., Any], after: str) -> Callable[..., Any]:
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        trap.passes(before)
        result = await function(*args, **kwargs)
        trap.passes(after)
        return result

    return wrapped


def _deliver(trap: Trap, function: Callable[..., Any]) -> Callable[..., Any]:
    from streams import topics
    from streams.app.outbox import is_core
    from streams.app.sink import Output

    def kind(outputs: list[Any]) -> str:
        if not outputs:
            return "nothing"
        if all(isinstance(output, Output) and output.key is None for output in outputs):
            return "tick"
        if outputs[0].topic != topics.STATE:
            return "results"
        return "core" if is_core(outputs[0]) else "chunks"

    async def deliver(self: Any, outputs: Iterable[Any]) -> Any:
        listed = list(outputs)
        word = kind(listed)
        trap.passes(f"before-{word}")
        offsets = await function(self, listed)
        trap.passes(f"after-{word}")
        return offsets

    return deliver


def _records(trap: Trap, point: str, function: Callable[..., Any]) -> Callable[..., Any]:
    async def read(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        async for record in function(*args, **kwargs):
            trap.passes(point)
            yield record

    return read


def _hold(trap: Trap, function: Callable[..., Any]) -> Callable[..., Any]:
    def hold(*args: Any) -> None:
        trap.passes("before-hold")
        function(*args)

    return hold


def _revoked(trap: Trap, function: Callable[..., Any]) -> Callable[..., Any]:
    async def revoked(self: Any, partitions: Any) -> None:
        if partitions:
            trap.passes("revoked")
        await function(self, partitions)

    return revoked


def _after(trap: Trap, point: str, function: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = await function(*args, **kwargs)
        trap.passes(point)
        return result

    return wrapped


def install(trap: Trap) -> None:
    """Wraps what passes the points."""
    from aiokafka import AIOKafkaProducer

    from streams.app import runtime, sink, state
    from streams.app.transport import RunConsumer

    patches: Mapping[tuple[Any, str], Callable[..., Any]] = {
        (sink.Sink, "deliver"): _deliver(trap, sink.Sink.deliver),
        (AIOKafkaProducer, "send_batch"): _after(trap, "send", AIOKafkaProducer.send_batch),
        (sink.Sink, "_send_group"): _after(trap, "sent-in-part", sink.Sink._send_group),
        (state, "read_to_end"): _records(trap, "restore", state.read_to_end),
        (runtime, "read_to_end"): _records(trap, "read-back", runtime.read_to_end),
        (runtime.Runtime, "assigned"): _around(trap, "assigned", runtime.Runtime.assigned, "ready"),
        (RunConsumer, "hold"): _hold(trap, RunConsumer.hold),
        (RunConsumer, "_commit"): _around(trap, "before-commit", RunConsumer._commit, "after-commit"),
        (RunConsumer, "on_partitions_revoked"): _revoked(trap, RunConsumer.on_partitions_revoked),
    }
    for (owner, name), wrapped in patches.items():
        setattr(owner, name, wrapped)


def later(seconds: float, end: Callable[[], None]) -> None:
    """Ends the process some seconds from now, wherever it is then."""

    def run() -> None:
        time.sleep(seconds)
        end()

    threading.Thread(target=run, daemon=True).start()


def main(argv: list[str]) -> int:
    if argv[:1] != ["--at"] or argv[2:3] != ["--"]:
        raise SystemExit("usage: python -m benchmarks.nemesis.crash --at POINT:N -- worker ...")
    point, _, passage = argv[1].partition(":")
    if point == "start":
        later(float(passage), die)
    else:
        install(Trap(point, int(passage), die))
    from streams.cli import main as streams

    return streams(argv[3:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
