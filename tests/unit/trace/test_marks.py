"""Loops in the record of a trace, and as samples for rules."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.domain.trace import TraceRecord, decode_trace, encode_trace
from streams.trace.findings import LOOPS, PatternSamples
from streams.trace.marks import marked, repeats
from tests.unit.trace.drawing import MS, span


def record(*arguments: str, revision: int = 0) -> TraceRecord:
    spans = [span("root", 0, 50, attributes={"gen_ai.agent.name": "ada"})]
    for i, stated in enumerate(arguments):
        attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "search",
            "gen_ai.tool.call.arguments": stated,
        }
        spans.append(span(f"s{i}", 1 + i, 2 + i, "root", name="execute_tool search", attributes=attributes))
    return TraceRecord(
        "t1", revision, tuple(spans), (0,) * len(spans), "root", ("planner",), 0, 50 * MS, 0, (), (), (), 0, (), (), (),
        len(spans),
    )  # fmt: skip


def test_a_loop_is_in_the_record_and_readers_get_it_back() -> None:
    value = encode_trace(record("{}", "{}", "{}", '{"q":1}'))
    found = marked(value)
    read = decode_trace(found.value)
    assert [(loop.agent, loop.tool, loop.calls, loop.span_ids) for loop in read.loops] == [
        ("ada", "search", 3, ("s0", "s1", "s2"))
    ]
    assert decode_trace(encode_trace(read)) == read
    assert found.value.startswith(value[:-1]), "nothing else of the record changes"


def test_a_record_without_a_loop_is_not_touched() -> None:
    for arguments in ((), ("{}", "{}"), ("{}", "[]", "1", "2")):
        value = encode_trace(record(*arguments))
        assert marked(value) == (value, None, ())


def test_samples_count_the_calls_that_repeated_and_are_numbered() -> None:
    numbers: Counter[str] = Counter()
    samples = PatternSamples("agents.spans/3", numbers)
    batches = [b for _ in range(2) for b in samples.loops(marked(encode_trace(record("{}", "{}", "{}"))))]
    bodies: list[dict[str, Any]] = [orjson.loads(batch.value) for batch in batches]
    assert [body["seq"] for body in bodies] == [0, 1]
    assert {body["producer"] for body in bodies} == set(numbers)
    (definition,) = bodies[0]["series"]
    assert (definition["name"], definition["labels"]) == (LOOPS, {"agent": "ada", "gen_ai.tool.name": "search"})
    assert bodies[0]["base_time_unix_nano"] == 50 * MS


def test_a_revised_record_does_not_count_again() -> None:
    found = marked(encode_trace(record("{}", "{}", "{}", revision=1)))
    assert found.loops
    assert PatternSamples("agents.spans/3", Counter()).loops(found) == []


STATED = '"gen_ai.tool.call.arguments":'


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from([STATED, STATED[:-1], STATED[1:], '":', "gen_ai", "x" * 29, ""])), max_size=4))
def test_compiled_code_finds_the_records_that_state_arguments_three_times(pieces: list[list[str]]) -> None:
    texts = ["".join(words).encode() for words in pieces]
    found = np.zeros(len(texts), np.bool_)
    ends = np.cumsum([2, *(len(text) for text in texts)])
    repeats(np.frombuffer(b"--" + b"".join(texts), np.uint8), ends, found)
    assert found.tolist() == [text.count(STATED.encode()) >= 3 for text in texts]
