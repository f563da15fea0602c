"""A broker for a benchmark, with its topics and data."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aiokafka import AIOKafkaProducer

from benchmarks.data import Record
from streams.app.admin import create_topics
from streams.services.jars import default_cache_folder
from streams.services.kafka import KafkaService
from streams.settings import Settings


@contextmanager
def broker(heap_mib: int = 512) -> Iterator[str]:
    """A broker of its own, gone with its data at the end."""
    with tempfile.TemporaryDirectory(prefix="streams-bench-") as folder:
        service = KafkaService(Path(folder), cache_folder=default_cache_folder(os.environ), heap_mib=heap_mib)
        service.start()
        try:
            yield service.bootstrap
        finally:
            service.stop()


def fill(settings: Settings, records: Iterable[Record]) -> int:
    """Creates the topics and produces the records; returns how many events they hold."""

    async def produce() -> int:
        await create_topics(settings)
        producer = AIOKafkaProducer(
            bootstrap_servers=settings.brokers, compression_type="zstd", linger_ms=5, max_batch_size=262_144
        )
        await producer.start()
        total, futures = 0, []
        for record in records:
            futures.append(await producer.send(record.topic, record.value, key=record.key or None))
            total += record.events
        await producer.flush()
        await asyncio.gather(*futures)
        await producer.stop()
        return total

    return asyncio.run(produce())
