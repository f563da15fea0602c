"""How far a partition of spans has come, told to those who window the samples of several partitions.

Samples of spans (``agents.red``) carry the time of their span, and partitions advance at their own pace: readers wait
for the slowest (``streams/window/sources.py``). So a partition that has had spans says every second of its time how far
it is, and says that it is idle when for a while nothing has come.
"""

from __future__ import annotations

from typing import Final, NamedTuple

SECOND_NS: Final = 1_000_000_000
MARK_NS: Final = SECOND_NS
LINGER_NS: Final = 60 * SECOND_NS
"""A partition counts as idle so long after its last span: where its worker dies within that time, what waits for the
next one finds its windows open."""


STILL_NS: Final = 10 * SECOND_NS
"""Spans that do not move the time of their partition for so long come of clocks that are behind: the others' windows do
not wait for them. Counted from the first such span, so that what arrives after an outage is not taken for them."""


class Mark(NamedTuple):
    """What is told: the newest event time, or that nothing is expected."""

    time_ns: int
    idle: bool


class Pace:
    """The time of one partition: the newest end of a span, or what a tick says; where spans do not move it for
    :data:`STILL_NS`, so much less than the append time.

    Attributes:
        live: whether others wait for this partition.
    """

    def __init__(self) -> None:
        self.live = False
        self._time_ns = self._told_ns = self._span_ns = self._still_ns = 0

    def resume(self) -> None:
        """After a restart: others may be waiting, whatever this life finds in the log."""
        self.live = True

    def take(self, newest_ns: int, clock_ns: int, *, spans: bool, waiting: bool) -> Mark | None:
        """Takes what a run of records says.

        Args:
            newest_ns: the newest end of a span, not beyond its append time, or time of a tick; 0 where neither is.
            clock_ns: append time of the run's last record.
            spans: whether there were any.
            waiting: whether samples of the partition are still to be sent.

        Returns:
            What is to be told now.
        """
        self.live = self.live or spans
        self._move(newest_ns, clock_ns, spans=spans)
        if spans or not self._span_ns:
            self._span_ns = clock_ns
        if not self.live:
            return None
        if clock_ns - self._span_ns >= LINGER_NS and not waiting:
            self.live, self._told_ns = False, 0
            return Mark(self._time_ns, idle=True)
        if self._time_ns - self._told_ns >= MARK_NS:
            self._told_ns = self._time_ns
            return Mark(self._time_ns, idle=False)
        return None

    def _move(self, newest_ns: int, clock_ns: int, *, spans: bool) -> None:
        if newest_ns > self._time_ns:
            self._time_ns, self._still_ns = newest_ns, 0
        elif spans and not self._still_ns:
            self._still_ns = clock_ns
        elif self._still_ns and clock_ns - self._still_ns >= STILL_NS:
            self._time_ns = max(self._time_ns, clock_ns - STILL_NS)
