"""What moves one way for longer than ever: leaks are found, rhythms, jumps and noise are not."""

from __future__ import annotations

import math
import random

import pytest

from streams.detect.drift import Drift
from streams.detect.registry import make
from streams.domain.anomaly import Score

WINDOW = 10_000_000_000
THRESHOLD = 0.9999


def scores(values: list[float], warmup: int = 100) -> list[Score]:
    detector, found = make("novelty", warmup), []
    for place, value in enumerate(values):
        found.append(detector.score(value, place * WINDOW))
        detector.learn(value, place * WINDOW)
    return found


def noise(count: int, seed: int, spread: float = 0.5) -> list[float]:
    rng = random.Random(seed)
    return [20 + rng.gauss(0, spread) for _ in range(count)]


def walk(count: int, seed: int) -> list[float]:
    """Pulled back to 20: as memory of a healthy process."""
    rng, value, found = random.Random(seed), 20.0, []
    for _ in range(count):
        value += 0.1 * (20 - value) + rng.gauss(0, 0.15)
        found.append(value)
    return found


@pytest.mark.parametrize("seed", range(8))
def test_a_leak_is_found_within_three_windows(seed: int) -> None:
    values = walk(200, seed)
    leak = [values[-1] + 0.5 + place for place in range(3)]
    found = scores([*values, *leak])[-3:]
    assert any(score.score >= THRESHOLD and score.drift_windows >= 2 for score in found)


def test_it_says_so_while_it_lasts_and_ends_with_it() -> None:
    values = walk(300, 1)
    found = scores([*values, *(values[-1] + place for place in range(1, 21)), *(values[-1] + n for n in walk(40, 2))])
    drifting = [place for place, score in enumerate(found) if score.drift_windows]
    assert set(range(304, 320)) <= set(drifting)
    assert max(drifting) < 332


@pytest.mark.parametrize("seed", range(5))
def test_noise_and_walks_are_none(seed: int) -> None:
    for values in (noise(3000, seed), walk(3000, seed)):
        assert sum(score.drift_windows > 0 for score in scores(values)) <= 3


def test_a_rhythm_that_goes_on_is_none() -> None:
    rng = random.Random(3)
    values = [20 + 10 * math.sin(place / 60) + rng.gauss(0, 0.05) for place in range(4000)]
    assert not any(score.drift_windows for score in scores(values, warmup=800)[800:])


def test_one_jump_is_none() -> None:
    values = [*walk(300, 4), *(30 + value - 20 for value in walk(100, 5))]
    assert not any(score.drift_windows for score in scores(values))


def test_small_numbers_of_a_constant_are_none() -> None:
    rng = random.Random(6)
    values = [5.0 + rng.uniform(-1, 1) * 1e-6 for _ in range(300)]
    assert not any(score.drift_windows for score in scores([*values, *(5.0 + n * 1e-6 for n in range(40))]))


def test_a_snapshot_changes_nothing() -> None:
    stayed, values = Drift(), walk(500, 9)
    for value in values:
        through = Drift()
        through.load(stayed.dump())
        assert through.judge(value, 60) == stayed.judge(value, 60)
        stayed.learn(value)
        through.learn(value)
        assert through.dump() == stayed.dump()


def test_it_is_said_in_words() -> None:
    values = walk(200, 1)
    found = scores([*values, *(values[-1] + place for place in range(1, 6))])[-1]
    assert found.drift_windows >= 4
