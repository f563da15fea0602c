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
from streams.window import kernel

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
I32 = NDArray[np.int32]

_VALUE_OF: Final = bucket_value(np.arange(-kernel.BUCKET_OFFSET, kernel.BUCKET_OFFSET, dtype=np.int32))
_QUANTILES: Final = np.array(QUANTILES)
_SMALLEST_INDEX: Final = 64
_PER_SLOT: Final = kernel.BLOCKS_PER_SLOT * kernel.BLOCK


@dataclass(frozen=True)
class Aggregates:
    """Finished aggregates of n series, to be added to a pane or published.

    ``slot`` int32[n] strictly ordered by the rank of the series; ``high`` is the sum, correctly rounded, ``low`` what
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

    def batch(self, topic: str, partition: int, start_ns: int, end_ns: int, rows: Sequence[Series]) -> WindowBatch:
        """The record that is published: quantiles computed, slots replaced by their series."""
        out = np.empty((len(self.slot), len(QUANTILES)))
        kernel.quantiles(
            self.start, self.bucket, self.weight, self.count, self.minimum, self.maximum, _VALUE_OF, _QUANTILES, out
        )
        return WindowBatch(
            topic=topic,
            partition=partition,
            start_ns=start_ns,
            end_ns=end_ns,
            series=[rows[s] for s in self.slot.tolist()],
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

    Memory: 48 bytes per slot of the table, and per touched (slot, 16 neighbouring buckets) 128 bytes of counters with
    about 36 bytes of index. Bounded by the table's limit and the sketch's range.

    Attributes:
        first_offset: the lowest source offset that contributed; the log must not be committed past it.
    """

    def __init__(self, slots: int) -> None:
        self.first_offset: int | None = None
        self._slots = 0
        self._columns: dict[str, NDArray[Any]] = {
            "count": np.zeros(0, np.int64),
            "high": np.zeros(0),
            "low": np.zeros(0),
            "minimum": np.zeros(0),
            "maximum": np.zeros(0),
            "squares": np.zeros(0),
        }
        self._keys = np.full(_SMALLEST_INDEX, -1, np.int64)
        self._rows = np.zeros(_SMALLEST_INDEX, np.int32)
        self._pool = np.zeros((_SMALLEST_INDEX // 2, kernel.BLOCK), np.int64)
        self._used = np.zeros(1, np.int64)
        self.reserve(slots)

    def reserve(self, slots: int) -> None:
        """Makes room for slots 0..slots - 1."""
        if slots <= self._slots:
            return
        size = max(slots, self._slots + self._slots // 2, 16)
        fill = {"minimum": np.inf, "maximum": -np.inf}
        for name, column in self._columns.items():
            grown = np.full(size, fill.get(name, 0), column.dtype)
            grown[: self._slots] = column
            self._columns[name] = grown
        self._slots = size

    def touch(self, offset: int) -> None:
        """Remembers that the record at this source offset contributed."""
        self.first_offset = offset if self.first_offset is None else min(self.first_offset, offset)

    def _grow_sketch(self) -> None:
        size = len(self._keys) * 2
        keys, rows = np.full(size, -1, np.int64), np.zeros(size, np.int32)
        kernel.rehash(self._keys, self._rows, keys, rows)
        pool = np.zeros((size // 2, kernel.BLOCK), np.int64)
        pool[: len(self._pool)] = self._pool
        self._keys, self._rows, self._pool = keys, rows, pool

    def _state(self) -> tuple[NDArray[Any], ...]:
        c = self._columns
        return (
            c["count"],
            c["high"],
            c["low"],
            c["minimum"],
            c["maximum"],
            c["squares"],
            self._keys,
            self._rows,
            self._pool,
            self._used,
        )

    def add_samples(self, slot: I32, value: F64) -> None:
        """Adds single observations; room for their slots must be reserved."""
        done = kernel.add_samples(0, slot, value, *self._state())
        while done < len(slot):
            self._grow_sketch()
            done = kernel.add_samples(done, slot, value, *self._state())

    def add(self, part: Aggregates) -> None:
        """Merges finished aggregates; room for their slots must be reserved."""
        columns = (
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
        blocks = kernel.blocks_of(part.start, part.bucket)
        while (int(self._used[0]) + blocks) * 2 > len(self._keys):
            self._grow_sketch()
        kernel.add_aggregates(*columns, *self._state())

    def close(self, rank: I32) -> Aggregates:
        """The compact form, series in order of ``rank`` (int32 over slots)."""
        c = self._columns
        slot = self.slots()
        slot = slot[np.argsort(rank[slot], kind="stable")]
        sort_key, weight = kernel.entries(self._keys, self._rows, self._pool, rank)
        order = np.argsort(sort_key)
        sort_key = sort_key[order]
        bucket = (sort_key % _PER_SLOT - kernel.BUCKET_OFFSET).astype(np.int32)
        start = np.empty(len(slot) + 1, np.int32)
        start[:-1] = np.searchsorted(sort_key, rank[slot].astype(np.int64) * _PER_SLOT)
        start[-1] = len(sort_key)
        high, low = c["high"][slot], c["low"][slot]
        total = high + low
        return Aggregates(
            slot=slot,
            count=c["count"][slot],
            high=total,
            low=low - (total - high),
            minimum=c["minimum"][slot],
            maximum=c["maximum"][slot],
            squares=c["squares"][slot],
            start=start,
            bucket=bucket,
            weight=weight[order],
        )

    def slots(self) -> I32:
        """The slots that have events, ascending."""
        return np.nonzero(self._columns["count"])[0].astype(np.int32)

    def moved(self, rank: I32, place: I32, slots: int) -> Pane:
        """The same pane for a table in which slot s has become ``place[s]``."""
        part = self.close(rank)
        pane = Pane(slots)
        pane.add(part.moved(place))
        pane.first_offset = self.first_offset
        return pane


def merge(parts: Sequence[Aggregates], slots: int, rank: I32) -> Aggregates:
    """One window out of several panes: associative and commutative, never a second pass over events."""
    pane = Pane(slots)
    for part in parts:
        pane.add(part)
    return pane.close(rank)
