"""A pane's sketches, whether its events are few (a list) or many (counters), and the merge of closed panes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from streams.window.merge import merge
from streams.window.pane import Aggregates, Pane
from streams.window.sketches import FEW, buckets_of

SLOTS = 5
ORDER = np.array([3, 0, 4, 1, 2], np.int32)
Events = dict[int, NDArray[np.float64]]
"""Slot -> values."""


def values(seed: int, count: int) -> NDArray[np.float64]:
    """Of both signs, from tiny to huge, some of them zero, some equal."""
    rng = np.random.default_rng(seed)
    found = rng.choice([-1.0, 1.0, 1.0, 0.0], count) * rng.lognormal(0, 6, count)
    found[::4] = 0.25
    return found


def fill(pane: Pane, events: Events) -> Pane:
    """Adds the events as samples, slots in turn."""
    slot = np.concatenate([np.full(len(v), s, np.int32) for s, v in events.items()])
    value = np.concatenate(list(events.values()))
    mixed = np.random.default_rng(1).permutation(len(slot))
    pane.reserve(SLOTS)
    pane.add_samples(slot[mixed], value[mixed], np.zeros(len(slot), np.int32), 0, 0, len(slot))
    return pane


def closed(events: Events) -> Aggregates:
    return fill(Pane(SLOTS), events).close(ORDER)


def sketches(part: Aggregates) -> dict[int, list[tuple[int, int]]]:
    """Slot -> its entries, in their order."""
    entries = list(zip(part.bucket.tolist(), part.weight.tolist(), strict=True))
    bounds = zip(part.slot.tolist(), part.start[:-1].tolist(), part.start[1:].tolist(), strict=True)
    return {slot: entries[first:end] for slot, first, end in bounds}


def expected(events: Events) -> dict[int, list[tuple[int, int]]]:
    """The same by counting all buckets at once."""
    found = {}
    for slot in ORDER.tolist():
        if len(events.get(slot, ())):
            bucket, weight = np.unique(buckets_of(events[slot]), return_counts=True)
            found[slot] = list(zip(bucket.tolist(), weight.tolist(), strict=True))
    return found


@pytest.mark.parametrize("count", [1, FEW - 1, FEW, FEW + 1, 2 * FEW, 1_000])
def test_a_sketch_counts_every_event_however_many_there_are(count: int) -> None:
    events = {0: values(1, count), 1: values(2, 3), 4: values(3, 2 * count)}
    part = closed(events)
    assert sketches(part) == expected(events)
    assert part.slot.tolist() == [0, 4, 1]
    assert part.count.tolist() == [count, 2 * count, 3]
    assert part.minimum.tolist() == [events[s].min() for s in (0, 4, 1)]
    assert part.maximum.tolist() == [events[s].max() for s in (0, 4, 1)]


@pytest.mark.parametrize("there", [0, 1, FEW - 3, FEW, FEW + 1])
@pytest.mark.parametrize("more", [1, 3, FEW, 200])
def test_finished_aggregates_are_added_to_few_and_to_many(there: int, more: int) -> None:
    """Lists stay lists as long as there is room, and become counters where there is none."""
    before, after = {0: values(4, there), 2: values(5, 2)}, {0: values(6, more), 3: values(7, more)}
    pane = fill(Pane(SLOTS), before)
    pane.add(closed(after))
    together = {0: np.concatenate([before[0], after[0]]), 2: before[2], 3: after[3]}
    assert sketches(pane.close(ORDER)) == expected(together)


def test_samples_after_aggregates_are_counted_too() -> None:
    first, second = {0: values(8, 20), 1: values(9, 100)}, {0: values(10, 20), 1: values(11, 5)}
    pane = Pane(SLOTS)
    pane.add(closed(first))
    fill(pane, second)
    assert sketches(pane.close(ORDER)) == expected({s: np.concatenate([first[s], second[s]]) for s in (0, 1)})


def test_a_closed_pane_can_be_closed_again() -> None:
    pane = fill(Pane(SLOTS), {0: values(12, 7), 1: values(13, 70)})
    assert sketches(pane.close(ORDER)) == sketches(pane.close(ORDER))


def test_memory_of_few_events_is_a_list() -> None:
    pane = fill(Pane(SLOTS), {slot: values(slot, FEW) for slot in range(SLOTS)})
    assert pane.blocks == 0
    assert fill(pane, {0: values(9, 1)}).blocks > 0


def test_merging_counts_what_each_part_counted() -> None:
    parts = [{s: values(10 * p + s, 1 + (7 * p + 11 * s) % 50) for s in range(p % 2, SLOTS, 2)} for p in range(6)]
    merged = merge([closed(part) for part in parts], ORDER)
    together = {s: np.concatenate([part.get(s, values(0, 0)) for part in parts]) for s in range(SLOTS)}
    assert sketches(merged) == expected(together)
    assert merged.slot.tolist() == ORDER.tolist()
    assert merged.count.tolist() == [len(together[s]) for s in ORDER.tolist()]
    assert merged.minimum.tolist() == [together[s].min() for s in ORDER.tolist()]
    assert merged.maximum.tolist() == [together[s].max() for s in ORDER.tolist()]
    assert merged.squares == pytest.approx([(together[s] ** 2).sum() for s in ORDER.tolist()])


def test_merging_is_what_adding_one_after_the_other_is() -> None:
    """The same bits, sums with what rounding left out."""
    parts = [closed({s: values(20 + p, 40) for s in range(SLOTS)}) for p in range(4)]
    pane = Pane(SLOTS)
    for part in parts:
        pane.add(part)
    one, other = merge(parts, ORDER), pane.close(ORDER)
    for name in ("slot", "count", "high", "low", "minimum", "maximum", "squares", "start", "bucket", "weight"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name


def test_what_rounding_left_out_of_the_parts_comes_back() -> None:
    merged = merge([closed({0: np.array([v])}) for v in (1e16, 1.0, 1.0, 1.0, 1.0)], ORDER)
    assert (merged.high.tolist(), merged.low.tolist()) == ([1e16 + 4], [0.0])


def test_parts_in_another_order_are_refused() -> None:
    part = closed({0: values(1, 2), 1: values(2, 2)})
    with pytest.raises(ValueError, match="order of the series"):
        merge([part], ORDER[::-1].copy())
    with pytest.raises(ValueError, match="order of the series"):
        merge([part], ORDER[:1].copy())
