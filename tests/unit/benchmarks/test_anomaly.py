"""The corpus is the same for everybody, and the tally counts as it says."""

from __future__ import annotations

import numpy as np

from benchmarks.anomaly import Tally
from benchmarks.labelled.corpus import Recording, recordings
from benchmarks.labelled.faults import FAULTS
from benchmarks.labelled.kinds import KINDS
from benchmarks.labelled.week import _episodes


def test_every_kind_meets_every_fault_and_the_fault_is_where_the_label_says() -> None:
    corpus = list(recordings(1))
    assert len(corpus) == len(KINDS) * len(FAULTS) - 1
    for one, again in zip(corpus, recordings(1), strict=True):
        np.testing.assert_array_equal(one.values, again.values)
        assert 0 < one.start < one.end < len(one.values)


def test_a_tally_counts_found_late_and_false() -> None:
    tally = Tally()
    for passed in ([500, 1010, 1011], [1100], []):
        tally.count(Recording("k", "f", 0, np.zeros(2000), 1000, 1100), passed)
    figures = tally.figures()
    assert (tally.found, tally.false, tally.faults) == (1, 2, 3)
    assert (figures["recall"], figures["precision"], figures["lag_p50_windows"]) == (0.333, 0.333, 10)
    assert figures["false_per_10000"] == 3.33


def test_an_alarm_is_three_of_five_windows_and_said_once() -> None:
    assert _episodes([1, 9, 20]) == 0
    assert _episodes([1, 3, 5]) == 1
    assert _episodes([1, 2, 3, 4, 5, 6]) == 1
    assert _episodes([1, 2, 3, 100, 101, 102]) == 2
