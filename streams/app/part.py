"""What a role does with one source partition: the contract between roles and the runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiokafka import ConsumerRecord

from streams.app.outbox import Step
from streams.publish.progress import Progress


@dataclass(frozen=True)
class Restored:
    """Where a partition goes on.

    Attributes:
        offset: first source offset to read, None: the committed one, or the log's beginning.
        windows_offset: where to start reading the partition's own windows back, None: not needed.
    """

    offset: int | None = None
    windows_offset: int | None = None


class Part(Protocol):
    """State of one source partition in one role."""

    committable: int | None

    def restore(self, state: Mapping[str, bytes]) -> Restored:
        """Fills a new part from the state topic's records of its partition."""

    def read_back(self, record: ConsumerRecord) -> None:
        """A record of ``agents.windows`` from ``windows_offset`` on."""

    def process(self, records: Sequence[ConsumerRecord], now_ns: int) -> Sequence[Step]:
        """Applies a run of records that follows the last one."""

    def next_tick_ns(self) -> int | None:
        """The time a tick must carry to change something; None when no tick is wanted."""

    def progress(self, lag: int, now_ns: int) -> Progress:
        """Where the partition is and what became of its events, as values."""
