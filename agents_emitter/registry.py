"""The series of an emitter: numbered in order of first use and laid out in pages.

The pipeline keeps the parsed form of a batch's head under its bytes, so heads should repeat. Rows never move: a page is
a run of consecutive rows, closed at a count or a size, and from then on its head is the same bytes for ever.
"""

from __future__ import annotations

import threading
from typing import Final

from agents_emitter.events import Kind, SeriesDefinition
from agents_emitter.redaction import Redactor

PAGE_SERIES: Final = 128
PAGE_BYTES: Final = 128 * 1024
OVERFLOW: Final = (("otel.metric.overflow", "true"),)


def definition_bytes(series: SeriesDefinition) -> int:
    """An upper estimate of a definition's JSON: every character may take 6 bytes when escaped."""
    text = series.name + series.unit + "".join(name + value for name, value in series.labels)
    return 64 + 6 * len(series.labels) + (len(text) if text.isascii() and text.isprintable() else 6 * len(text))


class Registry:
    """Numbers label sets, without what redaction finds in them.

    Bounded: at ``limit`` series a new label set gets its metric's overflow series (label ``otel.metric.overflow``),
    one for each metric on top of the limit; ``overflowed`` counts the calls.
    """

    def __init__(self, limit: int, redactor: Redactor | None = None) -> None:
        self.limit = limit
        self.redactor = redactor or Redactor()
        self.rows: list[SeriesDefinition] = []
        self.row_bytes: list[int] = []
        self.page_of: list[int] = []
        self.page_start: list[int] = []
        self.overflowed = 0
        self.lock = threading.RLock()
        self._numbers: dict[tuple[str, tuple[tuple[str, str], ...]], int] = {}
        self._page_bytes = 0

    def number(self, name: str, unit: str, kind: Kind, labels: tuple[tuple[str, str], ...]) -> tuple[int, bool]:
        """The row of a series, and whether it is the one asked for (False: the overflow series)."""
        with self.lock:
            known = self._numbers.get((name, labels))
            if known is not None:
                return known, True
            if len(self.rows) < self.limit:
                return self._add(SeriesDefinition(name, unit, kind, labels)), True
            self.overflowed += 1
            known = self._numbers.get((name, OVERFLOW))
            if known is None:
                known = self._add(SeriesDefinition(name, unit, kind, OVERFLOW))
            return known, False

    def _add(self, series: SeriesDefinition) -> int:
        row = len(self.rows)
        size = definition_bytes(series)
        full = not self.page_start or row - self.page_start[-1] == PAGE_SERIES or self._page_bytes + size > PAGE_BYTES
        if full:
            self.page_start.append(row)
            self._page_bytes = 0
        self._page_bytes += size
        self.page_of.append(len(self.page_start) - 1)
        self.row_bytes.append(size)
        self.rows.append(series)
        self._numbers[series.name, series.labels] = row
        return row

    def page(self, number: int) -> tuple[int, list[SeriesDefinition]]:
        """First row and definitions of a page, as far as it is filled."""
        with self.lock:
            start = self.page_start[number]
            stop = self.page_start[number + 1] if number + 1 < len(self.page_start) else len(self.rows)
            return start, self.rows[start:stop]
