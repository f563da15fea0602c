"""Processors and the reader that stand directly on the emitter: no queue and no thread beside its own."""

from __future__ import annotations

import os
import weakref
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from agents_emitter.emitter import Emitter
from agents_emitter.otel.exporters import KafkaLogRecordExporter, KafkaMetricExporter, KafkaSpanExporter

INTERVAL_SECONDS: Final = 10.0
"""How often metrics are collected: as long as a pane, so that increments fall into the window they belong to."""


class KafkaSpanProcessor(SpanProcessor):
    """Sampled spans to the emitter as they end: one append into a bounded ring."""

    def __init__(self, emitter: Emitter) -> None:
        self._exporter = KafkaSpanExporter(emitter)
        self._shut = False

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing: a span counts when it ends."""

    def on_end(self, span: ReadableSpan) -> None:
        """Buffers it."""
        context = span.context
        if context is None or not context.trace_flags.sampled or self._shut or self._exporter.ignores_this_thread:
            return
        self._exporter.offer(span)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Blocks until everything so far is acknowledged or dropped; False: not within the timeout."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Flushes, at most ``exit_timeout_seconds``. The emitter stays open."""
        self._shut = True
        self._exporter.shutdown()


class KafkaLogRecordProcessor(LogRecordProcessor):
    """Log records to the emitter as they are emitted."""

    def __init__(self, emitter: Emitter) -> None:
        self._exporter = KafkaLogRecordExporter(emitter)

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Buffers it."""
        self._exporter.export((log_record,))

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Blocks until everything so far is acknowledged or dropped; False: not within the timeout."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Flushes, at most ``exit_timeout_seconds``. The emitter stays open."""
        self._exporter.shutdown()


def metric_reader(
    emitter: Emitter, *, interval_seconds: float = INTERVAL_SECONDS, **preferences: Any
) -> PeriodicExportingMetricReader:
    """A reader for ``MeterProvider([...])``.

    What is not collected yet is collected when the emitter closes, and before the process forks: the SDK copies what it
    holds into the child, which would send it a second time.

    Args:
        emitter: where the points go.
        interval_seconds: between two collections.
        preferences: as :class:`agents_emitter.otel.KafkaMetricExporter` takes them.
    """
    exporter = KafkaMetricExporter(emitter, **preferences)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=interval_seconds * 1000)
    known = weakref.ref(reader)

    def collect() -> None:
        alive = known()
        if alive is not None:
            alive.collect()

    def before_fork() -> None:
        if not emitter.closed:
            collect()

    emitter.before_close(collect)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=before_fork)
    return reader
