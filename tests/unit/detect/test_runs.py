"""What stands still too long, and what only seems to."""

from __future__ import annotations

import random

import pytest

from streams.detect.registry import make
from streams.detect.runs import LEAST_RUNS, Runs
from streams.domain.anomaly import Score

WINDOW = 10_000_000_000
THRESHOLD = 0.9999


def scores(values: list[float], warmup: int = 100) -> list[Score]:
    detector, found = make("novelty", warmup), []
    for place, value in enumerate(values):
        found.append(detector.score(value, place * WINDOW))
        detector.learn(value, place * WINDOW)
    return found


def noise(count: int, seed: int) -> list[float]:
    rng = random.Random(seed)
    return [rng.gauss(50, 5) for _ in range(count)]


@pytest.mark.parametrize("seed", range(5))
def test_a_frozen_value_is_found_and_says_for_how_long(seed: int) -> None:
    values = noise(600, seed)
    found = scores([*values, *[values[-1]] * 30])
    first = next(place for place, score in enumerate(found) if score.still_windows)
    assert first < 620
    assert found[first].score >= THRESHOLD
    assert found[first].still_windows == first - 598
    assert found[first].seen_windows == first


@pytest.mark.parametrize("period", [10, 25, 40])
def test_a_square_wave_that_stops_is_found(period: int) -> None:
    wave = [float(place // period % 2) for place in range(period * 60)]
    found = scores([*wave, *[wave[-1]] * 40])
    assert not any(score.still_windows for score in found[: len(wave)])
    assert any(score.still_windows and score.score >= THRESHOLD for score in found[len(wave) :])


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_geometric_runs_are_no_finding(share: float) -> None:
    rng = random.Random(4)
    found = scores([float(rng.random() < share) for _ in range(20_000)])
    assert sum(score.still_windows > 0 for score in found) <= 3 * 60, "each says so for 60 windows at most"


def test_a_run_after_a_finding_belongs_to_it() -> None:
    found = scores([*noise(600, 1), *[500.0] * 60])
    assert found[600].score >= THRESHOLD
    assert not any(score.still_windows for score in found)


def test_it_is_silent_until_enough_runs_have_ended() -> None:
    runs = Runs()
    for place in range(LEAST_RUNS):
        runs.learn(float(place))
    assert runs.tail(1_000) == 1.0
    runs.learn(-1.0)
    assert runs.tail(1_000) < 1e-9
    assert runs.tail(1) == 1.0
