"""Announced spans (phase start) that do not end: sessions that hang.

Time is the arrival clock of the log, so the same log gives the same answer at any speed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.domain.spanrows import SpanTables
from streams.trace.names import template


class Announced(NamedTuple):
    """A span that was announced and has not ended. ``start_ns``: its own clock; ``until_ns``: the arrival clock."""

    span_id: int
    service: str
    environment: str
    operation: str
    start_ns: int
    until_ns: int


@dataclass
class HungWatch:
    """The announcements of one source partition that wait for their end.

    Args:
        patience_ns: an announced span without its end for so long is hung; it is told once.
        limit: announcements that wait at the same time; beyond it the one that waits longest is no longer watched
            (``unwatched`` counts them).
    """

    patience_ns: int
    limit: int = 2_000
    unwatched: int = 0
    _waiting: dict[int, Announced] = field(default_factory=dict)

    def take(
        self, rows: NDArray[Any], tables: SpanTables, arrival_ns: NDArray[np.int64], clock_ns: int
    ) -> list[Announced]:
        """Takes a run of n rows (SPAN[n]) of r records in the order of the log.

        Args:
            rows: new ones only (a replay of what a checkpoint holds would announce again what has ended).
            tables: what they refer to.
            arrival_ns: int64[r], of each record (``rows["record"]``).
            clock_ns: the arrival clock after the run.

        Returns:
            What has hung since, in the order in which it was announced.
        """
        started = rows["phase"] == 1
        if started.any():
            self._announce(rows[started], tables, arrival_ns)
        if self._waiting:
            ended = rows["span"][~started]
            waiting = np.fromiter(self._waiting, np.uint64, len(self._waiting))
            for span_id in np.intersect1d(ended, waiting).tolist():
                del self._waiting[span_id]
        return self._expired(clock_ns)

    def _announce(self, rows: NDArray[Any], tables: SpanTables, arrival_ns: NDArray[np.int64]) -> None:
        text = tables.texts.text
        for row in rows:
            resource = tables.resources.rows[row["resource"]]
            known = Announced(
                int(row["span"]),
                text(int(resource["service"])),
                text(int(resource["environment"])),
                template(text(int(row["name"]))),
                int(row["start_ns"]),
                int(arrival_ns[row["record"]]) + self.patience_ns,
            )
            self._waiting.setdefault(known.span_id, known)
        while len(self._waiting) > self.limit:
            del self._waiting[next(iter(self._waiting))]
            self.unwatched += 1

    def _expired(self, clock_ns: int) -> list[Announced]:
        found = [known for known in self._waiting.values() if known.until_ns <= clock_ns]
        for known in found:
            del self._waiting[known.span_id]
        return found

    def next_ns(self) -> int | None:
        """When the next one would hang; None while nothing waits."""
        return min((known.until_ns for known in self._waiting.values()), default=None)

    def state(self) -> list[list[Any]]:
        """For a checkpoint."""
        return [list(known) for known in self._waiting.values()]

    def restore(self, state: Iterable[Sequence[Any]]) -> None:
        """What :meth:`state` gave, in an empty watch."""
        self._waiting = {known.span_id: known for known in (Announced(*row) for row in state)}
