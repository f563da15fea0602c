"""A partition of spans tells how far it is, each second of its time, and that it is idle."""

from __future__ import annotations

from streams.trace.pace import LINGER_NS, MARK_NS, SECOND_NS, STILL_NS, Mark, Pace

START = 1_000 * SECOND_NS


def test_it_tells_its_time_each_second_of_it() -> None:
    pace = Pace()
    told = [
        pace.take(START + tenth * SECOND_NS // 10, START + tenth * SECOND_NS // 10, spans=True, waiting=True)
        for tenth in range(31)
    ]
    assert [mark.time_ns for mark in told if mark] == [START + n * MARK_NS for n in range(4)]


def test_it_follows_its_spans_and_not_the_clock_where_it_is_behind() -> None:
    pace = Pace()
    assert pace.take(START, START + 90 * SECOND_NS, spans=True, waiting=True) == Mark(START, idle=False)
    assert pace.take(START, START + 95 * SECOND_NS, spans=True, waiting=True) is None


def test_it_does_not_go_back() -> None:
    pace = Pace()
    pace.take(START, START, spans=True, waiting=True)
    assert pace.take(START - 5 * SECOND_NS, START + SECOND_NS, spans=True, waiting=True) is None


def test_one_that_had_no_spans_says_nothing() -> None:
    pace = Pace()
    assert pace.take(START, START, spans=False, waiting=False) is None
    assert pace.take(START + LINGER_NS, START + LINGER_NS, spans=False, waiting=False) is None
    assert not pace.live


def test_it_says_once_that_it_is_idle_and_comes_back() -> None:
    pace = Pace()
    pace.take(START, START, spans=True, waiting=False)
    end = START + LINGER_NS
    assert pace.take(end - 1, end - 1, spans=False, waiting=False) == Mark(end - 1, idle=False)
    assert pace.take(end, end, spans=False, waiting=True) is None  # a sample still waits
    assert pace.take(end, end, spans=False, waiting=False) == Mark(end, idle=True)
    assert pace.take(end + SECOND_NS, end + SECOND_NS, spans=False, waiting=False) is None
    assert pace.take(end + 2 * SECOND_NS, end + 2 * SECOND_NS, spans=True, waiting=True) is not None


def test_after_a_restart_others_may_be_waiting() -> None:
    pace = Pace()
    pace.resume()
    assert pace.live
    assert pace.take(START, START, spans=False, waiting=False) == Mark(START, idle=False)
    end = START + LINGER_NS
    assert pace.take(end, end, spans=False, waiting=False) == Mark(end, idle=True)


def test_a_clock_that_is_behind_does_not_hold_the_others() -> None:
    """Nothing comes any more but of a host whose clock is an hour behind."""
    pace, told = Pace(), []
    pace.take(START, START, spans=True, waiting=True)
    for second in range(1, 31):
        now = START + second * SECOND_NS
        told.append(pace.take(now - 3600 * SECOND_NS, now, spans=True, waiting=True))
    assert told[:10] == [None] * 10
    assert [mark and mark.time_ns for mark in told[10:]] == [START + n * SECOND_NS for n in range(1, 21)]


def test_what_arrives_after_an_outage_is_not_taken_for_a_clock_that_is_behind() -> None:
    pace = Pace()
    pace.take(START, START, spans=True, waiting=True)
    back = START + 90 * SECOND_NS  # of the broker; agents kept what they had
    told = [
        pace.take(START + second * SECOND_NS, back + second * SECOND_NS // 10, spans=True, waiting=True)
        for second in (0, 1, 2, 3)
    ]
    assert [mark and mark.time_ns for mark in told] == [None, *(START + n * SECOND_NS for n in (1, 2, 3))]
    assert STILL_NS < 90 * SECOND_NS
