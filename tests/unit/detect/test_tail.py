"""The calibration: on healthy series of seven kinds a score above s comes about once in 1 / (1 - s) windows or less."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from streams.detect.registry import make
from streams.detect.tail import SMALLEST, normal_tail, novelty_tail

WINDOW = 10_000_000_000
LENGTH = 2_000


def autoregressive(rng: np.random.Generator) -> np.ndarray:
    values, noise = np.zeros(LENGTH), rng.normal(0, 1, LENGTH)
    for i in range(1, LENGTH):
        values[i] = 0.8 * values[i - 1] + noise[i]
    return 50 + 5 * values


HEALTHY: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "normal": lambda rng: rng.normal(100, 5, LENGTH),
    "log-normal": lambda rng: rng.lognormal(0, 0.5, LENGTH),
    "gamma": lambda rng: rng.gamma(2, 0.1, LENGTH),
    "poisson": lambda rng: rng.poisson(8, LENGTH) / 10,
    "autoregressive": autoregressive,
    "seasonal": lambda rng: 10 + 4 * np.sin(np.arange(LENGTH) / 8640 * 2 * np.pi) + rng.normal(0, 0.5, LENGTH),
    "student t, 3": lambda rng: 10 + rng.standard_t(3, LENGTH),
}


@pytest.fixture(scope="module", params=["novelty", "level"])
def scores(request: pytest.FixtureRequest) -> dict[str, np.ndarray]:
    found = {}
    for kind, generate in HEALTHY.items():
        scored = []
        for seed in range(3):
            detector = make(request.param, 30)
            for place, value in enumerate(generate(np.random.default_rng(seed)).tolist()):
                scored.append(detector.score(value, place * WINDOW).score)
                detector.learn(value, place * WINDOW)
        found[kind] = np.array(scored)
    return found


@pytest.mark.parametrize("kind", sorted(HEALTHY))
def test_scores_of_healthy_series_are_probabilities(scores: dict[str, np.ndarray], kind: str) -> None:
    per_10_000 = {limit: (scores[kind] >= limit).mean() * 10_000 for limit in (0.99, 0.999, 0.9999)}
    heavy = 4.0 if kind == "student t, 3" else 1.5
    assert per_10_000[0.99] <= 100 * heavy
    assert per_10_000[0.999] <= 10 * heavy
    assert per_10_000[0.9999] <= 1.7 * heavy


def test_the_map_is_not_far_too_careful(scores: dict[str, np.ndarray]) -> None:
    """All kinds together: one in a thousand is called one in a thousand within a factor of five."""
    together = np.concatenate(list(scores.values()))
    assert 2 <= (together >= 0.999).mean() * 10_000 <= 15


def test_tails_are_probabilities_that_fall() -> None:
    for tail in (novelty_tail, normal_tail):
        values = [tail(x / 10) for x in range(200)]
        assert values == sorted(values, reverse=True)
        assert all(SMALLEST <= value <= 1 for value in values)
    assert normal_tail(2.0) == pytest.approx(0.0455, rel=1e-3)
