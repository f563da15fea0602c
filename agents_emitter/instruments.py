"""What agents call: counters, gauges, histograms, and their label sets bound once for hot paths.

A bound call is one append of (row, time, value); a call with labels looks the bound one up first. Neither raises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Generic, TypeVar

from agents_emitter.events import Kind
from agents_emitter.registry import Registry
from agents_emitter.ring import Ring
from agents_emitter.text import MAX_LABEL_CHARS, label_pairs

Clock = Callable[[], int]


class Bound:
    """One series of an instrument."""

    __slots__ = ("_clock", "_items", "_ring", "_row")

    def __init__(self, ring: Ring, row: int, clock_ns: Clock) -> None:
        self._ring = ring
        self._items = ring.items
        self._row = row
        self._clock = clock_ns

    def emit(self, value: float = 1.0, /) -> None:
        """Buffer one value. What is not a number is dropped and counted as ``invalid``."""
        items = self._items
        if len(items) >= self._ring.limit:
            self._ring.refuse()
            return
        try:
            items.append((self._row, self._clock(), float(value)))
        except Exception:  # noqa: BLE001  the agent's call: whatever was passed must not break it; counted
            self._ring.invalid.bump()


class BoundCounter(Bound):
    """A counter's or updowncounter's series."""

    __slots__ = ()
    add = Bound.emit


class BoundGauge(Bound):
    """A gauge's series."""

    __slots__ = ()
    set = Bound.emit


class BoundHistogram(Bound):
    """A histogram's series."""

    __slots__ = ()
    record = Bound.emit


B = TypeVar("B", bound=Bound)
_CACHEABLE = frozenset({str, int, float, bool, type(None)})


def _cacheable(labels: dict[str, object]) -> bool:
    """Whether a label set may be kept as a key: plain values of bounded size, never an object of the agent."""
    return all(
        type(value) in _CACHEABLE and (type(value) is not str or len(value) <= MAX_LABEL_CHARS)
        for value in labels.values()
    )


class Instrument(Generic[B]):
    """A metric: a name, a unit and a kind.

    Label values become text (booleans ``true`` and ``false``, None left out). Numbers that compare equal are one label
    value: do not mix ``1`` and ``True``. The cache of bound label sets is bounded by twice the registry's limit.
    """

    kind: ClassVar[Kind]
    bound_type: type[B]

    def __init__(self, registry: Registry, ring: Ring, clock_ns: Clock, name: str, unit: str) -> None:
        self.name = name
        self.unit = unit
        self._registry = registry
        self._ring = ring
        self._clock = clock_ns
        self._cache: dict[tuple[tuple[str, object], ...], B] = {}

    def labels(self, /, **labels: object) -> B:
        """The series with these labels, to be kept and called in hot paths."""
        redactor = self._registry.redactor
        pairs = redactor.pairs(label_pairs({redactor.text(name): value for name, value in labels.items()}))
        row, exact = self._registry.number(self.name, self.unit, self.kind, pairs)
        bound = self.bound_type(self._ring, row, self._clock)
        if exact and len(self._cache) < 2 * self._registry.limit and _cacheable(labels):
            self._cache[tuple(labels.items())] = bound
        return bound

    def _emit(self, value: float = 1.0, /, **labels: object) -> None:
        """Buffer one value of the series with these labels."""
        try:
            bound = self._cache[tuple(labels.items())]
        except Exception:  # noqa: BLE001  not seen yet, or a label value that cannot be hashed: the slow way
            bound = self.labels(**labels)
        bound.emit(value)


class Counter(Instrument[BoundCounter]):
    """Increments, never negative."""

    kind = "counter"
    bound_type = BoundCounter
    add = Instrument._emit


class UpDownCounter(Instrument[BoundCounter]):
    """Increments and decrements."""

    kind = "updowncounter"
    bound_type = BoundCounter
    add = Instrument._emit


class Gauge(Instrument[BoundGauge]):
    """A value that is what it is now."""

    kind = "gauge"
    bound_type = BoundGauge
    set = Instrument._emit


class Histogram(Instrument[BoundHistogram]):
    """Observed values; the pipeline makes the distribution."""

    kind = "histogram"
    bound_type = BoundHistogram
    record = Instrument._emit
