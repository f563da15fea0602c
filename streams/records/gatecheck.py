"""The verdict on a version, from ``agents.windows`` as they are now, without side effects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams import topics
from streams.domain.window import decode_window_batch
from streams.errors import ServiceUnavailable
from streams.gate.book import GateBook
from streams.gate.verdict import Verdict
from streams.records.baselines import pinned_panes
from streams.records.cluster import cluster_of
from streams.records.partitions import partitions_of
from streams.settings import Settings

SLACK_SECONDS: Final = 120.0
"""Windows are published after they end: reading begins a little earlier than the look back."""
GROWTH: Final = 1.5
"""While it waits, it looks again when the candidate has half as many windows more."""
POLL_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. ``baseline`` "" = the version with the most windows beside it; ``wait_seconds`` 0 = one look."""

    version: str
    baseline: str = ""
    wait_seconds: float = 0.0


async def check(settings: Settings, book: GateBook, question: Question, clock_ns: Callable[[], int]) -> Verdict:
    """The verdict; with a waiting time the first one that decides, or the last one in that time.

    Raises:
        ServiceUnavailable: no broker answers, or the topic is missing.
    """
    begin_ns = clock_ns()
    if any(gate.against == "pinned" for gate in book.profile.comparisons):
        book.pinned = await pinned_panes(cluster_of(settings), book)
    async with _filled(settings, book, begin_ns) as consumer:
        return await _judge(consumer, book, question, clock_ns, begin_ns)


async def fill(settings: Settings, book: GateBook, clock_ns: Callable[[], int]) -> None:
    """Gives a book the windows that its profile looks at, as they are now.

    Raises:
        ServiceUnavailable: no broker answers, or the topic is missing.
    """
    async with _filled(settings, book, clock_ns()):
        pass


@asynccontextmanager
async def _filled(settings: Settings, book: GateBook, begin_ns: int) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer at the end of the windows that the book now holds."""
    consumer = AIOKafkaConsumer(
        **cluster_of(settings).arguments,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=topics.BY_NAME[topics.WINDOWS].max_record_bytes,
    )
    try:
        await consumer.start()
        parts = await partitions_of(cluster_of(settings), [topics.WINDOWS])
        since_ns = begin_ns - round((book.profile.window_seconds + SLACK_SECONDS) * 1e9)
        await _position(consumer, parts, since_ns // 1_000_000)
        await _read(consumer, book)
        yield consumer
    except KafkaError as error:
        raise ServiceUnavailable(f"cannot read {topics.WINDOWS} at {settings.brokers}: {error}") from error
    finally:
        await consumer.stop()


async def _judge(
    consumer: AIOKafkaConsumer, book: GateBook, question: Question, clock_ns: Callable[[], int], begin_ns: int
) -> Verdict:
    if not question.wait_seconds:
        return book.verdict(question.version, question.baseline, clock_ns())
    look, seen = 1, book.windows(question.version)
    verdict = book.verdict(question.version, question.baseline, clock_ns(), look)
    while verdict.status == "inconclusive" and clock_ns() - begin_ns < question.wait_seconds * 1e9:
        await asyncio.sleep(POLL_SECONDS)
        await _read(consumer, book)
        last = clock_ns() - begin_ns >= (question.wait_seconds - POLL_SECONDS) * 1e9
        if book.windows(question.version) >= max(GROWTH * seen, seen + 1) or last:
            look, seen = look + 1, book.windows(question.version)
            verdict = book.verdict(question.version, question.baseline, clock_ns(), look)
    return verdict


async def _position(consumer: AIOKafkaConsumer, parts: list[TopicPartition], since_ms: int) -> None:
    consumer.assign(parts)
    found: dict[TopicPartition, Any] = await consumer.offsets_for_times(dict.fromkeys(parts, max(since_ms, 0)))
    ends = await consumer.end_offsets(parts)
    for tp in parts:
        place = found.get(tp)
        consumer.seek(tp, ends[tp] if place is None else place.offset)


async def _read(consumer: AIOKafkaConsumer, book: GateBook) -> None:
    """Everything that is there now."""
    parts = list(consumer.assignment())
    left = await consumer.end_offsets(parts)
    while left := {tp: end for tp, end in left.items() if await consumer.position(tp) < end}:
        for records in (await consumer.getmany(*left, timeout_ms=500)).values():
            for record in records:
                if record.value is not None:
                    book.add(decode_window_batch(record.value))
