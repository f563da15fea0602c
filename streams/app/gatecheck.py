"""``streams gate check``: reads ``agents.windows`` itself, without side effects, and judges a version."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams import topics
from streams.app.admin import describe_topics
from streams.domain.window import decode_window_batch
from streams.errors import ServiceUnavailable
from streams.gate.book import GateBook
from streams.gate.verdict import Verdict
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
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.brokers,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=topics.BY_NAME[topics.WINDOWS].max_record_bytes,
    )
    try:
        await consumer.start()
        partitions = dict(await describe_topics(settings))[topics.BY_NAME[topics.WINDOWS]]
        if not partitions:
            raise ServiceUnavailable(f"{topics.WINDOWS} is missing at {settings.brokers}: run `streams topics create`")
        since_ns = begin_ns - round((book.profile.window_seconds + SLACK_SECONDS) * 1e9)
        await _position(consumer, partitions, since_ns // 1_000_000)
        await _read(consumer, book)
        return await _judge(consumer, book, question, clock_ns, begin_ns)
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


async def _position(consumer: AIOKafkaConsumer, partitions: int, since_ms: int) -> None:
    parts = [TopicPartition(topics.WINDOWS, number) for number in range(partitions)]
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
