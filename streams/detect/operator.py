"""Closed windows in, anomalies out: one detector per series and feature.

The operator is a fold over the windows of one source partition. Windows are upserts: one whose start is not newer
than the last applied for its series is ignored and counted, so a replay changes nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from streams.detect import registry
from streams.detect.explanation import normal_at, similar
from streams.detect.feature import columns, features_of
from streams.detect.protocol import Detector
from streams.detect.state import MOST_PAST, Memory, Restored, Specification, decode, encode
from streams.detect.watch import usable
from streams.domain.anomaly import Anomaly, Finding, Score
from streams.domain.series import Series
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
        self._memories: OrderedDict[Series, Memory] = OrderedDict()
        self._newest_ns = 0

    def __len__(self) -> int:
        return len(self._memories)

    def apply(self, batch: WindowBatch) -> DetectResult:
        """Score, then learn, every series of a closed window. O(series x log n)."""
        result = DetectResult()
        if batch.end_ns - batch.start_ns != self._window_ns:
            result.unscored = len(batch)
            return result
        self._newest_ns = max(self._newest_ns, batch.start_ns)
        numbers = columns(batch)
        for row, series in enumerate(batch.series):
            memory = self._memory(series, batch.start_ns, result)
            if memory is not None:
                self._judge(memory, row, numbers, batch, result)
        result.evicted += self._forget_old()
        return result

    def _memory(self, series: Series, start_ns: int, result: DetectResult) -> Memory | None:
        memory = self._memories.get(series)
        if memory is None:
            return self._new_memory(series, start_ns, result)
        if start_ns <= memory.last_start_ns:
            result.stale += 1
            return None
        self._memories.move_to_end(series)
        return memory

    def _new_memory(self, series: Series, start_ns: int, result: DetectResult) -> Memory | None:
        names = features_of(series)
        if not names:
            result.unscored += 1
            return None
        if len(self._memories) >= self.max_series and not self._make_room(start_ns, result):
            result.refused += 1
            return None
        specification = self.specification
        detectors = tuple(registry.make(specification.detector, specification.warmup_windows) for _ in names)
        memory = Memory(series, names, detectors)
        self._memories[series] = memory
        return memory

    def _make_room(self, start_ns: int, result: DetectResult) -> bool:
        oldest = next(iter(self._memories.values()), None)
        if oldest is None or start_ns - oldest.last_start_ns <= ACTIVE_WINDOWS * self._window_ns:
            return False
        del self._memories[oldest.series]
        result.evicted += 1
        return True

    def _judge(
        self, memory: Memory, row: int, numbers: dict[str, list[float]], batch: WindowBatch, result: DetectResult
    ) -> None:
        gap = (batch.start_ns - memory.last_start_ns) // self._window_ns if memory.last_start_ns else 1
        memory.last_start_ns = batch.start_ns
        values = [numbers[name][row] for name in memory.names]
        if not all(usable(value) for value in values):
            result.unscored += 1
            return
        scores = [d.score(value, batch.start_ns) for d, value in zip(memory.detectors, values, strict=True)]
        if scores[0].warming_up:
            result.warming_up += 1
        else:
            result.scored += 1
        passed = [score.score >= self.specification.threshold for score in scores]
        if memory.confirm(any(passed), gap, self.specification.confirm):
            result.anomalies += self._anomalies(memory, values, scores, passed, batch)
        for detector, value in zip(memory.detectors, values, strict=True):
            detector.learn(value, batch.start_ns)

    def _anomalies(
        self,
        memory: Memory,
        values: Sequence[float],
        scores: Sequence[Score],
        passed: Sequence[bool],
        batch: WindowBatch,
    ) -> list[Anomaly]:
        found = []
        for place, name in enumerate(memory.names):
            if passed[place]:
                anomaly = self._anomaly(memory, name, memory.detectors[place], values[place], scores[place], batch)
                memory.past.append((name, Finding(anomaly.start_ns, anomaly.value, anomaly.score.score)))
                found.append(anomaly)
        del memory.past[:-MOST_PAST]
        return found

    def _anomaly(
        self, memory: Memory, name: str, detector: Detector, value: float, score: Score, batch: WindowBatch
    ) -> Anomaly:
        threshold = self.specification.threshold
        past = [finding for feature, finding in memory.past if feature == name]
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

    def _forget_old(self) -> int:
        horizon = self._newest_ns - round(MAX_AGE_SECONDS * 1e9)
        forgotten = 0
        while self._memories:
            series, oldest = next(iter(self._memories.items()))
            if oldest.last_start_ns >= horizon:
                break
            del self._memories[series]
            forgotten += 1
        return forgotten

    def snapshot(self) -> bytes:
        """The whole operator as JSON (UTF-8, arrays in base64); 1 to 20 kB per series."""
        return encode(self.specification, self._newest_ns, self._memories.values())

    def restore(self, data: bytes) -> Restored:
        """Replace the state by a snapshot's.

        A snapshot of another format, River version or specification is not used: the operator is then empty, warms up
        again and says so (``restarts_total``, the reason in the result). Anything unreadable counts the same.

        Raises:
            StateVersionError: of a format newer than this code's.
        """
        self._memories.clear()
        self._newest_ns = 0
        try:
            self._newest_ns, memories = decode(self.specification, data)
        except StateVersionError:
            raise
        except StateError as error:
            self.restarts_total += 1
            return Restored(0, str(error))
        self._memories.update((memory.series, memory) for memory in memories)
        return Restored(len(memories), "")
