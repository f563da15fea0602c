"""From what a ring held to records: the only place where bytes are made.

Each encoder numbers its batches (``seq``, +1 each, from 0) and knows the producer's identity. It is called by one
thread at a time, under the lane's lock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from agents_emitter import events
from agents_emitter.foreign import NO_RESOURCE, Foreign, Ready
from agents_emitter.registry import Registry
from agents_emitter.spool import Batch

Sample = tuple[int, int, float]
DENSE_SAMPLES = 32
"""A page with fewer samples in one drain shares a batch with others, whose head then names only the series used."""
HEAD_BYTES = 256 * 1024
GROUP_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sends: resource attributes, record key and producer id (new for every process and after a fork)."""

    resource: Mapping[str, str]
    key: bytes
    producer: str


class Encoder(Protocol):
    """What a lane needs of an encoder."""

    identity: Identity

    def encode(self, items: list[Any], dropped_total: int) -> tuple[list[Batch], int]:
        """Batches of the items, and how many items were invalid (they count as dropped in these batches already)."""
        ...

    def reset(self, identity: Identity) -> None:
        """Another producer from now on: seq starts at 0."""
        ...


class MetricEncoder:
    """Samples to metric batches.

    A dense page of the registry (see there) gets batches of its own, whose head is the same bytes each time; samples of
    sparse pages share batches. With up to 128 series there is one page, and every batch carries all series known.
    """

    def __init__(self, identity: Identity, registry: Registry, max_batch_samples: int) -> None:
        self._registry = registry
        self._max_batch_samples = max_batch_samples
        self.reset(identity)

    def reset(self, identity: Identity) -> None:
        """Another producer from now on: seq starts at 0."""
        self.identity = identity
        self._seq = 0
        self._heads: dict[int, tuple[int, int, bytes]] = {}

    def encode(self, items: list[Sample], dropped_total: int) -> tuple[list[Batch], int]:
        """Batches of the samples, and how many samples were not usable."""
        usable = self._usable(items)
        invalid = len(items) - len(usable)
        batches = [
            self._batch(head, first_row, columns, dropped_total + invalid)
            for head, first_row, samples in self._groups(usable)
            for columns in _chunks(samples, self._max_batch_samples)
        ]
        return batches, invalid

    def _usable(self, items: list[Sample]) -> list[Sample]:
        values = [value for _, _, value in items]
        if math.isfinite(sum(values)) and min(values, default=0.0) >= 0:
            return items
        rows = self._registry.rows
        return [s for s in items if math.isfinite(s[2]) and (s[2] >= 0 or rows[s[0]].kind != "counter")]

    def _groups(self, samples: list[Sample]) -> Iterator[tuple[bytes, int | dict[int, int], list[Sample]]]:
        """(head, first row or position of each row, samples) of each kind of batch to make."""
        if not samples:
            return
        page_of = self._registry.page_of
        if len(self._registry.page_start) == 1:
            yield *self._page_head(0), samples
            return
        pages: dict[int, list[Sample]] = {}
        for sample in samples:
            pages.setdefault(page_of[sample[0]], []).append(sample)
        sparse: list[Sample] = []
        for page, inside in sorted(pages.items()):
            if len(inside) >= DENSE_SAMPLES:
                yield *self._page_head(page), inside
            else:
                sparse += inside
        yield from self._mixed(sparse)

    def _page_head(self, page: int) -> tuple[bytes, int]:
        start, rows = self._registry.page(page)
        cached = self._heads.get(page)
        if cached is None or cached[0] != len(rows):
            head = events.encode_metric_head(self.identity.resource, rows, self.identity.producer)
            cached = (len(rows), start, head)
            self._heads[page] = cached
        return cached[2], cached[1]

    def _mixed(self, samples: list[Sample]) -> Iterator[tuple[bytes, dict[int, int], list[Sample]]]:
        """Samples of few-used series, in groups whose head stays below its bound."""
        group: list[Sample] = []
        used: dict[int, None] = {}
        size = 0
        for sample in samples:
            row = sample[0]
            if row not in used:
                extra = self._registry.row_bytes[row]
                if used and size + extra > HEAD_BYTES:
                    yield self._mixed_group(group, used)
                    group, used, size = [], {}, 0
                used[row] = None
                size += extra
            group.append(sample)
        if group:
            yield self._mixed_group(group, used)

    def _mixed_group(self, group: list[Sample], used: Iterable[int]) -> tuple[bytes, dict[int, int], list[Sample]]:
        order = sorted(used)
        rows = [self._registry.rows[row] for row in order]
        head = events.encode_metric_head(self.identity.resource, rows, self.identity.producer)
        return head, {row: position for position, row in enumerate(order)}, group

    def _batch(self, head: bytes, first: int | dict[int, int], samples: list[Sample], dropped_total: int) -> Batch:
        rows, times, values = zip(*samples, strict=True)
        index = [first[row] for row in rows] if isinstance(first, dict) else [row - first for row in rows]
        base = times[0]
        value = events.encode_metric_batch(
            head,
            seq=self._seq,
            dropped_total=dropped_total,
            base_time_unix_nano=base,
            index=index,
            offset_ns=[time - base for time in times],
            value=values,
        )
        self._seq += 1
        return Batch(self.identity.key, value, len(samples))


class GroupEncoder:
    """Spans or logs to clean batches, one for each group (trace) and resource, split at a count and an estimated size.

    Items are ours, or :class:`agents_emitter.foreign.Foreign` ones, which bring a resource of their own.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        group_of: Callable[[Any], bytes],
        row_of: Callable[[Any], dict[str, Any]],
        clean: Callable[[dict[str, Any]], dict[str, Any]],
        encode_batch: Callable[..., bytes],
        max_batch_rows: int = 200,
    ) -> None:
        self._group_of = group_of
        self._row_of = row_of
        self._clean = clean
        self._encode_batch = encode_batch
        self._max_batch_rows = max_batch_rows
        self.reset(identity)

    def reset(self, identity: Identity) -> None:
        """Another producer from now on: seq starts at 0."""
        self.identity = identity
        self._seq = 0

    def encode(self, items: list[tuple[int, Any]], dropped_total: int) -> tuple[list[Batch], int]:
        """Batches of the (size, item) pairs. Ours were cleaned when they were made; a foreign one may be invalid."""
        groups: dict[tuple[bytes, int], tuple[Mapping[str, Any], list[tuple[int, dict[str, Any]]]]] = {}
        invalid = 0
        for size, item in items:
            if type(item) is Foreign:
                row, key, own = item.row(), item.group, item.resource
                if row is None:
                    invalid += 1
                    continue
            else:
                row, key, own = self._row_of(item), self._group_of(item), NO_RESOURCE
            group = groups.setdefault((key or self.identity.key, id(own)), (own, []))
            group[1].append((size, self._clean(row)))
        batches = [
            self._batch(key, {**self.identity.resource, **own} if own else self.identity.resource, rows, dropped_total)
            for (key, _), (own, sized) in groups.items()
            for rows in self._chunks(sized)
        ]
        return batches, invalid

    def _chunks(self, sized: list[tuple[int, dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
        chunk: list[dict[str, Any]] = []
        total = 0
        for size, row in sized:
            if chunk and (len(chunk) == self._max_batch_rows or total + size > GROUP_BYTES):
                yield chunk
                chunk, total = [], 0
            chunk.append(row)
            total += size
        yield chunk

    def _batch(self, key: bytes, resource: Mapping[str, Any], rows: list[dict[str, Any]], dropped_total: int) -> Batch:
        value = self._encode_batch(
            resource, rows, producer=self.identity.producer, seq=self._seq, dropped_total=dropped_total
        )
        self._seq += 1
        return Batch(key, value, len(rows))


class ReadyEncoder:
    """Records that another library encoded: they only get the agent's key."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity

    def reset(self, identity: Identity) -> None:
        """Another key from now on."""
        self.identity = identity

    def encode(self, items: list[tuple[int, Ready]], dropped_total: int) -> tuple[list[Batch], int]:
        """One batch of each item; the number of dropped events has no place in a foreign format."""
        return [Batch(self.identity.key, ready.value, ready.events) for _, ready in items], 0


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    if len(items) <= size:
        yield items
        return
    for start in range(0, len(items), size):
        yield items[start : start + size]
