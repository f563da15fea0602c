"""Where the decoders of all formats put their events while a run is decoded, and how that becomes columns."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.decode import reasons
from streams.decode.kernel import COUNTER, CUMULATIVE, FLAG_BITS
from streams.decode.numbering import Numbering
from streams.domain.columns import AggregatePoint, BatchId, Columns, CumulativePoint, Rejected, Tick
from streams.domain.exemplar import Exemplar
from streams.domain.series import Series


class Points(NamedTuple):
    """Numbers of series that still have to be checked.

    Attributes:
        record: int32[n]; target: int64[n], see ``kernel.FLAG_BITS`` (negative: refused); time_ns, start_ns: int64[n];
            value: float64[n].
        refused: reason and detail of points that are refused already, by position.
    """

    record: NDArray[np.int32]
    target: NDArray[np.int64]
    time_ns: NDArray[np.int64]
    start_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    refused: Mapping[int, tuple[str, str]]


class Chunk(NamedTuple):
    """Good plain samples in columns, ``record`` ascending."""

    slot: NDArray[np.int32]
    time_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    record: NDArray[np.int32]

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Chunk:
        """The chosen samples (a mask or positions)."""
        return Chunk(self.slot[chosen], self.time_ns[chosen], self.value[chosen], self.record[chosen])


def target_of(table: Numbering, series: Series, *, cumulative: bool) -> int:
    """Slot and flags of a series in one number (``kernel.FLAG_BITS``).

    The kinds are made plain here: a cumulative counter is a running total; a cumulative updowncounter *is* its current
    value, so it becomes a gauge (a delta one stays an updowncounter of increments); for gauges and histograms of single
    values a temporality means nothing.
    """
    flags = COUNTER if series.kind == "counter" else 0
    if cumulative and series.kind == "counter":
        flags |= CUMULATIVE
    elif cumulative and series.kind == "updowncounter":
        series = Series(series.name, series.unit, "gauge", series.labels)
    return table.slot(series) << FLAG_BITS | flags


class Gather:
    """The events of one run while it is decoded; bounded by the run's bytes."""

    def __init__(self) -> None:
        self.slot: list[int] = []
        self.time_ns: list[int] = []
        self.value: list[float] = []
        self.record: list[int] = []
        self.chunks: list[Chunk] = []
        self.batches: list[BatchId] = []
        self.aggregates: list[AggregatePoint] = []
        self.cumulatives: list[CumulativePoint] = []
        self.ticks: list[Tick] = []
        self.exemplars: list[Exemplar] = []
        self._rejected: dict[tuple[int, str], Rejected] = {}

    def point(self, record: int, target: int, time_ns: int, start_ns: int, value: float) -> None:
        """One number of a series, checked.

        Raises:
            reasons.Refused: not_finite, negative_counter.
        """
        if value - value != 0.0 or (target & COUNTER and value < 0):  # the difference is NaN for NaN and infinities
            raise reasons.Refused(*_why(time_ns, value))
        slot = target >> FLAG_BITS
        if target & CUMULATIVE:
            self.cumulatives.append(CumulativePoint(record, slot, time_ns, start_ns, value))
        else:
            self.slot.append(slot)
            self.time_ns.append(time_ns)
            self.value.append(value)
            self.record.append(record)

    def settle(self, points: Points) -> None:
        """Check many points at once, with the outcome that :meth:`point` gives one by one."""
        record, target, times, starts, values, refused = points
        bad = (target < 0) | (times <= 0) | ~np.isfinite(values) | ((target & COUNTER != 0) & (values < 0))
        running = (target & CUMULATIVE != 0) & ~bad
        for at in np.flatnonzero(bad).tolist():
            reason, detail = refused.get(at) or _why(int(times[at]), float(values[at]))
            self.reject(int(record[at]), reason, detail)
        if running.any():
            columns = (record, target >> FLAG_BITS, times, starts, values)
            rows = zip(*(column[running].tolist() for column in columns), strict=True)
            self.cumulatives += [CumulativePoint(*row) for row in rows]
        slot = (target >> FLAG_BITS).astype(np.int32)
        chunk = Chunk(slot, times, values, record)
        if bad.any() or running.any():
            plain = ~(bad | running)
            chunk = chunk.where(plain)
        self.chunks.append(chunk)

    def reject(self, record: int, reason: str, detail: str, events: int = 1) -> None:
        """Count events of a record as unusable; one entry per record and reason, with the first detail."""
        if events <= 0:
            return
        key = (record, reason)
        earlier = self._rejected.get(key)
        if earlier is not None:
            detail, events = earlier.detail, earlier.events + events
        self._rejected[key] = Rejected(record, reason, detail, events)

    def rejected(self) -> list[Rejected]:
        """All rejections in the order of records."""
        return sorted(self._rejected.values(), key=_by_record)

    def columns(self, offset: NDArray[np.int64], appended_ns: NDArray[np.int64]) -> Columns:
        """The run as columns, samples in the order of records."""
        samples = self._samples()
        events = np.bincount(samples.record, minlength=len(offset)).astype(np.int64, copy=False)
        pieces = [p.record for p in self.aggregates] + [p.record for p in self.cumulatives]
        events += np.bincount(pieces, minlength=len(offset)) if pieces else 0
        return Columns(
            slot=samples.slot,
            time_ns=samples.time_ns,
            value=samples.value,
            record=samples.record,
            offset=offset,
            append_ns=appended_ns,
            events=events,
            batches=sorted(self.batches, key=_by_record),
            aggregates=sorted(self.aggregates, key=_by_record),
            cumulatives=sorted(self.cumulatives, key=_by_record),
            ticks=sorted(self.ticks, key=_by_record),
            rejected=self.rejected(),
            exemplars=self.exemplars,
        )

    def _samples(self) -> Chunk:
        chunks = list(self.chunks)
        if self.slot or not chunks:
            chunks.append(
                Chunk(
                    np.array(self.slot, dtype=np.int32),
                    np.array(self.time_ns, dtype=np.int64),
                    np.array(self.value, dtype=np.float64),
                    np.array(self.record, dtype=np.int32),
                )
            )
        if len(chunks) == 1:
            whole = chunks[0]
        else:
            whole = Chunk(
                np.concatenate([c.slot for c in chunks]),
                np.concatenate([c.time_ns for c in chunks]),
                np.concatenate([c.value for c in chunks]),
                np.concatenate([c.record for c in chunks]),
            )
        if whole.record.size and np.any(whole.record[1:] < whole.record[:-1]):
            order = np.argsort(whole.record, kind="stable")
            whole = whole.where(order)
        return whole


def _why(time_ns: int, value: float) -> tuple[str, str]:
    if time_ns <= 0:
        return reasons.BAD_TIME, f"time is {time_ns}"
    return (reasons.NEGATIVE_COUNTER if value < 0 and value - value == 0 else reasons.NOT_FINITE), f"value is {value!r}"


_by_record = attrgetter("record")
