"""What people and deployers say to the API, as records of compacted topics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams.errors import ServiceUnavailable
from streams.records import table
from streams.records.appended import appended
from streams.records.cluster import Cluster

Row = TypeVar("Row")


@dataclass
class Ledger:
    """Reads a topic to its end and writes to it, without a copy of its own: what it reads is what is so.

    Attributes:
        brokers: to ask first.
        turn: held from reading to writing, so that of two requests the later one sees what the earlier one wrote. It
            does not reach beyond this process: two of them, or a command meanwhile, and the last record counts.
    """

    brokers: Cluster
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _producer: AIOKafkaProducer | None = None
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def newest(
        self, topic: str, decode: Callable[[bytes], Row], key_of: Callable[[Row], bytes]
    ) -> dict[bytes, Row]:
        """The newest record of each key.

        Raises:
            ServiceUnavailable: no broker answers, or the topic is missing.
        """
        return await table.newest(self.brokers, topic, decode, key_of)

    async def write(self, topic: str, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]] = ()) -> None:
        """Writes one record; the brokers have it when this returns.

        Raises:
            ServiceUnavailable: no broker answers, or the topic is missing.
        """
        try:
            await (await self._started()).send_and_wait(topic, value, key=key, headers=list(headers))
        except KafkaError as error:
            raise ServiceUnavailable(f"{topic} was not written ({self.brokers}): {error!r}") from error

    async def appended(self, topic: str, since_ms: int) -> int:
        """Records that a topic took since then.

        Raises:
            ServiceUnavailable: no broker answers, or the topic is missing.
        """
        return await appended(self.brokers, topic, since_ms)

    async def close(self) -> None:
        """Ends the connection to the brokers."""
        if self._producer is not None:
            await self._producer.stop()

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                made = AIOKafkaProducer(**self.brokers.arguments, acks="all", request_timeout_ms=10_000)
                try:
                    await made.start()
                except KafkaError:
                    await made.stop()
                    raise
                self._producer = made
            return self._producer
