"""Compile every kernel of decode before the first record arrives."""

from __future__ import annotations

from typing import NamedTuple

import orjson
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from agents_emitter import events
from streams.decode.run import HeadCache, decode_run
from streams.domain.series import SeriesTable


class _Row(NamedTuple):
    value: bytes
    key: bytes
    offset: int
    timestamp: int


def warm_up() -> int:
    """Decode one small record of each form, twice; returns how many events that gave.

    Without a disk cache of Numba's the kernels take seconds to compile (once per machine and version), in the middle of
    the first run of records: a worker calls this before it joins its consumer group.
    """
    head = events.encode_metric_head({}, [events.SeriesDefinition("warm", "1", "counter")], "warm")
    forms: tuple[events.Columns, ...] = ("packed", "plain")
    values = [_batch(head, form) for form in forms]
    values.append(orjson.dumps(orjson.loads(values[0]), option=orjson.OPT_SORT_KEYS))
    values.append(events.encode_single("warm", 1.5, time_unix_nano=1))
    values.append(_request())
    table, cache = SeriesTable(), HeadCache()
    seen = 0
    for records in (values, [values[3]]):
        rows = [_Row(value, b"", offset, 1) for offset, value in enumerate(records)]
        seen += int(decode_run(rows, table, cache).events.sum())
    return seen


def _batch(head: bytes, columns: events.Columns) -> bytes:
    return events.encode_metric_batch(
        head, seq=0, dropped_total=0, base_time_unix_nano=1, index=[0], offset_ns=[0], value=[1.0], columns=columns
    )


def _request() -> bytes:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="warm")
    metric.gauge.data_points.add(time_unix_nano=1, as_double=1.0)
    return request.SerializeToString()
