"""What a partition has to publish, in order, behind the computation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from streams.app.sink import Many, Output, Sink

Send = Callable[[Any, Collection[str], int], AbstractContextManager[object]]
"""Entered for a delivery: what caused it, its topics, how many records."""


def untraced(*_: object) -> AbstractContextManager[object]:
    """Nobody wants spans of deliveries."""
    return nullcontext()


@dataclass(frozen=True)
class Step:
    """Outputs of one stretch of the log: results, then (when the broker has them) the checkpoint, then ``done``."""

    results: Sequence[Output | Many] = ()
    checkpoint: Sequence[Output] = ()
    done: Callable[[Sequence[int]], None] = field(default=lambda _: None)


def is_core(output: Output) -> bool:
    """Whether a state record makes the chunks before it valid (a deletion does not)."""
    return output.value is not None and (output.key or b"").endswith(b"/core")


class Outbox:
    """Delivers steps one after the other while the operator goes on computing.

    Bounded: at most ``depth`` steps wait; then :meth:`put` waits, and with it the partition. An error that is not the
    broker's ends the worker through ``failed``.
    """

    def __init__(
        self,
        sink: Sink,
        failed: Callable[[BaseException], Awaitable[None]],
        observe: Callable[[float], None] = lambda _: None,
        depth: int = 4,
        *,
        allowed: Callable[[], Awaitable[None]] | None = None,
        send: Send | None = None,
    ) -> None:
        """``observe`` is told the seconds between handing over a step and its checkpoint being durable.

        ``allowed`` returns when a step may be delivered, and raises where none may any more. ``send`` is entered for
        each delivery (for spans of the pipeline's own).
        """
        self._allowed = allowed
        self._sink = sink
        self._observe = observe
        self._failed = failed
        self._send = send or untraced
        self._steps: asyncio.Queue[tuple[float, Step, object]] = asyncio.Queue(depth)
        self._closed = False
        self._task = asyncio.create_task(self._run())

    async def put(self, step: Step, cause: object = None) -> None:
        """Hands a step over; waits while too many are under way. A closed outbox takes nothing.

        ``cause`` is what ``send`` is told.
        """
        if not self._closed:
            await self._steps.put((time.monotonic(), step, cause))

    async def drained(self) -> None:
        """Returns when everything handed over has been delivered."""
        await self._steps.join()

    async def close(self) -> None:
        """Abandons what is not delivered: the log still has it. Who waits in :meth:`put` goes on."""
        self._closed = True
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        while not self._steps.empty():  # makes room for a waiting put, whose step nobody will take
            self._steps.get_nowait()

    async def _run(self) -> None:
        try:
            while True:
                begin, step, cause = await self._steps.get()
                if self._allowed is not None:
                    await self._allowed()
                outputs = (*step.results, *step.checkpoint)
                with self._send(cause, [output.topic for output in outputs], sum(output.records for output in outputs)):
                    offsets = await self._sink.deliver(step.results)
                    for _, records in groupby(step.checkpoint, key=is_core):  # chunks, then the core that counts them
                        await self._sink.deliver(records)
                step.done(offsets)
                if step.checkpoint:
                    self._observe(time.monotonic() - begin)
                self._steps.task_done()
        except Exception as error:  # noqa: BLE001 - the counted boundary of delivery
            await self._failed(error)
