"""How records leave: aiokafka behind a small protocol.

The producer is not idempotent on purpose. aiokafka's idempotent producer never gives a batch up and stays broken after
an out-of-order error (aiokafka issue 1017), so it could be neither replaced nor stopped in a long outage. Batches carry
producer and seq instead, which survive any number of producers, and the pipeline drops the repeats.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from agents_emitter.options import Options

CLOSE_SECONDS = 1.0
_LOGGERS = ("aiokafka", "aiokafka.cluster", "aiokafka.conn", "aiokafka.producer.producer", "aiokafka.producer.sender")


class Undeliverable(Exception):
    """This record will never be taken: do not send it again."""


class Transport(Protocol):
    """A connection to the brokers."""

    async def send(self, topic: str, key: bytes, value: bytes) -> None:
        """Return when the broker has acknowledged the record.

        Raises:
            Undeliverable: no attempt will succeed.
            Exception: anything else: to be sent again.
        """
        ...

    async def close(self) -> None:
        """Let go of everything, within seconds, whatever state the broker is in."""
        ...


Connect = Callable[[], Awaitable[Transport]]


class _OtherThreads(logging.Filter):
    """Drops records that the sender's thread caused: they are counted in the statistics, and are not the agent's."""

    def __init__(self, thread: int) -> None:
        super().__init__()
        self._thread = thread

    def filter(self, record: logging.LogRecord) -> bool:
        return record.thread != self._thread


def quiet_client_logs() -> Callable[[], None]:
    """Keep aiokafka's messages about our producer out of the agent's logs. Returns the undo.

    Call it in the sender's thread: an agent that uses aiokafka itself keeps its own messages.
    """
    quiet = _OtherThreads(threading.get_ident())
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addFilter(quiet)

    def undo() -> None:
        for logger in loggers:
            logger.removeFilter(quiet)

    return undo


class KafkaTransport:
    """Records into Kafka: acks=all, compressed with zstd where cramjam is installed.

    Measured on our batches, ns of CPU per sample: zstd 23, aiokafka's lz4 (level 9) 334; gzip is slower still.
    """

    def __init__(self, producer: Any) -> None:
        self._producer = producer

    async def send(self, topic: str, key: bytes, value: bytes) -> None:
        """See :class:`Transport`."""
        from aiokafka.errors import MessageSizeTooLargeError

        try:
            delivery = await self._producer.send(topic, value, key=key)
            await delivery
        except MessageSizeTooLargeError as error:
            raise Undeliverable(str(error)) from error

    async def close(self) -> None:
        """Stop the producer; if it still waits for a broker that does not answer, cut it off."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._producer.stop()
        except TimeoutError:
            # stop() waits for deliveries first. Its parts have no public way to be stopped on their own.
            await self._producer._sender.close()
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._producer.client.close()


def connect_kafka(brokers: str, options: Options, client_id: str) -> Connect:
    """A function that makes a started producer. aiokafka is loaded on its first call, in the sender's thread."""

    async def connect() -> Transport:
        from aiokafka import AIOKafkaProducer

        producer = AIOKafkaProducer(
            bootstrap_servers=brokers,
            client_id=client_id,
            acks="all",
            compression_type="zstd" if importlib.util.find_spec("cramjam") else None,
            max_batch_size=256 * 1024,
            max_request_size=1_048_576,
            request_timeout_ms=int(options.delivery_timeout_seconds * 1000),
            **options.kafka,
        )
        transport = KafkaTransport(producer)
        try:
            await producer.start()
        except BaseException:
            await transport.close()
            raise
        return transport

    return connect
