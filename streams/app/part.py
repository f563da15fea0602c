"""What a role does with one source partition: the contract between roles and the runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiokafka import ConsumerRecord

from streams.app.outbox import Step
from streams.domain.source import Seat, Source, SourceLog
from streams.publish.progress import Progress


@dataclass(frozen=True)
class Restored:
    """Where a partition goes on.

    Attributes:
        offset: first source offset to read, None: the committed one, or the log's beginning.
        windows_offset: where to start reading the partition's own windows back, None: not needed.
        seat: what the checkpoint and the log came to, None: there was no checkpoint.
    """

    offset: int | None = None
    windows_offset: int | None = None
    seat: Seat | None = None


class Part(Protocol):
    """State of one source partition in one role.

    Attributes:
        committable: source offset before which everything is in a durable checkpoint, None when nothing is new.
        source: the log it reads, for its checkpoints.
    """

    committable: int | None
    source: Source

    def restore(self, state: Mapping[str, bytes], log: SourceLog) -> Restored:
        """Fills a new part from the state topic's records of its partition; ``log`` is the source as it is now."""

    def save(self) -> Step:
        """A checkpoint of what was restored, before anything is read; asked for where offsets begin anew."""

    def skip(self, offsets: int) -> None:
        """So many offsets were removed by retention before they were read; the next run comes after them."""

    def read_back(self, record: ConsumerRecord) -> None:
        """A record of ``agents.windows`` from ``windows_offset`` on."""

    def process(self, records: Sequence[ConsumerRecord], now_ns: int) -> Sequence[Step]:
        """Applies a run of records that follows the last one."""

    @property
    def time_ns(self) -> int:
        """Where the partition's time is. Records that do not move it (rejected ones, a stuck clock) leave it idle."""

    def next_tick_ns(self) -> int | None:
        """The time a tick must carry to change something; None when no tick is wanted."""

    def progress(self, lag: int, now_ns: int) -> Progress:
        """Where the partition is and what became of its events, as values."""


class Tickless:
    """What parts answer alike that want no ticks and whose windows are not read back: time comes with their records."""

    source: Source

    def skip(self, offsets: int) -> None:
        """Counts what retention removed."""
        self.source = self.source.skipping(offsets)

    def read_back(self, record: ConsumerRecord) -> None:
        """Nothing of it comes back through windows."""

    @property
    def time_ns(self) -> int:
        """It wants no ticks, so nobody asks."""
        return 0

    def next_tick_ns(self) -> int | None:
        """Never."""
        return None
