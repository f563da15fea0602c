"""Spans of a run as OTLP protobuf again, by partition: their own bytes in another order, nothing is encoded anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.domain.kernel import kernel

MAX_SPANS: Final = 500
MAX_BYTES: Final = 262_144
"""A record ends with the span that passes one of these: far below what the topic takes."""
_RESOURCE_SPANS: Final = b"\x0a"
_RESOURCE: Final = b"\x0a"
_SCOPE_SPANS: Final = b"\x12"
_SPAN: Final = 0x12
"""Tags: TracesData.resource_spans, ResourceSpans.resource, ResourceSpans.scope_spans, ScopeSpans.spans."""


class Forward(NamedTuple):
    """One record: the partition, the row of its first span, the OTLP protobuf."""

    partition: int
    row: int
    value: bytes


def forward(
    rows: NDArray[Any], raw: NDArray[np.uint8], partition: NDArray[np.int64], resources: Mapping[int, bytes]
) -> Iterator[Forward]:
    """Records for each partition, spans of one partition and resource in the order of the rows.

    The scope of a span is not kept: nothing here reads it.

    Args:
        rows: SPAN[n] that came as protobuf (``raw_bytes`` is not 0).
        raw: uint8[c], where their bytes are.
        partition: int64[n], where each shall go.
        resources: protobuf bytes of each resource, by its number.
    """
    order = np.lexsort((rows["resource"], partition))
    rows, partition = rows[order], partition[order]
    out = np.empty(int((rows["raw_bytes"] + 11).sum()), np.uint8)
    end = np.zeros(len(rows) + 1, np.int64)
    _put_spans(raw, rows["raw"], rows["raw_bytes"], out, end)
    resource = rows["resource"]
    for first, until in _records(partition, end):
        cuts = np.flatnonzero(np.diff(resource[first:until])) + first + 1
        edges = [first, *cuts.tolist(), until]
        parts = [
            _resource_spans(resources[int(resource[a])], out[end[a] : end[b]].tobytes()) for a, b in pairwise(edges)
        ]
        yield Forward(int(partition[first]), int(order[first]), b"".join(parts))


def _records(partition: NDArray[np.int64], end: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """From which row to which each record goes."""
    first, rows = 0, len(partition)
    while first < rows:
        same = int(np.searchsorted(partition, partition[first], side="right"))
        full = int(np.searchsorted(end, end[first] + MAX_BYTES))
        until = min(same, first + MAX_SPANS, max(full, first + 1))
        yield first, until
        first = until


def _resource_spans(resource: bytes, spans: bytes) -> bytes:
    body = b"".join((_RESOURCE, _varint(len(resource)), resource, _SCOPE_SPANS, _varint(len(spans)), spans))
    return b"".join((_RESOURCE_SPANS, _varint(len(body)), body))


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


@kernel
def _put_spans(raw: Any, begin: Any, size: Any, out: Any, end: Any) -> None:
    """Tag, length and bytes of each span; where each ends."""
    at = 0
    for i in range(begin.shape[0]):
        out[at] = _SPAN
        at += 1
        left = np.int64(size[i])
        while left > 127:
            out[at] = left & 127 | 128
            left >>= 7
            at += 1
        out[at] = left
        at += 1
        for k in range(begin[i], begin[i] + size[i]):
            out[at] = raw[k]
            at += 1
        end[i + 1] = at
