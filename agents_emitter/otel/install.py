"""The one line."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any, Final

from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from agents_emitter.emitter import Emitter
from agents_emitter.otel.exporters import UNKNOWN_SERVICE
from agents_emitter.otel.processors import (
    INTERVAL_SECONDS,
    KafkaLogRecordProcessor,
    KafkaSpanProcessor,
    metric_reader,
)

_logger: Final = logging.getLogger(__name__)
_lock: Final = threading.Lock()
_installed: Final[list[Emitter]] = []


def install(
    brokers: str | None,
    *,
    service_name: str | None = None,
    agent_id: str | None = None,
    agent_type: str | None = None,
    resource: Mapping[str, object] | None = None,
    metric_interval_seconds: float = INTERVAL_SECONDS,
    **emitter: Any,
) -> Emitter:
    """Sends what the OpenTelemetry SDK of this process records to our topics, beside where it goes already.

    Providers that exist get a processor more; those that do not are made, with a resource of the arguments and of
    ``OTEL_RESOURCE_ATTRIBUTES``. The SDK has no call to give an existing ``MeterProvider`` another reader: then
    a warning is logged, and :func:`agents_emitter.otel.metric_reader` is for its maker. A second call returns the first
    one's emitter as long as that is open.

    Args:
        brokers: "host:port" or several, separated by commas. None: nothing is sent.
        service_name: by default the provider's ``service.name``.
        agent_id: by default the provider's ``gen_ai.agent.id``, else the service name.
        agent_type: planner, researcher, ...
        resource: more resource attributes.
        metric_interval_seconds: between two collections of metrics.
        emitter: more arguments of :class:`agents_emitter.Emitter` (bounds and intervals by name).

    Returns:
        The emitter: its ``stats()`` are the accounts, its ``close()`` ends the delivery (at exit it closes itself).

    Raises:
        ValueError, TypeError: a bound that is not positive, an unknown option. Nothing is installed then.
    """
    stated = {"service.name": service_name, "gen_ai.agent.id": agent_id, "agents.type": agent_type, **(resource or {})}
    stated = {name: value for name, value in stated.items() if value is not None}
    with _lock:
        if _installed and not _installed[-1].closed:
            return _installed[-1]
        known = _known_resource(stated)
        made = Emitter(
            brokers,
            service_name=str(known.get("service.name") or UNKNOWN_SERVICE),
            agent_id=str(known["gen_ai.agent.id"]) if known.get("gen_ai.agent.id") else None,
            agent_type=agent_type,
            resource=resource,
            **emitter,
        )
        _installed[:] = [made]
        own = Resource.create({name: str(value) for name, value in stated.items()})
        _add_spans(made, own)
        _add_metrics(made, own, metric_interval_seconds)
        _add_logs(made, own)
        return made


def _known_resource(stated: Mapping[str, object]) -> Mapping[str, object]:
    """What is stated, and what the tracer provider knows beyond it (without one: the SDK's own detection)."""
    provider = trace.get_tracer_provider()
    found = getattr(provider, "resource", None)
    attributes = found.attributes if isinstance(found, Resource) else Resource.create().attributes
    return {**attributes, **stated}


def _add_spans(emitter: Emitter, resource: Resource) -> None:
    provider: Any = trace.get_tracer_provider()
    if not hasattr(provider, "add_span_processor"):
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)  # the emitter's own exit has one bound
        trace.set_tracer_provider(provider)
    provider.add_span_processor(KafkaSpanProcessor(emitter))


def _add_metrics(emitter: Emitter, resource: Resource, interval_seconds: float) -> None:
    if isinstance(metrics.get_meter_provider(), MeterProvider):
        _logger.warning(
            "a MeterProvider exists already and takes no further reader: make it with agents_emitter.otel.metric_reader"
        )
        return
    reader = metric_reader(emitter, interval_seconds=interval_seconds)
    metrics.set_meter_provider(MeterProvider([reader], resource=resource, shutdown_on_exit=False))


def _add_logs(emitter: Emitter, resource: Resource) -> None:
    provider: Any = _logs.get_logger_provider()
    if not hasattr(provider, "add_log_record_processor"):
        provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
        _logs.set_logger_provider(provider)
    provider.add_log_record_processor(KafkaLogRecordProcessor(emitter))
