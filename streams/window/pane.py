"""Panes: the open aggregates of one interval, as arrays over slots, and their closed, compact form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streams.domain.series import Series
from streams.domain.sketch import bucket_value
from streams.domain.window import QUANTILES, WindowBatch
from streams.window import sketches

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
I32 = NDArray[np.int32]

_VALUE_OF: Final = bucket_value(np.arange(-sketches.BUCKET_OFFSET, sketches.BUCKET_OFFSET, dtype=np.int32))
_QUANTILES: Final = np.array(QUANTILES)
_SMALLEST_POOL: Final = 32
_SMALLEST_SLOTS: Final = 16


@dataclass(frozen=True)
class Aggregates:
    """Finished aggregates of n series, to be added to a pane or published.

    ``slot`` int32[n] in the order of the ids of their series; ``high`` is the sum, correctly rounded, ``low`` what
    rounding left out; the sketch in CSR form.
    """

    slot: I32
    count: I64
    high: F64
    low: F64
    minimum: F64
    maximum: F64
    squares: F64
    start: I32
    bucket: I32
    weight: I64

    def moved(self, place: I32) -> Aggregates:
        """The same for a table in which slot s has become ``place[s]``."""
        return replace(self, slot=place[self.slot])

    def batch(self, topic: str, partition: int, start_ns: int, end_ns: int, series: Sequence[Series]) -> WindowBatch:
        """The record that is published: quantiles computed, slots replaced by their ``series`` (those of ``slot``)."""
        out = np.empty((len(self.slot), len(QUANTILES)))
        sketches.quantiles(
            self.start, self.bucket, self.weight, self.count, self.minimum, self.maximum, _VALUE_OF, _QUANTILES, out
        )
        return WindowBatch(
            topic=topic,
            partition=partition,
            start_ns=start_ns,
            end_ns=end_ns,
            series=series,
            count=self.count,
            sum=self.high,
            sum_low=self.low,
            minimum=self.minimum,
            maximum=self.maximum,
            sum_squares=self.squares,
            quantiles=out,
            sketch_start=self.start,
            sketch_bucket=self.bucket,
            sketch_weight=self.weight,
        )


def aggregates_of(batch: WindowBatch, slot: I32) -> Aggregates:
    """A published window as aggregates again: what a restarted worker merges into larger windows.

    Args:
        batch: a base window.
        slot: int32[n], the slots of its series in the operator's table.
    """
    return Aggregates(
        slot=slot,
        count=batch.count,
        high=batch.sum,
        low=batch.sum_low,
        minimum=batch.minimum,
        maximum=batch.maximum,
        squares=batch.sum_squares,
        start=batch.sketch_start,
        bucket=batch.sketch_bucket,
        weight=batch.sketch_weight,
    )


class Pane:
    """The open aggregates of one interval.

    Memory: 129 bytes per slot of the table that was touched, and where a slot has more than 32 events, per touched
    (slot, 16 neighbouring buckets) 136 bytes of counters. Bounded by the table's limit and the sketch's range.

    Attributes:
        first_offset: the lowest source offset that contributed; the log must not be committed past it.
    """

    def __init__(self, slots: int, blocks: int = _SMALLEST_POOL) -> None:
        """Room for slots 0..slots - 1 and, to begin with, so many sketch blocks."""
        self.first_offset: int | None = None
        blocks = max(blocks, _SMALLEST_POOL)
        self._slots = max(slots, _SMALLEST_SLOTS)
        self._stats = np.zeros((self._slots, sketches.STATS))
        self._directory = np.zeros((self._slots, sketches.FAN), np.int32)
        self._listed = np.zeros(self._slots, np.uint8)
        self._tag = np.zeros(blocks, np.int32)
        self._following = np.zeros(blocks, np.int32)
        self._pool = np.zeros((blocks, sketches.BLOCK), np.int64)
        self._used = np.zeros(1, np.int64)
        self._spare = np.empty(sketches.FEW, np.int16)

    @property
    def blocks(self) -> int:
        """Sketch blocks in use."""
        return int(self._used[0])

    def reserve(self, slots: int) -> None:
        """Makes room for slots 0..slots - 1."""
        if slots > self._slots:
            self._slots = max(slots, self._slots + self._slots // 2)
            self._stats = _grown(self._stats, self._slots)
            self._directory = _grown(self._directory, self._slots)
            self._listed = _grown(self._listed, self._slots)

    def touch(self, offset: int) -> None:
        """Remembers that the record at this source offset contributed."""
        self.first_offset = offset if self.first_offset is None else min(self.first_offset, offset)

    def _grow_sketch(self) -> None:
        size = 2 * len(self._tag)
        self._tag = _grown(self._tag, size)
        self._following = _grown(self._following, size)
        self._pool = _grown(self._pool, size)

    def _state(self) -> tuple[NDArray[Any], ...]:
        return (self._stats, self._stats.view(np.int64), *self._sketches(), self._used, self._spare)

    def _sketches(self) -> tuple[NDArray[Any], ...]:
        numbers = self._directory.view(np.int16)
        return (self._listed, numbers, self._directory, self._tag, self._following, self._pool)

    def add_samples(
        self, slot: I32, value: F64, index: I32, number: int, begin: int, end: int, squares: int = sketches.SQUARES
    ) -> None:
        """Adds those samples in ``[begin, end)`` whose ``index`` is ``number``; room for their slots is reserved.

        ``squares``: the column for the squares of this kind of samples.
        """
        columns = (number, squares, index, slot, value, value.view(np.int64))
        while (begin := sketches.add_samples(begin, end, *columns, *self._state())) < end:
            self._grow_sketch()

    def add(self, part: Aggregates, squares: int = sketches.SQUARES) -> None:
        """Merges finished aggregates; room for their slots must be reserved. ``squares`` as for samples."""
        columns = (
            squares,
            part.slot,
            part.count,
            part.high,
            part.low,
            part.minimum,
            part.maximum,
            part.squares,
            part.start,
            part.bucket,
            part.weight,
        )
        begin = 0
        while (begin := sketches.add_aggregates(begin, *columns, *self._state())) < len(part.slot):
            self._grow_sketch()

    def close(self, order: I32) -> Aggregates:
        """The compact form; ``order`` holds the slots in the order in which windows list their series."""
        self.reserve(len(order))
        counts, slot = self._stats.view(np.int64), np.empty_like(order)
        slot = slot[: sketches.in_order(order, counts, slot)].copy()
        count = np.empty(len(slot), np.int64)
        high, low, minimum, maximum, squares = np.empty((5, len(slot)))
        sketches.close_stats(slot, self._stats, counts, count, high, low, minimum, maximum, squares)
        return Aggregates(slot, count, high, low, minimum, maximum, squares, *self._close_sketches(slot))

    def _close_sketches(self, slot: I32) -> tuple[I32, I32, I64]:
        size = self.blocks * sketches.BLOCK + int(self._listed[slot].sum()) + sketches.BLOCK
        start, bucket, weight = np.empty(len(slot) + 1, np.int32), np.empty(size, np.int32), np.empty(size, np.int64)
        blocks, rows = np.empty((2, sketches.BLOCKS), np.int64)
        dense, touched = np.zeros(sketches.BLOCKS * sketches.BLOCK, np.int64), np.zeros(sketches.BLOCKS, np.uint8)
        size = sketches.close_sketches(slot, blocks, rows, dense, touched, start, bucket, weight, *self._sketches())
        return start, bucket[:size].copy(), weight[:size].copy()

    def slots(self) -> I32:
        """The slots that have events, ascending."""
        return np.nonzero(self._stats.view(np.int64)[:, sketches.COUNT])[0].astype(np.int32)

    def moved(self, order: I32, place: I32, slots: int) -> Pane:
        """The same pane for a table in which slot s has become ``place[s]``."""
        part = self.close(order)
        pane = Pane(slots)
        pane.add(part.moved(place))
        pane.first_offset = self.first_offset
        return pane


def _grown(column: NDArray[Any], size: int) -> NDArray[Any]:
    grown = np.zeros((size, *column.shape[1:]), column.dtype)  # untouched pages cost nothing
    grown[: len(column)] = column
    return grown
