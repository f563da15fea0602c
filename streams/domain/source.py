"""Which log a checkpoint belongs to, and what a restart does when the log is not as the checkpoint left it.

Offsets say nothing about a log that was made again, cut or thinned out by retention: without this a restart would skip
what is new, or begin silently somewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

RECREATED: Final = "recreated"
RETENTION: Final = "retention"
TRUNCATED: Final = "truncated"
REPARTITIONED: Final = "repartitioned"
STATE_MISSING: Final = "state_missing"

UNREAD: Final = "unread"
"""Offsets that were never applied: their events are in no count and no window."""
OPEN: Final = "open"
"""Offsets that were applied and counted, but whose open windows cannot be built again."""


class SourceLog(NamedTuple):
    """A source partition as the broker has it now.

    ``epoch``: the topic's id, empty where the broker has none; ``partitions``: how many the topic has; ``begin``: the
    first offset that can be read; ``end``: the offset after the last.
    """

    epoch: str
    partitions: int
    begin: int
    end: int


@dataclass(frozen=True)
class Source:
    """What a checkpoint says of its log.

    Attributes:
        epoch: the topic's id. partitions: how many it had; 0 where it was not noted.
        era: counts how often offsets have begun anew. Of two checkpoints the one of the later era counts, whatever
            their offsets are: what a worker writes late that knows only the log before comes to nothing.
        changes: how often each change was met, for good. lost: offsets by (change, :data:`UNREAD` or :data:`OPEN`).
            Both are bounded by the few names of this module.
    """

    epoch: str = ""
    era: int = 0
    partitions: int = 0
    changes: Mapping[str, int] = field(default_factory=dict)
    lost: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def changed(self, change: str) -> Source:
        """With one more change."""
        return replace(self, changes={**self.changes, change: self.changes.get(change, 0) + 1})

    def losing(self, change: str, stage: str, offsets: int) -> Source:
        """With so many more offsets lost."""
        if not offsets:
            return self
        key = (change, stage)
        return replace(self, lost={**self.lost, key: self.lost.get(key, 0) + offsets})

    def skipping(self, offsets: int) -> Source:
        """With so many offsets that retention removed before they were read."""
        return self.changed(RETENTION).losing(RETENTION, UNREAD, offsets)

    def to_data(self) -> dict[str, Any]:
        """As JSON-able data."""
        lost = [[change, stage, offsets] for (change, stage), offsets in self.lost.items()]
        return {
            "epoch": self.epoch,
            "era": self.era,
            "partitions": self.partitions,
            "changes": dict(self.changes),
            "lost": lost,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Source:
        """The inverse of :meth:`to_data`."""
        lost = {(change, stage): offsets for change, stage, offsets in data["lost"]}
        return cls(data["epoch"], data["era"], data["partitions"], data["changes"], lost)


@dataclass(frozen=True)
class Seat:
    """Where a restart takes its place in the log.

    Attributes:
        source: for the checkpoints to come.
        applied: up to this offset everything is in the checkpoint: such records only rebuild open windows.
        held: the first offset to read.
        changes: what was found, empty when the log is as the checkpoint left it.
        unread, open: offsets that were lost by it.
    """

    source: Source
    applied: int
    held: int
    changes: tuple[str, ...] = ()
    unread: int = 0
    open: int = 0

    @property
    def anew(self) -> bool:
        """Whether offsets begin anew: a checkpoint must say so before anything is read.

        Else a log that was cut grows past what the old checkpoint had applied, and the next restart sees nothing of it.
        """
        return bool({RECREATED, TRUNCATED} & set(self.changes))

    @property
    def broken(self) -> bool:
        """Whether what the open windows need is no longer all there."""
        return self.anew or RETENTION in self.changes


def first_seat(log: SourceLog) -> Source:
    """The source of a partition that has no checkpoint."""
    return Source(log.epoch, partitions=log.partitions)


def take_seat(source: Source, applied: int, held: int, log: SourceLog) -> Seat:
    """Where to go on, by a checkpoint and the log as it is now.

    ============================  =========================================================================
    the log                       what is done
    ============================  =========================================================================
    as it was                     from ``held``
    another topic id              a new era, from the log's beginning; open windows of the old log are lost
    begins after ``held``         from its beginning; what is gone is lost
    ends before what was applied  a new era, from its end; open windows are lost
    ============================  =========================================================================

    A topic id that was not known (the checkpoint or the broker has none) counts as the same. A log of the same id that
    was cut *and* has grown past ``applied`` since is not told apart from one that was not.

    Args:
        source: of the checkpoint.
        applied: the highest offset that the checkpoint covers.
        held: the first offset that its open windows need, at most ``applied + 1``.
        log: as the broker has it.
    """
    now = replace(source, epoch=log.epoch or source.epoch, partitions=log.partitions)
    moved = (REPARTITIONED,) if source.partitions not in (0, log.partitions) else ()
    waiting = applied + 1 - held
    if source.epoch and log.epoch and source.epoch != log.epoch:
        return _seat(replace(now, era=now.era + 1), log.begin, (RECREATED, *moved), log.begin, waiting)
    if log.end <= applied:
        return _seat(replace(now, era=now.era + 1), log.end, (TRUNCATED, *moved), 0, waiting)
    if log.begin > held:
        unread, gone = max(0, log.begin - applied - 1), min(log.begin, applied + 1) - held
        return _seat(now, log.begin, (RETENTION, *moved), unread, gone, applied)
    return _seat(now, held, moved, 0, 0, applied)


def _seat(source: Source, held: int, changes: tuple[str, ...], unread: int, gone: int, applied: int = -1) -> Seat:
    for change in changes:
        source = source.changed(change)
    if changes:
        source = source.losing(changes[0], UNREAD, unread).losing(changes[0], OPEN, gone)
    return Seat(source, max(applied, held - 1), held, changes, unread, gone)
