"""Decode a run of records of a span topic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import orjson
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

from agents_emitter import events
from agents_emitter.redaction import Redactor
from streams import topics
from streams.decode import attributes, reasons, sniff
from streams.decode.cache import Generations
from streams.decode.gather import Gather
from streams.decode.logs import batch_of
from streams.decode.reasons import Refused, show
from streams.decode.run import known_schema
from streams.decode.span import SpanReader, from_protobuf
from streams.decode.spanrun import FAST, SLOW, RunReader, set_resources
from streams.decode.ticks import tick
from streams.domain.block import Block
from streams.domain.columns import BatchId, Record, Rejected, Tick
from streams.domain.span import Span
from streams.domain.spanrows import SpanTables, rows_of, span_of

SPAN_HINTS: Final = frozenset({topics.SPANS, topics.OTLP_SPANS})
_CACHE_OVERHEAD_BYTES: Final = 200
_NOT_PROTOBUF: Final = np.frombuffer(b" \t\n\r\x0b\x0c{[", np.uint8)
"""What follows the first byte where the record may be JSON after white space: it is tried as that first."""


@dataclass
class SpanRun:
    """A decoded run of r records holding n spans.

    Attributes:
        rows: SPAN[n], in the order of records.
        bodies: uint8[b], where the rows' bodies are. raw: uint8[c], where their protobuf bytes are.
        tables: the texts and resources that the rows refer to.
        heads: int64[k, 4], of each record that carries one: position in the run, number of the producer's text, seq,
            dropped_total; in the order of records.
        rejected: what could not be used.
        events: int64[r], spans decoded from each record.
        ticks: time as data.
    """

    rows: NDArray[Any]
    bodies: NDArray[np.uint8]
    raw: NDArray[np.uint8]
    tables: SpanTables
    heads: NDArray[np.int64]
    rejected: list[Rejected]
    events: NDArray[np.int64]
    ticks: list[Tick] = field(default_factory=list)

    @property
    def spans(self) -> list[Span]:
        """The rows as values."""
        return [span_of(row, self.bodies, self.tables) for row in self.rows]

    @property
    def record(self) -> list[int]:
        """Position in the run of each span."""
        return [int(record) for record in self.rows["record"]]

    @property
    def batches(self) -> list[BatchId]:
        """Who sent the records that say so."""
        text = self.tables.texts.text
        return [BatchId(record, text(producer), seq, dropped) for record, producer, seq, dropped in self.heads.tolist()]


def decode_spans(records: Sequence[Record], *, hint: str = "") -> SpanRun:
    """One run alone, see :meth:`SpanDecoder.decode`."""
    return SpanDecoder(SpanTables()).decode(records, hint=hint)


class SpanDecoder:
    """Decodes the runs of one partition into rows that refer to ``tables``.

    It remembers resources by their bytes, bounded by :class:`~streams.decode.cache.Generations`; what a run's rows and
    bodies hold is overwritten by the next call.

    Attributes:
        protobuf: the bytes of resources that came as protobuf, by number; bounded as ``tables`` are.
    """

    def __init__(self, tables: SpanTables, redactor: Redactor | None = None) -> None:
        self.tables = tables
        self._redactor = redactor or Redactor()
        self._reader = RunReader(tables)
        self._resources: Generations[tuple[bool, bytes], int] = Generations(count=10_000, size_bytes=16 * 1_048_576)
        self._generation = tables.generation
        self.protobuf: dict[int, bytes] = {}

    def decode(self, records: Sequence[Record], *, hint: str = "") -> SpanRun:
        """Decode records of one partition: our span batches, OTLP JSON (both shapes), OTLP protobuf, ticks.

        Args:
            records: r records in the order of their offsets.
            hint: name of the topic; a span topic says that protobuf holds spans, else its first leaf message does.

        Returns:
            The spans and every other fate by name. For every record spans plus rejected events equal the events in it.
            Never raises for what is in a record.
        """
        block = Block.of(records)
        ways = _ways(block, hint)
        self._reader.read(block, ways)
        self._name_resources(ways)
        gather = Gather()
        found = self._read_spans(ways, gather)
        found.settle(ways)
        for position in np.flatnonzero(ways == SLOW).tolist():
            redactor = self._redactor if self._reader.suspect[position] else None
            found.read(position, block.value(position), hint, redactor)
        return self._run(len(block), ways, found, gather)

    def _name_resources(self, ways: NDArray[np.uint8]) -> None:
        """Numbers of resources instead of blocks."""
        if self._generation != self.tables.generation:
            self._resources.clear()
            self.protobuf.clear()
            self._generation = self.tables.generation
        reader = self._reader
        group, blocks = reader.resources()
        numbers = np.zeros(len(blocks), np.int32)
        for at, (record, begin, end) in enumerate(blocks.tolist()):
            key = (int(reader.buf[reader.bounds[0, record]]) == 123, reader.buf[begin:end].tobytes())
            number = self._resources[key]
            numbers[at] = self._name_resource(*key) if number is None else number
        if (numbers < 0).any():
            ways[reader.blocks[numbers[group] < 0, 0]] = SLOW
        set_resources(reader.rows, numbers, group)

    def _name_resource(self, is_json: bool, raw: bytes) -> int:
        """The number of a resource; -1 for bytes that are none."""
        try:
            found = orjson.loads(raw) if is_json else attributes.from_protobuf(Resource.FromString(raw).attributes)
        except (orjson.JSONDecodeError, DecodeError):
            return -1
        number = self.tables.resources.number(attributes.flatten(found))
        self._resources.put((is_json, raw), number, len(raw) + _CACHE_OVERHEAD_BYTES)
        if not is_json:
            self.protobuf[number] = raw
        return number

    def _read_spans(self, ways: NDArray[np.uint8], gather: Gather) -> _Slow:
        """Those spans of the fast records that are not for compiled code."""
        found = _Slow(gather)
        reader, maps = self._reader, self.tables.resources.maps
        for place in np.flatnonzero(reader.rows["slow"]).tolist():
            row = reader.rows[place]
            record = int(row["record"])
            if ways[record] == SLOW:
                continue
            raw = reader.buf[row["raw"] : row["raw"] + row["raw_bytes"]].tobytes()
            try:
                found.take(record, place, from_protobuf(WireSpan.FromString(raw), maps[row["resource"]]))
            except DecodeError:
                ways[record] = SLOW
            except Refused as refused:
                found.refuse(record, refused)
        return found

    def _run(self, count: int, ways: NDArray[np.uint8], found: _Slow, gather: Gather) -> SpanRun:
        reader = self._reader
        rows, bodies, heads = reader.rows, reader.bodies, reader.heads
        if (ways == SLOW).any() or rows["slow"].any():
            kept = np.flatnonzero((ways[rows["record"]] == FAST) & (rows["slow"] == 0))
            if len(kept) < len(rows):
                rows = rows[kept]
            place = np.concatenate([kept, found.place])
            more, texts = rows_of(found.spans, self.tables)
            more["record"] = found.record
            alone = reader.rows[found.place[: found.alone]]
            more["raw"][: found.alone], more["raw_bytes"][: found.alone] = alone["raw"], alone["raw_bytes"]
            more["body"] += len(bodies)
            number = self.tables.texts.number
            batches = [(b.record, number(b.producer), b.seq, b.dropped_total) for b in found.batches]
            bodies = np.concatenate([bodies, texts])
            heads = heads[ways[heads[:, 0]] == FAST]  # a record read again says once more whether it is a batch
            heads = np.concatenate([heads, np.array(batches, np.int64).reshape(-1, 4)])
            rows = _merged(rows, more, place) if len(more) else rows
            heads = heads[np.argsort(heads[:, 0], kind="stable")]
        events = np.bincount(rows["record"], minlength=count)
        return SpanRun(rows, bodies, reader.buf, self.tables, heads, gather.rejected(), events, found.ticks)


def _merged(rows: NDArray[Any], more: NDArray[Any], place: NDArray[np.int64]) -> NDArray[Any]:
    """Both kinds of rows by record, and within it by place (int64 of all of them); each row is copied once."""
    at = np.empty(len(place), np.intp)
    at[np.lexsort((place, np.concatenate([rows["record"], more["record"]])))] = np.arange(len(place))
    merged = np.empty(len(place), rows.dtype)
    merged[at[: len(rows)]], merged[at[len(rows) :]] = rows, more
    return merged


class _Slow:
    """What is read span by span: the values of it, and who sent them."""

    def __init__(self, gather: Gather) -> None:
        self.spans: list[Span] = []
        self.record: list[int] = []
        self.batches: list[BatchId] = []
        self.ticks: list[Tick] = []
        self.gather = gather
        self._alone: list[tuple[int, int, Span | Refused]] = []
        self._places: list[int] = []

    @property
    def alone(self) -> int:
        """How many of the spans, the first ones, are of records whose others are rows already."""
        return len(self._places)

    @property
    def place(self) -> NDArray[np.int64]:
        """Where each span stands among those of its record."""
        rest = len(self.spans) - len(self._places)
        return np.concatenate([np.array(self._places, np.int64), np.arange(rest)])

    def take(self, record: int, place: int, span: Span) -> None:
        """A span of a record whose others are rows already, at a place among all rows."""
        self._alone.append((record, place, span))

    def refuse(self, record: int, refused: Refused) -> None:
        """The same for one that cannot be used."""
        self._alone.append((record, 0, refused))

    def settle(self, ways: NDArray[np.uint8]) -> None:
        """Counts the spans taken alone, but for those whose record was read as a whole in the end."""
        for record, place, outcome in self._alone:
            if ways[record] == SLOW:
                continue
            if isinstance(outcome, Refused):
                self.gather.reject(record, outcome.reason, outcome.detail)
            else:
                self.spans.append(outcome)
                self.record.append(record)
                self._places.append(place)

    def read(self, position: int, raw: bytes | None, hint: str, redactor: Redactor | None) -> None:
        """A whole record, redacted where that may find something."""
        first, first_batch = len(self.spans), len(self.batches)
        reader = SpanReader(self.spans, self.record, self.gather)
        try:
            _decode(position, raw, hint, reader, self)
        except Refused as refused:
            self.gather.reject(position, refused.reason, refused.detail)
        if redactor is not None:
            self.spans[first:] = [_redacted(span, redactor) for span in self.spans[first:]]
            batches = self.batches[first_batch:]
            self.batches[first_batch:] = [b._replace(producer=redactor.identity(b.producer)) for b in batches]


def _redacted(span: Span, redactor: Redactor) -> Span:
    row = redactor.row(
        {
            "name": span.name,
            "status": {"message": span.status_message},
            "attributes": span.attributes,
            "events": span.events,
            "links": span.links,
        }
    )
    return replace(
        span,
        name=row["name"],
        status_message=row["status"]["message"],
        attributes=row["attributes"],
        events=tuple(row["events"]),
        links=tuple(row["links"]),
        resource=redactor.attributes(span.resource),
    )


def _ways(block: Block, hint: str) -> NDArray[np.uint8]:
    """uint8[r], which records compiled code may try: JSON objects, protobuf that cannot be JSON on a topic of spans."""
    size = block.end - block.start
    tried = (size > 0) & (size <= reasons.MAX_RECORD_BYTES)
    first = np.zeros(len(block), np.uint8)
    first[tried] = block.text[block.start[tried]]
    fast = first == 123
    if hint in SPAN_HINTS:
        second = np.full(len(block), 32, np.uint8)
        longer = tried & (size > 1)
        second[longer] = block.text[block.start[longer] + 1]
        fast |= (first == 10) & ~np.isin(second, _NOT_PROTOBUF)
    return np.where(fast, np.uint8(FAST), np.uint8(SLOW))


def _decode(position: int, raw: bytes | None, hint: str, reader: SpanReader, run: _Slow) -> None:
    if not raw:
        raise Refused(reasons.EMPTY, "no payload")
    if len(raw) > reasons.MAX_RECORD_BYTES:
        raise Refused(reasons.OVERSIZE, f"{len(raw)} bytes")
    if sniff.is_protobuf(raw) and raw.lstrip()[:1] not in (b"{", b"["):
        _protobuf(position, raw, hint, reader)
        return
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if sniff.is_protobuf(raw):
            _protobuf(position, raw, hint, reader)
            return
        raise Refused(reasons.NOT_JSON, str(error)[:200]) from error
    if isinstance(body, dict):
        _object(position, body, reader, run)
    elif isinstance(body, list):
        _array(position, body, reader)
    else:
        raise Refused(reasons.UNKNOWN_SCHEMA, f"JSON {show(body)}")


def _object(position: int, body: dict[str, Any], reader: SpanReader, run: _Slow) -> None:
    if "schema" in body:
        schema = known_schema(body)
        if schema == events.TICK_SCHEMA:
            run.ticks.append(tick(position, body))
        elif schema == events.SPAN_SCHEMA:
            batch = batch_of(position, body)
            if batch is not None:
                run.batches.append(batch)
            reader.read_batch(position, body)
        else:
            raise Refused(reasons.WRONG_TOPIC, f"{schema} among spans")
    elif "resourceSpans" in body:
        _nonempty(reader.read_json(position, body["resourceSpans"]))
    elif not {"resourceMetrics", "resourceLogs", "name", "value"}.isdisjoint(body):
        raise Refused(reasons.WRONG_TOPIC, "metrics or logs among spans")
    else:
        raise Refused(reasons.UNKNOWN_SCHEMA, f"an object with {', '.join(list(body)[:5])[:100] or 'no fields'}")


def _array(position: int, items: list[Any], reader: SpanReader) -> None:
    if not items:
        raise Refused(reasons.EMPTY, "an empty array")
    first = items[0] if isinstance(items[0], dict) else {}
    if not {"scopeMetrics", "scopeLogs", "name", "value"}.isdisjoint(first):
        raise Refused(reasons.WRONG_TOPIC, "metrics or logs among spans")
    if "scopeSpans" not in first:
        raise Refused(reasons.UNKNOWN_SCHEMA, "an array of something else than ResourceSpans")
    _nonempty(reader.read_json(position, items))


def _protobuf(position: int, raw: bytes, hint: str, reader: SpanReader) -> None:
    if hint not in SPAN_HINTS:
        found = sniff.content_of(raw)
        if found not in ("spans", ""):
            raise Refused(reasons.WRONG_TOPIC, f"OTLP {found} among spans")
    try:
        _nonempty(reader.read_protobuf(position, raw))
    except Refused as refused:
        found = sniff.content_of(raw)
        if found not in ("spans", ""):
            raise Refused(reasons.WRONG_TOPIC, f"OTLP {found} among spans") from refused
        raise


def _nonempty(seen: int) -> None:
    if not seen:
        raise Refused(reasons.EMPTY, "a request without any span")
