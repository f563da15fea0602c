"""``topics.md`` and ``events.md``: what is on the wire."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Final

import orjson

from agents_emitter import events
from monitoring.source.reference.page import code, page, table
from streams.decode import reasons
from streams.topics import DAY_SECONDS, TOPICS, Topic

_RESOURCE: Final = {"service.name": "research", "gen_ai.agent.id": "planner-1", "gen_ai.agent.name": "planner"}
_TIME_NS: Final = 1_700_000_000_000_000_000
_TRACE, _SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def topics() -> str:
    """Each topic with what its records are keyed by, how long they stay, and who has to do with it."""
    columns = ("topic", "key", "partitions", "kept", "largest record", "written by", "read by")
    return page(
        "Topics",
        "`streams/topics.py`",
        "`streams topics create` makes them with `STREAMS_PARTITIONS` and `STREAMS_REPLICATION_FACTOR`;\n"
        "`source` means as many partitions as that. Time stamps are the broker's (`LogAppendTime`),\n"
        "`cleanup.policy` is `compact` where the newest record of a key is kept, else `delete`.",
        table(columns, map(_row, TOPICS)),
    )


def _row(topic: Topic) -> tuple[object, ...]:
    days = topic.retention_seconds / DAY_SECONDS
    kept = "newest of a key" if topic.compacted else f"{days:g} d"
    return (
        f"`{topic.name}`",
        topic.key,
        topic.partitions,
        kept,
        f"{topic.max_record_bytes >> 20} MiB",
        topic.producer,
        topic.consumers,
    )


def wire() -> str:
    """Each record that agents may send, as the encoders of the library write it."""
    sections = [f"## {title}\n\n{text}\n\n```json\n{_shown(raw)}\n```" for title, text, raw in _examples()]
    listed = sorted(value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str))
    return page(
        "Events",
        "`agents_emitter/events.py`",
        "Every record is one JSON object. Fields that are not known are ignored; changes only add fields. OTLP JSON\n"
        "and protobuf of OpenTelemetry collectors are read from `otlp_metrics`, `otlp_spans` and `otlp_logs` as they\n"
        "are.",
        *sections,
        "## What cannot be read",
        "The record goes to `agents.dead-letters` with its bytes, topic, partition, offset and one of\n"
        f"these reasons: {code(listed)}.",
    )


def _examples() -> Iterator[tuple[str, str, bytes]]:
    series = events.SeriesDefinition("agents.steps", "1", "counter", (("outcome", "success"), ("step_type", "plan")))
    head = events.encode_metric_head(_RESOURCE, [series], "planner-1/7")
    for columns in ("plain", "packed"):
        raw = events.encode_metric_batch(
            head,
            seq=0,
            dropped_total=0,
            base_time_unix_nano=_TIME_NS,
            index=[0, 0],
            offset_ns=[0, 1_000_000],
            value=[1.0, 2.0],
            columns=columns,
        )
        yield f"Metric batch, {columns} columns", _text(events.encode_metric_batch), raw
    labels = {"response_type": "answer"}
    single = events.encode_single("agents.response.quality", 0.93, kind="histogram", labels=labels, resource=_RESOURCE)
    yield "Single event", _text(events.encode_single), single
    span = {
        "traceId": _TRACE,
        "spanId": _SPAN,
        "parentSpanId": "",
        "name": "plan",
        "kind": 1,
        "startTimeUnixNano": _TIME_NS,
        "endTimeUnixNano": _TIME_NS + 250_000_000,
        "status": {"code": 1},
        "attributes": {"gen_ai.operation.name": "invoke_agent"},
    }
    yield (
        "Span batch",
        _text(events.encode_span_batch),
        events.encode_span_batch(_RESOURCE, [span], producer="planner-1/7", seq=1),
    )
    log = {
        "timeUnixNano": _TIME_NS,
        "severityNumber": 17,
        "severityText": "ERROR",
        "body": "tool search failed after 3 attempts",
        "attributes": {"logger.name": "planner.tools"},
        "traceId": _TRACE,
        "spanId": _SPAN,
    }
    yield (
        "Log batch",
        _text(events.encode_log_batch),
        events.encode_log_batch(_RESOURCE, [log], producer="planner-1/7", seq=1),
    )
    yield "Tick", _text(events.encode_tick), events.encode_tick(_TIME_NS)


def _text(encoder: object) -> str:
    """The encoder's docstring, with what it says of arguments as a list."""
    text = (inspect.getdoc(encoder) or "").split("\nRaises:")[0].replace("Args:\n", "").replace("``", "`")
    text = text.replace(":data:`MAX_SERIES_PER_BATCH`", str(events.MAX_SERIES_PER_BATCH))
    text = text.replace(":func:", "")
    lines = (f"- {line.strip()}" if line.startswith("    ") else line for line in text.splitlines())
    return "\n".join(lines).strip()


def _shown(raw: bytes) -> str:
    return orjson.dumps(orjson.loads(raw), option=orjson.OPT_INDENT_2).decode()
