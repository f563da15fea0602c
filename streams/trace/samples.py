"""Samples in columns, on their way into metric batches for ``agents.red``."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents_emitter.events import SeriesDefinition, encode_exemplars, encode_metric_head

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


class Samples:
    """Samples of one resource, and the series they may point to (at most as many as the vocabularies allow)."""

    def __init__(self) -> None:
        self._numbers: dict[SeriesDefinition, int] = {}
        self._chunks: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]] = []
        self._exemplars: dict[int, tuple[float, int, int, int, int]] = {}
        self._json: list[bytes] = []
        self._order: NDArray[np.int64] = np.zeros(0, np.int64)

    def number(self, definition: SeriesDefinition) -> int:
        """The number of a series."""
        return self._numbers.setdefault(definition, len(self._numbers))

    def add(self, index: NDArray[Any], time_ns: NDArray[Any], value: NDArray[Any]) -> None:
        """Samples of numbered series."""
        self._chunks.append((index, time_ns, value))

    def example(self, number: int, value: float, time_ns: int, trace: tuple[int, int], span: int) -> None:
        """The largest value of a series until the next batch, and the span it was measured on."""
        known = self._exemplars.get(number)
        if known is None or value > known[0]:
            self._exemplars[number] = (value, time_ns, *trace, span)

    def exemplars(self, key: str, resource: Labels) -> list[RedBatch]:
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
        return [RedBatch(key, encode_exemplars(dict(resource), rows))]

    def batches(self, key: str, resource: Labels, prefix: str, numbers: Counter[str]) -> list[RedBatch]:
        """Takes all samples, as metric batches numbered from ``numbers`` on."""
        if not self._chunks:
            return []
        chunks, self._chunks = self._chunks, []
        index, time_ns, value = (np.concatenate(column) for column in zip(*chunks, strict=True))
        digest = hashlib.sha256(repr((key, resource)).encode()).hexdigest()[:12]
        producer = f"{prefix}/{digest}"
        found = []
        for first in range(0, len(index), MAX_SAMPLES_PER_BATCH):
            rows = slice(first, first + MAX_SAMPLES_PER_BATCH)
            head, place = self._head(index[rows], resource, producer)
            body = _body(numbers[producer], place[index[rows]], time_ns[rows], value[rows])
            found.append(RedBatch(key, b"".join((head, b",", body))))
            numbers[producer] += 1
        return found

    def _head(self, index: NDArray[Any], resource: Labels, producer: str) -> tuple[bytes, NDArray[np.uint16]]:
        """The head of the series that are used, and their places in it.

        They are sorted: the same series give the same bytes, which readers recognise.
        """
        if len(self._order) < len(self._numbers):
            definitions = list(self._numbers)
            self._json += [series_json(definition) for definition in definitions[len(self._json) :]]
            self._order = np.array(sorted(range(len(definitions)), key=definitions.__getitem__))
        used = np.zeros(len(self._order), np.bool_)
        used[index] = True
        order = self._order[used[self._order]]
        place = np.zeros(len(self._order), np.uint16)
        place[order] = np.arange(len(order), dtype=np.uint16)
        head = encode_metric_head(dict(resource), [], producer)
        before, after = head.split(_NO_SERIES, 1)
        series = b",".join([self._json[number] for number in order.tolist()])
        return b"".join((before, b'"series":[', series, b"]", after)), place


def series_json(definition: SeriesDefinition) -> bytes:
    """A series as ``agents_emitter.events.encode_metric_head`` writes it."""
    head = encode_metric_head({}, [definition], "")
    return head[head.index(_SERIES) + len(_SERIES) : -len(_PRODUCER)]


def _body(seq: int, index: NDArray[np.uint16], time_ns: NDArray[Any], value: NDArray[Any]) -> bytes:
    """What follows the head, as ``agents_emitter.events.encode_metric_batch`` packs it."""
    base = int(time_ns[0])
    numbers = f'"seq":{seq},"dropped_total":0,"base_time_unix_nano":{base},"count":{len(index)},"index":"'
    columns = (_packed(index, "<u2"), _packed(time_ns - base, "<i8"), _packed(value, "<f8"))
    return b"".join((numbers.encode(), columns[0], b'","offset_ns":"', columns[1], b'","value":"', columns[2], b'"}'))


def _packed(column: NDArray[Any], form: str) -> bytes:
    return base64.b64encode(np.ascontiguousarray(column, form).data)
