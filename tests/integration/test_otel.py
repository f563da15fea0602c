"""The OpenTelemetry SDK through ``agents_emitter.otel`` into a real broker, which is away for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

from agents_emitter import Emitter
from agents_emitter.otel import KafkaLogRecordProcessor, KafkaSpanProcessor, metric_reader
from streams import topics
from streams.decode.head import HeadCache
from streams.decode.run import decode_run
from streams.decode.spans import decode_spans
from streams.domain.series import SeriesTable
from streams.services.kafka import KafkaService
from tests.integration.test_emitter import make_topics
from tests.pipeline import Pipeline
from tests.unit.emitter.broker import agree, eventually

pytestmark = pytest.mark.integration


class Instrumented:
    """A program with the three providers of the SDK."""

    def __init__(self, emitter: Emitter) -> None:
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(KafkaSpanProcessor(emitter))
        self.meters = MeterProvider([metric_reader(emitter, interval_seconds=3600)], shutdown_on_exit=False)
        self.loggers = LoggerProvider(shutdown_on_exit=False)
        self.loggers.add_log_record_processor(KafkaLogRecordProcessor(emitter))
        self._steps = self.meters.get_meter("m").create_counter("agents.steps")

    def work(self, times: int) -> None:
        tracer, logger = self.tracers.get_tracer("t"), self.loggers.get_logger("l")
        for _ in range(times):
            with tracer.start_as_current_span("invoke_agent a"), tracer.start_as_current_span("chat m"):
                self._steps.add(1)
                logger.emit(LogRecord(body="hello", severity_number=SeverityNumber.INFO))


@contextmanager
def instrumented(emitter: Emitter) -> Iterator[Instrumented]:
    program = Instrumented(emitter)
    yield program
    for provider in (program.tracers, program.meters, program.loggers):
        provider.shutdown()


def decoded(pipeline: Pipeline) -> tuple[set[str], float, int]:
    """Ids of the spans, sum of the steps, number of log records (by their batches, each once)."""
    spans = decode_spans(pipeline.read(topics.SPANS), hint=topics.SPANS)
    assert not spans.rejected
    table = SeriesTable()
    once_each = list({record.value: record for record in pipeline.read(topics.METRICS)}.values())  # no number in OTLP
    metrics = decode_run(once_each, table, HeadCache(), hint=topics.METRICS)
    steps = [
        value
        for slot, value in zip(metrics.slot, metrics.value, strict=True)
        if table.rows[slot].name == "agents.steps"
    ]
    logs = decode_run(pipeline.read(topics.LOGS), SeriesTable(), HeadCache(), hint=topics.LOGS)
    assert not metrics.rejected
    assert not logs.rejected
    batches = {batch.record: (batch.producer, batch.seq) for batch in logs.batches}
    once = {batches[record]: int(logs.events[record]) for record in reversed(range(len(logs.offset)))}
    return {span.span_id for span in spans.spans}, sum(steps), sum(once.values())


def test_what_is_recorded_while_the_broker_is_away_arrives(private_kafka: KafkaService, tmp_path: Any) -> None:
    make_topics(private_kafka.bootstrap)
    pipeline = Pipeline(private_kafka, tmp_path, 2, {})
    with (
        Emitter(private_kafka.bootstrap, service_name="it", agent_id="a", process_interval_seconds=0) as emitter,
        instrumented(emitter) as program,
    ):
        program.work(50)
        assert program.tracers.force_flush(60_000)
        private_kafka.kill()
        program.work(70)
        assert program.meters.force_flush(1)  # collected, not delivered: the SDK's reader does not say
        assert not KafkaSpanProcessor(emitter).force_flush(200)
        assert agree(emitter)
        private_kafka.start()
        eventually(lambda: emitter.flush(1.0))
        assert agree(emitter)
        stats = emitter.stats()
    assert (stats.spans.delivered, stats.points.delivered, stats.logs.delivered, stats.dropped) == (240, 1, 120, 0)
    spans, steps, logs = decoded(pipeline)
    assert (len(spans), steps, logs) == (240, 120, 120)
