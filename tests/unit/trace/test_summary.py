"""What a record says of its trace, and its way through the wire format."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.domain.span import Span
from streams.domain.spanrows import SpanTables
from streams.domain.trace import (
    Edge,
    TokenUse,
    decode_edge,
    decode_trace,
    encode_edge,
    encode_trace,
)
from streams.trace.graph import edges
from tests.unit.trace import reference
from tests.unit.trace.drawing import CLIENT, CONSUMER, EPOCH, MS, PATIENT, PRODUCER, SERVER, span
from tests.unit.trace.drawn import call_rows, filled, tick, trace_record
from tests.unit.trace.test_red import call


def usage(tokens_in: int, tokens_out: int, **more: str) -> dict[str, object]:
    return {
        "gen_ai.usage.input_tokens": tokens_in,
        "gen_ai.usage.output_tokens": tokens_out,
        **{f"gen_ai.{key.replace('_', '.')}": value for key, value in more.items()},
    }


def test_tokens_are_counted_once_and_belong_to_the_nearest_agent() -> None:
    spans = [
        span("flow", 0, 90, attributes=usage(130, 13)),  # a framework's sum of what is below
        span("writer", 1, 40, "flow", attributes=usage(30, 3, agent_name="writer")),
        span("chat1", 2, 20, "writer", attributes=usage(10, 1, request_model="m")),
        span("chat2", 21, 39, "writer", attributes=usage(20, 2, request_model="m")),
        span("reader", 41, 80, "flow", service="reading", attributes=usage(100, 10, request_model="n")),
    ]
    assert trace_record("t", spans).tokens == (TokenUse("m", "writer", 30, 3), TokenUse("n", "reading", 100, 10))


def test_a_record_tells_what_failed_what_is_missing_and_who_took_part() -> None:
    spans = [
        span("root", 0, 50, attributes={"gen_ai.conversation.id": "conv-1"}),
        span("tool", 5, 20, "root", service="tools", error="x" * 1_000, attributes={"error.type": "timeout"}),
        span("lost", 5, 70, "gone", service="tools"),
    ]
    record = trace_record("t", spans)
    assert (record.root, record.services, record.orphans) == ("root", ("planner", "tools"), ("lost",))
    assert (record.duration_ns, record.error_count, record.complete) == (70 * MS, 1, False)
    assert record.failures[0][:4] == ("tool", "tools", "tool", "timeout")
    assert len(record.failures[0].message) == 256
    assert record.conversation_ids == ("conv-1",)


@PATIENT
@given(st.integers(0, 2**32))
def test_a_record_survives_the_wire(seed: int) -> None:
    rng = Random(seed)
    spans = [
        span(
            f"s{i}",
            rng.randrange(50),
            50 + rng.randrange(50),
            f"s{rng.randrange(i)}" if i else "",
            service=rng.choice("ab"),
            error=rng.choice(["", "bad"]),
            attributes=usage(3, 1, request_model="m") if rng.random() < 0.5 else {},
        )
        for i in range(rng.randrange(1, 10))
    ]
    record = trace_record("t1", spans, revision=2, announced=["x"], dropped_spans=1)
    assert decode_trace(encode_trace(record)) == record


def test_a_record_too_large_loses_detail_first_and_never_its_critical_path() -> None:
    spans = [span("root", 0, 5_000, attributes={"text": "x" * 5_000})]
    spans += [span(f"s{i}", i, i + 0.5, "s0" if i else "root", attributes={"text": "x" * 200}) for i in range(2_000)]
    spans += [span("slow", 2_000, 4_999, "root"), span("wrong", 3_000, 3_001, "s0", error="bad")]
    record = trace_record("t1", spans)
    assert not decode_trace(encode_trace(record)).trimmed
    lean = decode_trace(encode_trace(record, max_bytes=700_000))
    assert (lean.trimmed, len(lean.spans), lean.spans[0].attributes) == (True, 2_003, {})
    value = encode_trace(record, max_bytes=250_000)
    least = decode_trace(value)
    assert len(value) <= 250_000
    assert {"root", "slow", "wrong"} <= {s.span_id for s in least.spans}
    assert len(least.spans) < 2_003
    assert (least.span_count, least.critical_path, least.root) == (2_003, record.critical_path, "root")
    assert decode_trace(encode_trace(least)) == least


def test_calls_add_up_to_edges() -> None:
    tables = SpanTables()
    calls = [call(1), call(2, failed=True, client_seconds=None, time_ns=EPOCH + 9), call(3, server="db")]
    found = edges(call_rows(calls, tables), tables.texts)
    assert found == [
        Edge("planner", "db", "unset", 1, 0, 0.5, 0.5, EPOCH, EPOCH),
        Edge("planner", "tools", "unset", 2, 1, 0.9, 0.5, EPOCH, EPOCH + 9),
    ]
    assert found[1].key == "planner>tools"
    assert [decode_edge(encode_edge(edge)) for edge in found] == found


def test_other_records_are_refused() -> None:
    with pytest.raises(ValueError, match="not a trace record"):
        decode_trace(encode_edge(Edge("a", "b", "unset", 1, 0, 0.5, 0.5, 0, 0)))
    with pytest.raises(ValueError, match="not an edge record"):
        decode_edge(encode_trace(trace_record("t", [span("a", 0, 1, kind=CLIENT)])))


NAMES = ("a", "größe", 'quo"te', "中", "b\\c", "x" * 200)


@st.composite
def whole_traces(draw: st.DrawFn) -> list[Span]:
    """Spans of several services, hosts and kinds with all that a record sums up; some parents lost, some in circles."""
    count = draw(st.integers(1, 14))
    spans = []
    for i in range(count):
        start = draw(st.integers(-20, 40))
        parents = ["", "lost", "open", *(f"s{j}" for j in range(count))]
        said = {
            key: draw(value)
            for key, value in {
                "gen_ai.usage.input_tokens": st.integers(0, 3),
                "gen_ai.usage.output_tokens": st.integers(0, 3),
                "gen_ai.request.model": st.sampled_from(NAMES),
                "gen_ai.agent.name": st.sampled_from(NAMES),
                "gen_ai.operation.name": st.sampled_from(["chat", "execute_tool", "plan"]),
                "gen_ai.conversation.id": st.sampled_from(NAMES),
                "error.type": st.sampled_from(NAMES),
                "db.system.name": st.just("pg"),
            }.items()
            if draw(st.booleans())
        }
        spans.append(
            span(
                f"s{i}",
                start,
                start + draw(st.integers(0, 30)),
                draw(st.sampled_from(parents)),
                service=draw(st.sampled_from(NAMES)),
                kind=draw(st.sampled_from([1, SERVER, CLIENT, PRODUCER, CONSUMER])),
                name=draw(st.sampled_from(NAMES)),
                error=draw(st.sampled_from(["", "failed", 'bad "x"\n'])),
                attributes=said,
                resource=draw(st.sampled_from([{}, {"host.name": "h"}, {"gen_ai.agent.id": "ag"}])),
            )
        )
    return spans


@PATIENT
@given(whole_traces(), st.integers(0, 2), st.integers(0, 2), st.booleans())
def test_a_record_equals_the_one_made_object_by_object(
    spans: list[Span], revision: int, dropped: int, announced: bool
) -> None:
    options = {"revision": revision, "dropped_spans": dropped, "announced": ["open", "s0"] if announced else []}
    expected = reference.trace_record("t", spans, **options)  # type: ignore[arg-type]
    found = trace_record("t", spans, **options)  # type: ignore[arg-type]
    assert found == decode_trace(encode_trace(expected))


@PATIENT
@given(whole_traces())
def test_what_stayed_alone_is_counted(spans: list[Span]) -> None:
    operator = filled(spans)
    found = tick(operator, EPOCH + 10**12, 2**62)
    assert found.unpaired == reference.unpaired({one.span_id: one for one in spans})
    assert found.orphans == len(reference.trace_record("t", spans).orphans)
