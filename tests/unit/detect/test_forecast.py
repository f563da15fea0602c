"""When a limit is reached: lines, noise, outliers, the day, gaps, restarts."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

import orjson
import pytest

from streams.detect.forecast import LEAST_VALUES, Forecaster
from streams.domain.capacity import Outlook
from streams.errors import StateError

STEP_NS = 300 * 10**9
DAY = 288


def fed(values: Iterable[float], first: int = 0) -> Forecaster:
    made = Forecaster(STEP_NS)
    for place, value in enumerate(values, first):
        made.learn(value, place * STEP_NS)
    return made


def said(forecaster: Forecaster, limit: float = 100.0) -> Outlook:
    found = forecaster.outlook(limit)
    assert found is not None
    return found


def test_a_straight_line_is_met_to_the_step() -> None:
    earliest, expected, latest = said(fed(10 + 0.5 * place for place in range(100)))
    assert earliest == expected == latest == (100 - 59.5) / 0.5 * 300


def test_noise_widens_the_interval_and_the_truth_lies_in_it() -> None:
    rng = random.Random(4)
    earliest, expected, latest = said(fed(10 + 0.3 * place + rng.gauss(0, 2) for place in range(200)))
    truth = (100 - 69.7) / 0.3 * 300
    assert earliest < truth < latest
    assert expected == pytest.approx(truth, rel=0.2)


def test_outliers_do_not_move_it() -> None:
    clean = said(fed(10 + 0.3 * place for place in range(100)))
    wild = said(fed(10 + 0.3 * place + (place % 7 == 0) * 40 for place in range(100)))
    assert wild.expected == pytest.approx(clean.expected, rel=0.05)


@pytest.mark.parametrize("slope", [0.0, -0.2])
def test_what_does_not_grow_never_reaches_it(slope: float) -> None:
    assert said(fed(50 + slope * place for place in range(100))) == (math.inf, math.inf, math.inf)


def test_beyond_a_week_is_not_foretold() -> None:
    assert said(fed(10 + 0.01 * place for place in range(100))).expected == math.inf


def test_at_the_limit_nothing_is_left() -> None:
    assert said(fed(90 + 0.2 * place for place in range(60))) == (0.0, 0.0, 0.0)


def test_too_little_gives_no_forecast() -> None:
    assert Forecaster(STEP_NS).outlook(1.0) is None
    assert fed([1.0] * (LEAST_VALUES - 1)).outlook(1.0) is None
    assert fed([1.0] * LEAST_VALUES).outlook(5.0) is not None


def day(place: int) -> float:
    return 50 + 30 * math.sin(2 * math.pi * place / DAY)


def test_the_morning_of_a_known_day_is_no_alarm() -> None:
    """The line of the morning alone would reach 100 within hours."""
    new, old = fed(day(place) for place in range(40)), fed(day(place) for place in range(4 * DAY + 40))
    assert said(new).expected < 86_400
    assert said(old).expected == math.inf


def test_growth_upon_a_day_is_reached_at_a_peak() -> None:
    values = [day(place) - 20 + place * 5 / DAY for place in range(20 * DAY)]
    truth = next(place for place, value in enumerate(values) if value >= 100) - (6 * DAY - 1)
    assert said(fed(values[: 6 * DAY])).expected == pytest.approx(truth * 300, rel=0.25)


def test_gaps_and_repeats_and_what_is_no_number() -> None:
    whole, holes = fed(10 + 0.3 * p for p in range(100)), Forecaster(STEP_NS)
    for place in range(100):
        if place % 3 != 1 or place == 99:
            holes.learn(10 + 0.3 * place, place * STEP_NS)
            holes.learn(1e9, place * STEP_NS)
            holes.learn(math.nan, (place + 1) * STEP_NS)
    assert said(holes).expected == pytest.approx(said(whole).expected, abs=300)


def test_after_a_long_silence_the_past_does_not_count() -> None:
    forecaster = fed(10 + 0.3 * p for p in range(100))
    forecaster.learn(39.7, 500 * STEP_NS)
    assert forecaster.outlook(100.0) is None


def test_a_snapshot_anywhere_changes_nothing() -> None:
    rng = random.Random(1)
    through, stayed = Forecaster(STEP_NS), Forecaster(STEP_NS)
    for place in range(3 * DAY):
        value = day(place) + rng.gauss(0, 3)
        if place % 50 == 0:
            through = Forecaster.load(orjson.loads(orjson.dumps(through.dump())))
        through.learn(value, place * STEP_NS)
        stayed.learn(value, place * STEP_NS)
    assert through.dump() == stayed.dump()
    assert through.outlook(90.0) == stayed.outlook(90.0)


def test_state_is_bounded() -> None:
    sizes = [len(orjson.dumps(fed(day(p) for p in range(days * DAY)).dump())) for days in (2, 9)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)
    assert max(sizes) < 8_000


@pytest.mark.parametrize("change", [{"v": 2}, {"values": "%"}, {"change": []}, {"hours": None}])
def test_what_is_no_state_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(StateError):
        Forecaster.load({**fed([1.0] * 20).dump(), **change})
