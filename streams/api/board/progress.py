"""How far the pipeline is as a whole, from what workers say of each partition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

FATES: Final = ("late", "duplicate", "rejected", "overflow")
_AT, _FATES, _LAG, _LAG_SECONDS, _DELAY_SECONDS = 3, slice(4, 8), 8, 9, 10


class Pipeline(NamedTuple):
    """The whole pipeline.

    Attributes:
        partitions: that workers own, counted per role; silent: those of which nothing was heard lately.
        lag_records: of all others; lag_seconds, watermark_delay_seconds: the worst. None: nobody said.
        fates: events since the moment that was asked for, by :data:`FATES`; None where nobody said.
    """

    partitions: int
    silent: int
    lag_records: int | None
    lag_seconds: float | None
    watermark_delay_seconds: float | None
    fates: dict[str, int | None]


def pipeline(rows: Iterable[Sequence[Any]], since_ns: int, alive_ns: int) -> Pipeline:
    """Adds up rows of the table ``progress``, sorted by partition and time (see ``BoardReader.progress``)."""
    newest, fates = [], dict.fromkeys(FATES, 0)
    for _, found in groupby(rows, lambda row: row[:_AT]):
        history = list(found)
        newest.append(history[-1])
        for fate, count in zip(FATES, _since(history, since_ns), strict=True):
            fates[fate] += count
    alive = [row for row in newest if row[_AT] >= alive_ns]
    lags, waited, delays = (
        [row[column] for row in alive if row[column] is not None] for column in (_LAG, _LAG_SECONDS, _DELAY_SECONDS)
    )
    return Pipeline(
        len(newest),
        len(newest) - len(alive),
        sum(lags) if lags else None,
        max(waited, default=None),
        max(delays, default=None),
        dict(fates) if newest else dict.fromkeys(FATES),
    )


def _since(history: Sequence[Sequence[Any]], since_ns: int) -> list[int]:
    """Events by fate between a moment and the newest row; a partition whose state began anew counts from zero."""
    before = next((row for row in reversed(history) if row[_AT] <= since_ns), history[0])
    pairs = zip(history[-1][_FATES], before[_FATES], strict=True)
    return [now - then if now >= then else now for now, then in pairs]
