"""The pipeline's own spans, by OpenTelemetry's SDK and exporter to any OTLP/HTTP receiver. Off unless one is set.

A run of records is a span ``process {topic}`` (consumer); what it led to is sent by a span ``send {topics}``
(producer), its child, in the background. Names and attributes are OpenTelemetry's for messaging. The batches of agents
carry no context of their own, so the offsets are the link to them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, SpanKind, StatusCode, format_span_id, format_trace_id, set_span_in_context

from streams.publish.loglines import WORK

QUEUE_SPANS: Final = 4_096
"""Spans that wait for the receiver; the SDK drops what comes beyond, and says so in the log."""


class SelfTracer:
    """Makes spans of runs and of deliveries; never waits for the receiver.

    Args:
        exporter: where they go; :func:`otlp` makes the usual one.
        resource: attributes of this worker.
    """

    def __init__(self, exporter: SpanExporter, resource: Mapping[str, str]) -> None:
        self._provider = TracerProvider(resource=Resource(dict(resource)), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=QUEUE_SPANS))
        self._tracer = self._provider.get_tracer("streams")

    def process(
        self, role: str, topic: str, partition: int, offsets: tuple[int, int]
    ) -> AbstractContextManager[Context]:
        """The work on a run; gives what :meth:`send` takes as its cause.

        Args:
            role: of the consumer group.
            topic: the source.
            partition: of it.
            offsets: first and last of the run.
        """
        first, last = offsets
        attributes = {
            **_messaging("process", topic),
            "messaging.consumer.group.name": role,
            "messaging.destination.partition.id": str(partition),
            "messaging.batch.message_count": last - first + 1,
            "messaging.kafka.offset": last,
            "streams.first_offset": first,
        }
        return self._span(f"process {topic}", SpanKind.CONSUMER, attributes, None)

    def send(self, cause: Context | None, topics: Collection[str], records: int) -> AbstractContextManager[Context]:
        """A delivery to the broker, from handing over to its acknowledgement."""
        names = ",".join(sorted(set(topics)))
        attributes = {**_messaging("send", names), "messaging.batch.message_count": records}
        return self._span(f"send {names}", SpanKind.PRODUCER, attributes, cause)

    def stop(self) -> None:
        """Sends what waits, for a while."""
        self._provider.shutdown()

    @contextmanager
    def _span(
        self, name: str, kind: SpanKind, attributes: Mapping[str, Any], cause: Context | None
    ) -> Iterator[Context]:
        # Not "current" for the SDK: tasks of several partitions interleave, and each names its cause itself.
        span: Span = self._tracer.start_span(name, context=cause or Context(), kind=kind, attributes=attributes)
        known = span.get_span_context()
        before = WORK.set((format_trace_id(known.trace_id), format_span_id(known.span_id)))
        try:
            yield set_span_in_context(span, Context())
        except BaseException as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(StatusCode.ERROR)
            raise
        finally:
            WORK.reset(before)
            span.end()


def otlp(url: str, headers: Mapping[str, str]) -> OTLPSpanExporter:
    """OpenTelemetry's exporter, with retries of its own."""
    return OTLPSpanExporter(endpoint=url, headers=dict(headers))


def _messaging(operation: str, destination: str) -> dict[str, str]:
    return {
        "messaging.system": "kafka",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": destination,
    }
