"""The event schema and its encodings: the one thing agents and the pipeline share.

A leaf module: the standard library and orjson, nothing else, so that importing it costs an agent nothing.

Every record on the wire is one JSON object with ``"v": 1`` and a ``schema``. Unknown fields are ignored, changes are
additive only, and golden files in ``tests/golden/`` keep every version ever emitted readable.

Schemas:
    ``agents.metric/1``  a batch of samples in columns (what :class:`agents_emitter.Emitter` sends).
    ``agents.span/1``    a batch of spans of one trace, with OTLP field names.
    ``agents.log/1``     a batch of log records.
    ``agents.tick/1``    time alone: moves the watermark of an idle partition, or of one source of several.
    ``agents.exemplars/1``  observations of histograms with the spans they were measured on (of the traces role).

A record without ``schema`` but with ``name`` and ``value`` is a *single event* (see :func:`encode_single`): what a
shell script or another language sends. OTLP JSON and protobuf are recognised by their content.
"""

from __future__ import annotations

import base64
import struct
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import orjson

VERSION: Final = 1
METRIC_SCHEMA: Final = "agents.metric/1"
SPAN_SCHEMA: Final = "agents.span/1"
LOG_SCHEMA: Final = "agents.log/1"
TICK_SCHEMA: Final = "agents.tick/1"
EXEMPLAR_SCHEMA: Final = "agents.exemplars/1"

METRICS_TOPIC: Final = "agents.metrics"
SPANS_TOPIC: Final = "agents.spans"
LOGS_TOPIC: Final = "agents.logs"

MAX_SERIES_PER_BATCH: Final = 65_536
"""The index column is an unsigned 16-bit number."""

Kind = Literal["counter", "updowncounter", "gauge", "histogram"]
KINDS: Final[frozenset[str]] = frozenset({"counter", "updowncounter", "gauge", "histogram"})
Columns = Literal["packed", "plain"]


class SeriesDefinition(NamedTuple):
    """One series as a batch declares it.

    Attributes:
        name: OpenTelemetry style, dots, e.g. ``agents.inference.duration``.
        unit: UCUM, e.g. ``s``, ``By``, ``1``, ``{token}``.
        kind: ``counter`` (increments), ``updowncounter``, ``gauge`` or ``histogram`` (observed values).
        labels: sorted (name, value) pairs, strings only.
        temporality: ``delta`` (values are increments; the default) or ``cumulative`` (running totals).
    """

    name: str
    unit: str
    kind: Kind
    labels: tuple[tuple[str, str], ...] = ()
    temporality: Literal["delta", "cumulative"] = "delta"


def _series_object(definition: SeriesDefinition) -> dict[str, Any]:
    body: dict[str, Any] = {"name": definition.name, "unit": definition.unit, "kind": definition.kind}
    if definition.labels:
        body["labels"] = dict(definition.labels)
    if definition.temporality != "delta":
        body["temporality"] = definition.temporality
    return body


def encode_metric_head(resource: Mapping[str, str], series: Sequence[SeriesDefinition], producer: str) -> bytes:
    """The part of a metric batch that rarely changes, ready to be prefixed to many bodies.

    The pipeline recognises a repeated head by its bytes and does not parse it again, so keep the order of series.

    Args:
        resource: OpenTelemetry resource attributes (``service.name``, ``service.instance.id``, ...).
        series: at most :data:`MAX_SERIES_PER_BATCH` definitions; the index column points into this list.
        producer: the id whose ``seq`` numbers are checked for loss and duplicates (unique per process start).

    Raises:
        ValueError: more series than the index column can address.
    """
    if len(series) > MAX_SERIES_PER_BATCH:
        raise ValueError(f"a batch holds at most {MAX_SERIES_PER_BATCH} series, got {len(series)}")
    head = orjson.dumps(
        {
            "v": VERSION,
            "schema": METRIC_SCHEMA,
            "resource": dict(resource),
            "series": [_series_object(definition) for definition in series],
            "producer": producer,
        }
    )
    return head[:-1]


def encode_metric_batch(
    head: bytes,
    *,
    seq: int,
    dropped_total: int,
    base_time_unix_nano: int,
    index: Sequence[int],
    offset_ns: Sequence[int],
    value: Sequence[float],
    columns: Columns = "packed",
) -> bytes:
    """One metric batch: parallel columns of (series, time, value).

    Args:
        head: from :func:`encode_metric_head`.
        seq: +1 for every batch of this producer, from 0.
        dropped_total: samples this producer has dropped since it started (its own bound reached).
        base_time_unix_nano: nanoseconds since the epoch; sample i happened at base + ``offset_ns[i]``.
        index: position of each sample's series in the head's list.
        offset_ns: nanoseconds relative to the base, may be negative.
        value: finite floats; the pipeline rejects NaN and infinities with a reason.
        columns: ``packed`` = base64 of little-endian uint16, int64, float64 (fast); ``plain`` = JSON arrays (readable).

    Raises:
        ValueError: the columns differ in length.
    """
    count = len(index)
    if not count == len(offset_ns) == len(value):
        raise ValueError(f"columns differ in length: {count}, {len(offset_ns)}, {len(value)}")
    body: dict[str, Any] = {
        "seq": seq,
        "dropped_total": dropped_total,
        "base_time_unix_nano": base_time_unix_nano,
        "count": count,
    }
    if columns == "packed":
        body["index"] = pack("H", index)
        body["offset_ns"] = pack("q", offset_ns)
        body["value"] = pack("d", value)
    else:
        body["index"] = list(index)
        body["offset_ns"] = list(offset_ns)
        body["value"] = list(value)
    return b"".join((head, b",", orjson.dumps(body)[1:]))


_LITTLE_ENDIAN_HOST: Final = struct.pack("=H", 1) == b"\x01\x00"


def pack(typecode: Literal["H", "q", "d"], numbers: Sequence[float]) -> str:
    """Base64 of a little-endian column (``H`` uint16, ``q`` int64, ``d`` float64)."""
    column = array(typecode, numbers)
    if not _LITTLE_ENDIAN_HOST:
        column.byteswap()
    return base64.b64encode(column.tobytes()).decode("ascii")


def encode_single(
    name: str,
    value: float,
    *,
    unit: str = "1",
    kind: Kind = "gauge",
    time_unix_nano: int | None = None,
    labels: Mapping[str, str] | None = None,
    resource: Mapping[str, str] | None = None,
) -> bytes:
    """One event as one record. Without ``time_unix_nano`` the broker's append time counts."""
    body: dict[str, Any] = {"name": name, "value": value, "unit": unit, "kind": kind}
    if time_unix_nano is not None:
        body["time_unix_nano"] = time_unix_nano
    if labels:
        body["labels"] = dict(labels)
    if resource:
        body["resource"] = dict(resource)
    return orjson.dumps(body)


def encode_span_batch(
    resource: Mapping[str, str], spans: Sequence[Mapping[str, Any]], *, producer: str, seq: int, dropped_total: int = 0
) -> bytes:
    """Spans of one trace (record key = trace id).

    Each span is a mapping with OTLP field names: ``traceId``, ``spanId``, ``parentSpanId`` (hex, "" for a root),
    ``name``, ``kind`` (1 internal .. 5 consumer), ``startTimeUnixNano``, ``endTimeUnixNano`` (ints),
    ``status`` ({"code": 0 unset | 1 ok | 2 error, "message"}), ``attributes`` (flat mapping), optional ``events``
    ([{timeUnixNano, name, attributes}]) and ``links`` ([{traceId, spanId, attributes}]), optional ``phase``
    (``end`` by default; ``start`` announces a live span and has no end time).
    """
    return orjson.dumps(
        {
            "v": VERSION,
            "schema": SPAN_SCHEMA,
            "resource": dict(resource),
            "producer": producer,
            "seq": seq,
            "dropped_total": dropped_total,
            "spans": list(spans),
        }
    )


def encode_log_batch(
    resource: Mapping[str, str], logs: Sequence[Mapping[str, Any]], *, producer: str, seq: int, dropped_total: int = 0
) -> bytes:
    """Log records (record key = agent id).

    Each log is a mapping with OTLP field names: ``timeUnixNano`` (int), ``severityNumber`` (1..24), ``severityText``,
    ``body`` (string), ``attributes`` (flat mapping), optional ``traceId`` and ``spanId`` (hex).
    """
    return orjson.dumps(
        {
            "v": VERSION,
            "schema": LOG_SCHEMA,
            "resource": dict(resource),
            "producer": producer,
            "seq": seq,
            "dropped_total": dropped_total,
            "logs": list(logs),
        }
    )


def encode_exemplars(resource: Mapping[str, str], exemplars: Sequence[Mapping[str, Any]]) -> bytes:
    """Observations with their spans, beside the batches that count them.

    Each has ``name``, ``unit`` and ``labels`` (as the batch's series), ``value``, ``time_unix_nano``, ``trace_id`` and
    ``span_id`` (hex).
    """
    body = {"v": VERSION, "schema": EXEMPLAR_SCHEMA, "resource": dict(resource), "exemplars": list(exemplars)}
    return orjson.dumps(body)


def encode_tick(time_unix_nano: int, *, source: str = "", idle: bool = False) -> bytes:
    """Time as data: moves the watermark of an idle partition.

    Args:
        time_unix_nano: no earlier event is expected, but for the reader's lateness.
        source: who says so of itself, where several sources write into one topic; "" = of the whole partition.
        idle: nothing is expected of the source until it writes again; readers do not wait for it.
    """
    body: dict[str, Any] = {"v": VERSION, "schema": TICK_SCHEMA, "time_unix_nano": time_unix_nano}
    return orjson.dumps(body | ({"source": source, "idle": idle} if source else {}))
