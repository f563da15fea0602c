"""Recordings as if they were live: order, times, what is found, and what comes later has no influence."""

from __future__ import annotations

import math
import random

import pytest

from streams.detect.replay import WARMUP_VALUES, Detection, read_time, settled

SECOND_NS = 1_000_000_000


def recording(values: list[float], seconds: int = 300) -> list[tuple[int, float]]:
    return [(i * seconds * SECOND_NS, value) for i, value in enumerate(values)]


def replay(values: list[tuple[int, float]]) -> list[float]:
    return Detection().scores([value for _, value in values], [at_ns for at_ns, _ in values])


def noise(count: int, seed: int = 1) -> list[float]:
    rng = random.Random(seed)
    return [rng.gauss(50, 2) for _ in range(count)]


@pytest.mark.parametrize("seconds", [1, 300, 3600])
def test_a_spike_is_the_highest_score_at_any_spacing(seconds: int) -> None:
    scores = replay(recording([*noise(900), 90.0, *noise(100, 2)], seconds))
    assert max(range(len(scores)), key=scores.__getitem__) == 900
    assert scores[900] > 0.9999


def test_each_finding_is_said_once() -> None:
    scores = replay(recording([*noise(900), *[90.0] * 20]))
    assert [i for i, score in enumerate(scores) if score > 0.9999] == [900]


def test_nothing_is_known_of_what_comes_later() -> None:
    values = [*noise(700), 70.0, *noise(200, 3)]
    whole = replay(recording(values))
    assert replay(recording(values[:750])) == whole[:750]


def test_how_a_recording_is_cut_does_not_matter() -> None:
    at_ns, values = zip(*recording([*noise(700), 70.0, *noise(200, 3)]), strict=True)
    detection = Detection()
    parts = [detection.scores(values[a:b], at_ns[a:b]) for a, b in [(0, 1), (1, 1), (1, 650), (650, 901)]]
    assert [score for part in parts for score in part] == Detection().scores(values, at_ns)


def test_the_warm_up_is_silent_and_missing_values_score_nothing() -> None:
    values = noise(400)
    values[50], values[200] = 1e6, math.nan
    scores = replay(recording(values))
    assert scores[:WARMUP_VALUES] == [0.0] * WARMUP_VALUES
    assert scores[200] == 0.0
    assert all(0.0 <= score <= 1.0 for score in scores)


def test_a_young_model_is_believed_less() -> None:
    assert settled(0.999, 130) < settled(0.999, 400) < settled(0.999, 750) == 0.999
    assert settled(0.0, 130) == 0.0
    assert settled(0.1, 130) == 0.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2014-02-14 14:30:00", 1_392_388_200 * SECOND_NS),
        ("2014-02-14T14:30:00+00:00", 1_392_388_200 * SECOND_NS),
        ("2014-02-14T15:30:00+01:00", 1_392_388_200 * SECOND_NS),
        ("1392388200", 1_392_388_200 * SECOND_NS),
        ("1392388200000", 1_392_388_200 * SECOND_NS),
        ("1392388200000000", 1_392_388_200 * SECOND_NS),
        ("17", 17 * SECOND_NS),
    ],
)
def test_times(text: str, expected: int) -> None:
    assert read_time(text) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "nan", "inf"])
def test_no_times(text: str) -> None:
    with pytest.raises(ValueError, match=r"time|isoformat"):
        read_time(text)
