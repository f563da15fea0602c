"""Our own log lines as JSON, with the span of the pipeline during whose work they were written."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Final

import orjson

WORK: Final[ContextVar[tuple[str, str] | None]] = ContextVar("streams_work", default=None)
"""Trace id and span id of the run or delivery at work in this task (:class:`streams.publish.selftrace.SelfTracer`)."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Time in RFC 3339 UTC; what was given as ``extra={"fields": ...}`` as fields of the line."""
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{record.msecs:03.0f}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        work = WORK.get()
        if work is not None:
            line["trace_id"], line["span_id"] = work
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()
