"""Closed windows of one source partition, folded into cumulative counters and histograms, and gauges that expire."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final

import orjson

from streams.domain.exemplar import Exemplar
from streams.domain.recent import Recent
from streams.domain.series import Series
from streams.domain.window import WindowBatch
from streams.errors import StateDamaged, StateVersionError
from streams.publish.gauges import Gauges, GaugesView
from streams.publish.totals import Plan, Totals, TotalsView

SNAPSHOT_VERSION: Final = 1
SNAPSHOT_SCHEMA: Final = "streams.export"
TTL_SECONDS: Final = 300.0
MAX_SERIES: Final = 20_000


class PrometheusFold:
    """The export of one source partition.

    Windows are upserts: of the base size, each start is applied once and only forward, so a replay changes nothing.
    Thread-safe: the stream applies, a scrape thread reads copies.

    Bounded: ``max_series`` counters and histograms and ``max_series`` gauges; see :class:`Totals` and :class:`Gauges`
    for what happens then.

    Attributes:
        topic, partition: the source.
        ignored: windows that were not new. discarded: rows of a snapshot that no longer fit the catalogue.
    """

    def __init__(
        self,
        topic: str,
        partition: int,
        *,
        window_seconds: float = 10.0,
        ttl_seconds: float = TTL_SECONDS,
        max_series: int = MAX_SERIES,
    ) -> None:
        """Args are in seconds of event time; windows of another size than ``window_seconds`` are ignored."""
        self.topic = topic
        self.partition = partition
        self.ignored = 0
        self.discarded = 0
        self._window_ns = round(window_seconds * 1e9)
        self._max_series = max_series
        self._totals = Totals(max_series)
        self._plans: Recent[Sequence[Series], Plan] = Recent(self._totals.plan)
        self._gauges = Gauges(round(ttl_seconds * 1e9), max_series)
        self._exemplars: dict[tuple[int, int], Exemplar] = {}
        self._start_ns = -1
        self._chunks: set[int] = set()
        self._now_ns = 0
        self._lock = threading.Lock()

    def apply(self, batch: WindowBatch) -> bool:
        """Adds one closed window; False if it was not new or has another size.

        Raises:
            ValueError: a window of another partition.
        """
        if (batch.topic, batch.partition) != (self.topic, self.partition):
            raise ValueError(f"a window of {batch.topic}/{batch.partition} for {self.topic}/{self.partition}")
        if batch.end_ns - batch.start_ns != self._window_ns:
            return False
        with self._lock:
            if not self._is_new(batch):
                self.ignored += 1
                return False
            self._now_ns = max(self._now_ns, batch.end_ns)
            self._totals.apply(batch, self._plans.of(batch.series))
            self._gauges.apply(batch, self._now_ns)
        return True

    def _is_new(self, batch: WindowBatch) -> bool:
        if batch.start_ns > self._start_ns:
            self._start_ns, self._chunks = batch.start_ns, set()
        elif batch.start_ns < self._start_ns or batch.chunk in self._chunks:
            return False
        self._chunks.add(batch.chunk)
        return True

    def exemplify(self, exemplars: Sequence[Exemplar]) -> None:
        """Keeps the newest exemplar of each bucket. They are not part of a snapshot: the next ones come soon."""
        with self._lock:
            for one in exemplars:
                place = self._totals.cell(one.series, one.value)
                if place is not None:
                    self._exemplars[place] = one

    def exemplars(self) -> dict[tuple[int, int], Exemplar]:
        """By row and bucket; at most one per exported bucket."""
        with self._lock:
            return dict(self._exemplars)

    def advance(self, event_time_ns: int) -> None:
        """Moves event time without a window (the watermark of an idle partition), so that its gauges expire."""
        with self._lock:
            self._now_ns = max(self._now_ns, event_time_ns)

    @property
    def refused(self) -> int:
        """Series of windows that found no room, not even in an overflow series, or whose counter fell."""
        return self._totals.refused + self._gauges.refused

    def view(self) -> tuple[TotalsView, GaugesView]:
        """A consistent copy for a scrape."""
        with self._lock:
            return self._totals.view(), self._gauges.view(self._now_ns)

    def snapshot(self) -> bytes:
        """The whole fold as JSON; about 100 bytes per series and 8 per histogram bucket."""
        with self._lock:
            body = {
                "v": SNAPSHOT_VERSION,
                "schema": SNAPSHOT_SCHEMA,
                "topic": self.topic,
                "partition": self.partition,
                "window_ns": self._window_ns,
                "start_ns": self._start_ns,
                "chunks": sorted(self._chunks),
                "now_ns": self._now_ns,
                "totals": self._totals.to_data(),
                "gauges": self._gauges.to_data(self._now_ns),
            }
        return orjson.dumps(body)

    def restore(self, snapshot: bytes) -> None:
        """Replaces the content by a snapshot of the same partition and window size; on an error nothing changes.

        Raises:
            StateVersionError: written by a newer version.
            StateError: not a snapshot of this fold.
        """
        try:
            body: dict[str, Any] = orjson.loads(snapshot)
            self._check(body)
            totals, discarded = Totals.from_data(body["totals"], self._max_series)
            gauges = Gauges.from_data(body["gauges"], self._gauges.ttl_ns, self._max_series)
            start_ns, chunks, now_ns = int(body["start_ns"]), set(body["chunks"]), int(body["now_ns"])
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise StateDamaged(f"no snapshot of {self.topic}/{self.partition}: {error!r}") from error
        with self._lock:
            self._totals, self._gauges, self.discarded = totals, gauges, discarded
            self._plans = Recent(totals.plan)
            self._exemplars = {}
            self._start_ns, self._chunks, self._now_ns = start_ns, chunks, now_ns

    def _check(self, body: dict[str, Any]) -> None:
        if body["schema"] != SNAPSHOT_SCHEMA:
            raise ValueError(f"schema {body['schema']!r}")
        if body["v"] > SNAPSHOT_VERSION:
            raise StateVersionError(f"snapshot version {body['v']}, this code reads up to {SNAPSHOT_VERSION}")
        found = (body["topic"], body["partition"], body["window_ns"])
        if found != (self.topic, self.partition, self._window_ns):
            raise ValueError(f"it belongs to {found}")
