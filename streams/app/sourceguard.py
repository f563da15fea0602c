"""Whether the topics are still those that the partitions were restored for.

A consumer does not notice that a topic was deleted and made again: it goes on at its offset, or at the beginning. So
nothing is published or checkpointed unless the broker has said, a moment ago, that the topics have the ids they had.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from aiokafka.errors import KafkaError

from streams import topics
from streams.app.topicids import Topic
from streams.errors import ConfigurationError, StateEpochError

log = logging.getLogger(__name__)
FRESH_SECONDS: Final = 1.0
"""How old an answer may be. A topic would have to be deleted, made, filled beyond the old offset and read within that
time to be taken for the old one."""
RETRY_SECONDS: Final = 0.5
ABSENT: Final = Topic("", 0)


class SourceGuard:
    """Asks at most once per :data:`FRESH_SECONDS`; of many who wait, one asks.

    Args:
        sources: all topics that the role reads, also those of which others own the partitions: the consumer learns only
            after minutes that one is there again.
        ask: the topics that exist.
    """

    def __init__(
        self,
        sources: Sequence[str],
        ask: Callable[[], Awaitable[Mapping[str, Topic]]],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sources, self._ask, self._monotonic = tuple(sources), ask, monotonic
        self._known: Mapping[str, Topic] = {}
        self._asked = float("-inf")
        self._lock = asyncio.Lock()

    async def assigned(self, owned: set[str]) -> Mapping[str, Topic]:
        """What the sources are; what was known before must still be so.

        Args:
            owned: topics of which there are partitions to restore.

        Raises:
            StateEpochError: one of these does not exist at present; or as :meth:`confirm`.
            ConfigurationError: the state topic has not as many partitions.
        """
        async with self._lock:
            begin, found = self._monotonic(), await self._answer()
        missing = sorted(owned - set(found))
        if missing:
            raise StateEpochError(f"{', '.join(missing)} does not exist: run `streams topics create`")
        state = found.get(topics.STATE, ABSENT).partitions
        self._compare(found)
        # one that has gone is known as it was: the group may have left it out before it was made again
        self._known = {name: found.get(name, self._known.get(name, ABSENT)) for name in self._sources}
        for name, topic in self._known.items():
            if topic.partitions > state:
                raise ConfigurationError(too_few(name, topic.partitions, state))
        self._asked = begin
        return self._known

    async def confirm(self) -> None:
        """Returns when the sources are known to be the same; waits while nobody answers or one has gone missing.

        Raises:
            StateEpochError: one was made, was made again, or has another number of partitions.
        """
        while self._monotonic() - self._asked > FRESH_SECONDS:
            async with self._lock:
                if self._monotonic() - self._asked <= FRESH_SECONDS:
                    return
                begin, found = self._monotonic(), await self._answer()
                if self._compare(found):
                    self._asked = begin
                    return
            await asyncio.sleep(RETRY_SECONDS)

    async def _answer(self) -> Mapping[str, Topic]:
        while True:
            try:
                return await self._ask()
            except (KafkaError, TimeoutError, OSError) as error:
                log.debug("no answer about topics: %r", error)
                await asyncio.sleep(RETRY_SECONDS)

    def _compare(self, found: Mapping[str, Topic]) -> bool:
        """Whether all are there and as they were."""
        for name, known in self._known.items():
            now = found.get(name, ABSENT)
            if now == known:
                continue
            if now == ABSENT:
                return False
            if known == ABSENT:
                raise StateEpochError(f"{name} is there now")
            if known.epoch and now.epoch and now.epoch != known.epoch:
                raise StateEpochError(f"{name} was deleted and made again: its id is {now.epoch}, it was {known.epoch}")
            if now.partitions != known.partitions:
                raise StateEpochError(f"{name} has {now.partitions} partitions, it had {known.partitions}")
        return True


def too_few(name: str, partitions: int, state: int) -> str:
    """What to do when the state topic does not fit."""
    return (
        f"{name} has {partitions} partitions, {topics.STATE} has {state}: state is kept in the partition of the "
        f"same number. Set STREAMS_PARTITIONS={partitions} and run `streams topics create`, which adds partitions"
    )
