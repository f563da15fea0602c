"""Time of a log that several sources write into, each at its own pace: a watermark per source, and the least of them.

``agents.red`` holds the samples of all partitions of spans. One that has fallen behind (its worker was away) would find
its samples late if the newest time of any source moved the watermark. So each source has a clock, and the watermark
follows the slowest of those that are live. A source is live from its first record until it says that it is idle, or
until nothing has come of it for :data:`HOLD_NS` of the log's append time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streams.domain.columns import Columns, Tick
from streams.window import kernel

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]

HOLD_NS: Final = 600 * 1_000_000_000
"""For so long the windows of all wait for a source that has fallen silent without a word."""
GRACE_NS: Final = 10 * 1_000_000_000
"""Time stands still for so much of the append time after the first source is heard: others that were away with it have
theirs to say. Where nobody was away the lateness is longer than that."""
SOURCES_LIMIT: Final = 4096
"""Of sources that are live at a time; beyond it the one unheard for longest is no longer waited for."""


def source_of(producer: str) -> str:
    """Topic and partition of a producer ``.../topic/partition/digest``, "" where it has no such name."""
    return "/".join(producer.split("/")[-3:-1])


@dataclass
class Sources:
    """Clocks of the live sources.

    Attributes:
        clocks: source to (its time, append time of its last record), in nanoseconds. Bounded by :data:`SOURCES_LIMIT`
            and :data:`HOLD_NS`.
        since_ns: append time at which there was a source and none before. grace_ns: see :data:`GRACE_NS`.
    """

    clocks: dict[str, tuple[int, int]] = field(default_factory=dict)
    since_ns: int = 0
    grace_ns: int = GRACE_NS

    def hear(self, source: str, time_ns: int, append_ns: int) -> None:
        """Something came of a source; its clock does not go back."""
        if not self.clocks:
            self.since_ns = append_ns
        before_ns, heard_ns = self.clocks.pop(source, (time_ns, append_ns))
        self.clocks[source] = (max(before_ns, time_ns), max(heard_ns, append_ns))  # the newest stands last
        if len(self.clocks) > SOURCES_LIMIT:
            del self.clocks[next(iter(self.clocks))]

    def leave(self, source: str) -> None:
        """A source says that it is idle."""
        self.clocks.pop(source, None)

    def least_ns(self, append_ns: int) -> int | None:
        """The time of the slowest live source; None where there is none."""
        silent = [source for source, (_, heard_ns) in self.clocks.items() if append_ns - heard_ns > HOLD_NS]
        for source in silent:
            del self.clocks[source]
        return min((time_ns for time_ns, _ in self.clocks.values()), default=None)

    def snapshot(self) -> list[list[Any]]:
        """For a checkpoint."""
        return [["", self.since_ns, 0], *([source, *times] for source, times in self.clocks.items())]

    def restore(self, rows: Sequence[Sequence[Any]]) -> None:
        """From a checkpoint."""
        self.clocks = {source: (time_ns, heard_ns) for source, time_ns, heard_ns in rows if source}
        self.since_ns = next((since_ns for source, since_ns, _ in rows if not source), 0)

    def decide(
        self,
        columns: Columns,
        record: NDArray[np.int32],
        time_ns: I64,
        ignored: NDArray[np.bool_],
        watermark: I64,
        spec: tuple[int, int, int],
        *,
        moves: bool,
    ) -> U8:
        """The fate of each sample, in log order, and the watermark after the run; see :func:`kernel.fates`.

        A tick without a source moves time only where no source is live.

        Args:
            columns: the run of r records.
            record: int32[n], ascending.
            time_ns: int64[n].
            ignored: bool[r], records that are not to be used.
            watermark: int64[1], changed in place.
            spec: pane, lateness and future in nanoseconds.
            moves: False where a checkpoint has the clocks as of later records already: time stands still.
        """
        pane_ns, lateness_ns, future_ns = spec
        future = time_ns > columns.append_ns[record] + future_ns
        fate = np.where(ignored[record], kernel.IGNORED, np.where(future, kernel.FUTURE, kernel.ON_TIME))
        largest = np.full(len(columns.offset), -1, np.int64)
        used = fate == kernel.ON_TIME
        np.maximum.at(largest, record[used], time_ns[used])
        before = np.full(len(columns.offset), watermark[0], np.int64)
        if moves:
            self._move(columns, largest, before, watermark, lateness_ns)
        late = used & (time_ns - time_ns % pane_ns + pane_ns <= before[record])
        fate[late] = kernel.LATE
        return fate.astype(np.uint8)

    def _move(self, columns: Columns, largest: I64, before: I64, watermark: I64, lateness_ns: int) -> None:
        ticks = {tick.record: tick for tick in columns.ticks}
        origin = {position: source_of(producer) for position, producer, _, _ in columns.batches}
        now_ns = int(watermark[0])
        for r, (newest_ns, append_ns) in enumerate(zip(largest.tolist(), columns.append_ns.tolist(), strict=True)):
            before[r] = now_ns
            if (moved_ns := self._moved(newest_ns, append_ns, ticks.get(r), origin.get(r, ""))) is not None:
                now_ns = max(now_ns, moved_ns - lateness_ns)
        watermark[0] = now_ns

    def _moved(self, newest_ns: int, append_ns: int, tick: Tick | None, source: str) -> int | None:
        """The time that a record lets all know, None where it says nothing."""
        time_ns, own_ns = newest_ns, None
        if tick is not None:
            time_ns, source = tick.time_ns, tick.source
        if source and tick is not None and tick.idle:
            self.leave(source)
        elif time_ns < 0:
            return None
        else:
            own_ns = min(time_ns, append_ns)
            if source:
                self.hear(source, own_ns, append_ns)
        least_ns = self.least_ns(append_ns)
        if least_ns is None:
            return own_ns
        return least_ns if append_ns - self.since_ns >= self.grace_ns else None
