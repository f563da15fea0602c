"""Decode a run of records of a span topic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from agents_emitter import events
from streams import topics
from streams.decode import reasons, sniff
from streams.decode.gather import Gather
from streams.decode.logs import batch_of
from streams.decode.numbers import time_ns
from streams.decode.reasons import Refused, show
from streams.decode.run import known_schema
from streams.decode.span import SpanReader
from streams.domain.columns import BatchId, Record, Rejected, Tick
from streams.domain.span import Span

SPAN_HINTS: Final = frozenset({topics.SPANS, topics.OTLP_SPANS})


@dataclass
class SpanRun:
    """A decoded run of r records holding n spans.

    Attributes:
        spans: n spans, in the order of records.
        record: position in the run of each span.
        batches: ids of those records that carry one.
        rejected: what could not be used.
        events: int64[r], spans decoded from each record.
        ticks: time as data.
    """

    spans: list[Span]
    record: list[int]
    batches: list[BatchId]
    rejected: list[Rejected]
    events: NDArray[np.int64]
    ticks: list[Tick] = field(default_factory=list)


def decode_spans(records: Sequence[Record], *, hint: str = "") -> SpanRun:
    """Decode records of one partition: our span batches, OTLP JSON (both shapes), OTLP protobuf, ticks.

    Args:
        records: r records in the order of their offsets.
        hint: name of the topic; a span topic says that protobuf holds spans, else its first leaf message does.

    Returns:
        The spans and every other fate by name. For every record spans plus rejected events equal the events in it.
        Never raises for what is in a record.
    """
    run = SpanRun([], [], [], [], np.zeros(len(records), dtype=np.int64))
    gather = Gather()
    reader = SpanReader(run.spans, run.record, gather)
    for position, record in enumerate(records):
        before = len(run.spans)
        try:
            _decode(position, record.value, hint, reader, run)
        except Refused as refused:
            gather.reject(position, refused.reason, refused.detail)
        run.events[position] = len(run.spans) - before
    run.rejected.extend(gather.rejected())
    return run


def _decode(position: int, raw: bytes | None, hint: str, reader: SpanReader, run: SpanRun) -> None:
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


def _object(position: int, body: dict[str, Any], reader: SpanReader, run: SpanRun) -> None:
    if "schema" in body:
        schema = known_schema(body)
        if schema == events.TICK_SCHEMA:
            run.ticks.append(Tick(position, time_ns(body.get("time_unix_nano"), "time_unix_nano")))
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
