"""Error ratios of groups of series: a fold over closed windows that gives anomalies where too much fails.

Windows that are not newer than the last of their group change nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from streams.detect.band import DEVIATIONS
from streams.detect.share import Share
from streams.detect.snapshot import attempted
from streams.domain.anomaly import Anomaly, Score
from streams.domain.ratio import Ratio
from streams.domain.recent import Recent
from streams.domain.series import Series
from streams.domain.window import WindowBatch
from streams.errors import StateDamaged, StateVersionError

FORMAT_VERSION: Final = 1
DETECTOR: Final = "ratio"
MAX_GROUPS: Final = 2_000
MAX_AGE_NS: Final = 86_400 * 10**9
"""A group without tries for this long is forgotten."""


@dataclass(slots=True)
class Watched:
    """One share and the start of its newest window."""

    share: Share
    last_ns: int = 0


class RatioOperator:
    """Watches the ratios of one source topic.

    Bounded: ``max_groups`` groups (0.5 kB each); one that is new over the bound is left out and counted in
    ``refused_total`` until another is older than :data:`MAX_AGE_NS`.

    Args:
        ratios: what is watched.
        window_ns: the base size; batches of other sizes are not read.
        threshold: a score of at least this makes an anomaly.
        warmup_windows: windows with tries that are learned silently.
        max_groups: bound.
    """

    def __init__(
        self,
        ratios: Sequence[Ratio],
        window_ns: int,
        *,
        threshold: float,
        warmup_windows: int,
        max_groups: int = MAX_GROUPS,
    ) -> None:
        self.window_ns, self.threshold, self.warmup_windows = window_ns, threshold, warmup_windows
        self.max_groups = max_groups
        self.refused_total = 0
        self._ratios = tuple(ratios)
        self._names = {ratio.name for ratio in ratios}
        self._bound: Recent[Sequence[Series], list[tuple[int, Series, bool]]] = Recent(self._bind)
        self._groups: OrderedDict[Series, Watched] = OrderedDict()
        self._newest_ns = 0

    def __len__(self) -> int:
        return len(self._groups)

    def _bind(self, series: Sequence[Series]) -> list[tuple[int, Series, bool]]:
        """(row, group, whether it failed) of every series of a denominator."""
        bound = []
        for ratio in self._ratios:
            for row, one in enumerate(series):
                if one.kind == "counter" and any(selector.matches(one) for selector in ratio.denominator):
                    labels = tuple((name, one.label(name)) for name in ratio.group_by)
                    failed = any(selector.matches(one) for selector in ratio.numerator)
                    bound.append((row, Series(ratio.name, "1", "gauge", labels), failed))
        return bound

    def apply(self, batch: WindowBatch) -> list[Anomaly]:
        """Judge the groups of a window, then learn them; anomalies in order of the groups' names and labels."""
        if batch.end_ns - batch.start_ns != self.window_ns:
            return []
        counts: dict[Series, list[int]] = {}
        for row, group, failed in self._bound.of(batch.series):
            tries = counts.setdefault(group, [0, 0])
            tries[0] += round(float(batch.sum[row])) if failed else 0
            tries[1] += round(float(batch.sum[row]))
        self._newest_ns = max(self._newest_ns, batch.start_ns)
        self._forget_old()
        groups = sorted(counts, key=lambda group: (group.name, group.labels))
        found = (self._judge(group, counts[group][0], counts[group][1], batch) for group in groups if counts[group][1])
        return [anomaly for anomaly in found if anomaly is not None]

    def _judge(self, group: Series, failed: int, tries: int, batch: WindowBatch) -> Anomaly | None:
        watched = self._groups.get(group)
        if watched is None:
            if len(self._groups) >= self.max_groups:
                self.refused_total += 1
                return None
            watched = self._groups[group] = Watched(Share(self.warmup_windows))
        if batch.start_ns <= watched.last_ns:
            return None
        watched.last_ns = batch.start_ns
        self._groups.move_to_end(group)
        share = watched.share
        score = 0.0 if share.warming_up else 1.0 - share.tail(failed, tries)
        anomaly = self._anomaly(group, share, failed, tries, score, batch) if score >= self.threshold else None
        share.learn(failed, tries)
        return anomaly

    def _anomaly(
        self, group: Series, share: Share, failed: int, tries: int, score: float, batch: WindowBatch
    ) -> Anomaly:
        mean, reach = share.mean, DEVIATIONS * share.reach(tries)
        judged = Score(score, mean, max(0.0, mean - reach), min(1.0, mean + reach), False, share.seen)
        most = next((k for k in range(failed, -1, -1) if 1.0 - share.tail(k, tries) < self.threshold), None)
        normal_at = None if most is None else most / tries
        where = (batch.start_ns, batch.end_ns, DETECTOR, failed / tries, judged, DETECTOR, self.threshold, normal_at)
        return Anomaly(group, *where)

    def _forget_old(self) -> None:
        while self._groups:
            group, oldest = next(iter(self._groups.items()))
            if oldest.last_ns >= self._newest_ns - MAX_AGE_NS:
                return
            del self._groups[group]

    def snapshot(self) -> bytes:
        """Everything that decides later scores, as JSON (UTF-8)."""
        rows = [[g.name, g.labels, watched.last_ns, watched.share.dump()] for g, watched in self._groups.items()]
        body = {"v": FORMAT_VERSION, "window_ns": self.window_ns, "newest_ns": self._newest_ns, "groups": rows}
        return orjson.dumps(body)

    def restore(self, data: bytes) -> str:
        """Replace the state by a snapshot's; groups of ratios that are gone are left out.

        Returns:
            Why it was not used, "" where it was; then the operator is empty.

        Raises:
            StateVersionError: of a format newer than this code's.
        """
        self._groups.clear()
        self._newest_ns = 0
        found, reason = attempted(lambda: self._read(orjson.loads(data)))
        if found is not None:
            self._groups.update(found[0])
            self._newest_ns = found[1]
        return reason

    def _read(self, body: dict[str, Any]) -> tuple[dict[Series, Watched], int]:
        if body["v"] > FORMAT_VERSION:
            raise StateVersionError(f"ratios have format {body['v']}, this version reads up to {FORMAT_VERSION}")
        if body["window_ns"] != self.window_ns:
            raise StateDamaged(f"their windows are of {body['window_ns']} ns, ours of {self.window_ns} ns")
        found = {}
        for name, labels, last_ns, state in body["groups"]:
            if name in self._names:
                watched = Watched(Share(self.warmup_windows), int(last_ns))
                watched.share.load(state)
                found[Series(name, "1", "gauge", tuple((key, value) for key, value in labels))] = watched
        return found, int(body["newest_ns"])
