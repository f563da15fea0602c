"""Log records to counter samples: one increment per log on ``agents.log.records`` with severity and logger.

Three sources: our batches (``agents.log/1``), OTLP JSON and OTLP protobuf. The logger is the attribute
``logger.name`` of a log, else the name of its OTLP scope. What is a warning or worse also has the ``pattern`` of its
text (:mod:`streams.decode.patterns`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from streams.decode import attributes, labels, reasons
from streams.decode.gather import Gather, target_of
from streams.decode.numbering import Numbering
from streams.decode.numbers import MAX_INT64, integer, optional_time_ns
from streams.decode.patterns import LABEL, Patterns
from streams.decode.reasons import Refused, show
from streams.domain.columns import BatchId
from streams.domain.series import LOG_RECORDS, Series

PATTERNED: Final = frozenset({"WARN", "ERROR", "FATAL"})
SEVERITIES: Final = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
"""Names of the severity numbers 1-4, 5-8, ... 21-24 (OpenTelemetry logs data model)."""
_DEFAULT: Final = "INFO"
_LOGGER: Final = "logger.name"


def severity(number: object, text: object) -> str:
    """The severity's short name: by number, else by text.

    A log without either counts as INFO, as the data model lets receivers read it.
    """
    if isinstance(number, str):
        number = _ENUM.get(number.removeprefix("SEVERITY_NUMBER_"), number)
    try:
        value = integer(number, "severityNumber") if number is not None else 0
    except Refused:
        value = 0
    if 1 <= value <= 24:
        return SEVERITIES[(value - 1) // 4]
    word = text.strip().upper() if isinstance(text, str) else ""
    word = _SYNONYMS.get(word, word)
    return word if word in SEVERITIES else _DEFAULT


_ENUM: Final = {
    name + (str(i + 1) if i else ""): 1 + 4 * level + i for level, name in enumerate(SEVERITIES) for i in range(4)
}
_SYNONYMS: Final = {"WARNING": "WARN", "CRITICAL": "FATAL", "NOTICE": "INFO", "ERR": "ERROR"}


class LogReader:
    """Counts the logs of one record into a gather."""

    def __init__(self, record: int, append_ns: int, gather: Gather, table: Numbering, patterns: Patterns) -> None:
        self._record = record
        self._append_ns = append_ns
        self._gather = gather
        self._table = table
        self._patterns = patterns
        self._targets: dict[tuple[labels.Labels, str, str, str], int] = {}

    def read_batch(self, body: dict[str, Any]) -> int:
        """Our batch; returns how many events were seen, used or not.

        Raises:
            Refused: missing_field, bad_type.
        """
        logs = body.get("logs")
        if logs is None:
            raise Refused(reasons.MISSING_FIELD, "logs")
        resource = body.get("resource") or {}
        if not isinstance(logs, list) or not isinstance(resource, dict):
            raise Refused(reasons.BAD_TYPE, "logs is a list, resource an object")
        batch = batch_of(self._record, body)
        if batch is not None:
            producer = self._table.redactor.identity(batch.producer)
            self._gather.batches.append(batch._replace(producer=producer))
        inherited = labels.of_resource(resource)
        return sum(self._read_json(log, inherited, "") for log in logs)

    def read_json(self, resources: list[Any]) -> int:
        """A list of OTLP JSON ResourceLogs."""
        seen = 0
        for item in resources:
            try:
                seen += self._read_resource(item)
            except Refused as refused:
                self._gather.reject(self._record, refused.reason, refused.detail)
                seen += 1
        return seen

    def read_protobuf(self, raw: bytes) -> int:
        """An ExportLogsServiceRequest.

        Raises:
            Refused: bad_protobuf.
        """
        try:
            request = ExportLogsServiceRequest.FromString(raw)
        except DecodeError as error:
            raise Refused(reasons.BAD_PROTOBUF, "not an ExportLogsServiceRequest") from error
        seen = 0
        for resource in request.resource_logs:
            inherited = labels.of_resource(attributes.from_protobuf(resource.resource.attributes))
            for scope in resource.scope_logs:
                for log in scope.log_records:
                    moment = log.time_unix_nano or log.observed_time_unix_nano
                    word = severity(log.severity_number, log.severity_text)
                    logger = _logger_of(log.attributes) or scope.scope.name
                    self._count(moment, word, logger, log.body.string_value, inherited)
                    seen += 1
        return seen

    def _read_resource(self, item: object) -> int:
        resource = _object(item).get("resource") or {}
        inherited = labels.of_resource(attributes.from_json(_object(resource).get("attributes")))
        seen = 0
        for scope in _items(_object(item), "scopeLogs"):
            for log in _items(_object(scope), "logRecords"):
                seen += self._read_json(log, inherited, _scope_name(_object(scope).get("scope")))
        return seen

    def _read_json(self, log: object, inherited: labels.Labels, scope: str) -> int:
        if not isinstance(log, dict):
            self._gather.reject(self._record, reasons.BAD_TYPE, f"a log is an object, not {show(log)}")
            return 1
        moment = optional_time_ns(log.get("timeUnixNano")) or optional_time_ns(log.get("observedTimeUnixNano"))
        word = severity(log.get("severityNumber"), log.get("severityText"))
        logger = _logger_named(log.get("attributes")) or scope
        self._count(moment, word, logger, text_of(log.get("body")), inherited)
        return 1

    def _count(self, moment: int, word: str, logger: str, body: str, inherited: labels.Labels) -> None:
        """One log; without a usable time the record's append time counts."""
        if not 0 < moment <= MAX_INT64:
            moment = self._append_ns
        if moment <= 0:
            self._gather.reject(self._record, reasons.BAD_TIME, "neither the log nor its record has a time")
            return
        pattern = self._patterns.of(self._table.redactor.text(body)) if word in PATTERNED else ""
        key = (inherited, word, logger, pattern)
        target = self._targets.get(key)
        if target is None:
            own = [("logger", logger), ("severity", word), (LABEL, pattern)]
            series = Series(LOG_RECORDS, "1", "counter", labels.clean(own, inherited))
            target = self._targets[key] = target_of(self._table, series, cumulative=False)
        self._gather.point(self._record, target, moment, 0, 1.0)


def _logger_of(given: Iterable[Any]) -> str:
    """The attribute in a protobuf list."""
    return next((item.value.string_value for item in given if item.key == _LOGGER), "")


def _logger_named(given: object) -> str:
    """The attribute, in our flat mapping or in a list of OTLP JSON."""
    if isinstance(given, dict):
        found = given.get(_LOGGER)
    elif isinstance(given, list):
        named = (item for item in given if isinstance(item, dict) and item.get("key") == _LOGGER)
        value = next(named, {}).get("value")
        found = value.get("stringValue") if isinstance(value, dict) else None
    else:
        found = None
    return found if isinstance(found, str) else ""


def text_of(body: object) -> str:
    """The text of a body in JSON, ours or OTLP's; "" for one that is no text."""
    found = body.get("stringValue") if isinstance(body, dict) else body
    return found if isinstance(found, str) else ""


def _scope_name(scope: object) -> str:
    name = scope.get("name") if isinstance(scope, dict) else None
    return name if isinstance(name, str) else ""


def batch_of(record: int, body: dict[str, Any]) -> BatchId | None:
    """Producer and number of a span or log batch; None where it carries none.

    Raises:
        Refused: bad_type where they are there and unusable.
    """
    producer, seq, dropped = body.get("producer"), body.get("seq"), body.get("dropped_total", 0)
    if producer is None and seq is None:
        return None
    if not isinstance(producer, str) or not all(type(n) is int and 0 <= n <= MAX_INT64 for n in (seq, dropped)):
        raise Refused(reasons.BAD_TYPE, f"producer {show(producer)}, seq {show(seq)}, dropped_total {show(dropped)}")
    return BatchId(record, producer, seq, dropped)  # type: ignore[arg-type]  # checked above


def _object(item: object) -> dict[str, Any]:
    if isinstance(item, dict):
        return item
    raise Refused(reasons.BAD_TYPE, f"an object is needed, not {show(item)}")


def _items(item: dict[str, Any], field: str) -> list[Any]:
    items = item.get(field)
    if items is None:
        return []
    if isinstance(items, list):
        return items
    raise Refused(reasons.BAD_TYPE, f"{field} is {show(items)}")
