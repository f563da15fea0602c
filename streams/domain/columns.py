"""What decoding a run of records gives: samples in columns, and every other fate by name.

The unit of counting is the *event*: one sample, one pre-aggregated point, one span or one log. An undecodable record
counts as one event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from streams.domain.exemplar import Exemplar


class Record(Protocol):
    """The part of a Kafka record that decoding reads (aiokafka's ConsumerRecord fits)."""

    @property
    def value(self) -> bytes | None:
        """Payload; None is a tombstone."""
        ...

    @property
    def key(self) -> bytes | None:
        """Record key."""
        ...

    @property
    def offset(self) -> int:
        """Position in the partition."""
        ...

    @property
    def timestamp(self) -> int:
        """Milliseconds since the epoch: the broker's append time."""
        ...


class Rejected(NamedTuple):
    """Events of one record that cannot be used. Goes to the dead-letter topic with the record's original bytes.

    ``record`` is the position in the run; ``reason`` a short stable word (a label of a counter); ``detail`` says what
    was wrong, for a person; ``events`` how many are lost by it.
    """

    record: int
    reason: str
    detail: str
    events: int = 1


@dataclass(frozen=True, slots=True)
class AggregatePoint:
    """A histogram that was aggregated by its producer (OTLP), in one interval.

    ``values``/``weights`` stand for its buckets: representative value and number of observations of each non-empty
    bucket. ``minimum``/``maximum`` fall back to bucket bounds where the producer gave none. ``cumulative`` points count
    from ``start_ns``; the window room turns them into deltas.
    """

    record: int
    slot: int
    time_ns: int
    start_ns: int
    cumulative: bool
    count: int
    sum: float
    minimum: float
    maximum: float
    values: tuple[float, ...]
    weights: tuple[int, ...]


class CumulativePoint(NamedTuple):
    """A running total (cumulative counter). The window room turns it into an increment, with reset detection."""

    record: int
    slot: int
    time_ns: int
    start_ns: int
    value: float


class Tick(NamedTuple):
    """Time as data. ``record`` is the position in the run.

    ``source`` names who is so far, where several sources write into a log ("" = the log itself); ``idle`` says that
    nothing is expected of it.
    """

    record: int
    time_ns: int
    source: str = ""
    idle: bool = False


class BatchId(NamedTuple):
    """Who sent a record and its number, for loss and duplicates. ``dropped_total`` is the producer's own count."""

    record: int
    producer: str
    seq: int
    dropped_total: int


@dataclass
class Columns:
    """A decoded run of r records holding n plain samples.

    Attributes:
        slot: int32[n], the series' number in the table given to decode.
        time_ns: int64[n]; value: float64[n], finite.
        record: int32[n], position in the run, ascending.
        offset: int64[r]; append_ns: int64[r], the broker's append time.
        events: int64[r], events decoded from each record and not rejected (samples + aggregates + cumulative points).
        batches: ids of those records that carry one.
    """

    slot: NDArray[np.int32]
    time_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    record: NDArray[np.int32]
    offset: NDArray[np.int64]
    append_ns: NDArray[np.int64]
    events: NDArray[np.int64]
    batches: Sequence[BatchId] = field(default_factory=list)
    aggregates: Sequence[AggregatePoint] = field(default_factory=list)
    cumulatives: Sequence[CumulativePoint] = field(default_factory=list)
    ticks: Sequence[Tick] = field(default_factory=list)
    rejected: Sequence[Rejected] = field(default_factory=list)
    exemplars: Sequence[Exemplar] = field(default_factory=list)
