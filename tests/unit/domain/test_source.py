"""Where a restart takes its place in a log that is as it was left, and in one that is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.domain.source import OPEN, UNREAD, Seat, Source, SourceLog, first_seat, take_seat

LEFT = Source("a", era=3, partitions=2)
"""Applied up to 99; open windows need what comes from 90 on."""


@pytest.mark.parametrize(
    ("log", "changes", "era", "applied", "held", "unread", "open_offsets"),
    [
        (SourceLog("a", 2, 0, 100), (), 3, 99, 90, 0, 0),
        (SourceLog("a", 2, 90, 500), (), 3, 99, 90, 0, 0),
        # made again: from its beginning, whether it is shorter or longer than the old one was
        (SourceLog("b", 2, 0, 10), ("recreated",), 4, -1, 0, 0, 10),
        (SourceLog("b", 2, 0, 5000), ("recreated",), 4, -1, 0, 0, 10),
        (SourceLog("b", 2, 7, 5000), ("recreated",), 4, 6, 7, 7, 10),
        (SourceLog("b", 1, 0, 0), ("recreated", "repartitioned"), 4, -1, 0, 0, 10),
        # retention: some of what is open, all of it, and what was never read
        (SourceLog("a", 2, 94, 500), ("retention",), 3, 99, 94, 0, 4),
        (SourceLog("a", 2, 100, 500), ("retention",), 3, 99, 100, 0, 10),
        (SourceLog("a", 2, 130, 500), ("retention",), 3, 129, 130, 30, 10),
        (SourceLog("a", 2, 130, 130), ("retention",), 3, 129, 130, 30, 10),
        # the tail is gone: below what was applied, and below what is open
        (SourceLog("a", 2, 0, 99), ("truncated",), 4, 98, 99, 0, 10),
        (SourceLog("a", 2, 0, 50), ("truncated",), 4, 49, 50, 0, 10),
        (SourceLog("a", 4, 0, 100), ("repartitioned",), 3, 99, 90, 0, 0),
        (SourceLog("a", 4, 95, 100), ("retention", "repartitioned"), 3, 99, 95, 0, 5),
        # a broker without ids
        (SourceLog("", 2, 0, 100), (), 3, 99, 90, 0, 0),
    ],
)
def test_cases(
    log: SourceLog, changes: tuple[str, ...], era: int, applied: int, held: int, unread: int, open_offsets: int
) -> None:
    seat = take_seat(LEFT, 99, 90, log)
    lost = {(changes[0], UNREAD): unread, (changes[0], OPEN): open_offsets} if changes else {}
    expected = Source(
        log.epoch or "a", era, log.partitions, dict.fromkeys(changes, 1), {k: n for k, n in lost.items() if n}
    )
    assert seat == Seat(expected, applied, held, changes, unread, open_offsets)


def test_an_id_that_was_not_noted_is_taken_over() -> None:
    assert take_seat(Source(), 99, 90, SourceLog("a", 2, 0, 100)) == Seat(Source("a", 0, 2), 99, 90)
    assert first_seat(SourceLog("a", 2, 0, 100)) == Source("a", 0, 2)


logs = st.builds(
    lambda epoch, partitions, begin, length: SourceLog(epoch, partitions, begin, begin + length),
    st.sampled_from("ab"),
    st.integers(1, 3),
    st.integers(0, 120),
    st.integers(0, 120),
)


@given(applied=st.integers(-1, 120), open_offsets=st.integers(0, 20), log=logs)
def test_no_offset_of_the_log_is_skipped_or_counted_twice_and_a_second_look_finds_nothing(
    applied: int, open_offsets: int, log: SourceLog
) -> None:
    held = max(0, applied + 1 - open_offsets)
    seat = take_seat(LEFT, applied, held, log)
    assert log.begin <= seat.held <= max(log.end, log.begin)
    same = log.epoch == "a" and log.end > applied
    new = [offset for offset in range(log.begin, log.end) if offset > seat.applied]
    if same:
        assert new == [offset for offset in range(log.begin, log.end) if offset > applied]
    elif log.epoch != "a":
        assert new == list(range(log.begin, log.end))
    assert seat.source.era == LEFT.era + (0 if same else 1)
    again = take_seat(seat.source, seat.applied, seat.held, log)
    assert again.changes == ()
    assert (again.source, again.applied, again.held) == (seat.source, seat.applied, seat.held)


def test_counts_stay_and_survive_the_checkpoint() -> None:
    source = LEFT.changed("recreated").changed("recreated").losing("recreated", OPEN, 5).skipping(7)
    assert source.changes == {"recreated": 2, "retention": 1}
    assert source.lost == {("recreated", OPEN): 5, ("retention", UNREAD): 7}
    assert Source.from_data(source.to_data()) == source
