"""The backtest's truth is the crossing itself, and a forecaster that knows it has no error."""

from __future__ import annotations

import math

from benchmarks.capacity.series import LIMIT, STEP_SECONDS, Amount, amounts
from benchmarks.forecast import EVERY_STEPS, judge, truths
from streams.domain.capacity import Outlook

CORPUS = list(amounts(range(3)))


def test_a_series_ends_with_the_first_value_at_the_limit() -> None:
    for amount in CORPUS:
        assert (amount.values[:-1] < LIMIT).all()
        assert amount.crossed == (amount.values[-1] >= LIMIT)
    assert 5 < sum(amount.crossed for amount in CORPUS) < len(CORPUS)


def test_the_truth_is_the_time_that_is_left() -> None:
    crossed = next(amount for amount in CORPUS if amount.crossed)
    left = truths(crossed)
    assert left[0] == (len(crossed.values) - EVERY_STEPS) * STEP_SECONDS
    safe = truths(next(amount for amount in CORPUS if not amount.crossed))
    assert safe[0] == math.inf
    assert safe[-1] is None, "nobody knows what came after the end"


def test_who_knows_the_truth_has_no_error() -> None:
    def knows(amount: Amount) -> list[Outlook]:
        return [Outlook(*(3 * [math.inf if left is None else left])) for left in truths(amount)]

    row = judge("knows", knows, CORPUS)
    wanted = {"error_p50": 0.0, "error_mean": 0.0, "inside_ratio": 1.0, "unsaid_ratio": 0.0, "false_ratio": 0.0}
    assert {name: row[name] for name in wanted} == wanted
    silent = judge("silent", lambda amount: [None] * len(truths(amount)), CORPUS)
    assert (silent["error_p50"], silent["unsaid_ratio"], silent["false_ratio"]) == (1.0, 1.0, 0.0)
