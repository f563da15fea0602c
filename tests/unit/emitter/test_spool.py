from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agents_emitter.spool import Batch, Spool


def batch(events: int = 1, size: int = 10) -> Batch:
    return Batch(b"", b"x" * size, events)


def test_the_oldest_never_sent_batch_is_given_up() -> None:
    spool = Spool(3, 1000)
    batches = [batch() for _ in range(4)]
    for each in batches[:3]:
        assert spool.add(each) == []
    assert [b for _, b in spool.window(1, 1000)] == batches[:1]
    assert spool.add(batches[3]) == [batches[1]]
    assert [b for _, b in spool.window(9, 1000)] == [batches[0], batches[2], batches[3]]


def test_when_all_were_sent_the_one_that_comes_is_given_up() -> None:
    spool = Spool(2, 1000)
    spool.add(batch())
    spool.add(batch())
    spool.window(9, 1000)
    late = batch(events=7)
    assert spool.add(late) == [late]
    assert spool.events == 2


def test_a_batch_larger_than_the_spool_pushes_nothing_out() -> None:
    spool = Spool(5, 100)
    spool.add(batch(size=50))
    large = batch(size=101)
    assert spool.add(large) == [large]
    assert (len(spool), spool.bytes, spool.events) == (1, 50, 1)


def test_a_window_holds_at_least_one_batch_and_repeats_until_settled() -> None:
    spool = Spool(5, 10_000)
    for size in (500, 10, 10):
        spool.add(batch(size=size))
    assert [n for n, _ in spool.window(5, 100)] == [0]
    assert [n for n, _ in spool.window(5, 510)] == [0, 1]
    assert spool.settle(0) is not None
    assert spool.settle(0) is None
    assert [n for n, _ in spool.window(5, 510)] == [1, 2]


@given(st.lists(st.one_of(st.integers(1, 120), st.sampled_from(["window", "settle"])), max_size=60))
def test_bounds_and_sums_hold_whatever_happens(steps: list[int | str]) -> None:
    spool = Spool(4, 200)
    queued = settled = given_up = 0
    window: list[tuple[int, Batch]] = []
    attempted: list[Batch] = []
    for step in steps:
        if isinstance(step, int):
            queued += 1
            lost = spool.add(batch(size=step))
            given_up += len(lost)
            assert not any(each is old for each in lost for old in attempted)
        elif step == "window":
            window = spool.window(2, 100)
            attempted += [each for _, each in window]
        elif window:
            settled += spool.settle(window.pop()[0]) is not None
        assert len(spool) == spool.events == queued - settled - given_up
        assert len(spool) <= 4
        assert spool.bytes <= 200
    assert len(spool.clear()) == queued - settled - given_up
    assert (spool.bytes, spool.events) == (0, 0)
