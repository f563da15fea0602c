"""An agent that is instrumented with OpenTelemetry already: one line sends its spans, metrics and logs to our topics.

::

    import agents_emitter.otel

    agents_emitter.otel.install("127.0.0.1:9092", service_name="research", agent_id="planner-1", agent_type="planner")

Who builds providers takes the parts: ``KafkaSpanProcessor``, ``metric_reader``, ``KafkaLogRecordProcessor``, or the
exporters behind them. Each takes an :class:`agents_emitter.Emitter`, whose bounds, accounts and sender they share.

Spans and logs go out as our own batches: numbered, so that the pipeline knows a repeated one. Spans are converted
in the sender's thread. Metrics go out as OTLP protobuf, because histograms have no other form.

This folder is the only place of the package that imports ``opentelemetry`` (``pip install 'agent-streams[otel]'``).
"""

from agents_emitter.otel.exporters import KafkaLogRecordExporter, KafkaMetricExporter, KafkaSpanExporter
from agents_emitter.otel.install import install
from agents_emitter.otel.processors import KafkaLogRecordProcessor, KafkaSpanProcessor, metric_reader

__all__ = [
    "KafkaLogRecordExporter",
    "KafkaLogRecordProcessor",
    "KafkaMetricExporter",
    "KafkaSpanExporter",
    "KafkaSpanProcessor",
    "install",
    "metric_reader",
]
