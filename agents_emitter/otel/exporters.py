"""The three exporters. None blocks or raises: what they get goes to the emitter's bounded rings, and is counted."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics import Counter, Histogram, ObservableCounter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    MetricExporter,
    MetricExportResult,
    MetricsData,
)
from opentelemetry.sdk.metrics.view import Aggregation, ExponentialBucketHistogramAggregation
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from agents_emitter.emitter import Emitter
from agents_emitter.foreign import Foreign, Ready
from agents_emitter.otel import points
from agents_emitter.otel.rows import finished_row, log_row, mapping, span_row, span_size

UNKNOWN_SERVICE: Final = "unknown_service"
DELTA: Final[Mapping[type, AggregationTemporality]] = dict.fromkeys(
    (Counter, ObservableCounter, Histogram), AggregationTemporality.DELTA
)


class _Exporter:
    """What the three share: the emitter, and the resource of the SDK as the emitter's batches carry it."""

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter
        self._shut = False
        self._known: tuple[Resource | None, dict[str, Any]] = (None, {})

    @property
    def ignores_this_thread(self) -> bool:
        """Whether this is the sender's: an instrumented Kafka client must not make what it sends by sending."""
        return threading.get_ident() == self._emitter.sender_thread_id

    def resource(self, resource: Resource | None) -> dict[str, Any]:
        """The SDK's attributes without those that the emitter states; one object as long as the resource is one."""
        known, found = self._known
        if resource is None or resource is known:
            return found if resource is known else {}
        own = {name: v for name, v in resource.attributes.items() if name not in self._emitter.stated}
        found = self._emitter.redactor.attributes(mapping(own))
        self._known = (resource, found)
        return found

    def flush(self, timeout_millis: float) -> bool:
        """Waits until everything so far is acknowledged or dropped; False: not within the timeout."""
        return self._emitter.flush(max(timeout_millis, 0.0) / 1000)

    def end(self, timeout_seconds: float | None = None) -> None:
        """Takes nothing from now on, and flushes. The emitter stays open: the other signals share it."""
        limit = self._emitter.options.exit_timeout_seconds
        if not self._shut:
            self._shut = True
            self._emitter.flush(limit if timeout_seconds is None else min(timeout_seconds, limit))


class KafkaSpanExporter(_Exporter, SpanExporter):
    """Ended spans to ``agents.spans``, one record for each trace of a batch, numbered.

    Works behind any processor of the SDK; :class:`agents_emitter.otel.KafkaSpanProcessor` needs no second queue and no
    second thread.

    Args:
        emitter: its resource, bounds (``ring_spans``, ``ring_bytes``, ``spool_*``) and accounts (``stats().spans``).
    """

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Buffers spans; FAILURE if some were refused (the ring is full, or after shutdown)."""
        if self._shut:
            return SpanExportResult.FAILURE
        if self.ignores_this_thread:
            return SpanExportResult.SUCCESS
        taken = [self.offer(span) for span in spans]
        return SpanExportResult.SUCCESS if all(taken) else SpanExportResult.FAILURE

    def offer(self, span: ReadableSpan) -> bool:
        """Buffers one span; False: refused and counted."""
        try:
            group = f"{span.context.trace_id:032x}".encode()
            foreign, size = Foreign(group, self.resource(span.resource), span, span_row), span_size(span)
        except Exception as error:  # noqa: BLE001  the boundary to the agent's objects: counted, never raised into it
            self._emitter.count_invalid_span(error)
            return False
        return self._emitter.offer_span(foreign, size)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Blocks until everything so far is acknowledged or dropped; False: not within the timeout."""
        return self.flush(timeout_millis)

    def shutdown(self) -> None:
        """Flushes, at most ``exit_timeout_seconds``. The emitter stays open."""
        self.end()


class KafkaLogRecordExporter(_Exporter, LogRecordExporter):
    """Log records to ``agents.logs``, numbered; converted at once, because their source may change.

    Args:
        emitter: its resource, bounds (``ring_logs``, ``ring_bytes``, ``spool_*``) and accounts (``stats().logs``).
    """

    def export(self, batch: Sequence[ReadableLogRecord | ReadWriteLogRecord]) -> LogRecordExportResult:
        """Buffers records; FAILURE if some were refused."""
        if self._shut:
            return LogRecordExportResult.FAILURE
        if self.ignores_this_thread:
            return LogRecordExportResult.SUCCESS
        taken = [self._offer(record) for record in batch]
        return LogRecordExportResult.SUCCESS if all(taken) else LogRecordExportResult.FAILURE

    def _offer(self, record: ReadableLogRecord | ReadWriteLogRecord) -> bool:
        try:
            row, size = log_row(record)
        except Exception as error:  # noqa: BLE001  the boundary to the agent's objects: counted, never raised into it
            self._emitter.count_invalid_log(error)
            return False
        return self._emitter.offer_log(Foreign(b"", self.resource(record.resource), row, finished_row), size)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Blocks until everything so far is acknowledged or dropped; False: not within the timeout."""
        return self.flush(timeout_millis)

    def shutdown(self) -> None:
        """Flushes, at most ``exit_timeout_seconds``. The emitter stays open."""
        self.end()


class KafkaMetricExporter(_Exporter, MetricExporter):
    """Metric points to ``agents.metrics`` as OTLP protobuf, under the agent's key.

    By default counters and histograms are increments (delta) and histograms have exponential buckets. Increments,
    because processes with the same agent id (workers of a web server, restarts) add up; running totals of two processes
    in one series look like resets. Exponential, because the SDK's explicit bounds are made for milliseconds: 160
    buckets give quantiles within some percent at any scale. Sums that fall too stay totals: they are current values.

    The price of increments: OTLP has no sequence number, so a record that is sent again because its acknowledgement was
    lost counts twice, and points dropped at a bound (``stats().points``) are missing. A single process that would
    rather have neither passes ``preferred_temporality`` with ``AggregationTemporality.CUMULATIVE``, and then
    ``preferred_aggregation={}``: exponential buckets of a running total merge while it runs, which reads as a reset.

    Args:
        emitter: its resource, bounds (``ring_logs``, ``ring_bytes``, ``spool_*``) and accounts (``stats().points``).
        preferred_temporality, preferred_aggregation: by class of instrument, as the SDK takes them.
    """

    def __init__(
        self,
        emitter: Emitter,
        *,
        preferred_temporality: Mapping[type, AggregationTemporality] | None = None,
        preferred_aggregation: Mapping[type, Aggregation] | None = None,
    ) -> None:
        _Exporter.__init__(self, emitter)
        aggregation: dict[type, Aggregation] = {Histogram: ExponentialBucketHistogramAggregation()}
        MetricExporter.__init__(
            self,
            dict(DELTA if preferred_temporality is None else preferred_temporality),
            dict(aggregation if preferred_aggregation is None else preferred_aggregation),
        )

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> MetricExportResult:
        """Buffers points; FAILURE if some were refused."""
        if self._shut:
            return MetricExportResult.FAILURE
        limit = self._emitter.options.max_record_bytes - len(self._emitter.resource["gen_ai.agent.id"]) * 4
        emitter = self._emitter
        found = points.requests(
            metrics_data, lambda r: {**emitter.resource, **self.resource(r)}, limit, emitter.redactor
        )
        taken = [self._emitter.offer_points(Ready(value, count)) for value, count in found]
        return MetricExportResult.SUCCESS if all(taken) else MetricExportResult.FAILURE

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Blocks until everything so far is acknowledged or dropped; False: not within the timeout."""
        return self.flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """Flushes, at most ``exit_timeout_seconds``. The emitter stays open."""
        self.end(max(timeout_millis, 0.0) / 1000)
