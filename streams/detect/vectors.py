"""Features of an agent that hang together when all is well: anomalies where one of them is not what the others tell.

A fold over closed windows. All series of an agent are in one partition (the key of ``agents.metrics`` is the agent's
id), so a window holds the whole vector. A vector that lacks a mean (nothing happened that could have one), of a window
that lacks events, or with a number that is none, is *incomplete*: neither judged nor learned. Windows that are not
newer than the last of their agent change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from streams.detect.joint import MAX_AGE_NS, Joint, Seen, Verdicts
from streams.detect.snapshot import attempted
from streams.domain.recent import Recent
from streams.domain.series import OVERFLOW_LABEL, Series
from streams.domain.vector import Vector
from streams.domain.window import WindowBatch
from streams.errors import StateDamaged, StateVersionError

FORMAT_VERSION: Final = 1
MAX_GROUPS: Final = 1_000


class Bound(NamedTuple):
    """Which series of a batch are what of whose vector.

    ``row`` and ``cell``: int64[series]; cells are those of groups by features. ``units`` of the features.
    """

    groups: list[Series]
    row: NDArray[np.int64]
    cell: NDArray[np.int64]
    units: list[str]


class VectorOperator:
    """Watches the vectors of one source topic.

    Bounded: ``max_groups`` vectors of each declaration (1 kB a feature, 20 kB at most, see :class:`Joint`), none beyond
    :data:`MAX_AGE_NS` without a window.

    Args:
        vectors: what is watched.
        window_ns: the base size; batches of other sizes are not read.
        threshold: a score of at least this makes an anomaly.
        warmup_windows: complete windows that detectors learn silently, after those of :mod:`streams.detect.joint`.
        max_groups: bound.
    """

    def __init__(
        self,
        vectors: Sequence[Vector],
        window_ns: int,
        *,
        threshold: float,
        warmup_windows: int,
        max_groups: int = MAX_GROUPS,
    ) -> None:
        self.window_ns = window_ns
        self._joints = [
            Joint(vector, threshold=threshold, warmup_windows=warmup_windows, max_groups=max_groups)
            for vector in vectors
        ]
        self._bound: Recent[Sequence[Series], list[Bound]] = Recent(
            lambda series: [bind(one.vector, series) for one in self._joints]
        )
        self._newest_ns = 0

    def __len__(self) -> int:
        return sum(len(joint) for joint in self._joints)

    def apply(self, batch: WindowBatch) -> Verdicts:
        """Judge the vectors of a window, then learn them; anomalies in order of declarations and labels."""
        found = Verdicts()
        if batch.end_ns - batch.start_ns != self.window_ns:
            return found
        self._newest_ns = max(self._newest_ns, batch.start_ns)
        for joint, bound in zip(self._joints, self._bound.of(batch.series), strict=True):
            joint.forget_before(self._newest_ns - MAX_AGE_NS)
            if bound.groups:
                _add(found, joint.apply(vectors_of(joint.vector, bound, batch)))
        return found

    def snapshot(self) -> bytes:
        """Everything that decides later scores, as JSON (UTF-8)."""
        rows = [[one.vector.name, one.vector.body(), list(one.dump())] for one in self._joints]
        body = {"v": FORMAT_VERSION, "window_ns": self.window_ns, "newest_ns": self._newest_ns, "vectors": rows}
        return orjson.dumps(body)

    def restore(self, data: bytes) -> str:
        """Replace the state by a snapshot's; vectors that are gone or declared anew are left out.

        Returns:
            Why it was not used, "" where it was; then the operator is empty.

        Raises:
            StateVersionError: of a format newer than this code's.
        """
        self._begin()
        newest_ns, reason = attempted(lambda: self._read(orjson.loads(data)))
        if newest_ns is None:
            self._begin()
        else:
            self._newest_ns = newest_ns
        return reason

    def _begin(self) -> None:
        self._newest_ns = 0
        for joint in self._joints:
            joint.begin()

    def _read(self, body: dict[str, Any]) -> int:
        if body["v"] > FORMAT_VERSION:
            raise StateVersionError(f"vectors have format {body['v']}, this version reads up to {FORMAT_VERSION}")
        if body["window_ns"] != self.window_ns:
            raise StateDamaged(f"their windows are of {body['window_ns']} ns, ours of {self.window_ns} ns")
        kept = {name: (declared, rows) for name, declared, rows in body["vectors"]}
        for joint in self._joints:
            declared, rows = kept.get(joint.vector.name, (None, ()))
            if declared == orjson.loads(orjson.dumps(joint.vector.body())):
                joint.load(rows)
        return int(body["newest_ns"])


def bind(vector: Vector, series: Sequence[Series]) -> Bound:
    """What the series of a batch are in the vectors of a declaration; an overflow series belongs to nobody."""
    groups: dict[Series, int] = {}
    entries: list[tuple[int, int, int]] = []
    units = ["1"] * len(vector.features)
    for row, one in enumerate(series):
        if one.labels and one.labels[0][0] == OVERFLOW_LABEL:
            continue
        for k, feature in enumerate(vector.features):
            if feature.selector.matches(one):
                labels = tuple((name, one.label(name)) for name in vector.group_by)
                group = groups.setdefault(Series(vector.name, "1", "gauge", labels), len(groups))
                entries.append((row, group, k))
                units[k] = f"{one.unit}/s" if feature.statistic == "rate" else one.unit
    ordered = sorted(groups, key=lambda group: group.labels)
    place = {groups[group]: number for number, group in enumerate(ordered)}
    cells = [(number, place[group] * len(vector.features) + k) for number, group, k in entries]
    rows, of = np.array(cells, np.int64).reshape(-1, 2).T.copy()
    return Bound(ordered, rows, of, units)


def vectors_of(vector: Vector, bound: Bound, batch: WindowBatch) -> Seen:
    """The numbers of a window; 0 where nothing was reported."""
    shape = (len(bound.groups), len(vector.features))
    cells = shape[0] * shape[1]
    total = np.bincount(bound.cell, batch.sum[bound.row], cells).reshape(shape)
    count = np.bincount(bound.cell, batch.count[bound.row], cells).reshape(shape)
    rates = np.array([feature.statistic == "rate" for feature in vector.features])
    numbers = np.where(rates, total / batch.size_seconds, total / np.maximum(count, 1.0))
    return Seen(bound.groups, numbers, count > 0, bound.units, batch.start_ns, batch.end_ns, not batch.incomplete)


def _add(found: Verdicts, more: Verdicts) -> None:
    found.anomalies += more.anomalies
    for name in ("scored", "warming_up", "incomplete", "stale", "refused"):
        setattr(found, name, getattr(found, name) + getattr(more, name))
