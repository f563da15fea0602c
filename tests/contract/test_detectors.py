"""What every registered detector must do, as River's checks say it for estimators."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

from streams.detect.protocol import Detector
from streams.detect.registry import DETECTORS, SMALL, make
from streams.domain.anomaly import Score
from streams.errors import ConfigurationError, StateError

WINDOW = 10_000_000_000
DAY_NS = 86_400 * 1_000_000_000
WARMUP = 60
THRESHOLD = 0.9999

pytestmark = pytest.mark.parametrize("name", sorted(DETECTORS))


def noise(count: int, seed: int = 1, level: float = 100.0, spread: float = 5.0) -> list[float]:
    rng = random.Random(seed)
    return [rng.gauss(level, spread) for _ in range(count)]


def run(detector: Detector, values: list[float], first: int = 0) -> list[Score]:
    scores = []
    for place, value in enumerate(values, first):
        scores.append(detector.score(value, place * WINDOW))
        detector.learn(value, place * WINDOW)
    return scores


def test_scores_are_in_the_unit_interval(name: str) -> None:
    wild = [0.0, -1e9, 1e9, 1e-300, 1e90, -1e90, 5e-324, 1.0, 0.0]
    for values in (noise(300), wild * 20, noise(100) + wild):
        for score in run(make(name, WARMUP), values):
            assert 0.0 <= score.score <= 1.0
            assert score.lower <= score.expected <= score.upper


def test_scoring_changes_nothing(name: str) -> None:
    quiet, curious = make(name, WARMUP), make(name, WARMUP)
    for place, value in enumerate(noise(200)):
        at = place * WINDOW
        for other in (0.0, value * 3, value):
            curious.score(other, at)
        assert quiet.score(value, at) == curious.score(value, at)
        quiet.learn(value, at)
        curious.learn(value, at)
    assert quiet.snapshot() == curious.snapshot()


def test_same_values_give_the_same_scores(name: str) -> None:
    assert run(make(name, WARMUP), noise(400)) == run(make(name, WARMUP), noise(400))


def test_warm_up_is_silent_and_says_so(name: str) -> None:
    scores = run(make(name, WARMUP), [*noise(WARMUP - 1), 1000000.0, 100.0])
    assert all(score.warming_up and score.score == 0.0 for score in scores[:WARMUP])
    assert not scores[WARMUP].warming_up


def test_a_warm_up_that_is_too_short_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="at least 20"):
        make(name, 19)


@pytest.mark.parametrize("warmup", [30, 300])
@pytest.mark.parametrize("seed", range(5))
def test_a_spike_is_found(name: str, seed: int, warmup: int) -> None:
    scores = run(make(name, warmup), [*noise(warmup + 15, seed), 300.0, *noise(5, seed + 100)])
    assert scores[warmup + 15].score >= THRESHOLD
    assert all(score.score < THRESHOLD for score in scores[warmup + 16 :])


@pytest.mark.parametrize("seed", range(5))
def test_a_step_is_found_and_holds_until_it_is_normal(name: str, seed: int) -> None:
    before, after = noise(WARMUP + 15, seed), noise(400, seed + 50, level=200.0)
    scores = run(make(name, WARMUP), before + after)[len(before) :]
    strange = [score.score >= THRESHOLD for score in scores]
    assert strange[:5] == [True] * 5, "three of five windows must be possible"
    assert not any(strange[100:]), "a new level becomes normal"
    assert scores[-1].lower < 200.0 < scores[-1].upper


def test_a_drop_is_found(name: str) -> None:
    scores = run(make(name, WARMUP), [*noise(WARMUP + 15), 1.0])
    assert scores[-1].score >= THRESHOLD


@pytest.mark.parametrize("seed", range(5))
def test_false_alarms_are_rare(name: str, seed: int) -> None:
    scores = run(make(name, 300), noise(3000, seed))
    assert sum(score.score >= THRESHOLD for score in scores) <= 3


@pytest.mark.parametrize("level", [0.0, 5.0, -3.0, 1e-9, 1e12])
def test_a_constant_series_is_silent(name: str, level: float) -> None:
    assert all(score.score == 0.0 for score in run(make(name, WARMUP), [level] * 300))


def test_rounding_in_a_constant_series_is_no_news(name: str) -> None:
    rng = random.Random(3)
    values = [5.0] * 100 + [5.0 + rng.uniform(-1, 1) * 1e-6 for _ in range(200)]
    assert all(score.score < THRESHOLD for score in run(make(name, WARMUP), values))


@pytest.mark.parametrize("level", [0.0, 5.0])
def test_a_change_of_a_constant_series_is_found(name: str, level: float) -> None:
    assert run(make(name, WARMUP), [level] * 200 + [level + 2.0])[-1].score >= THRESHOLD


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e200])
def test_what_is_no_number_is_neither_judged_nor_learned(name: str, bad: float) -> None:
    plain, disturbed = make(name, WARMUP), make(name, WARMUP)
    for place, value in enumerate(noise(150)):
        at = place * WINDOW
        if place % 7 == 0:
            assert disturbed.score(bad, at).score == 0.0
            disturbed.learn(bad, at)
        assert plain.score(value, at) == disturbed.score(value, at)
        plain.learn(value, at)
        disturbed.learn(value, at)
    assert plain.snapshot() == disturbed.snapshot()


def test_a_gap_is_not_strange(name: str) -> None:
    detector = make(name, WARMUP)
    run(detector, noise(200))
    assert all(score.score < THRESHOLD for score in run(detector, noise(50, seed=9), first=5000))


def everything() -> Iterator[tuple[str, list[float]]]:
    rng = random.Random(11)
    yield "noise", noise(700)
    yield "zeros, then not", [0.0] * 90 + noise(100)
    yield "sparse", [float(rng.random() < 0.02) for _ in range(400)]
    yield "growing", [1.03**place for place in range(500)]
    yield "step", noise(100) + noise(100, level=300.0)


@pytest.mark.parametrize(
    ("kind", "values"), list(everything()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_snapshot_anywhere_changes_nothing(name: str, kind: str, values: list[float]) -> None:
    """Through JSON text, at every step: what comes back scores as if nothing had happened."""
    through, stayed = make(name, WARMUP), make(name, WARMUP)
    for place, value in enumerate(values):
        at = place * WINDOW
        if place % 3 == 0 or 10 < place < 25:
            text = orjson.dumps(through.snapshot())
            through = make(name, WARMUP)
            through.restore(orjson.loads(text))
        assert through.score(value, at) == stayed.score(value, at)
        through.learn(value, at)
        stayed.learn(value, at)
    assert through.snapshot() == stayed.snapshot()


def test_a_snapshot_of_something_else_is_refused(name: str) -> None:
    good = make(name, WARMUP).snapshot()
    others: list[dict[str, Any]] = [{**good, "v": 99}, {**good, "detector": "x"}, {}, {**good, "scorer": {}}]
    for other in others:
        with pytest.raises(StateError):
            make(name, WARMUP).restore(other)


def deep_bytes(thing: Any, seen: set[int]) -> int:
    if id(thing) in seen or isinstance(thing, type) or callable(thing):
        return 0
    seen.add(id(thing))
    total = sys.getsizeof(thing)
    if isinstance(thing, dict):
        return total + sum(deep_bytes(value, seen) for value in thing.values())
    if isinstance(thing, list | tuple):
        return total + sum(deep_bytes(value, seen) for value in thing)
    names = getattr(type(thing), "__slots__", ())
    parts = [getattr(thing, part) for part in names] + list(getattr(thing, "__dict__", {}).values())
    return total + sum(deep_bytes(part, seen) for part in parts)


GENERATORS: dict[str, Callable[[random.Random, int], float]] = {
    "heavy tail": lambda rng, _: rng.paretovariate(0.5),
    "random walk of scales": lambda rng, place: 10.0 ** (rng.uniform(-6, 6)),
    "always new": lambda _, place: 1.5 * place + (place % 7),
    "uniform": lambda rng, _: rng.random(),
    "falling surprises": lambda _, place: 1e6 / (place % 120 + 1),
}


@pytest.mark.parametrize("kind", sorted(GENERATORS))
def test_memory_reaches_a_plateau_below_16_kb_the_small_ones_below_1(name: str, kind: str) -> None:
    rng, detector = random.Random(5), make(name, WARMUP)
    sizes = []
    for place in range(6000):
        value = GENERATORS[kind](rng, place)
        detector.learn(value, place * 10 * WINDOW)
        if place % 1000 == 999:
            sizes.append(deep_bytes(detector, set()))
    assert max(sizes) <= (1_024 if name == SMALL else 16_384)


def test_an_unknown_name_says_which_there_are(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        make("no-such-detector", WARMUP)
