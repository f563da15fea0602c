"""An exemplar: one observation of a histogram, and the span it was measured on."""

from __future__ import annotations

from typing import NamedTuple

from streams.domain.series import Series


class Exemplar(NamedTuple):
    """``value`` in the series' unit, ``time_ns`` when it was observed; ids in hex (32 and 16 digits)."""

    series: Series
    value: float
    time_ns: int
    trace_id: str
    span_id: str
