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
from streams.detect.feature import FEATURES, columns
from streams.detect.record import SAID, Records
from streams.detect.roster import Entries, Roster, Rows, Tier
from streams.detect.state import MOST_PAST, Entry, Restored, Specification, decode, encode
from streams.detect.watch import LARGEST
from streams.domain.anomaly import Anomaly, Finding, Score
from streams.domain.window import WindowBatch
from streams.errors import StateDamaged

DEFAULT_THRESHOLD = 0.9999
"""One window in 10,000 of a healthy series passes (fewer after a day): about one in a day of 10 s windows."""
DEFAULT_WARMUP_WINDOWS = 750
MAX_AGE_SECONDS = 86_400.0
"""A series without a window for this long is forgotten."""
ACTIVE_WINDOWS = 30
"""A series seen within this many windows is not evicted for a new one: the new one is refused instead, or every
series would for ever be warming up."""


class _Asked(NamedTuple):
    """What is asked of a tier.

    Entries of ``rows``; the numbers of all features and rows of the batch; of each series when it was seen before, and
    whether it is judged.
    """

    rows: Rows
    entries: Entries
    numbers: NDArray[np.float64]
    last_ns: NDArray[np.int64]
    live: NDArray[np.bool_]


@dataclass(slots=True)
class DetectResult:
    """Fates of the rows of one batch: ``rows = scored + warming_up + stale + refused + unscored``.

    Attributes:
        anomalies: windows whose score passed the threshold (and K of N, where that is asked for), in row order; those
            of the small detector last.
        scored: series that were judged.
        warming_up: series that were learned silently.
        stale: rows not newer than what was applied: a replay.
        refused: new series over both bounds while all others are active.
        unscored: the overflow series, NaN, and batches of another size than the base.
        evicted: series forgotten in this call, over the bound or too old (not a fate of a row).
        small_scored, small_warming_up: how many of those the small detector judged.
    """

    anomalies: list[Anomaly] = field(default_factory=list)
    scored: int = 0
    warming_up: int = 0
    stale: int = 0
    refused: int = 0
    unscored: int = 0
    evicted: int = 0
    small_scored: int = 0
    small_warming_up: int = 0


class DetectOperator:
    """Scores every series of one source partition; the caller keeps one operator per partition.

    Bounded: at most ``max_series`` series (15 kB a feature), the least recently seen leaves for a new one unless it is
    active (:data:`ACTIVE_WINDOWS`). Series beyond those are judged by the small detector (``registry.SMALL``, 1 kB)
    until they are forgotten, at most ``max_small_series`` by the same rule. None is kept beyond
    :data:`MAX_AGE_SECONDS` without a window.

    Args:
        detector_name: one of ``registry.DETECTORS``.
        threshold: a score of at least this makes an anomaly; [0, 1].
        warmup_windows: windows learned silently per series, at least 20.
        window_seconds: the base size; batches of other sizes are not scored.
        confirm: (k, n): an anomaly is given only when k of the last n windows passed; (1, 1) gives each. The rule
            MetricAnomaly has its own K of N: use one of the two. n at most 100.
        max_series: that the chosen detector has room for.
        max_small_series: that the small one has room for beside them.

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
        max_small_series: int = 20_000,
    ) -> None:
        self.specification = Specification(detector_name, threshold, warmup_windows, window_seconds, confirm)
        self.max_series, self.max_small_series = max_series, max_small_series
        self.restarts_total = 0
        self._window_ns = round(window_seconds * 1e9)
        self._begin()

    def _begin(self) -> None:
        name, warmup_windows = self.specification.detector, self.specification.warmup_windows
        bounds = {name: self.max_series, registry.SMALL: self.max_small_series}
        tiers = [Tier(one, make(one, warmup_windows), bound) for one, bound in bounds.items()]
        self._roster = Roster(tiers, ACTIVE_WINDOWS * self._window_ns)
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
            result.refused, result.evicted = self._roster.admit(rows.unknown, batch.start_ns, rows.place)
            rows = self._roster.rows(batch.series)
        result.unscored += rows.unscored
        result.stale += rows.twice
        if rows.seats:
            self._judge(rows, batch, result)
        result.evicted += self._roster.forget_before(self._newest_ns - round(MAX_AGE_SECONDS * 1e9))
        return result

    def _judge(self, rows: Rows, batch: WindowBatch, result: DetectResult) -> None:
        last_ns = self._roster.last_ns[rows.place]
        fresh = last_ns < batch.start_ns
        self._roster.last_ns[rows.place[fresh]] = batch.start_ns
        live, numbers = fresh.copy(), columns(batch)
        for entries in rows.tiers:
            live[entries.of[~(np.abs(numbers[entries.feature, rows.row[entries.of]]) < LARGEST)]] = False
        result.stale += len(fresh) - int(np.count_nonzero(fresh))
        result.unscored += int(np.count_nonzero(fresh & ~live))
        for tier, entries in zip(self._roster.tiers, rows.tiers, strict=True):
            if len(entries.of):
                self._ask(tier, _Asked(rows, entries, numbers, last_ns, live), batch, result)

    def _ask(self, tier: Tier, asked: _Asked, batch: WindowBatch, result: DetectResult) -> None:
        entries = asked.entries
        values = asked.numbers[entries.feature, asked.rows.row[entries.of]]
        some = np.nonzero(asked.live[entries.of])[0]
        said = np.zeros(len(values), SAID)
        said[some] = tier.bank.score(entries.slot[some], values[some], batch.start_ns)
        warming_up = int(np.count_nonzero(said["warming_up"][entries.first]))
        judged = int(np.count_nonzero(asked.live[entries.of[entries.first]]))
        result.warming_up += warming_up
        result.scored += judged - warming_up
        if tier.detector != self.specification.detector:
            result.small_warming_up, result.small_scored = warming_up, judged - warming_up
        self._confirm(tier, asked, said, batch, result)
        tier.bank.learn()

    def _confirm(self, tier: Tier, asked: _Asked, said: Records, batch: WindowBatch, result: DetectResult) -> None:
        """Anomalies of the series that passed; only those, and such as passed of late, remember anything by it."""
        rows, of, late = asked.rows, asked.entries.of, self._roster.passed_of_late
        passed = (said["score"] >= self.specification.threshold) & asked.live[of]
        some = np.zeros(len(rows.seats), np.bool_)
        some[of[passed]] = True
        watched = of[asked.entries.first]
        for at in watched[asked.live[watched] & (some[watched] | late[rows.place[watched]])].tolist():
            memory, last_ns = rows.seats[at].memory, int(asked.last_ns[at])
            gap = (batch.start_ns - last_ns) // self._window_ns if last_ns else 1
            if memory.confirm(bool(some[at]), gap, self.specification.confirm):
                for entry in np.nonzero(passed & (of == at))[0].tolist():
                    result.anomalies.append(self._anomaly(tier, asked, entry, Score(*said[entry].item()), batch))
                del memory.past[:-MOST_PAST]
            late[rows.place[at]] = memory.recent != 0

    def _anomaly(self, tier: Tier, asked: _Asked, entry: int, score: Score, batch: WindowBatch) -> Anomaly:
        at, number = asked.entries.of[entry], asked.entries.feature[entry]
        memory, name, threshold = asked.rows.seats[at].memory, FEATURES[number], self.specification.threshold
        value = float(asked.numbers[number, asked.rows.row[at]])
        detector = tier.bank.take(int(asked.entries.slot[entry]))
        past = [finding for feature, finding in memory.past if feature == name]
        memory.past.append((name, Finding(batch.start_ns, value, score.score)))
        return Anomaly(
            memory.series,
            batch.start_ns,
            batch.end_ns,
            name,
            value,
            score,
            tier.detector,
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
        except StateDamaged as error:
            self._begin()
            self.restarts_total += 1
            return Restored(0, str(error))
        self._newest_ns = newest_ns
        return Restored(len(entries), "")

    def _entries(self) -> Iterator[Entry]:
        for seat in self._roster:
            tier = self._roster.tiers[seat.tier]
            detectors = tuple(tier.bank.take(slot) for slot in seat.slots)
            yield Entry(seat.memory, int(self._roster.last_ns[seat.place]), tier.detector, detectors)

    def _put(self, entry: Entry) -> None:
        names = [tier.detector for tier in self._roster.tiers]
        seat = self._roster.add(entry.memory, names.index(entry.detector), entry.last_start_ns)
        for slot, detector in zip(seat.slots, entry.detectors, strict=True):
            self._roster.tiers[seat.tier].bank.put(slot, detector)
