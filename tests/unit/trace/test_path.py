"""Critical paths and self times of traces drawn by hand, and against a naive computation on random trees."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.domain.span import Span
from streams.trace.path import OVERSHOOT_NS
from tests.unit.trace.drawing import CLIENT, EPOCH, MS, PATIENT, SERVER, in_ms, span
from tests.unit.trace.drawn import build, critical_path, self_times


def path_of(*spans: Span) -> list[tuple[str, float, float]]:
    return in_ms(critical_path(build(spans)))


def test_parallel_tools_wait_for_the_slowest() -> None:
    """
    plan   |--------------------|  0..20
    search  |------|               1..8
    fetch   |--------------|       1..16
    read    |---|                  1..5
    """
    spans = (
        span("plan", 0, 20),
        span("search", 1, 8, "plan"),
        span("fetch", 1, 16, "plan"),
        span("read", 1, 5, "plan"),
    )
    assert path_of(*spans) == [("plan", 0, 1), ("fetch", 1, 16), ("plan", 16, 20)]
    assert self_times(build(spans)) == {"plan": 5 * MS, "search": 7 * MS, "fetch": 15 * MS, "read": 4 * MS}


def test_retry_blames_every_attempt_and_the_pause() -> None:
    """
    call      |--------------------|  0..20
    attempt1  |-----|                 0..6   fails
    attempt2         |-----|          8..14  fails
    attempt3                |---|     15..19
    """
    spans = (
        span("call", 0, 20),
        span("attempt1", 0, 6, "call", error="timeout"),
        span("attempt2", 8, 14, "call", error="timeout"),
        span("attempt3", 15, 19, "call"),
    )
    assert path_of(*spans) == [
        ("attempt1", 0, 6),
        ("call", 6, 8),
        ("attempt2", 8, 14),
        ("call", 14, 15),
        ("attempt3", 15, 19),
        ("call", 19, 20),
    ]


def test_nested_agents_lead_to_the_model_call_at_the_bottom() -> None:
    """
    workflow    |------------------------------|  0..30
    researcher    |-----------------------|       2..25
    chat             |----------------|           5..22
    writer                                 |--|   26..29
    memory         |-|                            3..4
    """
    spans = (
        span("workflow", 0, 30),
        span("researcher", 2, 25, "workflow"),
        span("chat", 5, 22, "researcher"),
        span("memory", 3, 4, "researcher"),
        span("writer", 26, 29, "workflow"),
    )
    assert path_of(*spans) == [
        ("workflow", 0, 2),
        ("researcher", 2, 3),
        ("memory", 3, 4),
        ("researcher", 4, 5),
        ("chat", 5, 22),
        ("researcher", 22, 25),
        ("workflow", 25, 26),
        ("writer", 26, 29),
        ("workflow", 29, 30),
    ]
    assert self_times(build(spans))["researcher"] == 5 * MS
    assert self_times(build(spans))["workflow"] == 4 * MS


def test_fan_out_and_fan_in_leave_out_who_nobody_waited_for() -> None:
    """
    root     |--------------------|            0..20
    worker1   |-----------|                    1..12
    worker2   |---------|                      1..10
    merge                  |------|            12..19  starts when worker1 is done
    audit     |----------------------------|   1..30   fire and forget: outlives the root
    store                  |---|               13..17  of audit
    """
    spans = (
        span("root", 0, 20),
        span("worker1", 1, 12, "root"),
        span("worker2", 1, 10, "root"),
        span("merge", 12, 19, "root"),
        span("audit", 1, 30, "root"),
        span("store", 13, 17, "audit"),
    )
    assert path_of(*spans) == [("root", 0, 1), ("worker1", 1, 12), ("merge", 12, 19), ("root", 19, 20)]
    assert self_times(build(spans))["root"] == 1 * MS


def test_a_server_with_a_wrong_clock_is_moved_into_the_call() -> None:
    """
    The tool server's clock is 500 ms ahead; its own child moves with it.

    client  |--------------------|  0..20   planner
    server      |----------|        4..16   as moved; measured 504..516
    query         |---|             6..10   as moved; measured 506..510
    """
    spans = (
        span("client", 0, 20, kind=CLIENT),
        span("server", 504, 516, "client", service="tools", kind=SERVER),
        span("query", 506, 510, "server", service="tools"),
    )
    assert path_of(*spans) == [
        ("client", 0, 4),
        ("server", 4, 6),
        ("query", 6, 10),
        ("server", 10, 16),
        ("client", 16, 20),
    ]
    assert self_times(build(spans)) == {"client": 8 * MS, "server": 8 * MS, "query": 4 * MS}


def test_a_child_that_starts_before_its_parent_on_another_host_is_moved_to_its_start() -> None:
    spans = (span("send", 10, 12), span("process", 7, 30, "send", service="worker"))
    tree = build(spans)
    assert tree.nodes["process"].start_ns == EPOCH + 10 * MS
    assert path_of(*spans) == [("send", 10, 12)]


def test_a_correction_holds_for_the_host_not_for_the_branch_below_it() -> None:
    """B's clock is 100 ms behind; C below it is right and must not be moved along."""
    spans = (
        span("a", 0, 50, kind=CLIENT),
        span("b", -90, -50, "a", service="b", kind=SERVER),
        span("b-client", -85, -55, "b", service="b", kind=CLIENT),
        span("c", 20, 40, "b-client", service="c", kind=SERVER),
    )
    nodes = build(spans).nodes
    assert (nodes["b"].start_ns, nodes["b"].end_ns) == (EPOCH + 5 * MS, EPOCH + 45 * MS)
    assert (nodes["c"].start_ns, nodes["c"].end_ns) == (EPOCH + 20 * MS, EPOCH + 40 * MS)


def test_a_client_that_gave_up_did_not_wait_for_its_server() -> None:
    spans = (
        span("client", 0, 5, kind=CLIENT, error="timeout"),
        span("server", 1, 60, "client", service="tools", kind=SERVER),
    )
    assert path_of(*spans) == [("client", 0, 5)]


def test_an_end_read_a_moment_after_the_parents_was_waited_for() -> None:
    """The grandchild ends with the child, both half a millisecond after the root."""
    spans = (span("root", 0, 10), span("child", 2, 10.5, "root"), span("leaf", 4, 10.5, "child"))
    assert path_of(*spans) == [("root", 0, 2), ("child", 2, 4), ("leaf", 4, 10)]


def test_of_two_that_end_together_the_longer_one_explains_more() -> None:
    spans = (span("root", 0, 10), span("long", 1, 9, "root"), span("short", 6, 9, "root"))
    assert path_of(*spans) == [("root", 0, 1), ("long", 1, 9), ("root", 9, 10)]


def test_without_a_root_the_earliest_orphan_begins_the_path() -> None:
    tree = build((span("late", 9, 12, "lost"), span("early", 3, 8, "lost"), span("inner", 4, 6, "early")))
    assert (tree.roots, tree.orphans, tree.entry) == ((), ("early", "late"), "early")
    assert in_ms(critical_path(tree)) == [("early", 3, 4), ("inner", 4, 6), ("early", 6, 8)]


def test_a_circle_of_parents_is_cut_at_its_earliest_span() -> None:
    tree = build((span("a", 5, 9, "c"), span("b", 1, 8, "a"), span("c", 2, 7, "b"), span("self", 0, 1, "self")))
    assert tree.orphans == ("b", "self")
    assert sorted(tree.order) == ["a", "b", "c", "self"]
    assert tree.order.index("b") < tree.order.index("c") < tree.order.index("a")


def test_a_chain_of_ten_thousand_does_not_overflow_the_stack() -> None:
    spans = [span("0", 0, 30_000)]
    spans += [span(str(i), i, 30_000 - i, str(i - 1)) for i in range(1, 10_000)]
    tree = build(reversed(spans))
    path = critical_path(tree)
    assert sum(s.end_ns - s.start_ns for s in path) == 30_000 * MS
    assert sum(self_times(tree).values()) == 30_000 * MS


@st.composite
def forests(draw: st.DrawFn) -> list[Span]:
    """Spans of one host: any intervals, any earlier span (or a lost one) as parent."""
    count = draw(st.integers(1, 12))
    spans = []
    for i in range(count):
        start = draw(st.integers(0, 30))
        end = start + draw(st.integers(0, 30))
        parent = draw(st.sampled_from(["", "lost", *(f"s{j}" for j in range(i))])) if i else ""
        spans.append(span(f"s{i}", start, end, parent))
    return spans


def naive_blame(spans: list[Span], entry: Span, at_ns: int, low_ns: int, limit_ns: int) -> list[tuple[str, int, int]]:
    """The definition, read aloud: recursive, and every candidate looked at every time."""
    earlier = [
        kid
        for kid in spans
        if kid.parent_span_id == entry.span_id
        and kid.start_ns < kid.end_ns <= entry.end_ns + OVERSHOOT_NS
        and min(kid.end_ns, limit_ns) <= at_ns
        and max(kid.start_ns, low_ns) < at_ns
        and kid.end_ns > low_ns
    ]
    if not earlier:
        return [(entry.span_id, low_ns, at_ns)] if low_ns < at_ns else []
    last = max(earlier, key=lambda kid: (min(kid.end_ns, limit_ns), -kid.start_ns, kid.span_id))
    end, start = min(last.end_ns, at_ns), max(last.start_ns, low_ns)
    own = [(entry.span_id, end, at_ns)] if end < at_ns else []
    through = naive_blame(spans, last, end, start, end)
    before = naive_blame(spans, entry, start, low_ns, limit_ns)
    return before + through + own


@PATIENT
@given(forests())
def test_path_equals_the_naive_one_and_tiles_the_entry(spans: list[Span]) -> None:
    tree = build(spans)
    entry = next(one for one in spans if one.span_id == tree.entry)
    path = [tuple(segment) for segment in critical_path(tree)]
    assert path == naive_blame(spans, entry, entry.end_ns, entry.start_ns, entry.end_ns)
    edges = [entry.start_ns, *(end for _, _, end in path)]
    assert [start for _, start, _ in path] == edges[:-1]
    assert edges[-1] == entry.end_ns


@PATIENT
@given(forests())
def test_self_time_is_what_no_child_covers(spans: list[Span]) -> None:
    found = self_times(build(spans))
    for one in spans:
        covered = {
            ms
            for kid in spans
            if kid.parent_span_id == one.span_id
            for ms in range((kid.start_ns - EPOCH) // MS, (kid.end_ns - EPOCH) // MS)
        }
        own = set(range((one.start_ns - EPOCH) // MS, (one.end_ns - EPOCH) // MS))
        assert found[one.span_id] == len(own - covered) * MS


@PATIENT
@given(forests(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(spans: list[Span], rng: object) -> None:
    shuffled = list(spans)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assert build(shuffled) == build(spans)
