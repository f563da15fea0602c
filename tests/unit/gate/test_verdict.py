from dataclasses import replace

import numpy as np
import pytest

from streams.domain.selector import Selector
from streams.gate.profile import Check, Comparison, Profile, Source
from streams.gate.samples import gather
from streams.gate.verdict import Evidence, judge
from tests.unit.gate.windows import PANE_NS, series, window

LATENCY = Source("p95", (Selector("latency"),))
SPEED = Comparison("speed", LATENCY, "s", "lower", 0.1, 0.01, 30, 200, "concurrent", 3600, True)
FAST = Check("fast", LATENCY, "s", "<", 1.0, 300, 50, True)
END_NS = 60 * PANE_NS


def panes(version, factor, shift=1.0, count=60, size=80, seed=0):
    """Log-normal durations, 0.3 s in the middle; ``shift`` is what the last twenty panes are multiplied by."""
    rng = np.random.default_rng([seed, int(version)])
    batches = [
        window(
            i, [(series("latency", version), factor * (shift if i >= 40 else 1) * 0.3 * rng.lognormal(0, 0.5, size))]
        )
        for i in range(count)
    ]
    return gather(batches, LATENCY, {"service.version": version}, 10)


def verdict(candidate, beside, *gates, pinned=None, now_ns=END_NS):
    checks = tuple(g for g in gates if isinstance(g, Check))
    comparisons = tuple(g for g in gates if isinstance(g, Comparison))
    evidence = {g.name: Evidence(candidate, beside, pinned or {}) for g in gates}
    return judge(Profile("p", 120, checks, comparisons), evidence, END_NS, now_ns, 10)


def test_an_equal_version_passes_and_may_be_promoted():
    found = verdict(panes("2", 1), panes("1", 1), FAST, replace(SPEED, max_change=0.2))
    assert (found.status, found.action) == ("pass", "promote")


def test_a_slower_version_fails_with_effect_and_chance():
    found = verdict(panes("2", 1.2), panes("1", 1), SPEED)
    gate = found.gates[0]
    assert (found.status, found.action) == ("fail", "roll back")
    assert gate.effect == pytest.approx(0.2, abs=0.08)
    assert gate.p_value < 0.01


def test_a_shift_that_hits_both_versions_fails_neither_gate():
    found = verdict(panes("2", 1, shift=5), panes("1", 1, shift=5), FAST, SPEED)
    assert [gate.status for gate in found.gates] != ["fail", "fail"]
    assert found.status == "inconclusive"
    assert "beside it" in found.gates[0].reason


def test_a_limit_that_only_the_candidate_breaks_fails():
    found = verdict(panes("2", 5), panes("1", 1), FAST)
    assert found.status == "fail"


@pytest.mark.parametrize(
    ("candidate", "beside", "word"),
    [
        ({}, panes("1", 1), "fewer than three"),
        (panes("2", 1.2, count=10), panes("1", 1), "windows"),
        (panes("2", 1.2, size=2), panes("1", 1), "samples"),
    ],
)
def test_too_little_data_decides_nothing(candidate, beside, word):
    found = verdict(candidate, beside, SPEED)
    assert (found.status, found.action) == ("inconclusive", "hold")
    assert word in found.gates[0].reason


def test_stale_data_decides_nothing_even_when_it_is_bad():
    found = verdict(panes("2", 3), panes("1", 1), SPEED, now_ns=END_NS + 200_000_000_000)
    assert found.status == "inconclusive"
    assert "stale" in found.gates[0].reason


def test_no_window_at_all_is_no_data():
    found = judge(Profile("p", 120, (FAST,), ()), {}, 0, END_NS, 10)
    assert (found.status, found.age_seconds) == ("inconclusive", None)
    assert "no data" in found.gates[0].reason


def test_advice_does_not_fail_the_verdict():
    found = verdict(panes("2", 5), panes("1", 1), replace(FAST, blocking=False))
    assert (found.status, found.gates[0].status) == ("pass", "fail")


def test_a_pinned_baseline_needs_no_common_panes():
    pinned = {start + END_NS: pane for start, pane in panes("1", 1).items()}
    gate = replace(SPEED, against="pinned", max_change=0.15)
    assert verdict(panes("2", 1.3), {}, gate, pinned=pinned).status == "fail"
    assert verdict(panes("2", 0.9), {}, gate, pinned=pinned).status == "pass"


def test_where_higher_is_better_less_is_worse():
    quality = Source("mean", (Selector("latency"),))
    gate = replace(SPEED, source=quality, direction="higher", max_change=0.15)
    assert verdict(panes("2", 0.7), panes("1", 1), gate).status == "fail"
    assert verdict(panes("2", 1.4), panes("1", 1), gate).status == "pass"


def test_a_growing_share_of_traffic_in_slow_hours_is_no_regression():
    """Pooled percentiles would differ (Simpson's paradox); panes do not."""
    rng = np.random.default_rng(3)
    slow = [1 + i / 20 for i in range(60)]
    batches = []
    for i, factor in enumerate(slow):
        rows = [
            (series("latency", "1"), factor * rng.lognormal(0, 0.4, 260 - 4 * i)),
            (series("latency", "2"), factor * rng.lognormal(0, 0.4, 20 + 4 * i)),
        ]
        batches.append(window(i, rows))
    sides = [gather(batches, LATENCY, {"service.version": v}, 10) for v in ("2", "1")]
    assert verdict(*sides, replace(SPEED, max_change=0.0)).status != "fail"
