"""Metrics of the SDK as values of records: OTLP protobuf, in pieces that a record can hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.resources import Resource

from agents_emitter.redaction import Redactor


def requests(
    metrics_data: MetricsData,
    attributes_of: Callable[[Resource], Mapping[str, Any]],
    limit_bytes: int,
    redactor: Redactor,
) -> Iterator[tuple[bytes, int]]:
    """(ExportMetricsServiceRequest, number of its points): one, or one for each metric or part of it where it is large.

    Args:
        metrics_data: one collection.
        attributes_of: the attributes to send for a resource of the SDK.
        limit_bytes: of one request. A single point that is larger is a request of its own (and refused later).
        redactor: applied to all texts but those of resources, which ``attributes_of`` answers for.
    """
    request = encode_metrics(metrics_data)
    for sent, given in zip(request.resource_metrics, metrics_data.resource_metrics, strict=True):
        del sent.resource.attributes[:]
        sent.resource.attributes.extend(_attribute(*pair) for pair in attributes_of(given.resource).items())
        for scope in sent.scope_metrics:
            _redact(scope, redactor)
    for piece in _pieces(request, limit_bytes):
        count = _count(piece)
        if count:
            yield piece.SerializeToString(), count


def _redact(scope: ScopeMetrics, redactor: Redactor) -> None:
    scope.scope.name = redactor.text(scope.scope.name)
    _redact_attributes(scope.scope.attributes, redactor)
    for metric in scope.metrics:
        for field in ("name", "description", "unit"):
            setattr(metric, field, redactor.text(getattr(metric, field)))
        for point in _points(metric):
            _redact_attributes(point.attributes, redactor)
            for exemplar in point.exemplars:
                _redact_attributes(exemplar.filtered_attributes, redactor)


def _redact_attributes(attributes: Iterable[KeyValue], redactor: Redactor) -> None:
    for item in attributes:
        given = _plain(item.value)
        kept = redactor.value(item.key, given)
        if kept != given:
            item.value.CopyFrom(_value(kept))
        item.key = redactor.text(item.key)


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None


def _pieces(request: ExportMetricsServiceRequest, limit_bytes: int) -> Iterator[ExportMetricsServiceRequest]:
    if request.ByteSize() <= limit_bytes:
        yield request
        return
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            frame = ResourceMetrics(resource=resource.resource, schema_url=resource.schema_url)
            frame.scope_metrics.add(scope=scope.scope, schema_url=scope.schema_url)
            room = limit_bytes - frame.ByteSize() - 64  # lengths and tags around the metric
            for metric in scope.metrics:
                for part in _parts(metric, room):
                    piece = ExportMetricsServiceRequest(resource_metrics=[frame])
                    piece.resource_metrics[0].scope_metrics[0].metrics.append(part)
                    yield piece


def _parts(metric: Metric, limit_bytes: int) -> Iterator[Metric]:
    points = _points(metric)
    if len(points) <= 1 or metric.ByteSize() <= limit_bytes:
        yield metric
        return
    middle = len(points) // 2
    for first, last in ((0, middle), (middle, len(points))):
        part = Metric()
        part.CopyFrom(metric)
        kept = _points(part)
        del kept[last:]
        del kept[:first]
        yield from _parts(part, limit_bytes)


def _points(metric: Metric) -> Any:
    kind = metric.WhichOneof("data")
    return getattr(metric, kind).data_points if kind else []


def _count(request: ExportMetricsServiceRequest) -> int:
    return sum(
        len(_points(metric))
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )


def _attribute(name: str, value: Any) -> KeyValue:
    return KeyValue(key=name, value=_value(value))


def _value(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[_value(item) for item in value]))
    return AnyValue(string_value=str(value))
