"""Samples on their way into metric batches for ``agents.red``: whose they are, and the series they point to."""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents_emitter.events import SeriesDefinition, encode_exemplars, encode_metric_head
from streams.trace.redwire import Flat, Head, make_flat, room_for, write_batch

MAX_SAMPLES_PER_BATCH: Final = 20_000
"""About 0.5 MB packed: below the 1 MB that ``agents.red`` takes. More go into further batches (``#1``, ``#2``, ...)."""

MAX_EXEMPLARS: Final = 500

_SERIES: Final = b'"series":['
_NO_SERIES: Final = b'"series":[]'
_PRODUCER: Final = b'],"producer":""'

Labels = tuple[tuple[str, str], ...]


class RedBatch(NamedTuple):
    """A record for ``agents.red``: key (service name) and value (a metric batch)."""

    key: str
    value: bytes


def producer_of(prefix: str, key: str, resource: Labels) -> str:
    """The producer of an owner's batches."""
    return f"{prefix}/{hashlib.sha256(repr((key, resource)).encode()).hexdigest()[:12]}"


class Owner:
    """A service (``key``) with what is kept of its resource, and its series: as many as the vocabularies allow."""

    def __init__(self, key: str, resource: Labels) -> None:
        self.key, self._resource = key, resource
        self._prefix = self._producer = ""
        self._numbers: dict[SeriesDefinition, int] = {}
        self._exemplars: dict[int, tuple[float, int, int, int, int]] = {}
        self._json: list[bytes] = []
        self._head = self._make_head()

    def number(self, definition: SeriesDefinition) -> int:
        """The number of a series."""
        return self._numbers.setdefault(definition, len(self._numbers))

    def example(self, number: int, value: float, time_ns: int, trace: tuple[int, int], span: int) -> None:
        """The largest value of a series until exemplars are taken, and the span it was measured on."""
        known = self._exemplars.get(number)
        if known is None or value > known[0]:
            self._exemplars[number] = (value, time_ns, *trace, span)

    def exemplars(self) -> list[RedBatch]:
        """Takes the exemplars (at most :data:`MAX_EXEMPLARS`) as one record. Not numbered: a copy says the same."""
        taken, self._exemplars = self._exemplars, {}
        if not taken:
            return []
        definitions = list(self._numbers)
        rows = [
            {
                "name": definitions[number].name,
                "unit": definitions[number].unit,
                "labels": dict(definitions[number].labels),
                "value": value,
                "time_unix_nano": time_ns,
                "trace_id": f"{high:016x}{low:016x}",
                "span_id": f"{span:016x}",
            }
            for number, (value, time_ns, high, low, span) in list(taken.items())[:MAX_EXEMPLARS]
        ]
        return [RedBatch(self.key, encode_exemplars(dict(self._resource), rows))]

    def batches(
        self, flat: Flat, begin: int, end: int, out: NDArray[np.uint8], numbers: Counter[str]
    ) -> list[RedBatch]:
        """Its samples as metric batches numbered from ``numbers`` on; ``out`` has :meth:`room_for` one."""
        found = []
        for first in range(begin, end, MAX_SAMPLES_PER_BATCH):
            last = min(end, first + MAX_SAMPLES_PER_BATCH)
            size = write_batch(out, self._head, flat, first, last, numbers[self._producer])
            found.append(RedBatch(self.key, out[:size].tobytes()))
            numbers[self._producer] += 1
        return found

    def room_for(self, prefix: str, samples: int) -> int:
        """How many bytes the largest batch of so many samples takes; its producer's name begins with the prefix."""
        if len(self._head.order) < len(self._numbers) or prefix != self._prefix:
            self._prefix, self._producer = prefix, producer_of(prefix, self.key, self._resource)
            self._head = self._make_head()
        return room_for(self._head, min(samples, MAX_SAMPLES_PER_BATCH))

    def _make_head(self) -> Head:
        definitions = list(self._numbers)
        self._json += [series_json(definition) for definition in definitions[len(self._json) :]]
        start = np.cumsum([0, *map(len, self._json)], dtype=np.int64)
        order = np.array(sorted(range(len(definitions)), key=definitions.__getitem__), np.int32)
        head = encode_metric_head(dict(self._resource), [], self._producer)
        split = head.index(_NO_SERIES) + len(_SERIES)
        texts = (head[:split], head[split:] + b',"seq":', b"".join(self._json))
        before, after, json = (np.frombuffer(text, np.uint8) for text in texts)
        return Head(before, after, json, start, order, np.zeros(len(order), np.int32))


def series_json(definition: SeriesDefinition) -> bytes:
    """A series as ``agents_emitter.events.encode_metric_head`` writes it."""
    head = encode_metric_head({}, [definition], "")
    return head[head.index(_SERIES) + len(_SERIES) : -len(_PRODUCER)]


class Owners:
    """Owners by number, and room for the samples of all.

    Attributes:
        by_number: the owners.
    """

    def __init__(self) -> None:
        self._flat, self._out = make_flat(0), np.empty(0, np.uint8)
        self.clear()

    def clear(self) -> None:
        """Forgets all of them."""
        self._numbers: dict[tuple[str, Labels], int] = {}
        self._sorted: list[int] = []
        self.by_number: list[Owner] = []

    def number(self, key: str, resource: Labels) -> int:
        """The number of an owner."""
        known = self._numbers.get((key, resource))
        if known is None:
            known = self._numbers[key, resource] = len(self.by_number)
            self.by_number.append(Owner(key, resource))
            self._sorted = [self._numbers[owner] for owner in sorted(self._numbers)]
        return known

    def flat(self, size: int) -> Flat:
        """Columns for so many samples of all owners: the same memory for each block."""
        if len(self._flat.series) < size:
            self._flat = make_flat(size)
        return self._flat

    def batches(self, prefix: str, begin: NDArray[np.int64], numbers: Counter[str]) -> list[RedBatch]:
        """Batches of the samples in :meth:`flat`, ordered by resource; ``begin`` int64[owners + 1] of each owner's."""
        found: list[RedBatch] = []
        stretches = list(pairwise(begin.tolist()))
        for number in self._sorted:
            (first, last), owner = stretches[number], self.by_number[number]
            if last > first:
                size = owner.room_for(prefix, last - first)
                if len(self._out) < size:
                    self._out = np.empty(2 * size, np.uint8)
                found += owner.batches(self._flat, first, last, self._out, numbers)
        return found

    def exemplars(self) -> list[RedBatch]:
        """Takes those of all owners."""
        return [record for number in self._sorted for record in self.by_number[number].exemplars()]
