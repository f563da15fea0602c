"""Retries, loops, links and clocks of traces drawn by hand."""

from __future__ import annotations

from dataclasses import replace

from streams.domain.pattern import Loop, Retry, Skew
from streams.domain.span import Span
from streams.trace.patterns import arguments_hash, loops, retries, shapes, skews
from streams.trace.tree import build
from streams.trace.waits import waits
from tests.unit.trace.drawing import CLIENT, MS, SERVER, in_ms, span
from tests.unit.trace.reference import trace_record


def linking(one: Span, *others: str, trace: str = "t1") -> Span:
    return replace(one, links=(*one.links, *({"traceId": trace, "spanId": other} for other in others)))


def tool(span_id: str, start_ms: float, arguments: object = '{"q": 1, "page": 2}', error: str = "") -> Span:
    attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "search",
        "gen_ai.agent.name": "ada",
        **({} if arguments is None else {"gen_ai.tool.call.arguments": arguments}),
    }
    return span(span_id, start_ms, start_ms + 1, "root", name="execute_tool search", error=error, attributes=attributes)


def test_attempts_are_one_retry_and_parallel_or_successful_siblings_are_none() -> None:
    """
    root  |------------------------|  0..50
    a1    |--|                        0..6    fails
    a2         |--|                   8..14   fails
    a3               |--|             15..19
    again                  |--|       20..24  after a success: no attempt
    b1    |-----|                     0..9    fails, of another name
    b2       |-----|                  5..12   began before b1 had failed
    """
    spans = [
        span("root", 0, 50),
        span("a1", 0, 6, "root", name="call", error="timeout"),
        span("a2", 8, 14, "root", name="call", error="timeout"),
        span("a3", 15, 19, "root", name="call"),
        span("again", 20, 24, "root", name="call"),
        span("b1", 0, 9, "root", name="other", error="timeout"),
        span("b2", 5, 12, "root", name="other", error="timeout"),
    ]
    assert retries(build(spans)) == (
        Retry("root", "planner", "call", ("a1", "a2", "a3"), 3, recovered=True, wasted_ns=15 * MS),
    )


def test_each_of_two_failures_side_by_side_has_its_own_next_attempt() -> None:
    """
    x1  |--|          0..4  fails      y1  |----|         0..6   fails
    x2         |--|   8..9             y2          |---|  9..12  fails
    """
    spans = [span("root", 0, 20), span("x1", 0, 4, "root", name="c", error="e")]
    spans += [span("y1", 0, 6, "root", name="c", error="e"), span("x2", 8, 9, "root", name="c")]
    spans += [span("y2", 9, 12, "root", name="c", error="e")]
    found = {(retry.span_ids, retry.recovered) for retry in retries(build(spans))}
    assert found == {(("y1", "x2"), True), (("x1", "y2"), False)}


def test_ten_thousand_failures_side_by_side_are_no_retry() -> None:
    spans = [span("root", 0, 50), *(span(f"s{i}", 1, 9, "root", name="c", error="e") for i in range(10_000))]
    assert retries(build(spans)) == ()


def test_the_same_tool_with_the_same_arguments_three_times_is_a_loop() -> None:
    same = [tool("c", 5), tool("a", 1), tool("b", 3, '{"page":2,"q":1}')]
    others = [tool("d", 7, '{"q": 2}'), tool("e", 9, None), tool("f", 11, None), tool("g", 13, None)]
    tree = build([span("root", 0, 50), *same, *others])
    assert loops(tree) == (Loop("ada", "search", arguments_hash(same[0]), 3, ("a", "b", "c")),)
    assert len(loops(tree)[0].arguments_hash) == 16


def test_two_calls_or_failed_ones_are_no_loop() -> None:
    spans = [span("root", 0, 50), tool("a", 1, error="x"), tool("b", 3, error="x"), tool("c", 5), tool("d", 7)]
    tree = build(spans)
    assert loops(tree) == ()
    assert retries(tree)[0].attempts == 3


def test_arguments_that_are_no_json_are_compared_as_text() -> None:
    assert arguments_hash(tool("a", 0, "{half")) == arguments_hash(tool("b", 0, "{half"))
    assert arguments_hash(tool("a", 0, "{half")) != arguments_hash(tool("b", 0, "{other"))
    assert arguments_hash(tool("a", 0, {"page": 2, "q": 1})) == arguments_hash(tool("b", 0))


def test_fan_in_by_links_waits_for_the_last_of_the_linked() -> None:
    """
    Producers return at once, workers go on by themselves; merge gathers them by links.

    root      |------------------------|  0..20
    send1     ||                           0..1
    send2      ||                          1..2
    worker1     |-------|                  2..10  of send1
    tool          |---|                    4..8   of worker1
    worker2     |----|                     2..7   of send2
    merge                  |-----|         12..18 of root, links worker1, worker2 and another trace
    """
    merge = linking(span("merge", 12, 18, "root"), "worker2", "worker1")
    spans = [
        span("root", 0, 20),
        span("send1", 0, 1, "root"),
        span("send2", 1, 2, "root"),
        span("worker1", 2, 10, "send1", service="one"),
        span("tool", 4, 8, "worker1", service="one"),
        span("worker2", 2, 7, "send2", service="two"),
        linking(merge, "elsewhere", trace="t2"),
    ]
    tree = build(spans)
    assert in_ms(waits(tree)) == [
        ("send1", 0, 1),
        ("send2", 1, 2),
        ("worker1", 2, 4),
        ("tool", 4, 8),
        ("worker1", 8, 10),
        ("root", 10, 12),
        ("merge", 12, 18),
        ("root", 18, 20),
    ]


def test_links_in_a_circle_end() -> None:
    a, b = linking(span("a", 1, 5, "root"), "b"), linking(span("b", 6, 9, "root"), "a")
    assert in_ms(waits(build([span("root", 0, 10), a, b]))) == [
        ("root", 0, 1),
        ("a", 1, 5),
        ("root", 5, 6),
        ("b", 6, 9),
        ("root", 9, 10),
    ]


def test_the_record_says_where_clocks_were_moved_and_where_they_were_right_again() -> None:
    """b's clock is 100 ms behind; its child on the same host moves along; c below it is right."""
    spans = [
        span("a", 0, 50, kind=CLIENT),
        span("b", -90, -50, "a", service="b", kind=SERVER),
        span("b-client", -85, -55, "b", service="b", kind=CLIENT),
        span("c", 20, 40, "b-client", service="c", kind=SERVER),
    ]
    tree = build(spans)
    assert skews(tree) == (Skew("b", "b", 95 * MS), Skew("c", "c", 0))
    assert skews(build(spans[:1])) == ()


def test_the_shapes_of_a_trace() -> None:
    fan = linking(span("join", 30, 40, "root"), "a", "b")
    spans = [span("root", 0, 50), tool("a", 1), tool("b", 3), tool("c", 5), fan]
    spans += [span("x1", 10, 12, "root", name="call", error="e"), span("x2", 13, 14, "root", name="call")]
    whole = trace_record("t1", spans)
    assert shapes(whole) == {"fan_in", "retry"}, "loops are those that the record states"
    stated = replace(whole, loops=loops(build(spans)), unfinished=("u",), orphans=("o",))
    assert shapes(stated) == {"fan_in", "retry", "loop", "hung", "orphans"}
    assert shapes(trace_record("t1", [span("root", 0, 50), tool("a", 1)])) == set()
