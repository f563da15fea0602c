"""A logging handler that ships an agent's records, each with the trace it belongs to."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from agents_emitter.propagation import current_context
from agents_emitter.text import attributes, clip, text_of

if TYPE_CHECKING:
    from agents_emitter.emitter import Emitter

MAX_BODY_CHARS: Final = 8192
MAX_STACK_CHARS: Final = 8192
_OWN: Final = ("agents_emitter", "aiokafka", "kafka")
_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_SEVERITIES: Final = ((50, 21, "FATAL"), (40, 17, "ERROR"), (30, 13, "WARN"), (20, 9, "INFO"), (10, 5, "DEBUG"))


def severity(level: int) -> tuple[int, str]:
    """OpenTelemetry's severity number (1..24) and text of a logging level."""
    for least, number, text in _SEVERITIES:
        if level >= least:
            return number, text
    return 1, "TRACE"


class LogHandler(logging.Handler):
    """Ships log records to ``agents.logs``; bounded by the emitter's log ring, drops are counted there.

    Records of aiokafka, of this package and of the sender's own thread are not shipped: a failing delivery that logs
    must not make more to deliver. The body is cut at 8,192 characters; ``extra`` becomes attributes.
    """

    def __init__(self, emitter: Emitter, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self._emitter = emitter

    def emit(self, record: logging.LogRecord) -> None:
        """Ship one record. Never raises: what cannot be formatted is counted."""
        try:
            if record.name.partition(".")[0] in _OWN or record.thread == self._emitter.sender_thread_id:
                return
            row = self._row(record)
            size = 256 + len(row["body"]) + sum(len(name) + len(str(v)) for name, v in row["attributes"].items())
            self._emitter.offer_log(row, size)
        except Exception as error:  # noqa: BLE001  a message that does not fit its arguments, an odd extra
            self._emitter.count_invalid_log(error)

    def _row(self, record: logging.LogRecord) -> dict[str, Any]:
        number, text = severity(record.levelno)
        given = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        given["logger.name"] = record.name
        given["code.function.name"] = record.funcName
        given["code.line.number"] = record.lineno
        row: dict[str, Any] = {
            "timeUnixNano": int(record.created * 1e9),
            "severityNumber": number,
            "severityText": text,
            "body": clip(record.getMessage(), MAX_BODY_CHARS),
            "attributes": attributes(given),
        }
        if record.exc_info and record.exc_info[1] is not None:
            row["attributes"].update(self._exception(record.exc_info[1]))
        context = current_context()
        if context is not None:
            row["traceId"] = context.trace_id
            row["spanId"] = context.span_id
        return row

    def _exception(self, error: BaseException) -> dict[str, str]:
        stack = logging.Formatter().formatException((type(error), error, error.__traceback__))
        return {
            "exception.type": type(error).__qualname__,
            "exception.message": text_of(error, 1024),
            "exception.stacktrace": clip(stack[-MAX_STACK_CHARS:], MAX_STACK_CHARS),
        }
