"""The windows that every peer must come to, by brute force; and what a peer wrote, read back."""

from __future__ import annotations

import base64
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import orjson

from benchmarks.peers.task import SIZE_NS, series_of
from streams.domain.window import decode_window_batch

SUM_TOLERANCE_RATIO: Final = 1e-9
"""Plain sums depend on their order by about 1e-13 at these lengths."""


class Sample(NamedTuple):
    """One event."""

    series: str
    time_ns: int
    value: float


class Aggregate(NamedTuple):
    """Of one series in one window."""

    count: int
    sum: float
    minimum: float
    maximum: float


Key = tuple[str, int]
"""Series and start of the window in nanoseconds."""
Windows = Mapping[Key, Aggregate]


def samples(record: bytes) -> Iterator[Sample]:
    """The events of a record: a single event, or a batch of ours with packed columns."""
    body = orjson.loads(record)
    if "series" not in body:
        yield Sample(series_of(body), body["time_unix_nano"], body["value"])
        return
    names = [series_of({**series, "resource": body["resource"]}) for series in body["series"]]
    columns = (array(code, base64.b64decode(body[name])) for code, name in (("H", "index"), ("q", "offset_ns")))
    for index, offset_ns, value in zip(*columns, array("d", base64.b64decode(body["value"])), strict=True):
        yield Sample(names[index], body["base_time_unix_nano"] + offset_ns, value)


def brute_force(events: Iterable[Sample]) -> dict[Key, Aggregate]:
    """Every window, from all values of it at once."""
    grouped: dict[Key, list[float]] = {}
    for series, time_ns, value in events:
        grouped.setdefault((series, time_ns - time_ns % SIZE_NS), []).append(value)
    return {key: Aggregate(len(v), math.fsum(v), min(v), max(v)) for key, v in grouped.items()}


def difference(expected: Windows, found: Windows) -> str:
    """What differs, "" if nothing does: counts and extremes exactly, sums up to their rounding."""
    missing, extra = len(expected.keys() - found.keys()), len(found.keys() - expected.keys())
    wrong = [key for key in expected.keys() & found.keys() if not same(expected[key], found[key])]
    parts = [f"{missing} of {len(expected)} missing"] if missing else []
    parts += [f"{extra} that do not exist"] if extra else []
    if wrong:
        key = min(wrong)
        parts.append(f"{len(wrong)} wrong (first {key}: {tuple(found[key])}, not {tuple(expected[key])})")
    return "; ".join(parts)


def same(a: Aggregate, b: Aggregate) -> bool:
    """Equal up to the rounding of sums."""
    return a[:1] + a[2:] == b[:1] + b[2:] and math.isclose(a.sum, b.sum, rel_tol=SUM_TOLERANCE_RATIO)


def of_peer(_: bytes, value: bytes) -> Iterator[tuple[Key, Aggregate]]:
    """A record that a peer wrote (:func:`benchmarks.peers.task.window`)."""
    w = orjson.loads(value)
    yield (w["series"], w["start_ns"]), Aggregate(w["count"], w["sum"], w["min"], w["max"])


def of_faust(key: bytes, value: bytes) -> Iterator[tuple[Key, Aggregate]]:
    """A record of the changelog of Faust's windowed table: key [series, [start, end]] in seconds."""
    series, (start, _) = orjson.loads(key)
    yield (series, round(start * 1e9)), Aggregate(*orjson.loads(value))


def of_ours(_: bytes, value: bytes) -> Iterator[tuple[Key, Aggregate]]:
    """A record of ``agents.windows``; longer windows are left out."""
    if b'"agents.window/1"' not in value[:200]:
        return
    batch = decode_window_batch(value)
    if batch.end_ns - batch.start_ns != SIZE_NS:
        return
    for w in batch.rows():
        labels = dict(w.series.labels)
        series = f"{labels['agent.id']}|{w.series.name}|{labels['operation']}"
        yield (series, w.start_ns), Aggregate(w.count, w.sum, w.minimum, w.maximum)
