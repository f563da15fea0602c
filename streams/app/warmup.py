"""Runs a few records through a throw-away partition before the worker joins its group.

Numba loads (or, on the first start of a machine, compiles) each kernel at its first call; the first real run of records
must not wait for that with the group's session running.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from aiokafka.structs import TopicPartition
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status, TracesData

from agents_emitter import events
from streams import topics
from streams.app.fetch import BlockRecords, RawRecords
from streams.app.metrics import MetricsPartition
from streams.app.rekey import RekeyPart
from streams.app.sendbatch import Content, batches_of, by_partition, encode_batch
from streams.app.sink import Many
from streams.app.traces import TracesPart
from streams.decode.warm import warm_up as warm_up_decode
from streams.detect.operator import DetectOperator
from streams.detect.replay import Detection
from streams.domain.block import Block
from streams.domain.series import Series
from streams.domain.window import WindowBatch
from streams.trace.assembly import TraceOperator
from streams.window.operator import WindowSpec

_START_NS: Final = 10**18
_APPEND_MS: Final = 2 * 10**12
_HOUR_MS: Final = 3_600_000
_MANY: Final = 6_000


def _fetched(values: list[bytes], append_ms: int = _APPEND_MS) -> Block:
    """The values as the transport delivers them."""
    raw = encode_batch([Content(b"key", value) for value in values], append_ms)
    found = BlockRecords(TopicPartition(topics.METRICS, 0), RawRecords(raw), None, 0, None, None, True, 0)
    return next(found)


def warm_up(spec: WindowSpec) -> int:
    """Decodes, aggregates, closes and merges one window of each kind of input; returns the windows closed."""
    warm_up_decode()
    part = MetricsPartition(topics.METRICS, 0, spec, snapshot_every=1)
    series = [
        events.SeriesDefinition("warm.up", "s", "histogram"),
        events.SeriesDefinition("warm.total", "1", "counter"),
    ]
    head = events.encode_metric_head({"service.name": "warm-up"}, series, "warm-up")
    long_ns = max([spec.pane_ns, *(span.size_ns for span in spec.spans)]) + spec.lateness_ns
    records = []
    for seq, offset_ns in enumerate((0, spec.pane_ns, 2 * long_ns)):
        batch = events.encode_metric_batch(
            head,
            seq=seq,
            dropped_total=0,
            base_time_unix_nano=_START_NS + offset_ns,
            index=[0, 1],
            offset_ns=[0, 1],
            value=[1.0, 2.0],
        )
        records.append(batch)
        records.append(events.encode_single("warm.single", 1.0, time_unix_nano=_START_NS + offset_ns))
    records.append(events.encode_tick(_START_NS + 4 * long_ns))
    part.process(_fetched(records), 0)
    return part.closed_total


def warm_up_detection() -> int:
    """The same for the alerts role: one series judged once; returns the windows that had a fate.

    A recording is judged too, for ``streams detect replay``.
    """
    Detection().scores([0.0], [0])
    one = np.ones(1)
    sketch = (np.zeros(2, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int64))
    series = (Series("warm.up", "1", "gauge", ()),)
    columns = (one.astype(np.int64), one, one, one, one, one, np.ones((1, 3)))
    return (
        DetectOperator().apply(WindowBatch("", 0, _START_NS, _START_NS + 10**10, series, *columns, *sketch)).warming_up
    )


def warm_up_spans() -> int:
    """The same for the traces role: spans of each form through both of its parts; returns the spans that had a fate."""
    traces = TracesPart(topics.SPANS, 0, TraceOperator())
    rekey = RekeyPart(topics.OTLP_SPANS, 0, 1)
    rekey.process(_fetched([_otlp_spans()]), 0)
    traces.process(_fetched([_otlp_spans(), _span_batch(), _many_spans(), events.encode_tick(_START_NS)]), 0)
    for hours in (1, 2, 3):  # the traces leave, the block of their metrics ends, what is remembered is forgotten
        tick = events.encode_tick(_START_NS)
        steps = traces.process(_fetched([tick], _APPEND_MS + hours * _HOUR_MS), hours * _HOUR_MS * 1_000_000)
        bundles = [output.bundle for step in steps for output in step.results if isinstance(output, Many)]
        for pieces in by_partition(bundles, 2).values():
            list(batches_of(pieces, _APPEND_MS))
    return traces.counts.total() + rekey.counts.total()


def _many_spans() -> bytes:
    """So many that the store of spans and their texts grow, and are made smaller when they are gone."""
    data = TracesData()
    spans = data.resource_spans.add().scope_spans.add().spans
    for number in range(1, _MANY):
        span = spans.add(trace_id=number.to_bytes(16, "big"), span_id=number.to_bytes(8, "big"))
        span.name = f"warm {number}"
        span.start_time_unix_nano = span.end_time_unix_nano = _START_NS
    return data.SerializeToString()


def _otlp_spans() -> bytes:
    """A question that an agent asks a tool of another service, with an event and a link."""
    data = TracesData()
    for number, service in enumerate(("warm-up", "warm-tool"), 1):
        group = data.resource_spans.add()
        group.resource.attributes.add(key="service.name").value.string_value = service
        span = group.scope_spans.add().spans.add(trace_id=bytes([1] * 16), span_id=bytes([number] * 8), name="warm up")
        span.parent_span_id = bytes([number - 1] * 8) if number > 1 else b""
        span.kind = Span.SPAN_KIND_CLIENT if number == 1 else Span.SPAN_KIND_SERVER
        span.start_time_unix_nano, span.end_time_unix_nano = _START_NS + number, _START_NS + 10 - number
        span.attributes.add(key="gen_ai.operation.name").value.string_value = "execute_tool"
        span.attributes.add(key="gen_ai.usage.input_tokens").value.int_value = 1
        span.status.code, span.status.message = Status.STATUS_CODE_ERROR, "warm"
        span.events.add(name="warm", time_unix_nano=_START_NS).attributes.add(key="x").value.double_value = 0.5
        span.links.add(trace_id=bytes([2] * 16), span_id=bytes([2] * 8))
    return data.SerializeToString()


def _span_batch() -> bytes:
    span = {
        "traceId": "03" * 16,
        "spanId": "04" * 8,
        "parentSpanId": "",
        "name": "warm up",
        "kind": 1,
        "startTimeUnixNano": _START_NS,
        "endTimeUnixNano": _START_NS + 5,
        "status": {"code": 2, "message": "warm"},
        "attributes": {"gen_ai.operation.name": "chat", "a": 1.5, "b": True},
        "events": [{"timeUnixNano": _START_NS, "name": "warm", "attributes": {"x": 1}}],
        "links": [{"traceId": "05" * 16, "spanId": "06" * 8, "attributes": {}}],
        "phase": "end",
    }
    return events.encode_span_batch({"service.name": "warm-up"}, [span], producer="warm-up", seq=0)
