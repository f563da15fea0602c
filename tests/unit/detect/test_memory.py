"""The bounded memory, the sliding peak and the recent means against brute force."""

from __future__ import annotations

import random
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.detect.history import LONG_WINDOWS, SHORT_WINDOWS, DayProfile, RecentMeans
from streams.detect.memory import CAPACITY, FLOOR, RESOLUTION, NoveltyMemory
from streams.detect.peak import RecentPeak

numbers = st.floats(-1e6, 1e6, width=32)


@given(st.lists(numbers, max_size=60), numbers)
def test_distance_is_to_the_nearest_seen_within_resolution(seen: list[float], value: float) -> None:
    memory = NoveltyMemory()
    for number in seen:
        memory.add(number)
    span = max(max(seen) - min(seen), FLOOR) if seen else FLOOR
    nearest = min((abs(number - value) for number in seen), default=0.0)
    assert memory.distance(value) == pytest.approx(nearest, abs=RESOLUTION * span * 1.01)
    assert memory.span == pytest.approx(span, rel=2.1 * RESOLUTION)
    assert list(memory.values) == sorted(memory.values)


def test_a_memory_that_is_full_is_thinned_and_keeps_its_ends() -> None:
    rng, memory = random.Random(2), NoveltyMemory()
    for power in range(12):
        for _ in range(500):
            memory.add(rng.uniform(-1, 1) * 10.0**power)
        memory.add(10.0**power)
        assert len(memory.values) <= CAPACITY
    assert memory.values[-1] == array("f", [10.0**11])[0]
    assert len(memory.values) > CAPACITY // 2


@given(st.lists(st.floats(0, 10), max_size=200), st.integers(1, 30))
def test_peak_is_the_maximum_of_the_last_pushes(values: list[float], windows: int) -> None:
    peak = RecentPeak(windows)
    for place, value in enumerate(values):
        assert peak.maximum == max(values[max(0, place - windows) : place], default=0.0)
        peak.push(value)
        assert len(peak.values) <= windows


def test_recent_means_equal_plain_means_also_after_something_huge() -> None:
    rng, recent, seen = random.Random(4), RecentMeans(), []
    for place in range(4 * LONG_WINDOWS):
        value = 1e15 if place == 100 else rng.gauss(10, 1)
        seen.append(value)
        recent.update(value)
        if place > 100 + 2 * LONG_WINDOWS:
            last = seen[1 - SHORT_WINDOWS :]
            assert recent.long.get() == pytest.approx(sum(seen[-LONG_WINDOWS:]) / LONG_WINDOWS, rel=1e-6)
            assert recent.smoothed(5.0) == pytest.approx((sum(last) + 5.0) / SHORT_WINDOWS, rel=1e-6)


def test_day_profile_knows_the_quarter_of_an_hour() -> None:
    profile = DayProfile()
    for _ in range(10):
        profile.update(3 * 3600.0 + 60, 7.0)
        profile.update(15 * 3600.0, 20.0)
    assert profile.expected(3 * 3600.0 + 800, default=0.0) == 7.0
    assert profile.expected(15 * 3600.0 + 1, default=0.0) == 20.0
    assert profile.expected(3 * 3600.0 + 901, default=1.5) == 1.5
