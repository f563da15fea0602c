"""To OTLP receivers: of traces those that are worth it, of logs all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streams.domain.span import Log, Span
from streams.domain.trace import decode_trace
from streams.errors import ConfigurationError
from streams.publish.health import Health
from streams.publish.otlp import encode_logs, encode_spans
from streams.publish.otlpexport import ExportSettings, OtlpExporter
from streams.publish.selftrace import SelfTracer, otlp
from streams.settings import Settings, variable
from streams.trace.sampling import Policy, Sampler


@dataclass(frozen=True)
class TraceExport:
    """One per worker: its partitions share the baselines and the queue."""

    sampler: Sampler
    exporter: OtlpExporter[Span]
    health: Health

    def take(self, value: bytes) -> None:
        """Judges a record of ``agents.traces``, counts the decision, queues the spans of a sampled trace.

        A span that never ended makes a trace anomalous. A record that was trimmed is sent as it is.
        """
        trace = decode_trace(value)
        decision = self.sampler.decide(trace, anomalous=bool(trace.unfinished))
        self.health.traces_sampled.labels(decision.reason or "none").inc()
        if decision.sampled:
            self.exporter.offer(trace.spans)


def trace_export(settings: Settings, health: Health) -> TraceExport | None:
    """As the settings say; None without a receiver."""
    if not settings.otlp_traces_url:
        return None
    policy = Policy(
        base_ratio=settings.sample_base_ratio,
        slow_seconds=settings.sample_slow_seconds,
        slow_factor=settings.sample_slow_factor,
    )
    exporter = OtlpExporter(_sending(settings, settings.otlp_traces_url), health.spans_export(), encode_spans)
    return TraceExport(Sampler(policy), exporter, health)


def log_export(settings: Settings, health: Health) -> OtlpExporter[Log] | None:
    """As the settings say; None without a receiver."""
    if not settings.otlp_logs_url:
        return None
    return OtlpExporter(_sending(settings, settings.otlp_logs_url), health.logs_export(), encode_logs)


def _sending(settings: Settings, url: str) -> ExportSettings:
    return ExportSettings(
        url,
        queue_items=settings.otlp_queue_spans,
        retry_seconds=settings.otlp_retry_seconds,
        headers=read_headers(settings),
    )


def self_tracer(settings: Settings, version: str) -> SelfTracer | None:
    """As the settings say; None without a receiver."""
    if not settings.self_traces_url:
        return None
    resource = {"service.name": "agent-streams", "service.version": version}
    if settings.instance_id:
        resource["service.instance.id"] = settings.instance_id
    return SelfTracer(otlp(settings.self_traces_url, read_headers(settings)), resource)


def read_headers(settings: Settings) -> dict[str, str]:
    """Headers for OTLP receivers; none without a file.

    Raises:
        ConfigurationError: the file cannot be read, or a line is no header. The message shows no value.
    """
    name = variable("otlp_headers_file")
    if not settings.otlp_headers_file:
        return {}
    try:
        lines = Path(settings.otlp_headers_file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{name}={settings.otlp_headers_file}: {type(error).__name__}") from None
    headers = {}
    for number, line in enumerate(lines, 1):
        key, colon, value = line.partition(":")
        if line.strip() and not (colon and key.strip().isascii() and value.strip().isascii()):
            raise ConfigurationError(f"{name}: line {number} must read `name: value`, in ASCII")
        if line.strip():
            headers[key.strip().lower()] = value.strip()
    return headers
