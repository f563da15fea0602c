"""What a checkpoint keeps of running totals."""

from __future__ import annotations

from streams.window.cumulative import CumulativeState, Total

COUNTER, HISTOGRAM = 0, 1


def counter(time_ns: int, value: float) -> Total:
    return Total(time_ns, 1, (value,), {})


def histogram(time_ns: int, count: int) -> Total:
    return Total(time_ns, 1, (float(count), float(count)), {1.0: count})


def test_a_histogram_settles_before_a_counter_of_a_later_record_that_was_seen_first() -> None:
    """A run gives its counters first: one that must wait does not hold up histograms of earlier records."""
    state = CumulativeState()
    state.increment(COUNTER, counter(20, 7.0), offset=2)
    state.increment(HISTOGRAM, histogram(10, 3), offset=1)
    state.increment(HISTOGRAM, histogram(20, 5), offset=2)
    state.settle(2)
    replayed = CumulativeState()
    replayed.restore(state.snapshot())
    step = replayed.increment(HISTOGRAM, histogram(20, 5), offset=2)
    assert step is not None
    assert step.numbers == (2.0, 2.0)
    whole = replayed.increment(COUNTER, counter(20, 7.0), offset=2)
    assert whole is not None
    assert whole.numbers == (7.0,)
