"""Log records as values, from each of their wire forms: for who shows them. They are counted in ``decode.logs``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from agents_emitter import events
from agents_emitter.redaction import Redactor
from streams.decode import attributes, logs, sniff
from streams.decode.labels import json_text
from streams.decode.numbers import MAX_INT64, optional_time_ns
from streams.domain.span import Log

_MAX_BODY_CHARS = 8_192


def read_logs(raw: bytes, append_ns: int, redactor: Redactor) -> list[Log]:
    """The logs of a record, redacted; a log without a usable time has the record's append time.

    The severity's text is its short name (:data:`streams.decode.logs.SEVERITIES`); the logger is the attribute
    ``logger.name``, where a log has none the name of its OTLP scope.

    Raises:
        ValueError: it holds no logs that can be read (Refused and KeyError too are some).
    """
    try:
        return [_log(redactor.row(row), redactor.attributes(resource), append_ns) for row, resource in _rows(raw)]
    except (AttributeError, DecodeError, KeyError, TypeError, orjson.JSONDecodeError) as error:
        raise ValueError(f"no logs: {type(error).__name__}") from error


def _rows(raw: bytes) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """(row with OTLP field names and flat attributes, flat resource) of each log."""
    if sniff.is_protobuf(raw) and raw.lstrip()[:1] not in (b"{", b"["):
        yield from _protobuf(raw)
        return
    body = orjson.loads(raw)
    if isinstance(body, dict) and body.get("schema") == events.LOG_SCHEMA:
        resource = attributes.flatten(body.get("resource") or {})
        for log in body["logs"]:
            yield (
                {**log, "body": _text(log.get("body")), "attributes": attributes.flatten(log.get("attributes") or {})},
                resource,
            )
        return
    for group in body["resourceLogs"] if isinstance(body, dict) else body:
        resource = attributes.flatten(attributes.from_json((group.get("resource") or {}).get("attributes")))
        for scope in group["scopeLogs"]:
            name = (scope.get("scope") or {}).get("name", "")
            for log in scope.get("logRecords") or []:
                own = attributes.flatten(attributes.from_json(log.get("attributes")))
                body = attributes.from_json([{"key": "", "value": log.get("body")}])[""]
                yield {**log, "body": _text(body), "attributes": {"logger.name": name, **own}}, resource


def _protobuf(raw: bytes) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for group in ExportLogsServiceRequest.FromString(raw).resource_logs:
        resource = attributes.flatten(attributes.from_protobuf(group.resource.attributes))
        for scope in group.scope_logs:
            for log in scope.log_records:
                own = attributes.flatten(attributes.from_protobuf(log.attributes))
                yield (
                    {
                        "timeUnixNano": log.time_unix_nano,
                        "observedTimeUnixNano": log.observed_time_unix_nano,
                        "severityNumber": log.severity_number,
                        "severityText": log.severity_text,
                        "body": _text(attributes.from_protobuf_value(log.body)),
                        "attributes": {"logger.name": scope.scope.name, **own},
                        "traceId": log.trace_id.hex(),
                        "spanId": log.span_id.hex(),
                    },
                    resource,
                )


def _text(body: object) -> str:
    """A body that is no text as JSON."""
    return body if isinstance(body, str) else "" if body is None else json_text(body)


def _log(row: dict[str, Any], resource: dict[str, Any], append_ns: int) -> Log:
    moment = optional_time_ns(row.get("timeUnixNano")) or optional_time_ns(row.get("observedTimeUnixNano"))
    word = logs.severity(row.get("severityNumber"), row.get("severityText"))
    return Log(
        time_ns=moment if 0 < moment <= MAX_INT64 else append_ns,
        severity_number=1 + 4 * logs.SEVERITIES.index(word),
        severity_text=word,
        body=str(row.get("body") or "")[:_MAX_BODY_CHARS],
        attributes=row["attributes"],
        resource=resource,
        trace_id=_id(row.get("traceId"), 32),
        span_id=_id(row.get("spanId"), 16),
    )


def _id(value: object, digits: int) -> str:
    return value.lower() if isinstance(value, str) and len(value) == digits and value.strip("0") else ""
