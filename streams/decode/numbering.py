"""The table of series as decoding sees it: nothing gets a number with what redaction finds in it."""

from __future__ import annotations

from agents_emitter.redaction import Redactor
from streams.domain.series import Series, SeriesTable


class Numbering:
    """Numbers series after redaction. A series that the table knows is clean and costs one look-up."""

    def __init__(self, table: SeriesTable, redactor: Redactor) -> None:
        self._table = table
        self.redactor = redactor

    def slot(self, series: Series) -> int:
        """The number of what is left of a series; two that differed only in what was replaced are one."""
        known = self._table.slots.get(series)
        return self._table.slot(self._clean(series)) if known is None else known

    def _clean(self, series: Series) -> Series:
        text = self.redactor.text
        name, unit, kept = text(series.name), text(series.unit), self.redactor.pairs(series.labels)
        if (name, unit, kept) == (series.name, series.unit, series.labels):
            return series
        return Series(name, unit, series.kind, tuple(sorted(dict(kept).items())))
