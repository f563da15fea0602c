from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from agents_emitter import Emitter
from agents_emitter.foreign import Ready
from agents_emitter.otel import (
    KafkaLogRecordExporter,
    KafkaLogRecordProcessor,
    KafkaMetricExporter,
    KafkaSpanExporter,
    KafkaSpanProcessor,
    metric_reader,
    points,
)
from agents_emitter.otel.rows import MAX_TEXT_CHARS
from agents_emitter.redaction import Redactor
from streams import topics
from streams.decode.head import HeadCache
from streams.decode.run import decode_run
from streams.decode.spans import decode_spans
from streams.domain.columns import Columns
from streams.domain.series import Series, SeriesTable
from streams.domain.span import Span
from tests.unit.emitter.broker import Broker, agree, emitter_for, eventually
from tests.unit.emitter.test_fork import in_child

RESOURCE = Resource({"service.name": "theirs", "service.version": "7", "deployment.environment.name": "test"})
LONG_AGO_NS = 1_700_000_000_000_000_000


class Record(NamedTuple):
    """As decoding reads it."""

    value: bytes
    key: bytes = b""
    offset: int = 0
    timestamp: int = LONG_AGO_NS // 1_000_000


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def emitter(broker: Broker) -> Iterator[Emitter]:
    with emitter_for(broker, agent_type="planner") as made:
        yield made


def arrived(broker: Broker, topic: str) -> list[Record]:
    return [Record(r.value, r.key, offset) for offset, r in enumerate(broker.records) if r.topic == topic]


def work(provider: TracerProvider) -> None:
    """Spans of every shape that the SDK has."""
    tracer = provider.get_tracer("t", "1")
    remote = SpanContext(2**127 + 5, 2**63 + 9, is_remote=True, trace_flags=TraceFlags(1))
    attributes = {
        "text": "zwölf \U0001f40d",
        "whole": -(2**53) - 1,
        "real": 0.1,
        "yes": True,
        "words": ("a", "b"),
        "numbers": [1, 2, 3],
        "gen_ai.usage.input_tokens": 51,
    }
    for kind in SpanKind:
        with (
            tracer.start_as_current_span("invoke_agent a", kind=kind, attributes=attributes),
            tracer.start_as_current_span("chat m", links=[Link(remote, {"why": "fan-in"})]) as inner,
        ):
            inner.add_event("token", {"n": 1}, timestamp=LONG_AGO_NS)
            inner.set_status(Status(StatusCode.OK))
    with pytest.raises(KeyError), tracer.start_as_current_span("execute_tool t"):
        raise KeyError("nothing")


def both_ways(broker: Broker, emitter: Emitter) -> tuple[list[Span], list[Span]]:
    """The same spans by our batches and by the SDK's own OTLP, decoded, in the order of their ids."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=RESOURCE)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    provider.add_span_processor(KafkaSpanProcessor(emitter))
    work(provider)
    assert provider.force_flush()
    request = encode_spans(kept.get_finished_spans()).SerializeToString()
    ours = decode_spans(arrived(broker, topics.SPANS), hint=topics.SPANS)
    theirs = decode_spans([Record(request)], hint=topics.SPANS)
    assert not ours.rejected
    assert not theirs.rejected
    provider.shutdown()
    return sorted(ours.spans, key=lambda s: s.span_id), sorted(theirs.spans, key=lambda s: s.span_id)


def test_spans_decode_to_what_the_sdks_own_otlp_decodes_to(broker: Broker, emitter: Emitter) -> None:
    ours, theirs = both_ways(broker, emitter)
    assert len(theirs) == 11
    assert [replace(s, resource={}) for s in ours] == [replace(s, resource={}) for s in theirs]


def test_a_trace_is_a_record_and_the_emitter_names_the_agent(broker: Broker, emitter: Emitter) -> None:
    ours, _ = both_ways(broker, emitter)
    for record in arrived(broker, topics.SPANS):
        assert {s.trace_id.encode() for s in decode_spans([record]).spans} == {record.key}
    resource = ours[0].resource
    assert (resource["service.name"], resource["gen_ai.agent.id"]) == ("service", "agent-1")
    assert (resource["agents.type"], resource["service.version"]) == ("planner", "7")
    assert emitter.stats().spans.delivered == 11
    assert agree(emitter)


def test_spans_of_one_trace_keep_the_resource_of_their_provider(broker: Broker, emitter: Emitter) -> None:
    tracers = []
    for version in ("1", "2"):
        provider = TracerProvider(resource=Resource({"service.version": version}))
        provider.add_span_processor(KafkaSpanProcessor(emitter))
        tracers.append(provider.get_tracer(version))
    with tracers[0].start_as_current_span("1"), tracers[1].start_as_current_span("2"):
        pass
    assert emitter.flush(60)
    spans = decode_spans(arrived(broker, topics.SPANS)).spans
    assert {(span.name, span.resource["service.version"]) for span in spans} == {("1", "1"), ("2", "2")}


def test_what_json_has_not_is_made_of_what_it_has(broker: Broker, emitter: Emitter) -> None:
    context = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1))
    odd: dict[str, Any] = {
        "large": 2**70,
        "endless": float("nan"),
        "lone": "\ud800",
        "long": "x" * 100_000,
        "raw": b"\x00\xff",
        "nested": {"a": {"b": [1, None]}},
        "object": object(),
    }
    span = ReadableSpan("n", context, attributes=odd, start_time=LONG_AGO_NS, end_time=LONG_AGO_NS + 1)
    assert KafkaSpanExporter(emitter).export([span]) is SpanExportResult.SUCCESS
    assert emitter.flush(60)
    (found,) = decode_spans(arrived(broker, topics.SPANS)).spans
    assert (found.attributes["large"], found.attributes["endless"]) == (str(2**70), "nan")
    assert (found.attributes["lone"], found.attributes["raw"]) == ("?", "AP8=")
    assert len(found.attributes["long"]) == MAX_TEXT_CHARS
    assert found.attributes["nested.a.b"] == [1, "null"]


def test_what_is_no_span_is_counted_and_costs_no_neighbour(broker: Broker, emitter: Emitter) -> None:
    context = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1))
    good = ReadableSpan("good", context, start_time=LONG_AGO_NS, end_time=LONG_AGO_NS + 1)
    nameless: Any = ReadableSpan("n", None)
    kindless: Any = ReadableSpan("n", context, kind=None)  # type: ignore[arg-type]  # on purpose
    assert KafkaSpanExporter(emitter).export([nameless, good, kindless]) is SpanExportResult.FAILURE
    assert emitter.flush(60)
    assert [s.name for s in decode_spans(arrived(broker, topics.SPANS)).spans] == ["good"]
    stats = emitter.stats().spans
    assert (stats.emitted, stats.delivered, stats.dropped_by_reason) == (3, 1, {"invalid": 2})


def test_a_full_ring_refuses_and_counts(broker: Broker) -> None:
    broker.up = False
    with emitter_for(broker, ring_spans=3, flush_interval_seconds=60.0, exit_timeout_seconds=0.1) as emitter:
        provider = TracerProvider()
        provider.add_span_processor(KafkaSpanProcessor(emitter))
        tracer = provider.get_tracer("t")
        for _ in range(10):
            tracer.start_span("s").end()
        stats = emitter.stats().spans
        assert stats.emitted == 10
        assert stats.dropped_by_reason["overflow"] >= 1
        assert agree(emitter)
        assert not provider._active_span_processor.force_flush(50)
        provider.shutdown()


def test_after_shutdown_nothing_is_taken_and_the_emitter_stays_open(broker: Broker, emitter: Emitter) -> None:
    exporter = KafkaSpanExporter(emitter)
    exporter.shutdown()
    assert exporter.export([]) is SpanExportResult.FAILURE
    emitter.counter("c").add(1)
    assert emitter.flush(60)
    assert emitter.stats().samples.delivered == 1


def test_behind_the_sdks_own_batch_processor(broker: Broker, emitter: Emitter) -> None:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(KafkaSpanExporter(emitter)))
    work(provider)
    provider.shutdown()
    assert emitter.stats().spans.delivered == 11


def test_what_is_not_sampled_is_not_sent(emitter: Emitter) -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF)
    provider.add_span_processor(KafkaSpanProcessor(emitter))
    work(provider)
    assert emitter.stats().spans.emitted == 0


def test_what_the_sender_itself_causes_is_not_sent(broker: Broker, emitter: Emitter) -> None:
    """An instrumented Kafka client would make a span of each record sent, for ever."""
    provider = TracerProvider()
    provider.add_span_processor(KafkaSpanProcessor(emitter))
    tracer = provider.get_tracer("client")
    send, seen = emitter._sender._call, threading.Event()  # type: ignore[union-attr]

    def inside() -> None:
        tracer.start_span("agents.spans publish").end()
        seen.set()

    send(inside)
    eventually(seen.is_set)
    assert emitter.stats().spans.emitted == 0


# Logs


def test_logs_decode_to_what_the_sdks_own_otlp_decodes_to(broker: Broker, emitter: Emitter) -> None:
    kept = InMemoryLogRecordExporter()
    provider = LoggerProvider(resource=RESOURCE)
    provider.add_log_record_processor(SimpleLogRecordProcessor(kept))
    provider.add_log_record_processor(KafkaLogRecordProcessor(emitter))
    logger = provider.get_logger("l")
    bodies: Sequence[Any] = ("text", {"a": [1, {"b": None}]}, None, 7)
    for number, body in zip(
        (SeverityNumber.INFO, SeverityNumber.ERROR2, None, SeverityNumber.WARN), bodies, strict=True
    ):
        logger.emit(
            LogRecord(
                timestamp=LONG_AGO_NS,
                observed_timestamp=LONG_AGO_NS,
                severity_number=number,
                severity_text=None if number else "warning",
                body=body,
                attributes={"k": "v"},
                event_name="session.started",
            )
        )
    assert provider.force_flush()
    records = arrived(broker, topics.LOGS)
    request = encode_logs(kept.get_finished_logs()).SerializeToString()
    ours = counted(records, topics.LOGS)
    assert {severity: n for (severity, _), n in ours.items()} == {"INFO": 1, "ERROR": 1, "WARN": 2}
    theirs = counted([Record(request)], topics.LOGS)
    assert {severity: n for (severity, _), n in theirs.items()} == {severity: n for (severity, _), n in ours.items()}
    assert {agent for _, agent in ours} == {"agent-1"}
    (row, *_) = [log for record in broker.of(topics.LOGS) for log in record.body["logs"]]
    assert (row["body"], row["attributes"]) == ("text", {"k": "v", "event.name": "session.started"})
    assert records[0].key == b"agent-1"
    provider.shutdown()


def counted(records: Sequence[Any], topic: str) -> Counter[tuple[str, str]]:
    table = SeriesTable()
    columns = decode_run(records, table, HeadCache(), hint=topic)
    assert not columns.rejected
    found: Counter[tuple[str, str]] = Counter()
    for slot in columns.slot:
        series = table.rows[slot]
        found[series.label("severity"), series.label("agent.id")] += 1
    return found


def test_a_log_that_cannot_be_read_is_counted_and_not_raised(emitter: Emitter) -> None:
    broken: Any = ReadableLogRecord(log_record=None, resource=RESOURCE)  # type: ignore[arg-type]  # on purpose
    KafkaLogRecordExporter(emitter).export([broken])
    assert emitter.stats().logs.dropped_by_reason == {"invalid": 1}


def test_a_log_is_what_it_was_when_it_was_emitted(broker: Broker, emitter: Emitter) -> None:
    body = {"state": "before"}
    record = ReadWriteLogRecord(LogRecord(timestamp=LONG_AGO_NS, body=body), resource=RESOURCE)
    KafkaLogRecordProcessor(emitter).on_emit(record)
    body["state"] = "after"
    assert emitter.flush(60)
    assert [log["body"] for r in broker.of(topics.LOGS) for log in r.body["logs"]] == ['{"state":"before"}']


# Metrics


def measure(meters: MeterProvider) -> None:
    meter = meters.get_meter("m")
    meter.create_counter("agents.steps").add(3, {"outcome": "success"})
    meter.create_up_down_counter("agents.tasks.active").add(2)
    meter.create_gauge("agents.quality").set(0.5)
    histogram = meter.create_histogram("gen_ai.client.operation.duration", "s")
    for value in (0.01, 0.02, 0.4):
        histogram.record(value, {"gen_ai.operation.name": "chat"})


def decoded(records: Sequence[Any]) -> tuple[dict[tuple[str, str], Any], Columns, list[Series]]:
    """(name, kind) -> value of each point (count and sum of a histogram), and all of it."""
    table = SeriesTable()
    columns = decode_run(records, table, HeadCache(), hint=topics.METRICS)
    assert not columns.rejected
    rows = list(table.rows)
    found: dict[tuple[str, str], Any] = {}
    for slot, value in zip(columns.slot, columns.value, strict=True):
        found[rows[slot].name, rows[slot].kind] = value
    for point in columns.aggregates:
        found[rows[point.slot].name, rows[point.slot].kind] = (point.count, round(point.sum, 9))
    return found, columns, rows


def test_metrics_arrive_as_increments_and_current_values_of_the_agent(broker: Broker, emitter: Emitter) -> None:
    meters = MeterProvider([metric_reader(emitter, interval_seconds=3600)], resource=RESOURCE)
    measure(meters)
    assert meters.force_flush(60_000)
    found, columns, rows = decoded(arrived(broker, topics.METRICS))
    assert found == {
        ("agents.steps", "counter"): 3.0,
        ("agents.tasks.active", "gauge"): 2.0,
        ("agents.quality", "gauge"): 0.5,
        ("gen_ai.client.operation.duration", "histogram"): (3, 0.43),
    }
    assert not columns.cumulatives
    (point,) = columns.aggregates
    assert [pytest.approx(v, rel=0.03) for v in point.values] == [0.01, 0.02, 0.4]
    for series in rows:
        labels = dict(series.labels)
        assert (labels["service.name"], labels["agent.id"], labels["agent.type"]) == ("service", "agent-1", "planner")
        assert (labels["service.version"], labels["environment"]) == ("7", "test")
    assert {r.key for r in arrived(broker, topics.METRICS)} == {b"agent-1"}
    assert emitter.stats().points.delivered == 4
    meters.shutdown()


def collected(series: int) -> MetricsData:
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], resource=RESOURCE)
    measure(meters)
    counter = meters.get_meter("m").create_counter("many")
    for i in range(series):
        counter.add(i, {"n": i})
    data = reader.get_metrics_data()
    meters.shutdown()
    assert data is not None
    return data


def test_a_large_collection_is_cut_and_nothing_is_lost() -> None:
    data = collected(300)
    whole = decoded([Record(encode_metrics(data).SerializeToString())])[1]
    (one,) = points.requests(data, lambda r: r.attributes, 10**6, Redactor())
    assert one[1] == 304
    pieces = list(points.requests(data, lambda r: r.attributes, 3000, Redactor()))
    assert len(pieces) > 5
    assert max(len(value) for value, _ in pieces) <= 3000
    assert sum(count for _, count in pieces) == 304
    columns = decoded([Record(value) for value, _ in pieces])[1]
    assert sorted(columns.value) == sorted(whole.value)
    assert len(columns.aggregates) == len(whole.aggregates) == 1
    assert len(columns.cumulatives) == len(whole.cumulatives)


def test_points_that_find_no_room_are_counted_one_by_one(broker: Broker) -> None:
    broker.up = False
    with emitter_for(broker, ring_logs=1, flush_interval_seconds=60.0, exit_timeout_seconds=0.1) as emitter:
        exporter = KafkaMetricExporter(emitter)
        for _ in range(5):
            exporter.export(collected(10))
            assert agree(emitter)
        stats = emitter.stats().points
        assert stats.emitted == 5 * 14
        assert stats.dropped_by_reason["overflow"] >= 14
        assert stats.dropped_by_reason["overflow"] % 14 == 0
    stats = emitter.stats().points
    assert stats.emitted == stats.dropped == 70
    assert agree(emitter)


def test_a_record_that_is_too_large_costs_its_points(broker: Broker) -> None:
    with emitter_for(broker, max_record_bytes=1000) as emitter:
        emitter.offer_points(Ready(b"x" * 2000, 17))
        assert emitter.flush(60)
        assert emitter.stats().points.dropped_by_reason == {"too_large": 17}


def test_closing_collects_what_was_not_collected_yet(broker: Broker) -> None:
    emitter = emitter_for(broker)
    meters = MeterProvider([metric_reader(emitter, interval_seconds=3600)], shutdown_on_exit=False)
    measure(meters)
    assert emitter.close()
    assert decoded(arrived(broker, topics.METRICS))[0]["agents.steps", "counter"] == 3.0
    assert emitter.stats().points.delivered == 4


def test_a_forked_child_does_not_send_its_parents_increments_again(broker: Broker, emitter: Emitter) -> None:
    meters = MeterProvider([metric_reader(emitter, interval_seconds=3600)], shutdown_on_exit=False)
    counter = meters.get_meter("m").create_counter("agents.steps")
    counter.add(3)

    def child() -> list[float]:
        counter.add(5)
        meters.force_flush(60_000)
        mine = [Record(r.value) for r in broker.records if r.topic == topics.METRICS and str(os.getpid()) in str(r)]
        return [float(value) for value in decoded(mine)[1].value]

    assert in_child(child) == [5.0]
    assert meters.force_flush(60_000)
    assert list(decoded(arrived(broker, topics.METRICS))[1].value) == [3.0]


# The one line, in processes of their own: providers are global and set once

INSTALL = """
import asyncio, json, sys, warnings
from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk.resources import Resource
import agents_emitter.otel
from tests.unit.emitter.broker import Broker
broker = Broker()
def install(**more):
    return agents_emitter.otel.install(None, connect=broker.connect, process_interval_seconds=0, **more)
def work():
    with trace.get_tracer("t").start_as_current_span("plan a"):
        metrics.get_meter("m").create_counter("agents.steps").add(2)
        _logs.get_logger("l").emit(body="hello", severity_number=_logs.SeverityNumber.INFO)
def delivered(emitter):
    emitter.close()
    stats = emitter.stats()
    body = [r.body for r in broker.records if r.topic == "agents.spans"][0]
    print(stats.spans.delivered, stats.points.delivered, stats.logs.delivered, stats.dropped,
          body["resource"]["service.name"], body["resource"]["gen_ai.agent.id"])
"""


def run(code: str, **environment: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", INSTALL + code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr.strip()


def test_one_line_sends_all_three_signals() -> None:
    said = run('e = install(service_name="research", agent_id="p-1"); work(); delivered(e)')
    assert said == ("1 1 1 0 research p-1", "")


def test_instruments_made_before_the_line_work_too() -> None:
    code = (
        'c = metrics.get_meter("m").create_counter("early"); t = trace.get_tracer("t")\n'
        'e = install(service_name="research"); c.add(1); t.start_span("s").end(); work(); delivered(e)'
    )
    assert run(code) == ("2 2 1 0 research research", "")


def test_the_environments_resource_names_the_service() -> None:
    said = run(
        "e = install(); work(); delivered(e)",
        OTEL_SERVICE_NAME="named",
        OTEL_RESOURCE_ATTRIBUTES="gen_ai.agent.id=from-there",
    )
    assert said == ("1 1 1 0 named from-there", "")


def test_existing_providers_get_a_processor_more_and_a_meter_provider_is_left_alone() -> None:
    code = """
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.metrics import MeterProvider
kept = InMemorySpanExporter()
tracers = TracerProvider(resource=Resource({"service.name": "theirs"}))
tracers.add_span_processor(SimpleSpanProcessor(kept))
trace.set_tracer_provider(tracers)
metrics.set_meter_provider(MeterProvider([]))
e = install(); work(); assert install() is e
assert len(kept.get_finished_spans()) == 1
delivered(e)
"""
    said, warned = run(code)
    assert said == "1 0 1 0 theirs theirs"
    assert "a MeterProvider exists already" in warned


def test_at_exit_the_emitter_delivers_what_is_left() -> None:
    """Its own atexit runs; the providers made here have none, so that the wait has one bound."""
    code = """
import atexit
def last():
    print(sorted(r.topic for r in broker.records))
atexit._clear()
atexit.register(last)
from agents_emitter import lifetime
atexit.register(lifetime._close_all)
install(service_name="s"); work()
for provider in (trace.get_tracer_provider(), metrics.get_meter_provider(), _logs.get_logger_provider()):
    assert (provider._at_exit_handler if hasattr(provider, "_at_exit_handler") else provider._atexit_handler) is None
"""
    assert run(code) == ("['agents.logs', 'agents.metrics', 'agents.spans']", "")
