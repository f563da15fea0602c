"""Vectors of one declaration: each feature is judged by what the others do not tell of it.

An agent's vector has the features that it reported in at least half of its first :data:`SETTLE_WINDOWS` windows. How
they hang together (:mod:`streams.detect.relation`) is learned for :data:`MATURE_WINDOWS` more; from then on one
detector for each feature, the small one, sees what is left of it and warms up as detectors do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.detect import registry
from streams.detect.bank import GROWTH, make
from streams.detect.explanation import normal_at, similar
from streams.detect.record import SAID, Records
from streams.detect.relation import LARGEST, RIDGE, learned, left
from streams.detect.state import MOST_PAST
from streams.domain.anomaly import Anomaly, Finding, Score
from streams.domain.series import Series
from streams.domain.vector import LEAST_FEATURES, Vector
from streams.errors import StateDamaged

F64 = NDArray[np.float64]
Flags = NDArray[np.bool_]
Places = NDArray[np.int64]
DETECTOR: Final = "vector"
SETTLE_WINDOWS: Final = 30
MATURE_WINDOWS: Final = 60
MOST_MISSED: Final = 360
"""After so many incomplete windows in a row (an hour of 10 s windows) it is another agent: its vector begins anew."""
MAX_AGE_NS: Final = 86_400 * 10**9
"""An agent without a window for this long is forgotten."""
_FREE: Final = np.iinfo(np.int64).max
"""Of a place that nobody has: newer than any window."""


class Seen(NamedTuple):
    """Vectors of one window.

    ``groups``: n, each once. ``numbers``: float64[n, features]; ``there``: bool[n, features], what was reported;
    ``units``: of the features. ``whole``: no events of the window are known to be lost.
    """

    groups: Sequence[Series]
    numbers: F64
    there: Flags
    units: Sequence[str]
    start_ns: int
    end_ns: int
    whole: bool


@dataclass(slots=True)
class Verdicts:
    """Fates of vectors, each one of these: ``scored`` (some of them ``anomalies``), ``warming_up``, ``incomplete``,
    ``stale`` (not newer than what was applied) or ``refused`` (new, over the bound).
    """

    anomalies: list[Anomaly] = field(default_factory=list)
    scored: int = 0
    warming_up: int = 0
    incomplete: int = 0
    stale: int = 0
    refused: int = 0


class Joint:
    """All vectors of one declaration. Per vector of d features: 1 kB of detector each, and d * d numbers.

    Args:
        vector: what belongs together.
        threshold: a score of at least this makes an anomaly, of the strangest feature, one for each vector and window.
        warmup_windows: of the detectors.
        max_groups: bound; a new one over it is refused until another is older than :data:`MAX_AGE_NS`.
    """

    def __init__(self, vector: Vector, *, threshold: float, warmup_windows: int, max_groups: int) -> None:
        self.vector, self.threshold, self.max_groups = vector, threshold, max_groups
        self._warmup_windows = warmup_windows
        self._rates = np.array([feature.statistic == "rate" for feature in vector.features])
        self._state_of: Final = _record(len(vector.features))
        self.begin()

    def begin(self) -> None:
        """Forget all."""
        self._bank = make(registry.SMALL, self._warmup_windows)
        self._state = self._blank(1)
        self._free = [0]
        self._places: dict[Series, int] = {}
        self._past: dict[int, list[tuple[str, Finding]]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def apply(self, seen: Seen) -> Verdicts:
        """Judge, then learn, the vectors of a window."""
        verdicts = Verdicts()
        places = self._seats(seen.groups, verdicts)
        rows = np.nonzero(places >= 0)[0]
        fresh = rows[self._state["last_ns"][places[rows]] < seen.start_ns]
        verdicts.stale = len(rows) - len(fresh)
        self._state["last_ns"][places[fresh]] = seen.start_ns
        settled = self._state["windows"][places[fresh]] >= SETTLE_WINDOWS
        self._settle(places[fresh[~settled]], seen.there[fresh[~settled]])
        verdicts.warming_up = int(np.count_nonzero(~settled))
        self._complete(seen, fresh[settled], places, verdicts)
        return verdicts

    def _seats(self, groups: Sequence[Series], verdicts: Verdicts) -> Places:
        """Of each its place; -1 of one that is refused."""
        for group in groups:
            if group not in self._places:
                if len(self._places) < self.max_groups:
                    self._places[group] = self._open()
                else:
                    verdicts.refused += 1
        return np.array([self._places.get(group, -1) for group in groups], np.int64)

    def _blank(self, count: int) -> NDArray[Any]:
        state = np.zeros(count, self._state_of)
        state["last_ns"] = _FREE
        return state

    def _open(self) -> int:
        if not self._free:
            first = len(self._state)
            self._state = np.concatenate((self._state, self._blank(max(GROWTH, first // GROWTH))))
            self._free = list(range(len(self._state) - 1, first - 1, -1))
        place = self._free.pop()
        self._state["last_ns"][place] = 0
        return place

    def _settle(self, places: Places, there: Flags) -> None:
        """Which features they have, of those whose vectors are not settled yet."""
        state = self._state
        state["present"][places] += there
        state["windows"][places] += 1
        for place in places[state["windows"][places] >= SETTLE_WINDOWS].tolist():
            had = state["present"][place] * 2 >= SETTLE_WINDOWS
            if np.count_nonzero(had) < LEAST_FEATURES:
                self._reset(place)
                continue
            state["had"][place] = had
            state["slot"][place][had] = [self._bank.open() for _ in range(np.count_nonzero(had))]

    def _reset(self, place: int) -> None:
        """The vector in this place begins anew; when it was seen last stays."""
        had, last_ns = self._state["had"][place], self._state["last_ns"][place]
        for slot in self._state["slot"][place][had].tolist():
            self._bank.close(slot)
        self._state[place] = np.zeros((), self._state_of)
        self._state["last_ns"][place] = last_ns

    def _complete(self, seen: Seen, rows: Places, places: Places, verdicts: Verdicts) -> None:
        """Judge those of the ``rows`` that lack nothing."""
        at, numbers = places[rows], seen.numbers[rows]
        had = self._state["had"][at]
        fit = (seen.there[rows] | self._rates) & (np.abs(numbers) < LARGEST)
        complete = (fit | ~had).all(axis=1) & seen.whole
        self._miss(at[~complete])
        verdicts.incomplete = int(np.count_nonzero(~complete))
        self._state["missed"][at[complete]] = 0
        vectors = np.where(had, numbers, 0.0)[complete]
        self._judge(seen, rows[complete], at[complete], vectors, verdicts)

    def _miss(self, at: Places) -> None:
        self._state["missed"][at] += 1
        for place in at[self._state["missed"][at] >= MOST_MISSED].tolist():
            self._reset(place)

    def _judge(self, seen: Seen, rows: Places, at: Places, vectors: F64, verdicts: Verdicts) -> None:
        state, mature = self._state, self._state["learned"][at] >= MATURE_WINDOWS
        far, residual = np.zeros(len(at)), np.zeros(vectors.shape)
        some = at[mature]
        if len(some):
            residual[mature], distance = left(state["mean"][some], state["spread"][some], vectors[mature])
            far[mature] = distance / np.sqrt(np.count_nonzero(state["had"][some], axis=1))
            said = self._ask(some, residual[mature], seen.start_ns)
            warm = ~(said["warming_up"] & state["had"][some]).any(axis=1)
            verdicts.scored += int(np.count_nonzero(warm))
            passed = np.nonzero(said["score"].max(axis=1) >= self.threshold)[0]
            found = np.nonzero(mature)[0]
            for row in passed.tolist():
                group = seen.groups[rows[found[row]]]
                strange = (vectors[found[row]], residual[found[row]], said[row])
                verdicts.anomalies.append(self._anomaly(group, int(some[row]), strange, seen))
            self._bank.learn()
        verdicts.warming_up += len(at) - verdicts.scored
        state["mean"][at], state["spread"][at] = learned(
            state["learned"][at], state["mean"][at], state["spread"][at], vectors, far
        )
        state["learned"][at] += 1

    def _ask(self, at: Places, residual: F64, at_ns: int) -> Records:
        """SAID[n, features]; zeros of features that a vector has not."""
        had = self._state["had"][at]
        said = np.zeros(residual.shape, SAID)
        said[had] = self._bank.score(self._state["slot"][at][had], residual[had], at_ns)
        return said

    def _anomaly(self, group: Series, place: int, strange: tuple[F64, F64, Records], seen: Seen) -> Anomaly:
        """Of the strangest feature; of two that are equally so, the first."""
        vector, residual, said = strange
        k = int(said["score"].argmax())
        value, told = float(vector[k]), float(vector[k] - residual[k])
        left_over = Score(*said[k].item())
        detector = self._bank.take(int(self._state["slot"][place][k]))
        normal = normal_at(detector, float(residual[k]), left_over, seen.start_ns, self.threshold)
        expected, lower, upper = (told + one for one in (left_over.expected, left_over.lower, left_over.upper))
        score = Score(left_over.score, expected, lower, upper, False, left_over.seen_windows)
        name, past = self.vector.features[k].name, self._past.setdefault(place, [])
        like = similar([one for feature, one in past if feature == name], value, score.expected)
        past.append((name, Finding(seen.start_ns, value, score.score)))
        del past[:-MOST_PAST]
        had = self._state["had"][place]
        return Anomaly(
            Series(group.name, seen.units[k], group.kind, group.labels),
            seen.start_ns,
            seen.end_ns,
            name,
            value,
            score,
            DETECTOR,
            self.threshold,
            None if normal is None else told + normal,
            like,
            tuple((f.name, float(vector[i])) for i, f in enumerate(self.vector.features) if had[i] and i != k),
        )

    def forget_before(self, horizon_ns: int) -> None:
        """Forget the vectors without a window since then."""
        if self._state["last_ns"].min() >= horizon_ns:
            return
        for group, place in list(self._places.items()):
            if self._state["last_ns"][place] < horizon_ns:
                self._reset(place)
                self._state["last_ns"][place] = _FREE
                self._past.pop(place, None)
                self._free.append(place)
                del self._places[group]

    def dump(self) -> Iterator[list[Any]]:
        """State as JSON-able data, one row for each vector, in order of their labels."""
        for group, place in sorted(self._places.items(), key=lambda pair: pair[0].labels):
            row = self._state[place]
            numbers = [row[name].tolist() for name in self._state_of.names or () if name != "slot"]
            detectors = [self._bank.take(slot).snapshot() for slot in row["slot"][row["had"]].tolist()]
            past = [[name, one.start_ns, one.value, one.score] for name, one in self._past.get(place, ())]
            yield [group.labels, numbers, detectors, past]

    def load(self, rows: Iterable[list[Any]]) -> None:
        """The inverse of :meth:`dump`, into nothing.

        Raises:
            StateDamaged, KeyError, TypeError, ValueError: not such data.
        """
        names = [name for name in self._state_of.names or () if name != "slot"]
        for labels, numbers, detectors, past in rows:
            group = Series(self.vector.name, "1", "gauge", tuple((label, value) for label, value in labels))
            place = self._places[group] = self._open()
            row = self._state[place : place + 1]
            try:
                for name, value in zip(names, numbers, strict=True):
                    row[name] = np.asarray(value, row[name].dtype).reshape(row[name].shape)
            except OverflowError as error:
                raise StateDamaged(f"a number of the vector {group.labels} is too large") from error
            if not _possible(row["mean"][0], row["spread"][0]):
                raise StateDamaged(f"the vector {group.labels} holds what cannot be")
            row["slot"][row["had"]] = [self._restored(state) for state in detectors]
            if past:
                self._past[place] = [(name, Finding(*finding)) for name, *finding in past]

    def _restored(self, state: dict[str, Any]) -> int:
        detector = registry.make(registry.SMALL, self._warmup_windows)
        detector.restore(state)
        slot = self._bank.open()
        self._bank.put(slot, detector)
        return slot


def _record(width: int) -> np.dtype[Any]:
    """All that is kept of one vector beside its detectors and past findings."""
    numbers = [(name, "i8") for name in ("last_ns", "windows", "missed", "learned")]
    features = [("present", "i8", width), ("had", "?", width), ("slot", "i8", width), ("mean", "f8", width)]
    return np.dtype([*numbers, *features, ("spread", "f8", (width, width))])


def _possible(mean: F64, spread: F64) -> bool:
    """Whether the matrix is one of covariances, so that it can be inverted."""
    if not (np.isfinite(mean).all() and np.isfinite(spread).all() and (spread == spread.T).all()):
        return False
    deviation = np.sqrt(np.maximum(np.diagonal(spread), 0.0))
    deviation[deviation == 0.0] = 1.0
    return bool(np.linalg.eigvalsh(spread / np.outer(deviation, deviation)).min() > -RIDGE / 2)
