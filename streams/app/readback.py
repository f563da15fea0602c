"""A partition's published windows, read again while it is restored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import NamedTuple

from aiokafka import ConsumerRecord

from streams.domain.series import Series
from streams.domain.window import (
    SeriesLists,
    WindowAssembler,
    WindowBatch,
    decode_known_series,
    decode_window_batch,
    key_prefix,
    series_fragment,
)


class Found(NamedTuple):
    """A whole window, and the offset of its first record."""

    window: WindowBatch
    offset: int


@dataclass
class ReadBack:
    """The windows of the base size that a checkpoint covers, of one source partition.

    Lives as long as the restore. Bounded by what the assembler holds and by ``rows``.

    Attributes:
        source: topic and partition. pane_ns: length of the windows it wants.
        offset: where in ``agents.windows`` they begin. closed_ns: what ends later is not covered.
        rows: the series of the checkpoint; windows get these objects. fragment: gives a series as in a record.
    """

    source: tuple[str, int]
    pane_ns: int
    offset: int
    closed_ns: int
    rows: Sequence[Series]
    fragment: Callable[[Series], bytes] = series_fragment
    _begun: dict[int, int] = field(default_factory=dict)
    _assembler: WindowAssembler = field(default_factory=WindowAssembler)

    def __post_init__(self) -> None:
        self._prefix = key_prefix(*self.source, self.pane_ns)

    @cached_property
    def _lists(self) -> SeriesLists:
        known: Mapping[bytes, Series] = {self.fragment(one): one for one in self.rows}
        return SeriesLists(partial(decode_known_series, known=known))

    def take(self, record: ConsumerRecord) -> Found | None:
        """The window that this record completes. The key says whose it is and how long: others are not parsed."""
        if record.offset < self.offset or not (record.key or b"").startswith(self._prefix):
            return None
        part = decode_window_batch(record.value, self._lists.of)
        if part.end_ns - part.start_ns != self.pane_ns or part.end_ns > self.closed_ns:
            return None
        # its other records may lie among those of other partitions, and of an owner that wrote after its time
        first = self._begun.setdefault(part.start_ns, record.offset)
        window = self._assembler.add(part)
        if window is None:
            return None
        del self._begun[part.start_ns]
        return Found(window, first)
