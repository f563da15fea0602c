"""Workers say on ``streams.progress`` how far they are, so that the API knows without asking them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from streams import topics
from streams.app.runtime import Runtime
from streams.app.sink import Output
from streams.domain.progress import PROGRESS_SECONDS, Standing, encode_standing
from streams.publish.progress import Progress

log = logging.getLogger(__name__)


def progress_task(runtimes: Sequence[Runtime], clock_ns: Callable[[], int]) -> asyncio.Task[None]:
    """:func:`tell_progress` beside everything else: a worker whose progress nobody hears of works on, and says so."""
    task = asyncio.create_task(tell_progress(runtimes, clock_ns))
    task.add_done_callback(_over)
    return task


def _over(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        log.error("nothing is told on %s any more: %r", topics.PROGRESS, task.exception())


async def tell_progress(runtimes: Sequence[Runtime], clock_ns: Callable[[], int]) -> None:
    """Tells of all partitions that the roles own, until it is cancelled.

    What the brokers do not take before the next time is given up: the next record says all of it again.
    """
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        for runtime in [one for one in runtimes if one.ready]:
            try:
                async with asyncio.timeout(PROGRESS_SECONDS):
                    await runtime.sink.deliver(outputs(runtime.role, runtime.progress(clock_ns()), clock_ns()))
            except TimeoutError:
                log.warning("the progress of role %s was not told: the brokers did not take it", runtime.role)


def outputs(role: str, progress: Sequence[Progress], now_ns: int) -> list[Output]:
    """The records, one per partition."""
    found = [
        Standing(
            role, one.topic, one.partition, now_ns, one.fates, one.lag, one.lag_seconds, one.watermark_delay_seconds
        )
        for one in progress
    ]
    return [Output(topics.PROGRESS, standing.key, encode_standing(standing), 0) for standing in found]
