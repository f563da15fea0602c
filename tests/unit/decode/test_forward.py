"""OTLP spans by partition: the same spans, in the partition of their trace, in records of a bounded size."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from streams.decode import forward as module
from streams.decode.forward import forward
from streams.decode.spans import SpanDecoder, SpanRun, decode_spans
from streams.domain.keys import partitions_of, trace_keys
from streams.domain.spanrows import SpanTables
from tests.unit.decode.runs import Row

HINT = "otlp_spans"
TRACES, SERVICES = 40, 3


def records(count: int) -> list[Row]:
    """A collector's batches: every trace has spans of all services, in several records."""
    found = []
    for record in range(count):
        data = TracesData()
        for service in range(SERVICES):
            group = data.resource_spans.add()
            group.resource.attributes.add(key="service.name").value.string_value = f"service-{service}"
            scope = group.scope_spans.add()
            for trace in range(TRACES):
                number = (record * SERVICES + service) * TRACES + trace + 1
                span = scope.spans.add(
                    trace_id=(trace + 1).to_bytes(16, "big"), span_id=number.to_bytes(8, "big"), name=f"step {number}"
                )
                span.start_time_unix_nano, span.end_time_unix_nano = 10**18, 10**18 + number
                span.attributes.add(key="detail").value.string_value = "x" * (number * 7 % 300)
        found.append(Row(data.SerializeToString(), None, record))
    return found


def shown(run: SpanRun) -> list[str]:
    return sorted(repr(span) for span in run.spans)


@pytest.mark.parametrize(("partitions", "max_spans", "max_bytes"), [(4, 500, 262_144), (3, 7, 262_144), (1, 500, 900)])
def test_the_same_spans_by_partition(
    partitions: int, max_spans: int, max_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_SPANS", max_spans)
    monkeypatch.setattr(module, "MAX_BYTES", max_bytes)
    decoder = SpanDecoder(SpanTables())
    run = decoder.decode(records(5), hint=HINT)
    expected = shown(run)
    keys = trace_keys(run.rows["trace_high"], run.rows["trace_low"])
    target = partitions_of(keys, partitions)
    found = list(forward(run.rows, run.raw, target, decoder.protobuf))
    again = decode_spans([Row(value, None, i) for i, (_, _, value) in enumerate(found)], hint="agents.spans")
    assert not again.rejected
    assert shown(again) == expected
    of_record = [f.partition for f in found]
    places = partitions_of(trace_keys(again.rows["trace_high"], again.rows["trace_low"]), partitions)
    assert places.tolist() == [of_record[record] for record in again.record]
    assert all(target[f.row] == f.partition for f in found)
    assert np.bincount(again.record).max() <= max_spans
    assert all(len(f.value) < max_bytes + 1_000 or np.bincount(again.record)[i] == 1 for i, f in enumerate(found))


def test_it_is_what_opentelemetry_reads() -> None:
    decoder = SpanDecoder(SpanTables())
    (record,) = records(1)
    run = decoder.decode([record], hint=HINT)
    found = list(forward(run.rows, run.raw, np.zeros(len(run.rows), np.int64), decoder.protobuf))
    assert len(found) == 1
    theirs, ours = TracesData.FromString(record.value or b""), TracesData.FromString(found[0].value)
    assert MessageToDict(ours) == MessageToDict(theirs)


def test_nothing_gives_nothing() -> None:
    run = decode_spans([], hint=HINT)
    assert list(forward(run.rows, run.raw, np.zeros(0, np.int64), {})) == []
