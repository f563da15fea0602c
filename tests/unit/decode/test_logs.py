"""Logs become one increment each, by severity."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from agents_emitter.events import encode_log_batch
from tests.unit.decode.runs import NOW_NS, RESOURCE, decode

OTLP_RESOURCE = {"attributes": [{"key": "service.name", "value": {"stringValue": "planner"}}]}


def log(number: int, **fields: Any) -> dict[str, Any]:
    return {"timeUnixNano": NOW_NS + 1, "severityNumber": number, "severityText": "", "body": "text", **fields}


def test_our_batch() -> None:
    raw = encode_log_batch(RESOURCE, [log(9), log(17), log(17)], producer="p", seq=4, dropped_total=2)
    found = decode(raw, hint="agents.logs")
    assert found.batches == [(0, "p", 4, 2)]
    assert found.events == [3]
    ((_, series, at, value), *_) = found.samples
    assert (series.name, series.unit, series.kind, at, value) == ("agents.log.records", "1", "counter", NOW_NS + 1, 1.0)
    assert sorted(s[1].label("severity") for s in found.samples) == ["ERROR", "ERROR", "INFO"]
    assert series.label("agent.id") == "planner-1"


SEVERITIES = [
    (1, "", "TRACE"),
    (4, "", "TRACE"),
    (5, "", "DEBUG"),
    (12, "", "INFO"),
    (13, "ERROR", "WARN"),
    (20, "", "ERROR"),
    (24, "", "FATAL"),
    (0, "warning", "WARN"),
    (0, "Critical", "FATAL"),
    (0, "", "INFO"),
    (99, "odd", "INFO"),
    ("SEVERITY_NUMBER_ERROR2", "", "ERROR"),
    ("SEVERITY_NUMBER_WARN", "", "WARN"),
    (None, None, "INFO"),
    ([], {}, "INFO"),
]


@pytest.mark.parametrize(("number", "text", "expected"), SEVERITIES)
def test_severity(number: Any, text: Any, expected: str) -> None:
    raw = encode_log_batch({}, [log(number, severityText=text)], producer="p", seq=0)
    assert decode(raw).only()[0].label("severity") == expected


def test_otlp_json_and_protobuf_agree() -> None:
    logs = [
        {"timeUnixNano": str(NOW_NS), "severityNumber": 17, "body": {"stringValue": "x"}},
        {"observedTimeUnixNano": str(NOW_NS + 5), "severityText": "debug"},
    ]
    resources = [{"resource": OTLP_RESOURCE, "scopeLogs": [{"scope": {"name": "l"}, "logRecords": logs}]}]
    body = {"resourceLogs": resources}
    found = decode(orjson.dumps(body))
    severities = sorted((s[1].label("severity"), s[2]) for s in found.samples)
    assert severities == [("DEBUG", NOW_NS + 5), ("ERROR", NOW_NS)]
    assert decode(orjson.dumps(resources)) == found
    raw = ParseDict(body, ExportLogsServiceRequest()).SerializeToString()
    assert decode(raw) == found, "recognised by its first leaf"
    assert decode(raw, hint="otlp_logs") == found
    assert decode(raw, hint="otlp_metrics").reasons() == {"wrong_topic": 1}


def test_a_log_without_a_time_counts_at_the_append_time() -> None:
    raw = encode_log_batch({}, [{"body": "x"}], producer="p", seq=0)
    assert decode(raw).samples[0][2] == NOW_NS


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"logs": None}, "missing_field"),
        ({"logs": 3}, "bad_type"),
        ({"logs": [3]}, "bad_type"),
        ({"resource": [1]}, "bad_type"),
        ({"seq": "x"}, "bad_type"),
        ({"v": 2}, "unsupported_version"),
    ],
)
def test_wrong_batches(change: dict[str, Any], reason: str) -> None:
    body = orjson.loads(encode_log_batch({}, [log(9)], producer="p", seq=0))
    assert decode(orjson.dumps({**body, **change})).rejected == [(0, reason, 1)]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"resourceLogs": 1}, "bad_type"),
        ({"resourceLogs": [1]}, "bad_type"),
        ({"resourceLogs": [{"scopeLogs": 1}]}, "bad_type"),
        ({"resourceLogs": [{"scopeLogs": [{"logRecords": [1]}]}]}, "bad_type"),
        ({"resourceLogs": []}, "empty"),
    ],
)
def test_wrong_otlp(body: object, reason: str) -> None:
    assert decode(orjson.dumps(body)).rejected == [(0, reason, 1)]


NAMED = [
    ({"logger.name": "planner.tools"}, "planner.tools"),
    ({"logger.name": ""}, None),
    ({"logger.name": 7}, None),
    ({}, None),
    (None, None),
    ("odd", None),
    ([{"key": "logger.name", "value": {"stringValue": "listed"}}], "listed"),
    ([{"key": "logger.name", "value": 7}, "odd"], None),
]


@pytest.mark.parametrize(("given", "expected"), NAMED)
def test_the_logger_of_our_batch(given: Any, expected: str | None) -> None:
    raw = encode_log_batch(RESOURCE, [log(17, attributes=given)], producer="p", seq=0)
    assert (decode(raw).only()[0].label("logger") or None) == expected


def test_a_long_name_of_a_logger_is_cut_and_its_log_counts() -> None:
    raw = encode_log_batch({}, [log(17, attributes={"logger.name": "x" * 100_000})], producer="p", seq=0)
    found = decode(raw)
    assert found.reasons() == {}
    assert 0 < len(found.only()[0].label("logger")) < 1_000


def test_the_logger_of_otlp_is_its_attribute_else_its_scope() -> None:
    attribute = [{"key": "logger.name", "value": {"stringValue": "own"}}]
    logs = [{"timeUnixNano": str(NOW_NS), "attributes": attribute}, {"timeUnixNano": str(NOW_NS + 1)}]
    body = {
        "resourceLogs": [{"resource": OTLP_RESOURCE, "scopeLogs": [{"scope": {"name": "lib"}, "logRecords": logs}]}]
    }
    found = decode(orjson.dumps(body))
    assert sorted((s[2], s[1].label("logger")) for s in found.samples) == [(NOW_NS, "own"), (NOW_NS + 1, "lib")]
    assert decode(ParseDict(body, ExportLogsServiceRequest()).SerializeToString()) == found
