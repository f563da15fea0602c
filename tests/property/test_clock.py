"""One bad clock: whatever it says, no other producer's event is late and no other series' window closes early."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from hypothesis import example, given
from hypothesis import strategies as st

from streams.domain.window import Window, WindowBatch
from streams.window.operator import WindowOperator, WindowSpec
from streams.window.rollup import Span
from tests.property.profile import examples
from tests.unit.window.logs import PANE, SECOND, Entry, columns

BASE = 1_700_000_000 * SECOND
MS = SECOND // 1000
DAY_NS = 86_400 * SECOND
SPEC = WindowSpec(spans=(Span(3 * PANE, 3 * PANE), Span(6 * PANE, PANE)))


class Arrival(NamedTuple):
    """A record: how long after the one before it, and by how much its event lies before its arrival (good clocks)."""

    wait_ms: int
    name: str
    delay_ms: int


good = st.builds(Arrival, st.integers(0, 6_000), st.sampled_from("abc"), st.integers(0, SPEC.lateness_ns // MS))
arrival_lists = st.lists(good | st.builds(Arrival, st.integers(0, 6_000), st.just("bad"), st.just(0)), max_size=40)
skews_ns = (
    st.integers(1, SPEC.future_ns) | st.integers(-1, 1).map(SPEC.future_ns.__add__) | st.integers(1, 400 * DAY_NS)
)
cut_lists = st.lists(st.integers(1, 40), max_size=12)


class Result(NamedTuple):
    operator: WindowOperator
    rows: set[Window]
    future: int


def log_of(arrivals: Sequence[Arrival], skew_ns: int) -> list[Entry]:
    """The bad clock is ahead by the skew; the broker's is right. Time goes on for two minutes after the last event."""
    log, now_ns = list[Entry](), BASE
    for number, (wait_ms, name, delay_ms) in enumerate(arrivals):
        now_ns += wait_ms * MS
        behind_ns = -skew_ns if name == "bad" else delay_ms * MS
        log.append(Entry([(name, now_ns - behind_ns, float(number))], append_ns=now_ns))
    end_ns = now_ns + 120 * SECOND
    return [*log, Entry(tick_ns=end_ns, append_ns=end_ns)]


def without_bad(log: Sequence[Entry]) -> list[Entry]:
    return [Entry(append_ns=e.append_ns) if e.samples and e.samples[0][0] == "bad" else e for e in log]


def applied(log: Sequence[Entry], cuts: Sequence[int]) -> Result:
    """All windows of the log; none may end before the broker's clock says so."""
    operator, closed, future = WindowOperator("t", 0, SPEC), list[WindowBatch](), 0
    edges = sorted({0, len(log), *(c for c in cuts if c < len(log))})
    for low, high in pairwise(edges):
        outcome = operator.apply(columns(log[low:high], low, operator.table))
        now_ns = log[high - 1].append_ns
        assert all(batch.end_ns <= now_ns - SPEC.lateness_ns for batch in outcome.closed)
        closed += outcome.closed
        future += sum(r.events for r in outcome.rejected if r.reason == "future")
    return Result(operator, {row for batch in closed for row in batch.rows()}, future)


def of_others(rows: set[Window]) -> set[Window]:
    return {row for row in rows if row.series.name != "bad"}


@examples(150)
@given(arrival_lists, skews_ns, cut_lists)
@example([Arrival(0, "bad", 0)], SPEC.future_ns, [])
@example([Arrival(0, "bad", 0)], SPEC.future_ns + 1, [])
def test_a_clock_that_is_ahead_is_rejected_beyond_a_minute_and_harms_nobody(
    arrivals: list[Arrival], skew_ns: int, cuts: list[int]
) -> None:
    log = log_of(arrivals, skew_ns)
    bad = sum(1 for arrival in arrivals if arrival.name == "bad")
    disturbed, calm = applied(log, cuts), applied(without_bad(log), [])
    rejected = bad if skew_ns > 60 * SECOND else 0
    assert disturbed.future == disturbed.operator.fates.rejected["future"] == rejected
    assert disturbed.operator.fates.late == calm.operator.fates.late == 0
    assert disturbed.operator.fates.aggregated == len(arrivals) - rejected
    assert of_others(disturbed.rows) == calm.rows


@examples(150)
@given(arrival_lists, skews_ns | st.just(BASE - 1), cut_lists)
def test_a_clock_that_is_behind_makes_only_its_own_events_late(
    arrivals: list[Arrival], skew_ns: int, cuts: list[int]
) -> None:
    log = log_of(arrivals, -skew_ns)
    bad = sum(1 for arrival in arrivals if arrival.name == "bad")
    disturbed, calm = applied(log, cuts), applied(without_bad(log), [])
    fates = disturbed.operator.fates
    assert (disturbed.future, fates.rejected.total(), fates.total) == (0, 0, len(arrivals))
    assert fates.late <= bad
    assert of_others(disturbed.rows) == calm.rows
    own = sum(row.count for row in disturbed.rows if row.series.name == "bad" and row.end_ns - row.start_ns == PANE)
    assert own == bad - fates.late
