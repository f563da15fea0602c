"""The constant load, the rhythm of the load, and how the number of events follows what is asked for."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agents_emitter import events
from agents_emitter.simulator import simulate
from agents_emitter.simulator.metrics import METRICS
from agents_emitter.simulator.season import DAY_SECONDS, season_factor
from tests.unit.simulator.runs import SECOND_NS, START_NS, read


@settings(max_examples=20, deadline=None)
@example(rate=100.0, duration_seconds=2.5, agents=12, batch_seconds=1.0)
@given(
    rate=st.floats(1.0, 5_000.0),
    duration_seconds=st.floats(0.1, 12.0),
    agents=st.integers(5, 30),
    batch_seconds=st.sampled_from([0.5, 1.0, 3.0]),
)
def test_constant_load_is_exact(rate: float, duration_seconds: float, agents: int, batch_seconds: float) -> None:
    found = read(
        "burst_free",
        events_per_second=rate,
        duration_seconds=duration_seconds,
        agents=agents,
        batch_seconds=batch_seconds,
    )
    length_ns = round(duration_seconds * SECOND_NS)
    assert len(found.samples) == round(rate * length_ns / SECOND_NS)
    assert all(START_NS <= s.time_ns < START_NS + length_ns for s in found.samples)
    assert [e.time_ns for e in found.emissions] == sorted(e.time_ns for e in found.emissions)
    shares = Counter(s.agent for s in found.samples)
    slices = length_ns / SECOND_NS / batch_seconds + 1
    assert max(shares.values(), default=0) - min(shares.values(), default=0) <= slices or len(shares) < agents


def test_constant_load_is_spread_over_time_and_series() -> None:
    found = read("burst_free", duration_seconds=30.0, events_per_second=2_000.0)
    seconds = Counter((s.time_ns - START_NS) // SECOND_NS for s in found.samples)
    assert set(seconds.values()) == {2_000}
    tenths = Counter((s.time_ns - START_NS) // (SECOND_NS // 10) for s in found.samples)
    assert max(tenths.values()) < 2 * 200
    series = Counter(s.name for s in found.samples)
    assert set(series) == set(METRICS)
    assert min(series.values()) > 1_000


def test_a_high_load_is_cut_into_records_that_a_broker_takes() -> None:
    emissions = list(simulate("burst_free", seed=1, start_ns=0, duration_seconds=2.0, events_per_second=500_000.0))
    assert sum(e.events for e in emissions) == 1_000_000
    assert max(len(e.value) for e in emissions) < 262_144
    assert {e.topic for e in emissions} == {events.METRICS_TOPIC}


@pytest.mark.parametrize("wanted", [200.0, 2_000.0])
def test_the_number_of_events_follows_what_is_asked(wanted: float) -> None:
    emissions = simulate("cascade", seed=1, start_ns=0, duration_seconds=60.0, events_per_second=wanted, agents=30)
    assert abs(sum(e.events for e in emissions) / 60 / wanted - 1) < 0.25


def test_season_has_mean_one_over_a_week_and_rests_at_night_and_on_sundays() -> None:
    hours = [season_factor(hour * 3_600 * SECOND_NS) for hour in range(7 * 24)]
    assert sum(hours) / len(hours) == pytest.approx(1.0)
    assert min(hours) > 0
    monday = 4 * DAY_SECONDS  # the epoch began on a Thursday
    by_day = [season_factor((monday + day * DAY_SECONDS + 12 * 3_600) * SECOND_NS) for day in range(7)]
    assert max(by_day[5:]) < min(by_day[:5])
    assert season_factor((monday + 14 * 3_600) * SECOND_NS) == max(hours)


def test_a_normal_day_has_its_rhythm() -> None:
    found = read(
        "normal_day",
        duration_seconds=DAY_SECONDS,
        start_ns=4 * DAY_SECONDS * SECOND_NS,
        agents=5,
        events_per_second=2.0,
        heartbeat_seconds=600.0,
        batch_seconds=60.0,
    )
    hours = Counter(s.time_ns // SECOND_NS // 3_600 % 24 for s in found.select("agents.coordination.requests"))
    assert sum(hours[h] for h in range(11, 17)) > 2 * sum(hours[h] for h in (23, 0, 1, 2, 3, 4))
