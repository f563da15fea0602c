"""Shares of failures: judged by how many tries they are of; groups, replays, bounds, snapshots."""

from __future__ import annotations

import random

import orjson
import pytest
from scipy.stats import betabinom

from streams.detect.ratios import MAX_AGE_NS, RatioOperator
from streams.detect.share import SMALLEST, Share, tail
from streams.domain.anomaly import Anomaly
from streams.domain.ratio import Ratio
from streams.domain.selector import Selector
from streams.errors import StateVersionError
from tests.unit.window_batches import WINDOW, batch, series

FAILED = Ratio(
    "steps.failed", (Selector("steps", (("outcome", ("failure", "timeout")),)),), (Selector("steps"),), ("agent.id",)
)
THRESHOLD = 0.9999


@pytest.mark.parametrize("tries", [1, 3, 40, 900, 20_000])
@pytest.mark.parametrize(("a", "b"), [(0.5, 30.0), (2.0, 98.0), (30.0, 70.0)])
def test_the_tail_is_that_of_the_distribution(tries: int, a: float, b: float) -> None:
    for failed in {0, 1, tries // 10 + 1, tries // 3 + 1, tries}:
        if failed > tries * a / (a + b):
            wanted = max(SMALLEST, float(betabinom.sf(failed - 1, tries, a, b)))
            assert tail(failed, tries, a, b) == pytest.approx(wanted, rel=1e-4, abs=1e-9)
        else:
            assert tail(failed, tries, a, b) == 1.0


def healthy(share: float, tries: int, windows: int, seed: int = 1, spread: float = 0.0) -> Share:
    rng, made = random.Random(seed), Share(60)
    for _ in range(windows):
        now = rng.betavariate(share / spread, (1 - share) / spread) if spread else share
        made.learn(sum(rng.random() < now for _ in range(tries)), tries)
    return made


def test_three_failures_of_three_are_less_than_thirty_of_a_hundred() -> None:
    few, many = healthy(0.05, 3, 400), healthy(0.05, 100, 400)
    assert few.tail(1, 3) > 0.05
    assert few.tail(3, 3) > 1e-4, "a z-score of 7.5 that three requests do not bear"
    assert many.tail(30, 100) < 1e-9


def test_what_varies_by_itself_is_judged_by_that() -> None:
    steady, varied = healthy(0.1, 200, 800), healthy(0.1, 200, 800, spread=0.05)
    assert steady.tail(40, 200) < 1e-4 < varied.tail(40, 200)


@pytest.mark.parametrize("tries", [2, 10, 100])
@pytest.mark.parametrize("spread", [0.0, 0.02])
def test_false_alarms_are_as_rare_as_the_score_says(tries: int, spread: float) -> None:
    rng, made, alarms = random.Random(8), Share(60), 0
    for _ in range(6_000):
        now = rng.betavariate(0.03 / spread, 0.97 / spread) if spread else 0.03
        failed = sum(rng.random() < now for _ in range(tries))
        alarms += not made.warming_up and made.tail(failed, tries) <= 1 - THRESHOLD
        made.learn(failed, tries)
    assert alarms <= 4, "0.6 are expected of 6,000 windows"


def test_an_outage_is_not_learned_at_once_and_a_new_level_in_the_end() -> None:
    made = healthy(0.02, 50, 400)
    for _ in range(30):
        made.learn(25, 50)
    assert made.tail(25, 50) < 1e-4
    for _ in range(1_500):
        made.learn(25, 50)
    assert made.tail(25, 50) > 0.01


def operator(**more: int) -> RatioOperator:
    return RatioOperator([FAILED], WINDOW, threshold=THRESHOLD, warmup_windows=30, **more)


def fed(made: RatioOperator, number: int, failed: float, passed: float, agent: str = "a") -> list[Anomaly]:
    rows = {
        series("steps", "counter", agent__id=agent, outcome="success", step="x"): [passed],
        series("steps", "counter", agent__id=agent, outcome="timeout", step="y"): [failed / 2],
        series("steps", "counter", agent__id=agent, outcome="failure", step="x"): [failed / 2],
        series("other", "counter", agent__id=agent, outcome="failure"): [99.0],
    }
    return made.apply(batch(number, rows))


def test_an_anomaly_says_what_was_seen_and_what_would_have_been_normal() -> None:
    made = operator()
    for number in range(100):
        assert fed(made, number, 2 * (number % 10 == 0), 50) == []
    (found,) = fed(made, 100, 20, 30)
    assert (found.series.name, found.feature, found.detector, found.value) == ("steps.failed", "ratio", "ratio", 0.4)
    assert found.series.labels == (("agent.id", "a"),)
    assert found.score.lower <= found.score.expected <= found.score.upper < found.value
    assert found.normal_at is not None
    assert found.score.expected < found.normal_at < 0.4
    assert "up to" in found.reason


def test_warm_up_is_silent_and_replays_change_nothing() -> None:
    made = operator()
    for number in range(29):
        assert fed(made, number, 0, 50) == []
    assert fed(made, 29, 50, 0) == []
    before = made.snapshot()
    assert fed(made, 29, 50, 0) == []
    assert made.snapshot() == before
    assert made.apply(batch(40, {}, window_ns=6 * WINDOW)) == []


def test_groups_are_bounded_by_count_and_age() -> None:
    made = operator(max_groups=1)
    fed(made, 0, 0, 5)
    fed(made, 0, 0, 5, "b")
    assert (len(made), made.refused_total) == (1, 1)
    fed(made, MAX_AGE_NS // WINDOW + 2, 0, 5, "b")
    assert len(made) == 1
    assert made.refused_total == 1


def test_a_snapshot_anywhere_changes_nothing() -> None:
    rng, stayed, through = random.Random(5), operator(), operator()
    for number in range(200):
        counts = (float(2 * rng.randrange(3)) + 30 * (number % 50 == 49), float(rng.randrange(60)))
        if number % 7 == 0:
            again = operator()
            assert again.restore(through.snapshot()) == ""
            through = again
        assert fed(through, number, *counts) == fed(stayed, number, *counts)
    assert through.snapshot() == stayed.snapshot()


def test_a_snapshot_that_does_not_fit_says_why() -> None:
    made = operator()
    fed(made, 0, 0, 5)
    data = made.snapshot()
    assert "windows" in RatioOperator([FAILED], 1, threshold=1.0, warmup_windows=30).restore(data)
    assert "damaged" in made.restore(orjson.dumps({"v": 1}))
    with pytest.raises(StateVersionError):
        made.restore(data.replace(b'"v":1', b'"v":2', 1))
    other = RatioOperator([], WINDOW, threshold=1.0, warmup_windows=30)
    assert (other.restore(data), len(other)) == ("", 0)
