"""The corpus of joint faults, and the sums by which several detectors are taken together."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.ensemble import COMBINED, fisher
from benchmarks.joint import FAULT_WINDOWS, FAULTS, figures, run


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_joint_fault_shows_only_values_that_its_feature_has_had(fault: str) -> None:
    one = run(fault, 3)
    feature = FAULTS[fault][0]
    before = one.vectors[: one.start, feature]
    during = one.vectors[one.start : one.start + FAULT_WINDOWS, feature]
    assert before.min() < during.min()
    assert during.max() < before.max()


def test_found_in_time_and_false_alarms() -> None:
    one = run("busy without work", 1)
    scores = np.zeros(len(one.vectors))
    scores[one.start + 3] = scores[one.start + 40] = scores[900] = 1.0
    row = figures([one], [scores], 0.5)
    assert (row["found_ratio"], row["false_per_10000"]) == (1.0, round(1 / 2250 * 10_000, 2))
    scores[one.start + 3] = 0.0
    scores[one.start + 12] = 1.0
    assert figures([one], [scores], 0.5)["found_ratio"] == 0.0


def test_fishers_tail_of_independent_tails_is_a_probability() -> None:
    tails = fisher(np.random.default_rng(2).random((3, 20_000)))
    for limit in (0.5, 0.1, 0.01):
        assert (tails <= limit).mean() == pytest.approx(limit, rel=0.2)


@pytest.mark.parametrize("how", sorted(COMBINED))
def test_silent_detectors_together_are_silent(how: str) -> None:
    assert COMBINED[how](np.ones((3, 4))).tolist() == [1.0] * 4
