"""What an hour of the week usually shows: each hour for itself once two weeks were seen, all hours before."""

from __future__ import annotations

import math
import random

import orjson
import pytest

from streams.detect.week import LEAST_WINDOWS, Week

MINUTE_NS = 60 * 10**9
HOUR_NS = 60 * MINUTE_NS
WEEK = 7 * 24 * 60


def load(minute: int, rng: random.Random) -> float:
    """Busy by day, half as much on two days."""
    day = 100 + 60 * math.sin(2 * math.pi * minute / 1440)
    return (day if minute // 1440 % 7 < 5 else day / 2) + rng.gauss(0, 3)


def fed(minutes: int) -> Week:
    rng, made = random.Random(7), Week()
    for minute in range(minutes):
        made.learn(load(minute, rng), minute * MINUTE_NS)
    return made


def test_too_little_has_no_band() -> None:
    made = Week()
    for minute in range(LEAST_WINDOWS):
        assert made.normal(minute * MINUTE_NS) is None
        made.learn(5.0, minute * MINUTE_NS)
    assert made.normal(0) is not None


def test_all_hours_speak_until_an_hour_was_seen_in_two_weeks() -> None:
    first, second = fed(WEEK), fed(2 * WEEK)
    found = first.normal(WEEK * MINUTE_NS)
    assert found is not None
    assert found.provisional
    assert found.reach > 100
    found = second.normal(2 * WEEK * MINUTE_NS)
    assert found is not None
    assert not found.provisional
    assert found.reach < 60


def test_hours_of_the_weekend_are_not_those_of_the_week() -> None:
    made = fed(3 * WEEK)
    noons = [made.normal((3 * WEEK + day * 1440 + 360) * MINUTE_NS) for day in range(7)]
    means = [noon.mean for noon in noons if noon is not None]
    assert means[:5] == pytest.approx([159] * 5, abs=3)
    assert means[5:] == pytest.approx([79.5] * 2, abs=3)


def test_what_is_normal_by_day_is_beyond_the_band_at_night() -> None:
    made = fed(3 * WEEK)
    night = made.normal((3 * WEEK + 18 * 60) * MINUTE_NS)
    assert night is not None
    assert night.mean + night.reach < 100 < 160


def test_an_outage_is_not_what_is_expected_next_week() -> None:
    made, rng = fed(3 * WEEK), random.Random(1)
    for minute in range(3 * WEEK, 4 * WEEK):
        down = minute // 1440 % 7 == 2
        made.learn(0.0 if down else load(minute, rng), minute * MINUTE_NS)
    noon = made.normal((4 * WEEK + 2 * 1440 + 360) * MINUTE_NS)
    assert noon is not None
    assert noon.mean > 110
    assert noon.mean - noon.reach > 0


def test_a_new_level_is_expected_after_some_weeks() -> None:
    made = fed(3 * WEEK)
    for minute in range(3 * WEEK, 9 * WEEK):
        made.learn(300.0, minute * MINUTE_NS)
    noon = made.normal((9 * WEEK + 360) * MINUTE_NS)
    assert noon is not None
    assert abs(noon.mean - 300) < noon.reach


def test_a_snapshot_changes_nothing_and_is_small() -> None:
    stayed = fed(2 * WEEK)
    through = Week()
    text = orjson.dumps(stayed.dump())
    through.load(orjson.loads(text))
    assert through.dump() == stayed.dump()
    assert len(text) < 4_000
    with pytest.raises(ValueError, match="hours"):
        through.load({**stayed.dump(), "seen": ""})
