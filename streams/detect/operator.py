"""Closed windows in, anomalies out: one detector per series and feature.

The operator is a fold over the windows of one source partition. Windows are upserts: one whose start is not newer
than the last applied for its series is ignored and counted, so a replay changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.detect import registry
from streams.detect.bank import make
from streams.detect.explanation import normal_at, similar
from streams.detect.feature import FEATURES, columns, features_of
from streams.detect.record import SAID, Records
from streams.detect.roster import Roster, Rows
from streams.detect.state import MOST_PAST, Entry, Memory, Restored, Specification, decode, encode
from streams.detect.watch import LARGEST
from streams.domain.anomaly import Anomaly, Finding, Score
from streams.domain.window import WindowBatch
from streams.errors import StateError, StateVersionError

DEFAULT_THRESHOLD = 0.9999
"""One window in 10,000 of a healthy series passes (fewer after a day): about one in a day of 10 s windows."""
DEFAULT_WARMUP_WINDOWS = 750
MAX_AGE_SECONDS = 86_400.0
"""A series without a window for this long is forgotten."""
ACTIVE_WINDOWS = 30
"""A series seen within this many windows is not evicted for a new one: the new one is refused instead, or every
series would for ever be warming up."""


class _Judged(NamedTuple):
    """What the bank said of the entries of ``rows``; of each series when it was seen before, and whether it counts."""

    rows: Rows
    values: NDArray[np.float64]
    said: Records
    last_ns: NDArray[np.int64]
    live: NDArray[np.bool_]


@dataclass(slots=True)
class DetectResult:
    """Fates of the rows of one batch: ``rows = scored + warming_up + stale + refused + unscored``.

    Attributes:
        anomalies: windows whose score passed the threshold (and K of N, where that is asked for), in row order.
        scored: series that were judged.
        warming_up: series that were learned silently.
        stale: rows not newer than what was applied: a replay.
        refused: new series over the bound while all others are active.
        unscored: the overflow series, NaN, and batches of another size than the base.
        evicted: series forgotten in this call, over the bound or too old (not a fate of a row).
    """

    anomalies: list[Anomaly] = field(default_factory=list)
    scored: int = 0
    warming_up: int = 0
    stale: int = 0
    refused: int = 0
    unscored: int = 0
    evicted: int = 0


class DetectOperator:
    """Scores every series of one source partition; the caller keeps one operator per partition.

    Bounded: at most ``max_series`` series (15 kB each at most), the least recently seen leaves for a new one unless it
    is active (:data:`ACTIVE_WINDOWS`); none is kept beyond :data:`MAX_AGE_SECONDS` without a window.

    Args:
        detector_name: one of ``registry.DETECTORS``.
        threshold: a score of at least this makes an anomaly; [0, 1].
        warmup_windows: windows learned silently per series, at least 20.
        window_seconds: the base size; batches of other sizes are not scored.
        confirm: (k, n): an anomaly is given only when k of the last n windows passed; (1, 1) gives each. The rule
            MetricAnomaly has its own K of N: use one of the two. n at most 100.
        max_series: bound.

    Raises:
        ConfigurationError: no such detector, or a number out of its range.
    """

    def __init__(
        self,
        detector_name: str = registry.DEFAULT,
        *,
        threshold: float = DEFAULT_THRESHOLD,
        warmup_windows: int = DEFAULT_WARMUP_WINDOWS,
        window_seconds: float = 10.0,
        confirm: tuple[int, int] = (1, 1),
        max_series: int = 5_000,
    ) -> None:
        self.specification = Specification(detector_name, threshold, warmup_windows, window_seconds, confirm)
        self.max_series = max_series
        self.restarts_total = 0
        self._window_ns = round(window_seconds * 1e9)
        self._begin()

    def _begin(self) -> None:
        bank = make(self.specification.detector, self.specification.warmup_windows)
        self._roster = Roster(bank, self.max_series, ACTIVE_WINDOWS * self._window_ns)
        self._newest_ns = 0

    def __len__(self) -> int:
        return len(self._roster)

    def apply(self, batch: WindowBatch) -> DetectResult:
        """Score, then learn, every series of a closed window. O(series x log n)."""
        result = DetectResult()
        if batch.end_ns - batch.start_ns != self._window_ns:
            result.unscored = len(batch)
            return result
        self._newest_ns = max(self._newest_ns, batch.start_ns)
        rows = self._roster.rows(batch.series)
        if rows.unknown:
            rows = self._admit(rows, batch, result)
        result.unscored += rows.unscored
        result.stale += rows.twice
        if rows.seats:
            self._judge(rows, batch, result)
        result.evicted += self._roster.forget_before(self._newest_ns - round(MAX_AGE_SECONDS * 1e9))
        return result

    def _admit(self, rows: Rows, batch: WindowBatch, result: DetectResult) -> Rows:
        """Watch the series that are unknown, as far as there is room."""
        needed = set(rows.place.tolist())
        for number, series in enumerate(rows.unknown):
            room, left = self._roster.make_room(batch.start_ns, needed)
            result.evicted += left
            if not room:
                result.refused += len(rows.unknown) - number
                break
            needed.add(self._roster.add(Memory(series, features_of(series))).place)
        return self._roster.rows(batch.series)

    def _judge(self, rows: Rows, batch: WindowBatch, result: DetectResult) -> None:
        last_ns = self._roster.last_ns[rows.place]
        values = columns(batch)[rows.feature, rows.row[rows.of]]
        fresh = last_ns < batch.start_ns
        self._roster.last_ns[rows.place[fresh]] = batch.start_ns
        live = fresh.copy()
        live[rows.of[~(np.abs(values) < LARGEST)]] = False
        entries = np.nonzero(live[rows.of])[0]
        said = np.zeros(len(values), SAID)
        said[entries] = self._roster.bank.score(rows.slot[entries], values[entries], batch.start_ns)
        warming_up = int(np.count_nonzero(said["warming_up"][rows.first]))
        result.stale += len(fresh) - int(np.count_nonzero(fresh))
        result.unscored += int(np.count_nonzero(fresh & ~live))
        result.warming_up += warming_up
        result.scored += int(np.count_nonzero(live)) - warming_up
        self._confirm(_Judged(rows, values, said, last_ns, live), batch, result)
        self._roster.bank.learn()

    def _confirm(self, judged: _Judged, batch: WindowBatch, result: DetectResult) -> None:
        """Anomalies of the series that passed; only those, and such as passed of late, remember anything by it."""
        rows = judged.rows
        passed = (judged.said["score"] >= self.specification.threshold) & judged.live[rows.of]
        some = np.zeros(len(rows.seats), np.bool_)
        some[rows.of[passed]] = True
        for at in np.nonzero(judged.live & (some | self._roster.passed_of_late[rows.place]))[0].tolist():
            memory, last_ns = rows.seats[at].memory, int(judged.last_ns[at])
            gap = (batch.start_ns - last_ns) // self._window_ns if last_ns else 1
            if memory.confirm(bool(some[at]), gap, self.specification.confirm):
                entries = np.nonzero(passed & (rows.of == at))[0].tolist()
                result.anomalies += [self._anomaly(judged, entry, batch) for entry in entries]
                del memory.past[:-MOST_PAST]
            self._roster.passed_of_late[rows.place[at]] = memory.recent != 0

    def _anomaly(self, judged: _Judged, entry: int, batch: WindowBatch) -> Anomaly:
        rows, threshold = judged.rows, self.specification.threshold
        memory, name = rows.seats[rows.of[entry]].memory, FEATURES[rows.feature[entry]]
        value, score = float(judged.values[entry]), Score(*judged.said[entry].item())
        detector = self._roster.bank.take(int(rows.slot[entry]))
        past = [finding for feature, finding in memory.past if feature == name]
        memory.past.append((name, Finding(batch.start_ns, value, score.score)))
        return Anomaly(
            memory.series,
            batch.start_ns,
            batch.end_ns,
            name,
            value,
            score,
            self.specification.detector,
            threshold,
            normal_at(detector, value, score, batch.start_ns, threshold),
            similar(past, value, score.expected),
        )

    def snapshot(self) -> bytes:
        """The whole operator as JSON (UTF-8, arrays in base64); 1 to 20 kB per series."""
        return encode(self.specification, self._newest_ns, self._entries())

    def restore(self, data: bytes) -> Restored:
        """Replace the state by a snapshot's.

        A snapshot of another format, River version or specification is not used: the operator is then empty, warms up
        again and says so (``restarts_total``, the reason in the result). Anything unreadable counts the same.

        Raises:
            StateVersionError: of a format newer than this code's.
        """
        self._begin()
        try:
            newest_ns, entries = decode(self.specification, data)
            for entry in entries:
                self._put(entry)
        except StateVersionError:
            raise
        except StateError as error:
            self._begin()
            self.restarts_total += 1
            return Restored(0, str(error))
        self._newest_ns = newest_ns
        return Restored(len(entries), "")

    def _entries(self) -> Iterator[Entry]:
        for seat in self._roster:
            detectors = tuple(self._roster.bank.take(slot) for slot in seat.slots)
            yield Entry(seat.memory, int(self._roster.last_ns[seat.place]), detectors)

    def _put(self, entry: Entry) -> None:
        seat = self._roster.add(entry.memory, entry.last_start_ns)
        for slot, detector in zip(seat.slots, entry.detectors, strict=True):
            self._roster.bank.put(slot, detector)
