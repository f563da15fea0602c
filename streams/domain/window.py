"""Closed windows: what the pipeline computed for every series of a partition over one interval.

A :class:`WindowBatch` is one record on ``agents.windows``: all series of one source partition that had events in one
window, as columns. Its content is a pure function of the source log, its key names it, so downstream treats it as an
upsert.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import orjson
import pybase64
from numpy.typing import NDArray

from streams.domain.recent import Recent
from streams.domain.series import Series

WINDOW_SCHEMA: Final = "agents.window/1"
QUANTILES: Final = (0.5, 0.95, 0.99)
MAX_SERIES_PER_RECORD: Final = 1000
MAX_IN_THE_MAKING: Final = 4
MAX_COUNTERS_PER_RECORD: Final = 400_000
"""About 5 MB as base64 at the widest: far below the topic's largest record."""
SERIES_LISTS: Final = 256
_SERIES: Final = b',"series":['
"""Begins the last field of a record; nothing before it can hold these bytes (a quote in a text is escaped)."""
_FIRST_FIELD: Final = b'{"name":'
"""Begins a series."""


@dataclass(frozen=True, slots=True)
class Window:
    """One series in one closed window, as scalars. Times in nanoseconds, half-open ``[start_ns, end_ns)``."""

    series: Series
    start_ns: int
    end_ns: int
    count: int
    sum: float
    minimum: float
    maximum: float
    sum_squares: float
    p50: float
    p95: float
    p99: float

    @property
    def mean(self) -> float:
        """Sum over count (count is at least 1 in a closed window)."""
        return self.sum / self.count

    @property
    def rate_per_second(self) -> float:
        """For counters: sum of increments per second of window."""
        return self.sum / ((self.end_ns - self.start_ns) / 1e9)


@dataclass(frozen=True)
class WindowBatch:
    """Columns over the series of one closed window of one source partition.

    Attributes:
        topic, partition: where the events came from.
        start_ns, end_ns: half-open window.
        series: n series, sorted by ``Series.id``.
        sum_low: float64[n], what rounding left out of ``sum`` (add both for twice the precision; merges stay exact).
        count: int64[n], events (for pre-aggregated input the number of observations they stand for).
        sum, minimum, maximum, sum_squares: float64[n].
        quantiles: float64[n, 3], p50, p95, p99, relative error at most 2 %.
        sketch_start: int32[n + 1], where each series' sketch entries begin.
        sketch_bucket: int32[m], log-bucket numbers (see ``streams.window.sketch``); sketch_weight: int64[m].
        chunk, chunks: a large window travels as several records, each with a part of the series.
        incomplete: events of this window may have been lost with a part of the log (on the record only where true).
    """

    topic: str
    partition: int
    start_ns: int
    end_ns: int
    series: Sequence[Series]
    count: NDArray[np.int64]
    sum: NDArray[np.float64]
    sum_low: NDArray[np.float64]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    sum_squares: NDArray[np.float64]
    quantiles: NDArray[np.float64]
    sketch_start: NDArray[np.int32]
    sketch_bucket: NDArray[np.int32]
    sketch_weight: NDArray[np.int64]
    chunk: int = 0
    chunks: int = 1
    incomplete: bool = False

    @property
    def key(self) -> bytes:
        """Names the window: same key, same content."""
        return key_prefix(self.topic, self.partition, self.end_ns - self.start_ns) + b"%d/%d" % (
            self.start_ns,
            self.chunk,
        )

    @property
    def size_seconds(self) -> float:
        """Length of the window."""
        return (self.end_ns - self.start_ns) / 1e9

    def __len__(self) -> int:
        return len(self.series)

    def row(self, i: int) -> Window:
        """One series' window as scalars."""
        p50, p95, p99 = self.quantiles[i].tolist()
        return Window(
            self.series[i],
            self.start_ns,
            self.end_ns,
            int(self.count[i]),
            float(self.sum[i]),
            float(self.minimum[i]),
            float(self.maximum[i]),
            float(self.sum_squares[i]),
            p50,
            p95,
            p99,
        )

    def rows(self) -> Iterator[Window]:
        """All windows as scalars (for rules and tests; hot paths use the columns)."""
        return (self.row(i) for i in range(len(self)))


def key_prefix(topic: str, partition: int, size_ns: int) -> bytes:
    """What the keys of a source partition's windows of one size begin with."""
    return f"{topic}/{partition}/{size_ns / 1e9:g}/".encode()


def series_fragment(series: Series) -> bytes:
    """A series as JSON, so that a caller can keep it and not encode it again for each window.

    It is a copy: what orjson gives has the memory of its buffer, 4 KB, for as long as it lives.
    """
    text = orjson.dumps({"name": series.name, "unit": series.unit, "kind": series.kind, "labels": dict(series.labels)})
    return bytes(memoryview(text))


def encode_window_batch(batch: WindowBatch, fragments: bytes | None = None) -> bytes:
    """One record of ``agents.windows``.

    Args:
        batch: the columns.
        fragments: ``series_fragment`` of all rows, joined by commas, where the caller has them.
    """
    if fragments is None:
        fragments = b",".join([series_fragment(s) for s in batch.series])
    weight_type = _weight_type(batch.sketch_weight)
    head = {
        "v": 1,
        "schema": WINDOW_SCHEMA,
        "topic": batch.topic,
        "partition": batch.partition,
        "start_ns": batch.start_ns,
        "end_ns": batch.end_ns,
        "chunk": batch.chunk,
        "chunks": batch.chunks,
    }
    columns = (
        (b"count", batch.count, "<i8"),
        (b"sum", batch.sum, "<f8"),
        (b"sum_low", batch.sum_low, "<f8"),
        (b"min", batch.minimum, "<f8"),
        (b"max", batch.maximum, "<f8"),
        (b"sum_squares", batch.sum_squares, "<f8"),
        (b"quantiles", batch.quantiles, "<f8"),
        (b"sketch_start", batch.sketch_start, "<i4"),
        (b"sketch_bucket", batch.sketch_bucket, "<i2"),
        (b"sketch_weight", batch.sketch_weight, weight_type),
    )
    pieces = [orjson.dumps(head)[:-1]]
    for name, column, dtype in columns:
        pieces += (b',"', name, b'":"', _pack(column, dtype), b'"')
    pieces += (b',"weight_type":"', weight_type.encode(), b'"', b',"incomplete":true' if batch.incomplete else b"")
    return b"".join((*pieces, _SERIES, fragments, b"]}"))


def _weight_type(weight: NDArray[np.int64]) -> str:
    """The narrowest unsigned type that holds every counter: most are small, and the record is mostly counters."""
    largest = int(weight.max()) if len(weight) else 0
    return next(dtype for dtype, bits in (("<u1", 8), ("<u2", 16), ("<u4", 32), ("<u8", 64)) if largest < 1 << bits)


def decode_series(text: bytes) -> list[Series]:
    """A JSON list of series; their labels were written sorted."""
    return [Series(s["name"], s["unit"], s["kind"], tuple(s["labels"].items())) for s in orjson.loads(text)]


def decode_known_series(text: bytes, known: Mapping[bytes, Series]) -> list[Series]:
    """:func:`decode_series`, with the objects of ``known`` where it has them.

    Half the time of reading them, and a look-up by the same object compares nothing.

    Args:
        text: a JSON list as :func:`encode_window_batch` writes it; another one is read whole.
        known: :func:`series_fragment` to its series.
    """
    if not text.startswith(b"[" + _FIRST_FIELD):
        return decode_series(text)
    # no text within can hold what begins a series: its quotes would be escaped
    rest = text[:-1].split(b"," + _FIRST_FIELD)
    rest[0] = rest[0][1 + len(_FIRST_FIELD) :]
    return [known.get(_FIRST_FIELD + one) or decode_series(b"[" + _FIRST_FIELD + one + b"]")[0] for one in rest]


class SeriesLists(Recent[bytes, list[Series]]):
    """:func:`decode_series`, the same objects for the same bytes: from one window to the next they are mostly the same.

    Bounded by count: the :data:`SERIES_LISTS` lists first seen last, each of at most :data:`MAX_SERIES_PER_RECORD`.
    """

    def __init__(self, read: Callable[[bytes], list[Series]] = decode_series) -> None:
        super().__init__(read, key=bytes, limit=SERIES_LISTS)


def decode_window_batch(value: bytes, series_of: Callable[[bytes], list[Series]] = decode_series) -> WindowBatch:
    """The inverse of :func:`encode_window_batch`.

    Args:
        value: the record.
        series_of: reads the JSON list of series, e.g. :meth:`SeriesLists.of`.

    Raises:
        ValueError: not a window record of a version this code knows.
    """
    at = value.find(_SERIES)
    body: dict[str, Any] = orjson.loads(value[:at] + b"}" if at >= 0 else value)
    if body.get("schema") != WINDOW_SCHEMA:
        raise ValueError(f"not a window record: schema {body.get('schema')!r}")
    series = series_of(value[at + len(_SERIES) - 1 : -1])
    return WindowBatch(
        topic=body["topic"],
        partition=body["partition"],
        start_ns=body["start_ns"],
        end_ns=body["end_ns"],
        series=series,
        count=_unpack(body["count"], "<i8"),
        sum=_unpack(body["sum"], "<f8"),
        sum_low=_unpack(body["sum_low"], "<f8"),
        minimum=_unpack(body["min"], "<f8"),
        maximum=_unpack(body["max"], "<f8"),
        sum_squares=_unpack(body["sum_squares"], "<f8"),
        quantiles=_unpack(body["quantiles"], "<f8").reshape(len(series), len(QUANTILES)),
        sketch_start=_unpack(body["sketch_start"], "<i4"),
        sketch_bucket=_unpack(body["sketch_bucket"], "<i2").astype(np.int32),
        sketch_weight=_unpack(body["sketch_weight"], body["weight_type"]).astype(np.int64),
        chunk=body["chunk"],
        chunks=body["chunks"],
        incomplete=body.get("incomplete", False),
    )


def split(batch: WindowBatch, max_series: int = MAX_SERIES_PER_RECORD) -> Iterator[WindowBatch]:
    """Parts, in order, that each become one record: at most ``max_series`` series and about 400,000 sketch counters."""
    edges = _edges(batch.sketch_start, max_series)
    chunks = len(edges) - 1
    for chunk in range(chunks):
        rows = slice(edges[chunk], edges[chunk + 1])
        first, last = batch.sketch_start[rows.start], batch.sketch_start[rows.stop]
        yield replace(
            batch,
            series=batch.series[rows],
            count=batch.count[rows],
            sum=batch.sum[rows],
            sum_low=batch.sum_low[rows],
            minimum=batch.minimum[rows],
            maximum=batch.maximum[rows],
            sum_squares=batch.sum_squares[rows],
            quantiles=batch.quantiles[rows],
            sketch_start=batch.sketch_start[rows.start : rows.stop + 1] - first,
            sketch_bucket=batch.sketch_bucket[first:last],
            sketch_weight=batch.sketch_weight[first:last],
            chunk=chunk,
            chunks=chunks,
        )


def _edges(sketch_start: NDArray[np.int32], max_series: int) -> list[int]:
    """Rows at which a window is cut; always at least one part, and at least one series in a part that is not alone."""
    rows = len(sketch_start) - 1
    edges = [0]
    while edges[-1] < rows:
        first = edges[-1]
        fits = int(np.searchsorted(sketch_start, sketch_start[first] + MAX_COUNTERS_PER_RECORD, side="right")) - 1
        edges.append(min(max(fits, first + 1), first + max_series, rows))
    return edges if rows else [0, 0]


def join(parts: Sequence[WindowBatch], series: Sequence[Series]) -> WindowBatch:
    """The inverse of :func:`split`; parts in order of their chunk number, and the series of all of them."""
    ends = np.cumsum([0, *(len(p.sketch_bucket) for p in parts)])
    starts = [p.sketch_start[:-1] + end for p, end in zip(parts, ends, strict=False)]
    return replace(
        parts[0],
        series=series,
        count=np.concatenate([p.count for p in parts]),
        sum=np.concatenate([p.sum for p in parts]),
        sum_low=np.concatenate([p.sum_low for p in parts]),
        minimum=np.concatenate([p.minimum for p in parts]),
        maximum=np.concatenate([p.maximum for p in parts]),
        sum_squares=np.concatenate([p.sum_squares for p in parts]),
        quantiles=np.concatenate([p.quantiles for p in parts]),
        sketch_start=np.concatenate([*starts, ends[-1:]]).astype(np.int32),
        sketch_bucket=np.concatenate([p.sketch_bucket for p in parts]),
        sketch_weight=np.concatenate([p.sketch_weight for p in parts]),
        chunk=0,
        chunks=1,
    )


@dataclass
class WindowAssembler:
    """Puts a window's records together again; the same lists of series become the same list, window after window.

    Bounded: :data:`MAX_IN_THE_MAKING` windows per (topic, partition, size): records of an owner that writes after it
    lost its partition lie among those of the next one. Beyond it the earliest is given up, counted in ``abandoned``
    (its remaining records will come again where they are replayed). Of each (topic, partition, size) the lists of the
    last whole window are kept.
    """

    abandoned: int = 0
    _parts: dict[tuple[str, int, int], dict[int, dict[int, WindowBatch]]] = field(default_factory=dict)
    _last: dict[tuple[str, int, int], tuple[list[Sequence[Series]], list[Series]]] = field(default_factory=dict)

    def add(self, part: WindowBatch) -> WindowBatch | None:
        """The whole window when this was its last missing record."""
        if part.chunks == 1:
            return part
        source = (part.topic, part.partition, part.end_ns - part.start_ns)
        windows = self._parts.setdefault(source, {})
        parts = windows.setdefault(part.start_ns, {})
        parts[part.chunk] = part
        if len(parts) < part.chunks:
            if len(windows) > MAX_IN_THE_MAKING:
                self.abandoned += 1
                del windows[min(windows)]
            return None
        del windows[part.start_ns]
        whole = [parts[i] for i in range(part.chunks)]
        return join(whole, self._series(source, [one.series for one in whole]))

    def _series(self, source: tuple[str, int, int], lists: list[Sequence[Series]]) -> list[Series]:
        """All of these lists as one: that of the window before where its lists were the same objects."""
        last, joined = self._last.get(source, ([], []))
        if len(last) != len(lists) or any(one is not other for one, other in zip(last, lists, strict=True)):
            joined = [series for part in lists for series in part]
            self._last[source] = (lists, joined)
        return joined


def _pack(column: NDArray[Any], dtype: str) -> bytes:
    return pybase64.b64encode(np.ascontiguousarray(column, dtype=dtype).data)


def _unpack(text: str, dtype: str) -> NDArray[Any]:
    """Can be written, as what was never packed: compiled code tells the two apart, and would be compiled twice."""
    return np.frombuffer(pybase64.b64decode_as_bytearray(text), dtype=dtype)
