"""The benchmark of incidents: a few seeds keep its floors, and its judge sees what is wrong."""

from __future__ import annotations

from functools import cache

from benchmarks.correlation import THRESHOLDS, summary
from benchmarks.outbreak.fault import SCENARIOS
from benchmarks.outbreak.run import Outcome, run
from streams.correlate.rules import load_rules
from streams.correlate.weights import Weights

RULES = load_rules(THRESHOLDS.read_text(encoding="utf-8"))


@cache
def outcomes() -> tuple[Outcome, ...]:
    return tuple(run(seed, RULES) for seed in range(2_000, 2_016))


def test_a_few_seeds_keep_the_floors() -> None:
    found = summary(outcomes())
    assert found["pairwise_f1"] >= 0.95
    assert found["cause_top1"] >= 0.90
    assert found["cause_top3"] >= 0.95
    assert found["unrelated_joined"] == 0
    assert {outcome.scenario for outcome in outcomes()} == set(SCENARIOS)


def test_the_same_seed_is_the_same_run() -> None:
    assert run(2_000, RULES) == outcomes()[0]


def test_an_operator_that_joins_nothing_and_one_that_joins_everything_are_seen() -> None:
    nothing = run(2_000, RULES, Weights(join=9.0))
    assert nothing.f1 == 0
    assert nothing.told == nothing.alerts
    everything = run(2_004, RULES, Weights(join=-1.0, far_seconds=1e9))
    assert everything.joined
    assert 0 < everything.f1 < 1
