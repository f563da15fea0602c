"""Runs a few records through a throw-away partition before the worker joins its group.

Numba loads (or, on the first start of a machine, compiles) each kernel at its first call; the first real run of records
must not wait for that with the group's session running.
"""

from __future__ import annotations

from typing import Final

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition

from agents_emitter import events
from streams import topics
from streams.app.fetch import BlockRecords, RawRecords
from streams.app.metrics import MetricsPartition
from streams.decode.warm import warm_up as warm_up_decode
from streams.domain.block import Block
from streams.window.operator import WindowSpec

_START_NS: Final = 10**18
_APPEND_MS: Final = 2 * 10**12


def _fetched(values: list[bytes]) -> Block:
    """The values as the transport delivers them."""
    batch = DefaultRecordBatchBuilder(2, 4, 0, -1, -1, -1, 1 << 20)
    for offset, value in enumerate(values):
        batch.append(offset, _APPEND_MS, b"key", value, [])
    found = BlockRecords(
        TopicPartition(topics.METRICS, 0), RawRecords(bytes(batch.build())), None, 0, None, None, True, 0
    )
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
