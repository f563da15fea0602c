"""Which records of ``agents.traces`` count for which range, and how the answer reads."""

from __future__ import annotations

import orjson
import pytest

from streams.domain.trace import TraceRecord
from streams.trace import report
from streams.trace.cost import Price
from streams.trace.performance import Operation
from streams.trace.report import Question, Ranges, answer
from tests.unit.trace.drawing import EPOCH, SECOND, span
from tests.unit.trace.reference import trace_record

NOW = EPOCH + 100 * SECOND
TOKENS = {"gen_ai.usage.input_tokens": 1_000, "gen_ai.usage.output_tokens": 10, "gen_ai.request.model": "big"}


def ending(at_seconds: float, trace: str, *, error: str = "", version: str = "", revision: int = 0) -> TraceRecord:
    resource = {"service.version": version}
    spans = [
        span(f"s{i}", at_seconds * 1_000 - 9, at_seconds * 1_000, error=error, attributes=TOKENS, resource=resource)
        for i in range(revision + 1)
    ]
    return trace_record(trace, spans, revision=revision)


def ranges(*records: TraceRecord, **how: str) -> Ranges:
    found = Ranges(Question(NOW, 60.0, 30.0, **how))
    for record in records:
        found.add(record)
    found.settle()
    return found


def test_ranges_are_half_open_and_adjoin() -> None:
    found = ranges(*(ending(at, f"t{number}") for number, at in enumerate((9.9, 10, 10, 39.9, 40, 40, 40, 99.9, 100))))
    assert (found.baseline.traces, found.current.traces) == (3, 4)


def test_of_a_trace_with_revisions_only_the_fullest_counts() -> None:
    found = ranges(ending(50, "t1"), ending(50, "t1", revision=2), ending(50, "t1", revision=1))
    assert found.current.traces == 1
    assert len(found.current.operations) == 3


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MAX_UNSETTLED", 2)
    found = Ranges(Question(NOW, 60.0, 30.0))
    for number in range(5):
        found.add(ending(50, f"t{number}"))
    assert found.current.traces == 3


def test_versions_that_run_side_by_side_are_compared_in_both_ranges() -> None:
    records = [ending(20, "t1", version="1"), ending(50, "t2", version="1"), ending(60, "t3", version="2")]
    found = ranges(*records, version="2", baseline_version="1")
    figures = (
        found.current.operations[Operation("planner", "s0")],
        found.baseline.operations[Operation("planner", "s0")],
    )
    assert [one.calls for one in figures] == [1, 2]


def test_the_answer_is_json_with_new_errors_first_and_what_has_no_price() -> None:
    found = ranges(ending(20, "t1"), ending(50, "t2", error="x"), ending(60, "t3"))
    body = orjson.loads(orjson.dumps(answer(found, {"big": Price(2.0, 50.0)}, 20)))
    assert (body["traces"], body["baseline_traces"], body["changes"]) == (2, 1, [])
    worst = body["bottlenecks"][0]
    assert (worst["service"], worst["name"], worst["calls"], worst["share_ratio"]) == ("planner", "s0", 2, 1.0)
    (group,) = body["errors"]
    assert (group["name"], group["error_type"], group["new"], group["count"]) == ("s0", "_OTHER", True, 1)
    assert group["last_seen_ns"] == EPOCH + 50 * SECOND
    assert body["usage"] == [
        {
            "model": "big",
            "agent": "planner",
            "conversation": "",
            "input_tokens": 2000,
            "output_tokens": 20,
            "cost": 0.005,
        }
    ]
    assert (body["cost"], body["unpriced_tokens"]) == (0.005, 0)
    assert answer(found, {}, 20)["unpriced_tokens"] == 2020
