"""What the others tell of a feature: the regressions of statistics, learned one vector at a time."""

from __future__ import annotations

import numpy as np
import pytest

from streams.detect.relation import CLIP, LARGEST, learned, left

F64 = np.ndarray


def follow(vectors: F64, *, clipped: bool = False) -> tuple[F64, F64]:
    """(mean, spread) after all of them, each float64[1, ...]."""
    width = vectors.shape[1]
    mean, spread = np.zeros((1, width)), np.zeros((1, width, width))
    for at, vector in enumerate(vectors):
        far = left(mean, spread, vector[None])[1] / np.sqrt(width) if clipped and at > 60 else np.zeros(1)
        mean, spread = learned(np.array([at]), mean, spread, vector[None], far)
    return mean, spread


def related(count: int, seed: int = 1) -> F64:
    """Four features in very different units, three of which follow the first."""
    rng = np.random.default_rng(seed)
    load = rng.uniform(0, 1, count)
    noise = rng.normal(0, 1, (count, 4))
    features = (load + 0.01 * noise[:, 0], 1e-3 * (load + 0.05 * noise[:, 1]), 1e8 * (1 - load) + 1e6 * noise[:, 2])
    return np.stack((*features, noise[:, 3]), axis=1)


def test_moments_are_those_of_numpy_while_all_is_remembered() -> None:
    vectors = related(900)
    mean, spread = follow(vectors)
    assert mean[0] == pytest.approx(vectors.mean(0), rel=1e-9)
    assert spread[0] == pytest.approx(np.cov(vectors.T, bias=True), rel=1e-9)


def test_what_is_left_is_what_least_squares_leave() -> None:
    vectors = related(900)
    mean, spread = follow(vectors)
    residual, _ = left(np.repeat(mean, 900, 0), np.repeat(spread, 900, 0), vectors)
    for k in range(4):
        others = np.column_stack([np.delete(vectors, k, 1), np.ones(900)])
        scale = np.abs(others).max(0)
        weights = np.linalg.lstsq(others / scale, vectors[:, k], rcond=None)[0]
        wanted = vectors[:, k] - others / scale @ weights
        assert np.abs(residual[:, k] - wanted).max() < 0.2 * vectors[:, k].std()
        assert residual[:, k].std() == pytest.approx(wanted.std(), rel=0.1), "but for the ridge"


def test_a_usual_value_at_an_unusual_load_is_left_over() -> None:
    vectors = related(900)
    mean, spread = follow(vectors)
    strange = np.array([[0.1, 0.9e-3, 0.9e8, 0.0]])
    assert (strange > vectors.min(0)).all(), "each is usual alone"
    assert (strange < vectors.max(0)).all(), "each is usual alone"
    residual, far = left(mean, spread, strange)
    assert residual[0, 1] == pytest.approx(0.8e-3, rel=0.1)
    assert far > left(mean, spread, np.array([[0.1, 0.1e-3, 0.9e8, 0.0]]))[1] * 4


def test_features_that_stand_still_or_say_the_same_are_no_trouble() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(5, 1, 5_000)
    mean, spread = follow(np.stack((values, values + 44, np.full(5_000, 7.0), np.zeros(5_000)), axis=1))
    residual, far = left(mean, spread, np.array([[5.0, 49.0, 7.0, 0.0]]))
    assert np.isfinite([*residual[0], *far]).all()
    assert residual[0] == pytest.approx(0, abs=0.02)
    assert left(mean, spread, np.array([[5.0, 49.0, 8.0, 2.0]]))[0][0, 2:] == pytest.approx([1.0, 2.0], rel=0.01)
    wild = left(mean, spread, np.full((1, 4), LARGEST))
    assert np.isfinite([*wild[0][0], *wild[1]]).all()


def test_what_two_features_agree_on_beyond_the_last_digits_is_no_yardstick() -> None:
    values = np.random.default_rng(2).normal(5, 1, 5_000)
    mean, spread = follow(np.stack((values, values), axis=1))
    deviation = np.sqrt(spread[0, 0, 0])
    strange = mean + np.array([[0.02, 0.0]]) * deviation
    assert 0 < left(mean, spread, strange)[1] < 1, "the ridge: a fiftieth of a deviation is not far"
    assert left(mean, spread, mean + np.array([[1.0, 0.0]]) * deviation)[1] > 10


def test_a_spike_does_not_hide_how_features_hang_together() -> None:
    vectors = related(900)
    vectors[700, 1] = 1.0  # a thousand times what it ever was
    strange = np.array([[0.1, 0.9e-3, 0.9e8, 0.0]])
    mean, spread = follow(vectors, clipped=True)
    deviation = np.sqrt(spread[0, 1, 1])
    assert left(mean, spread, strange)[0][0, 1] > deviation
    believed = follow(vectors)
    assert np.sqrt(believed[1][0, 1, 1]) > CLIP * deviation, "without the clip it is nothing beside the spike"
