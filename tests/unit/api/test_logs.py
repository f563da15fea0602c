"""Logs from their topics: each once, found by words, agent, service, logger, severity and trace, forgotten in time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from agents_emitter.events import encode_log_batch
from agents_emitter.redaction import Redactor
from streams import topics
from streams.api.board.writer import Fetched
from streams.api.logs.query import Asked, LogReader
from streams.api.logs.writer import LogWriter
from streams.decode.logrows import read_logs
from streams.domain.span import Log
from tests.planted import Garden, records

MS, TRACE, SPAN = 1_700_000_000_000, "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
RESOURCE = {"service.name": "shop", "gen_ai.agent.id": "planner-1"}


def row(body: str, severity: int = 9, logger: str = "agent.chat", **more: Any) -> dict[str, Any]:
    attributes = {"logger.name": logger, "step": 3}
    return {"timeUnixNano": MS * 10**6, "severityNumber": severity, "body": body, "attributes": attributes, **more}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs.sqlite3"


@pytest.fixture
def writer(path: Path) -> Iterator[LogWriter]:
    made = LogWriter(path, Redactor())
    yield made
    made.close()


def write(writer: LogWriter, *rows: dict[str, Any], at_ms: int = MS, resource: dict[str, str] | None = None) -> None:
    offset = writer.offsets().get((topics.LOGS, 0), 0)
    value = encode_log_batch(resource or RESOURCE, rows, producer="p", seq=0)
    writer.write([Fetched(topics.LOGS, 0, offset, at_ms, value)])


def bodies(path: Path, limit: int = 100, **asked: Any) -> list[str]:
    """Of all pages joined."""
    reader, found, cursor = LogReader(path), [], ""
    try:
        while True:
            page = reader.page(Asked(**asked), limit=limit, cursor=cursor)
            found += [one["body"] for one in page.logs]
            cursor = page.next_cursor
            if not cursor:
                return found
    finally:
        reader.close()


def test_found_by_what_they_are(path: Path, writer: LogWriter) -> None:
    write(writer, row("model call failed", 13), row("all is well"), row("disk full", 17, "agent.disk", traceId=TRACE))
    write(writer, row("model is slow"), resource={"service.name": "bank", "service.instance.id": "b-1"})
    assert bodies(path) == ["model is slow", "disk full", "all is well", "model call failed"]
    assert bodies(path, text="model") == ["model is slow", "model call failed"]
    assert bodies(path, text="failed model") == ["model call failed"]
    assert bodies(path, text='model" OR "disk') == []
    assert bodies(path, severity="WARN") == ["disk full", "model call failed"]
    assert bodies(path, service="bank") == bodies(path, agent_id="b-1") == ["model is slow"]
    assert bodies(path, logger="agent.disk") == bodies(path, trace_id=TRACE) == ["disk full"]
    assert bodies(path, text="model", severity="ERROR") == []
    assert bodies(path, since_ns=MS * 10**6 + 1) == []


def test_what_is_shown_of_one(path: Path, writer: LogWriter) -> None:
    write(writer, row("of a@b.example", 17, traceId=TRACE, spanId=SPAN))
    reader = LogReader(path)
    (one,) = reader.page(Asked()).logs
    reader.close()
    assert one == {
        "time_ns": MS * 10**6,
        "severity": "ERROR",
        "service": "shop",
        "agent_id": "planner-1",
        "logger": "agent.chat",
        "trace_id": TRACE,
        "span_id": SPAN,
        "body": "of [redacted:email]",
        "attributes": {"step": 3},
    }


@pytest.mark.parametrize("asked", [{}, {"text": "line"}, {"service": "shop"}])
def test_pages_go_on_where_they_ended_whatever_comes_meanwhile(
    path: Path, writer: LogWriter, asked: dict[str, str]
) -> None:
    write(writer, *(row(f"line {n}") for n in range(7)))
    reader = LogReader(path)
    first = reader.page(Asked(**asked), limit=3)
    write(writer, row("line of the meantime"))
    second = reader.page(Asked(**asked), limit=3, cursor=first.next_cursor)
    reader.close()
    assert [one["body"] for one in (*first.logs, *second.logs)] == [f"line {n}" for n in (6, 5, 4, 3, 2, 1)]
    assert bodies(path, limit=2, **asked) == ["line of the meantime", *(f"line {n}" for n in (6, 5, 4, 3, 2, 1, 0))]


@pytest.mark.parametrize("cursor", ["zz", orjson.dumps(["x"]).hex(), orjson.dumps([1, 2]).hex()])
def test_a_cursor_of_another_list_is_refused(path: Path, writer: LogWriter, cursor: str) -> None:
    reader = LogReader(path)
    with pytest.raises(ValueError, match="next_cursor"):
        reader.page(Asked(), cursor=cursor)
    reader.close()


def test_records_that_come_again_are_passed_over_and_unreadable_ones_counted(path: Path, writer: LogWriter) -> None:
    value = encode_log_batch(RESOURCE, [row("once")], producer="p", seq=0)
    bad = [None, b"", b"{", b"[]", b"[3]", b"{}", b'{"schema":"agents.log/1","logs":[3]}', b"\x0a\xff"]
    records = [Fetched(topics.LOGS, 0, n, MS, one) for n, one in enumerate([value, *bad])]
    writer.write(records)
    writer.write(records)
    assert bodies(path) == ["once"]
    assert writer.written + writer.unreadable == 9
    assert writer.unreadable >= 7


def test_old_ones_and_those_beyond_the_bound_are_forgotten_with_their_words(path: Path, writer: LogWriter) -> None:
    write(writer, *(row(f"old {n}") for n in range(3)))
    write(writer, *(row(f"young {n}") for n in range(5)), at_ms=MS + 10_000)
    writer.prune(5.0, (MS + 10_000) * 10**6)
    assert bodies(path, text="old") == []
    assert len(bodies(path)) == 5
    writer.prune(5.0, (MS + 10_000) * 10**6, most=2)
    assert bodies(path) == bodies(path, text="young") == ["young 4", "young 3"]
    assert writer.pruned == 6


def test_the_three_wire_forms_say_the_same() -> None:
    ours = encode_log_batch(RESOURCE, [row("text", 17, traceId=TRACE, spanId=SPAN)], producer="p", seq=0)
    pairs = [{"key": key, "value": {"stringValue": value}} for key, value in RESOURCE.items()]
    log = {
        "timeUnixNano": str(MS * 10**6),
        "severityNumber": 17,
        "body": {"stringValue": "text"},
        "attributes": [{"key": "step", "value": {"intValue": "3"}}],
        "traceId": TRACE,
        "spanId": SPAN,
    }
    scope = {"scope": {"name": "agent.chat"}, "logRecords": [log]}
    body = {"resourceLogs": [{"resource": {"attributes": pairs}, "scopeLogs": [scope]}]}
    request = ExportLogsServiceRequest()
    ParseDict(body, request)
    record = request.resource_logs[0].scope_logs[0].log_records[0]
    record.trace_id, record.span_id = bytes.fromhex(TRACE), bytes.fromhex(SPAN)
    wires = (ours, orjson.dumps(body), orjson.dumps(body["resourceLogs"]), request.SerializeToString())
    found = [read_logs(wire, 1, Redactor()) for wire in wires]
    assert found[0] == found[1] == found[2] == found[3]
    (one,) = found[0]
    assert one == Log(MS * 10**6, 17, "ERROR", "text", {"logger.name": "agent.chat", "step": 3}, RESOURCE, TRACE, SPAN)


def test_a_log_without_a_time_has_that_of_its_record() -> None:
    value = encode_log_batch({}, [{"body": "x"}], producer="p", seq=0)
    (one,) = read_logs(value, 7, Redactor())
    assert (one.time_ns, one.severity_text, one.trace_id) == (7, "INFO", "")


def test_a_body_that_is_no_text_is_shown_as_json() -> None:
    (one,) = read_logs(encode_log_batch({}, [{"body": {"b": 1, "password": "x"}}], producer="p", seq=0), 7, Redactor())
    assert one.body == '{"b":1,"password":"[redacted:secret]"}'


def test_nothing_that_was_planted_is_shown() -> None:
    garden = Garden(9)
    values = [
        value for topic, value in records(garden, 600, MS * 10**6) if topic == topics.LOGS and value.endswith(b"}")
    ]
    found = [log for value in values for log in read_logs(value, 1, Redactor())]
    assert len(found) == len(values) > 40
    assert garden.seen_in(repr(found).encode()) == []
