"""Sends records through Faust's producer and waits until the broker has them all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError

from streams import topics
from streams.domain.block import LogRecord
from streams.errors import PublishRefused
from streams.publish.deadletter import dead_letter

_BACKOFF_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Output(NamedTuple):
    """One record to send. ``partition`` None: by key."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


class Sink:
    """Delivery of outputs, in order between calls. ``retried`` is called after each attempt that failed."""

    def __init__(self, app: Any, max_bytes: int, retried: Callable[[], None] = lambda: None) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._retried = retried

    async def deliver(self, outputs: Iterable[Output]) -> list[int]:
        """Returns when the broker has acknowledged every record; tries for ever while it does not answer.

        Returns:
            The offset each record got.

        Raises:
            PublishRefused: a record is larger than the broker takes: sending it again cannot help.
        """
        pending = list(outputs)
        for output in pending:
            size = len(output.value or b"")
            if size > self._max_bytes:
                raise PublishRefused(f"a record of {size} bytes for {output.topic} exceeds {self._max_bytes}")
        attempt = 0
        while True:
            try:
                return await self._send(pending)
            except (TimeoutError, KafkaError):
                self._retried()
                await asyncio.sleep(_BACKOFF_SECONDS[min(attempt, len(_BACKOFF_SECONDS) - 1)])
                attempt += 1

    async def _send(self, outputs: list[Output]) -> list[int]:
        send = self._app.producer.send
        futures = [await send(o.topic, o.key, o.value, o.partition, None, list(o.headers) or None) for o in outputs]
        return [metadata.offset for metadata in await asyncio.gather(*futures)]


def dead_letter_output(record: ConsumerRecord | LogRecord, reason: str, detail: str, topic: str, now_ns: int) -> Output:
    """A record for the dead-letter topic: original bytes, reason, where it was."""
    letter = dead_letter(
        key=record.key,
        value=record.value,
        reason=reason,
        detail=detail,
        topic=topic,
        partition=record.partition,
        offset=record.offset,
        at_ns=now_ns,
    )
    return Output(topics.DEAD_LETTERS, letter.key, letter.value, None, tuple(letter.headers))
