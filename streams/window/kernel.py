"""Which samples of a run count, and in which pane. Arrays in, arrays changed in place; no Python objects."""

from __future__ import annotations

from typing import Any, Final

from streams.domain.kernel import large_kernel

_LOOK_BACK: Final = 64

ON_TIME: Final = 0
LATE: Final = 1
FUTURE: Final = 2
IGNORED: Final = 3
STALE: Final = 4


@large_kernel
def fates(
    record: Any, time_ns: Any, append_ns: Any, ignored: Any, tick_ns: Any, state: Any, pane_ns: Any, lateness_ns: Any,
    future_ns: Any, fate: Any,
) -> None:  # fmt: skip
    """Decides each sample of a run in log order and moves the watermark.

    The watermark follows the largest event time seen, but never runs ahead of the broker's append time: one clock that
    is fast cannot close the windows of others.

    Shapes: ``record`` int32[n], ascending; ``time_ns`` int64[n]; ``append_ns`` int64[r]; ``ignored`` bool[r], records
    that are not to be used (duplicates); ``tick_ns`` int64[r], time of a tick record or -1; ``state`` int64[1], the
    watermark, changed in place; ``fate`` uint8[n], written.
    """
    at = 0
    n = record.shape[0]
    for r in range(append_ns.shape[0]):
        before = state[0]
        largest = tick_ns[r]
        horizon = append_ns[r] + future_ns
        while at < n and record[at] == r:
            t = time_ns[at]
            if ignored[r]:
                fate[at] = IGNORED
            elif t > horizon:
                fate[at] = FUTURE
            else:
                end = t - t % pane_ns + pane_ns
                if end <= before:
                    fate[at] = LATE
                else:
                    fate[at] = ON_TIME
                largest = max(largest, t)
            at += 1
        if largest >= 0:
            state[0] = max(before, min(largest, append_ns[r]) - lateness_ns)


@large_kernel
def panes_of(time_ns: Any, fate: Any, pane_ns: Any, index: Any, start_ns: Any, first: Any, last: Any) -> int:
    """Numbers the panes of the samples that are on time; returns how many there are.

    A pane may have two numbers where a run goes back and forth over more than :data:`_LOOK_BACK` panes.

    Shapes: ``index`` int32[n], written: the number of a sample's pane, -1 for one that is not on time; ``start_ns``
    int64[n], ``first`` and ``last`` int64[n], written as far as panes are found: start of each pane, positions of its
    first and last sample.
    """
    found = 0
    for i in range(time_ns.shape[0]):
        if fate[i] != ON_TIME:
            index[i] = -1
            continue
        t = time_ns[i]
        k = found - 1
        if k < 0 or t < start_ns[k] or t >= start_ns[k] + pane_ns:
            start = t - t % pane_ns
            oldest = max(found - _LOOK_BACK, 0)
            while k >= oldest and start_ns[k] != start:
                k -= 1
            if k < oldest:
                k = found
                found += 1
                start_ns[k] = start
                first[k] = i
        last[k] = i
        index[i] = k
    return found
