# mypy: disable-error-code="no-untyped-call"
"""Detectors of many series, asked together: compiled for the default one, one object after the other for the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from streams.detect import registry
from streams.detect.protocol import Detector
from streams.detect.record import SAID, STATE, WORK, Records, blank
from streams.detect.transfer import to_record, to_watch
from streams.detect.watch import HOLD_WINDOWS, Watch, second_of_day
from streams.detect.watchkernel import follow, learn_all, score_all
from streams.domain.anomaly import Score

GROWTH: Final = 16
"""An array has room for a sixteenth more than it holds, or for so many: what is bounded is bytes per series."""
_numbers: Final = attrgetter(*(field.name for field in fields(Score)))
"""``astuple`` copies deeply, which took half of all the time."""
Slots = NDArray[np.int64]
Values = NDArray[np.float64]


class Bank(Protocol):
    """Numbered detectors of one kind. The caller bounds how many are open."""

    def open(self) -> int:
        """The number of a fresh detector."""
        ...

    def close(self, slot: int) -> None:
        """Forget a detector; its number is given again."""
        ...

    def score(self, slots: Slots, values: Values, at_ns: int) -> Records:
        """Judge one value of each of some detectors (each at most once) that start a window then; changes nothing.

        Args:
            slots: int64[n].
            values: float64[n], all of them usable (``streams.detect.watch.usable``).
            at_ns: see the detectors' protocol.

        Returns:
            SAID[n].
        """
        ...

    def learn(self) -> None:
        """Take into account what was judged last."""
        ...

    def take(self, slot: int) -> Detector:
        """A detector as an object: for snapshots and questions; what it learns may be lost."""
        ...

    def put(self, slot: int, detector: Detector) -> None:
        """Go on with an object's state.

        Raises:
            StateError: the state cannot be.
        """
        ...


class ObjectBank:
    """Any registered detector, one object per slot.

    Args:
        make: gives a fresh detector.
    """

    def __init__(self, make: Callable[[], Detector]) -> None:
        self._make = make
        self._detectors: dict[int, Detector] = {}
        self._next = 0
        self._judged: tuple[list[Detector], list[float], int] = ([], [], 0)

    def open(self) -> int:
        """See :class:`Bank`."""
        self._next += 1
        self._detectors[self._next] = self._make()
        return self._next

    def close(self, slot: int) -> None:
        """See :class:`Bank`."""
        del self._detectors[slot]

    def score(self, slots: Slots, values: Values, at_ns: int) -> Records:
        """See :class:`Bank`."""
        detectors, numbers = [self._detectors[slot] for slot in slots.tolist()], values.tolist()
        self._judged = (detectors, numbers, at_ns)
        scores = [detector.score(value, at_ns) for detector, value in zip(detectors, numbers, strict=True)]
        return np.array([_numbers(score) for score in scores], SAID)

    def learn(self) -> None:
        """See :class:`Bank`."""
        detectors, values, at_ns = self._judged
        for detector, value in zip(detectors, values, strict=True):
            detector.learn(value, at_ns)

    def take(self, slot: int) -> Detector:
        """See :class:`Bank`."""
        return self._detectors[slot]

    def put(self, slot: int, detector: Detector) -> None:
        """See :class:`Bank`."""
        self._detectors[slot] = detector


class NoveltyBank:
    """The default detector, compiled: 14.5 kB per slot, in one array that grows by a sixteenth.

    Args:
        warmup_windows, hold_windows: of each, see ``Watch``.
    """

    def __init__(self, warmup_windows: int, *, hold_windows: int = HOLD_WINDOWS) -> None:
        self._windows: Final = (warmup_windows, hold_windows)
        self.state = blank()
        self._free = [0]
        self._judged: tuple[Any, ...] = ()

    def open(self) -> int:
        """See :class:`Bank`."""
        if not self._free:
            first = len(self.state)
            grown = np.zeros(first + max(GROWTH, first // GROWTH), STATE)
            grown[:first] = self.state
            self.state, self._free = grown, list(range(len(grown) - 1, first - 1, -1))
        slot = self._free.pop()
        self.state[slot] = blank()[0]
        return slot

    def close(self, slot: int) -> None:
        """See :class:`Bank`."""
        self._free.append(slot)

    def score(self, slots: Slots, values: Values, at_ns: int) -> Records:
        """See :class:`Bank`."""
        said, work = np.empty(len(slots), SAID), np.empty(len(slots), WORK)
        second = second_of_day(at_ns)
        score_all(self.state, slots, values, second, *self._windows, work, said)
        self._judged = (slots, values, second, *self._windows, work)
        return said

    def learn(self) -> None:
        """See :class:`Bank`."""
        learn_all(self.state, *self._judged)

    def take(self, slot: int) -> Watch:
        """See :class:`Bank`."""
        watch = registry.novelty(*self._windows)
        to_watch(self.state[slot], watch)
        return watch

    def put(self, slot: int, detector: Detector) -> None:
        """See :class:`Bank`."""
        assert isinstance(detector, Watch)
        self.state[slot] = blank()[0]
        to_record(detector, self.state[slot])

    def follow(self, values: Values, seconds: Values, usable: NDArray[np.bool_]) -> Records:
        """Judge and learn one series' values in order of time, by the only detector there is.

        Args:
            values: float64[n].
            seconds: float64[n], of the day (UTC).
            usable: bool[n], those of the values that are numbers.

        Returns:
            SAID[n]; zeros where a value is not usable.
        """
        said = np.zeros(len(values), SAID)
        follow(self.state, values, seconds, usable, *self._windows, np.empty(1, WORK), said)
        return said


def make(name: str, warmup_windows: int) -> Bank:
    """A bank of detectors of one registered name."""
    if name == registry.DEFAULT:
        return NoveltyBank(warmup_windows)
    return ObjectBank(lambda: registry.make(name, warmup_windows))
