"""Numba: where the points of an OTLP ``ExportMetricsServiceRequest`` are, straight from its protobuf bytes.

Only the shape that exporters write is read here; for anything unusual (a message split in two, attributes of a point
not in one piece, groups, malformed bytes) the answer is :data:`UNUSUAL` and the caller asks the protobuf library.
Field numbers: opentelemetry-proto, ``metrics/v1/metrics.proto``.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from streams.domain.kernel import kernel

UNUSUAL: Final = -1

RESOURCE, RESOURCE_END, NAME, NAME_END, UNIT, UNIT_END, SECTION, TEMPORALITY, MONOTONIC = range(9)
"""Columns of the metric rows: byte ranges, the field number of the data (5 gauge, 7 sum, 9 histogram, 10 exponential
histogram, 11 summary), and the enum and bool of the data message."""
METRIC_COLUMNS: Final = 9

METRIC, PIECE, PIECE_END, TIME, START, FLAGS = range(6)
"""Columns of the point rows. The piece is the byte range of the attributes (tags included) of a number point, and the
whole message of any other point."""
POINT_COLUMNS: Final = 6

HAS_VALUE: Final = 2
NO_VALUE: Final = 1


@kernel  # pragma: no cover - compiled
def read_varint(buf: Any, pos: int, end: int) -> tuple[int, int]:
    """Value (as uint64) and next position, -1 where it is cut off or too long."""
    result = np.uint64(0)
    shift = np.uint64(0)
    while pos < end and shift < np.uint64(70):
        byte = np.uint64(buf[pos])
        pos += 1
        result |= (byte & np.uint64(0x7F)) << shift
        if byte < np.uint64(0x80):
            return np.int64(result), pos
        shift += np.uint64(7)
    return np.int64(0), -1


@kernel  # pragma: no cover - compiled
def read_fixed64(buf: Any, pos: int) -> int:
    """Eight bytes as an int64."""
    result = np.uint64(0)
    for i in range(8):
        result |= np.uint64(buf[pos + i]) << np.uint64(8 * i)
    return np.int64(result)


@kernel  # pragma: no cover - compiled
def _read_short(buf: Any, pos: int, end: int) -> tuple[int, int]:
    """The same as :func:`read_varint`, faster for one byte: nearly all tags and sizes."""
    if pos < end and buf[np.uint64(pos)] < np.uint8(0x80):
        return np.int64(buf[np.uint64(pos)]), pos + 1
    return read_varint(buf, pos, end)


@kernel  # pragma: no cover - compiled
def read_field(buf: Any, pos: int, end: int) -> tuple[int, int, int, int]:
    """The field at ``pos``: tag, start and end of its content, next position (-1: unusual)."""
    tag, at = _read_short(buf, pos, end)
    if at < 0 or tag < 8 or tag >= 2**32:
        return 0, 0, 0, -1
    wire = tag & 7
    if wire == 2:
        size, at = _read_short(buf, at, end)
        if at < 0 or size < 0 or size > end - at:
            return 0, 0, 0, -1
        return tag, at, at + size, at + size
    if wire == 0:
        _, after = read_varint(buf, at, end)
        return tag, at, after, after
    if wire == 1 and end - at >= 8:
        return tag, at, at + 8, at + 8
    if wire == 5 and end - at >= 4:
        return tag, at, at + 4, at + 4
    return 0, 0, 0, -1


@njit(cache=True, nogil=True)  # pragma: no cover - compiled
def _number_point(buf: Any, pos: int, end: int, row: Any, bits: Any, at: int) -> bool:  # noqa: C901 - one field each
    """A NumberDataPoint into ``row`` and its value into ``bits[at]`` (float64)."""
    row[PIECE] = 0
    row[PIECE_END] = 0
    row[TIME] = 0
    row[START] = 0
    row[FLAGS] = 0
    raw = bits.view(np.int64)
    while pos < end:
        begin = pos
        tag, a, _, pos = read_field(buf, pos, end)
        if pos < 0:
            return False
        if tag == 58:  # 7 attributes
            if row[PIECE_END] == 0:
                row[PIECE] = begin
            elif row[PIECE_END] != begin:
                return False
            row[PIECE_END] = pos
        elif tag == 25:  # 3 time_unix_nano
            row[TIME] = read_fixed64(buf, a)
        elif tag == 17:  # 2 start_time_unix_nano
            row[START] = read_fixed64(buf, a)
        elif tag == 33:  # 4 as_double
            raw[at] = read_fixed64(buf, a)
            row[FLAGS] |= HAS_VALUE
        elif tag == 49:  # 6 as_int
            bits[at] = np.float64(read_fixed64(buf, a))
            row[FLAGS] |= HAS_VALUE
        elif tag == 64:  # 8 flags
            flags, _ = read_varint(buf, a, end)
            row[FLAGS] = (row[FLAGS] & HAS_VALUE) | (flags & NO_VALUE)
    return True


@njit(cache=True, nogil=True)  # pragma: no cover - compiled
def _data(
    buf: Any, pos: int, end: int, section: int, metric: int, metrics: Any, points: Any, values: Any, filled: int
) -> int:
    """The data message of a metric (gauge, sum, ...); returns the number of points filled so far."""
    while pos < end:
        tag, a, b, pos = read_field(buf, pos, end)
        if pos < 0:
            return UNUSUAL
        if tag == 10:
            if filled >= points.shape[0]:
                return UNUSUAL
            row = points[filled]
            row[METRIC] = metric
            if section <= 7:
                if not _number_point(buf, a, b, row, values, filled):
                    return UNUSUAL
            else:
                row[PIECE] = a
                row[PIECE_END] = b
            filled += 1
        elif tag == 16 and section != 5:
            metrics[metric, TEMPORALITY], _ = read_varint(buf, a, end)
        elif tag == 24 and section == 7:
            monotonic, _ = read_varint(buf, a, end)
            metrics[metric, MONOTONIC] = 1 if monotonic != 0 else 0
    return filled


@njit(cache=True, nogil=True)  # pragma: no cover - compiled
def _metric(buf: Any, pos: int, end: int, metric: int, metrics: Any, points: Any, values: Any, filled: int) -> int:
    while pos < end:
        tag, a, b, pos = read_field(buf, pos, end)
        if pos < 0:
            return UNUSUAL
        number = tag >> 3
        if tag == 10:
            metrics[metric, NAME] = a
            metrics[metric, NAME_END] = b
        elif tag == 26:
            metrics[metric, UNIT] = a
            metrics[metric, UNIT_END] = b
        elif tag & 7 == 2 and (number == 5 or number == 7 or 9 <= number <= 11):
            if metrics[metric, SECTION] != 0:
                return UNUSUAL
            metrics[metric, SECTION] = number
            filled = _data(buf, a, b, number, metric, metrics, points, values, filled)
            if filled < 0:
                return UNUSUAL
    return filled


@njit(cache=True, nogil=True)  # pragma: no cover - compiled
def _resource_metrics(  # noqa: C901 - resource and scope level in one
    buf: Any, pos: int, end: int, metrics: Any, points: Any, values: Any, rows: int, filled: int
) -> tuple[int, int]:
    first = rows
    resource = 0
    resource_end = -1
    while pos < end:
        tag, a, b, pos = read_field(buf, pos, end)
        if pos < 0:
            return UNUSUAL, 0
        if tag == 10:
            if resource_end >= 0:
                return UNUSUAL, 0
            resource = a
            resource_end = b
        elif tag == 18:
            inner = a
            while inner < b:
                tag, c, d, inner = read_field(buf, inner, b)
                if inner < 0:
                    return UNUSUAL, 0
                if tag == 18:
                    if rows >= metrics.shape[0]:
                        return UNUSUAL, 0
                    metrics[rows] = 0
                    filled = _metric(buf, c, d, rows, metrics, points, values, filled)
                    if filled < 0:
                        return UNUSUAL, 0
                    rows += 1
    for row in range(first, rows):
        metrics[row, RESOURCE] = resource
        metrics[row, RESOURCE_END] = max(resource_end, resource)
    return rows, filled


@njit(cache=True, nogil=True)  # pragma: no cover - compiled
def read_request(buf: Any, metrics: Any, points: Any, values: Any) -> tuple[int, int]:
    """Fill the tables from a whole request.

    Arrays:
        buf: uint8, the record.
        metrics: int64[m, METRIC_COLUMNS]; points: int64[p, POINT_COLUMNS]; values: float64[p].

    Returns:
        Metric rows and point rows filled; (:data:`UNUSUAL`, 0) where the tables are too small or the bytes unusual.
    """
    pos = 0
    end = buf.shape[0]
    rows = 0
    filled = 0
    while pos < end:
        tag, a, b, pos = read_field(buf, pos, end)
        if pos < 0:
            return UNUSUAL, 0
        if tag == 10:
            rows, filled = _resource_metrics(buf, a, b, metrics, points, values, rows, filled)
            if rows < 0:
                return UNUSUAL, 0
    return rows, filled
