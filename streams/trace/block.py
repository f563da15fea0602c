"""Which records of the source log share batches of metrics: a function of the log, wherever runs and lives end."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.trace.assembly import TraceResult
from streams.trace.red import Red
from streams.trace.samples import RedBatch

BLOCK_RECORDS: Final = 512
BLOCK_NS: Final = 250_000_000
"""A block ends before a record whose offset is a multiple of so many, or whose append time lies in another quarter of a
second: few batches under load, and little delay without."""
EXEMPLARS_NS: Final = 1_000_000_000
"""Exemplars are given out at most this often: they are no events, and what a crash loses of them is not missed."""


class Begin(NamedTuple):
    """Where a block begins: the source offset, and the arrival clock before it."""

    offset: int
    clock_before_ns: int


class Blocks:
    """Cuts the log of one source partition into blocks and gives the batches of each when the next one begins.

    What waits is bounded by :data:`BLOCK_RECORDS`, and by the time between two records.

    Args:
        red: makes samples of what it is given.
        source: topic and partition of the source.

    Attributes:
        begin: of the block that is not out yet; None when no sample waits. Its records must be read again after a
            restart, from :meth:`resume` on.
    """

    def __init__(self, red: Red, source: str) -> None:
        self._red, self._source = red, source
        self._key = (-1, -1)
        self._from_offset = 0
        self._opened = Begin(0, 0)
        self.begin: Begin | None = None
        self._clock_ns = self._exemplars_due_ns = 0

    def resume(self, offset: int) -> None:
        """Records before this offset are out already."""
        self._from_offset = offset

    @property
    def texts(self) -> list[tuple[NDArray[Any], str]]:
        """What waits, with the names of its columns that hold numbers of texts."""
        return self._red.texts

    def _end(self) -> list[RedBatch]:
        """The batches of the block that waits."""
        if self.begin is None:
            return []
        self.begin = None
        return self._red.batches(self._source)

    def exemplars(self) -> list[RedBatch]:
        """Takes the exemplars of the blocks that ended: at most once in :data:`EXEMPLARS_NS` of append time."""
        if self._clock_ns < self._exemplars_due_ns:
            return []
        found = self._red.exemplars()
        if found:
            self._exemplars_due_ns = self._clock_ns + EXEMPLARS_NS
        return found

    def take(
        self,
        rows: NDArray[Any],
        gen_ai: NDArray[np.bool_],
        found: TraceResult,
        offset: NDArray[np.int64],
        arrival_ns: NDArray[np.int64],
    ) -> list[RedBatch]:
        """Takes a run of r records, see :meth:`TraceOperator.apply`; ``gen_ai`` bool[n], see :meth:`Red.add_spans`.

        Returns:
            The batches of the blocks that ended.
        """
        batches: list[RedBatch] = []
        fresh = np.flatnonzero(found.fresh)
        count, time = offset // BLOCK_RECORDS, arrival_ns // BLOCK_NS
        changes = np.flatnonzero((np.diff(count) != 0) | (np.diff(time) != 0)) + 1
        cuts = [int(np.searchsorted(offset, self._from_offset)), *changes.tolist(), len(offset)]
        cuts = sorted({cut for cut in cuts if cut >= cuts[0]})
        spans_at = np.searchsorted(rows["record"][fresh], cuts)
        calls_at = np.searchsorted(found.calls["record"], cuts)
        for i, first in enumerate(cuts[:-1]):
            key = (int(count[first]), int(time[first]))
            if key != self._key:
                batches += self._end()
                self._key = key
                self._opened = Begin(int(offset[first]), int(found.before_ns[first]))
            chosen = fresh[spans_at[i] : spans_at[i + 1]]
            calls = found.calls[calls_at[i] : calls_at[i + 1]]
            if len(chosen) or len(calls):
                self.begin = self._opened
                self._red.add_spans(rows, gen_ai, chosen)
                self._red.add_calls(calls)
        self._clock_ns = int(arrival_ns[-1])
        return batches
