"""Heads of metric batches: the part that repeats from batch to batch, resolved once per table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents_emitter import events
from agents_emitter.redaction import Redactor
from streams.decode import labels, reasons
from streams.decode.cache import Generations
from streams.decode.gather import target_of
from streams.decode.numbering import Numbering
from streams.decode.patterns import Patterns
from streams.decode.reasons import Refused, show
from streams.decode.skeleton import Skeletons
from streams.domain.series import LOG_RECORDS, SeriesTable

SPLIT: Final = b',"seq":'
HEAD_KEYS: Final = frozenset({"v", "schema", "resource", "series", "producer"})
BODY_KEYS: Final = frozenset({"seq", "dropped_total", "base_time_unix_nano", "count", "index", "offset_ns", "value"})
_BYTES_PER_SERIES: Final = 16


class Head(NamedTuple):
    """A parsed head.

    Attributes:
        prefix: the head's bytes and ``,"seq":``; empty when the head was not canonical.
        targets: int64, one per series, see ``kernel.FLAG_BITS``.
        details: what was wrong with each refused series, by position.
        producer: the id whose ``seq`` is counted.
    """

    prefix: bytes
    targets: NDArray[np.int64]
    details: Mapping[int, str]
    producer: str


class HeadCache:
    """What decoding remembers from run to run: heads of batches, skeletons of single events, OTLP attribute sets.

    One cache per series table and partition task (it is not for threads). All maps are bounded by count and bytes; at
    the bound the entries that were not used lately are dropped and parsed again when they return. A different table
    empties the cache: slots belong to a table.
    """

    def __init__(self, count: int = 20_000, size_bytes: int = 64 * 1_048_576, redactor: Redactor | None = None) -> None:
        """Bounds of each of the maps: entries and bytes; what is applied to texts."""
        self.redactor = redactor or Redactor()
        self.heads: Generations[bytes, Head] = Generations(count, size_bytes)
        self.latest: Generations[bytes, Head] = Generations(count, size_bytes)
        self.targets: Generations[tuple[Any, ...], int] = Generations(4 * count, size_bytes)
        self.resources: Generations[bytes, labels.Labels] = Generations(count, size_bytes)
        self.skeletons = Skeletons(count, size_bytes // 4)
        self.patterns = Patterns()
        self._table: SeriesTable | None = None

    def bind(self, table: SeriesTable) -> None:
        """Use with this table; forgets everything that was numbered by another one."""
        if self._table is not table:
            for part in (self.heads, self.latest, self.targets, self.skeletons):
                part.clear()
            self.patterns = Patterns(series for series in table.rows if series.name == LOG_RECORDS)
            self._table = table

    def remember(self, key: bytes | None, head: Head) -> None:
        """Keep a canonical head, also as the one last seen under this record key."""
        size_bytes = len(head.prefix) + _BYTES_PER_SERIES * len(head.targets)
        self.heads.put(head.prefix, head, size_bytes)
        self.latest.put(key or b"", head, size_bytes)


def parse_head(body: Mapping[str, Any], table: Numbering, prefix: bytes = b"") -> Head:
    """Resolve a head that was parsed as JSON.

    A series that cannot be used does not spoil the batch: its samples are rejected one by one.

    Raises:
        Refused: missing_field, bad_type.
    """
    resource = body.get("resource", {})
    definitions = body.get("series")
    producer = body.get("producer")
    if definitions is None or producer is None:
        raise Refused(reasons.MISSING_FIELD, "series" if definitions is None else "producer")
    if not isinstance(resource, dict) or not isinstance(definitions, list) or not isinstance(producer, str):
        raise Refused(reasons.BAD_TYPE, "resource is an object, series a list, producer a string")
    inherited = labels.of_resource(resource)
    targets = np.empty(len(definitions), dtype=np.int64)
    details: dict[int, str] = {}
    for position, definition in enumerate(definitions):
        try:
            targets[position] = series_target(definition, inherited, table)
        except Refused as refused:
            targets[position] = -1 - reasons.REASONS.index(refused.reason)
            details[position] = f"series {position}: {refused.detail}"
    return Head(prefix, targets, details, table.redactor.identity(producer))


def series_target(definition: object, inherited: labels.Labels, table: Numbering) -> int:
    """The target of one series definition (also of a single event, which has the same fields).

    Raises:
        Refused: missing_field, bad_type, bad_name, bad_label, too_many_labels.
    """
    if not isinstance(definition, dict):
        raise Refused(reasons.BAD_TYPE, f"a series is an object, not {show(definition)}")
    kind = definition.get("kind", "gauge")
    if not isinstance(kind, str) or kind not in events.KINDS:
        raise Refused(reasons.BAD_TYPE, f"kind is {show(kind)}")
    own = definition.get("labels") or {}
    if not isinstance(own, dict):
        raise Refused(reasons.BAD_TYPE, f"labels is {show(own)}")
    temporality = definition.get("temporality", "delta")
    if temporality not in ("delta", "cumulative"):
        raise Refused(reasons.BAD_TYPE, f"temporality is {show(temporality)}")
    series = labels.series(
        definition.get("name"), definition.get("unit", "1"), kind, labels.clean(own.items(), inherited)
    )
    return target_of(table, series, cumulative=temporality == "cumulative")
