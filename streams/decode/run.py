"""Decode a run of records of a metrics or log topic: every format, recognised by content, mixed at will.

The rule of counting: for every record, events decoded plus events rejected equal the events in it; a record that cannot
be taken apart is one event (a batch of ours that says how many samples it holds counts as that many). Ticks and batches
without samples hold none. The number of a batch is given even where all its samples are rejected: it is not lost.
Nothing here raises for any bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import orjson

from agents_emitter import events
from streams import topics
from streams.decode import batch, logs, reasons, single, sniff
from streams.decode.exemplars import read_exemplars
from streams.decode.gather import Gather
from streams.decode.head import HeadCache
from streams.decode.numbering import Numbering
from streams.decode.otlp import MetricReader
from streams.decode.protobuf import ProtobufRun
from streams.decode.reasons import Refused, show
from streams.decode.ticks import tick
from streams.domain.block import Block
from streams.domain.columns import Columns, Record
from streams.domain.series import SeriesTable

__all__ = ["HeadCache", "decode_run"]

LOG_HINTS: Final = frozenset({topics.LOGS, topics.OTLP_LOGS})
_SINGLE_BYTES: Final = 2_048
"""Runs whose records are larger on average are not looked through for known single events: they are batches."""
MILLISECOND_NS: Final = 1_000_000
_STAGE: Final = 256
"""So many unknown records of a run are parsed before the rest is looked through again; then twice as many."""
_LESSONS: Final = 256
"""New skeletons a run may teach beside as many as it matched: a stream that never repeats itself is not learned."""
METRIC_HINTS: Final = frozenset({topics.METRICS, topics.OTLP_METRICS, topics.RED})


def decode_run(records: Sequence[Record], table: SeriesTable, cache: HeadCache, *, hint: str = "") -> Columns:
    """Decode records of one partition.

    Args:
        records: r records in the order of their offsets; only the four attributes of ``Record`` are read.
        table: numbers the series (its limit bounds their count).
        cache: kept between runs; bounded; bound to one table at a time.
        hint: name of the topic. It decides what OTLP protobuf holds; without it (or from any other topic) the first
            leaf message does. All else is recognised by content alone.

    Returns:
        Samples in columns, and every other fate by name. Never raises for what is in a record.
    """
    cache.bind(table)
    block = Block.of(records)
    return _Run(block, table, cache, hint).decode()


class _Run:
    def __init__(self, block: Block, table: SeriesTable, cache: HeadCache, hint: str) -> None:
        self._block = block
        self._table = Numbering(table, cache.redactor)
        self._cache = cache
        self._hint = hint
        self._gather = Gather()
        self._appended = block.timestamp_ms * MILLISECOND_NS
        self._lessons = 0
        self._batches = batch.BatchRun(self._gather, block, self._table, cache)
        self._protobuf = ProtobufRun(self._gather, self._table, cache)

    def decode(self) -> Columns:
        block = self._block
        positions: Sequence[int] = range(len(block))
        if (block.end - block.start).sum() <= _SINGLE_BYTES * len(block):
            positions = self._singles()
        self._take(positions)
        for position in self._batches.flush():
            self._guard(self._any_json, position, block.value(position))
        self._protobuf.flush()
        return self._gather.columns(block.offset, self._appended)

    def _singles(self) -> Sequence[int]:
        """Decodes the records with known skeletons; returns those that are left.

        Some of the unknown ones are parsed and learned in between: what repeats within a run is parsed once.
        """
        left = np.arange(len(self._block))
        stage = _STAGE
        self._lessons = _LESSONS
        while len(left):
            known, before = len(self._cache.skeletons), len(left)
            if known:
                left = single.decode_known(self._block, left, self._appended, self._cache, self._gather)
                self._lessons += before - len(left)
            if len(left) <= stage:
                break
            self._take(left[:stage].tolist())
            left = left[stage:]
            stage *= 2
            if len(self._cache.skeletons) == known:
                break
        found: list[int] = left.tolist()
        return found

    def _take(self, positions: Sequence[int]) -> None:
        for position in self._batches.take(positions):
            self._guard(self._one, position, self._block.value(position))

    def _one(self, position: int, raw: bytes | None) -> None:
        if not raw:
            raise Refused(reasons.EMPTY, "no payload")
        if len(raw) > reasons.MAX_RECORD_BYTES:
            raise Refused(reasons.OVERSIZE, f"{len(raw)} bytes")
        if sniff.is_protobuf(raw) and raw.lstrip()[:1] not in (b"{", b"["):
            self._any_protobuf(position, raw)
        else:
            self._any_json(position, raw)

    def _guard(self, decode: Any, position: int, raw: bytes | None) -> None:
        try:
            decode(position, raw)
        except Refused as refused:
            self._gather.reject(position, refused.reason, refused.detail)

    def _any_json(self, position: int, raw: bytes) -> None:
        try:
            body = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            if sniff.is_protobuf(raw):
                self._any_protobuf(position, raw)
                return
            raise Refused(reasons.NOT_JSON, str(error)[:200]) from error
        if isinstance(body, dict):
            self._object(position, raw, body)
        elif isinstance(body, list):
            self._array(position, body)
        else:
            raise Refused(reasons.UNKNOWN_SCHEMA, f"JSON {show(body)}")

    def _object(self, position: int, raw: bytes, body: dict[str, Any]) -> None:
        if "schema" in body:
            self._ours(position, raw, body)
        elif "resourceMetrics" in body:
            self._nonempty(self._metrics(position).read(body["resourceMetrics"]))
        elif "resourceLogs" in body:
            self._nonempty(self._logs(position).read_json(_list(body["resourceLogs"], "resourceLogs")))
        elif "resourceSpans" in body:
            raise Refused(reasons.WRONG_TOPIC, "OTLP spans among metrics")
        elif single.looks_single(body):
            self._single(position, raw, body)
        else:
            raise Refused(reasons.UNKNOWN_SCHEMA, f"an object with {', '.join(list(body)[:5])[:100] or 'no fields'}")

    def _ours(self, position: int, raw: bytes, body: dict[str, Any]) -> None:
        schema = known_schema(body)
        if schema == events.METRIC_SCHEMA:
            self._batches.add_object(position, body, len(raw))
        elif schema == events.LOG_SCHEMA:
            self._logs(position).read_batch(body)
        elif schema == events.EXEMPLAR_SCHEMA:
            self._gather.exemplars += read_exemplars(body)
        elif schema == events.TICK_SCHEMA:
            self._gather.ticks.append(tick(position, body))
        else:
            raise Refused(reasons.WRONG_TOPIC, "spans among metrics")

    def _single(self, position: int, raw: bytes, body: dict[str, Any]) -> None:
        if not single.decode_event(position, body, int(self._appended[position]), self._table, self._gather):
            return
        number = single.batch_id(position, body, self._cache.redactor)
        if number is not None:
            self._gather.batches.append(number)
        elif self._lessons > 0:
            self._lessons -= 1
            self._cache.skeletons.learn(raw, body, lambda event: single.resolve(event, self._table))

    def _array(self, position: int, items: list[Any]) -> None:
        if not items:
            raise Refused(reasons.EMPTY, "an empty array")
        first = items[0] if isinstance(items[0], dict) else {}
        if "scopeMetrics" in first:
            self._nonempty(self._metrics(position).read(items))
        elif "scopeLogs" in first:
            self._nonempty(self._logs(position).read_json(items))
        elif "scopeSpans" in first:
            raise Refused(reasons.WRONG_TOPIC, "OTLP spans among metrics")
        else:
            for item in items:
                single.decode_event(position, item, int(self._appended[position]), self._table, self._gather)

    def _any_protobuf(self, position: int, raw: bytes) -> None:
        if self._hint in LOG_HINTS:
            content: sniff.Content = "logs"
        elif self._hint in METRIC_HINTS:
            content = "metrics"
        else:
            content = sniff.content_of(raw)
        if content == "spans":
            raise Refused(reasons.WRONG_TOPIC, "OTLP spans among metrics")
        try:
            self._nonempty(
                self._logs(position).read_protobuf(raw) if content == "logs" else self._protobuf.add(position, raw)
            )
        except Refused as refused:
            self._misplaced(raw, content or "metrics", refused)

    @staticmethod
    def _misplaced(raw: bytes, expected: str, refused: Refused) -> None:
        found = sniff.content_of(raw)
        if found and found != expected:
            raise Refused(reasons.WRONG_TOPIC, f"OTLP {found} among {expected}") from refused
        raise refused

    @staticmethod
    def _nonempty(seen: int) -> None:
        if not seen:
            raise Refused(reasons.EMPTY, "a request without any event")

    def _metrics(self, position: int) -> MetricReader:
        return MetricReader(position, self._gather, self._table)

    def _logs(self, position: int) -> logs.LogReader:
        appended = int(self._appended[position])
        return logs.LogReader(position, appended, self._gather, self._table, self._cache.patterns)


_KNOWN: Final = frozenset(
    {events.METRIC_SCHEMA, events.SPAN_SCHEMA, events.LOG_SCHEMA, events.TICK_SCHEMA, events.EXEMPLAR_SCHEMA}
)
_NAMES: Final = frozenset(schema.partition("/")[0] for schema in _KNOWN)


def known_schema(body: dict[str, Any]) -> str:
    """The schema of one of our records.

    Raises:
        Refused: unknown_schema, unsupported_version.
    """
    schema, version = body["schema"], body.get("v")
    if not isinstance(schema, str) or schema.partition("/")[0] not in _NAMES:
        raise Refused(reasons.UNKNOWN_SCHEMA, f"schema is {show(schema)}")
    if schema not in _KNOWN or type(version) is not int or version != events.VERSION:
        raise Refused(reasons.UNSUPPORTED_VERSION, f"schema {show(schema)}, v {show(version)}")
    return schema


def _list(items: object, field: str) -> list[Any]:
    if isinstance(items, list):
        return items
    raise Refused(reasons.BAD_TYPE, f"{field} is {show(items)}")
