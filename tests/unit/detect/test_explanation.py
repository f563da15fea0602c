"""An anomaly says what it would have taken, what was seen, and when it was like that before."""

from __future__ import annotations

import random

import pytest

from streams.detect.explanation import MOST_SIMILAR, normal_at, similar
from streams.detect.registry import DETECTORS, make
from streams.domain.anomaly import Anomaly, Finding, Score, decode_anomaly, encode_anomaly
from streams.domain.series import Series

WINDOW = 10_000_000_000


@pytest.mark.parametrize("name", sorted(DETECTORS))
@pytest.mark.parametrize("value", [300.0, -200.0])
def test_the_normal_value_is_normal_and_a_little_more_is_not(name: str, value: float) -> None:
    rng, detector = random.Random(1), make(name, 60)
    for place in range(400):
        detector.learn(rng.gauss(100, 5), place * WINDOW)
    at_ns = 400 * WINDOW
    score = detector.score(value, at_ns)
    before = detector.snapshot()
    normal = normal_at(detector, value, score, at_ns, 0.9999)
    assert normal is not None
    assert detector.score(normal, at_ns).score < 0.9999
    assert detector.score(normal + (value - score.expected) / 500, at_ns).score >= 0.9999
    assert detector.snapshot() == before, "asking changes nothing"


def test_what_stands_still_has_no_normal_value() -> None:
    assert normal_at(make("novelty", 60), 5.0, Score(0.9999, 5.0, 4.0, 6.0, False, 500, 20), 0, 0.999) is None


def test_similar_findings_are_the_newest_on_the_same_side() -> None:
    past = [Finding(start, value, 1.0) for start, value in enumerate([90.0, 5.0, 91.0, 92.0, 4.0, 93.0])]
    assert [finding.value for finding in similar(past, 80.0, 50.0)] == [93.0, 92.0, 91.0][:MOST_SIMILAR]
    assert [finding.value for finding in similar(past, 1.0, 50.0)] == [4.0, 5.0]


@pytest.mark.parametrize(
    ("still", "value", "words"),
    [
        (0, 9.0, "above the 5 expected (4 to 6) after 700 windows; up to 6.5"),
        (0, 1.0, "below"),
        (33, 5.0, "33 windows"),
    ],
)
def test_a_record_carries_its_reason_and_comes_back_whole(still: int, value: float, words: str) -> None:
    score = Score(0.99995, 5.0, 4.0, 6.0, False, 700, still)
    series = Series("agents_active", "", "gauge", (("agent_id", "a"),))
    past = (Finding(3, 8.5, 0.9999),)
    anomaly = Anomaly(series, 0, WINDOW, "mean", value, score, "novelty", 0.9999, None if still else 6.5, past)
    assert words in anomaly.reason
    assert decode_anomaly(encode_anomaly(anomaly)) == anomaly
