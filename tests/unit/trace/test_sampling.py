"""Tail sampling: each reason, their order, the base rate, and the bounds of the baselines."""

from __future__ import annotations

import random

import pytest

from streams.domain.trace import TraceRecord
from streams.trace.sampling import ANOMALOUS, BASE, ERROR, PASSED_OVER, SLOW, Policy, Sampler
from tests.unit.trace.drawing import span
from tests.unit.trace.reference import trace_record

LOW = "0" * 32
HIGH = "0" * 18 + "f" * 14
"""The extremes of the random bits: kept by no base rate below 1, and by each above 0."""


def trace(ms: float, *, trace_id: str = LOW, error: str = "", name: str = "run", at: float = 0) -> TraceRecord:
    return trace_record(trace_id, [span("a", at, at + ms, name=name, error=error, trace=trace_id)])


def learned(policy: Policy, ms: float = 100, times: int = 50) -> Sampler:
    sampler = Sampler(policy)
    for _ in range(times):
        sampler.decide(trace(ms), anomalous=False)
    return sampler


@pytest.mark.parametrize(
    ("given", "anomalous", "reason"),
    [
        (trace(100), False, PASSED_OVER),
        (trace(100, trace_id=HIGH), False, BASE),
        (trace(299), False, PASSED_OVER),
        (trace(301), False, SLOW),
        (trace(301, name="never seen"), False, PASSED_OVER),
        (trace(2_000, name="never seen"), False, SLOW),
        (trace(1_999, name="never seen"), False, PASSED_OVER),
        (trace(100), True, ANOMALOUS),
        (trace(301, trace_id=HIGH), True, ANOMALOUS),
        (trace(301, trace_id=HIGH), False, SLOW),
        (trace(301, trace_id=HIGH, error="boom"), True, ERROR),
    ],
)
def test_reasons(given: TraceRecord, anomalous: bool, reason: str) -> None:
    sampler = learned(Policy(base_ratio=0.1, slow_seconds=2.0, slow_factor=3.0))
    assert sampler.decide(given, anomalous=anomalous) == (bool(reason), reason)


def test_a_baseline_says_nothing_before_it_has_seen_enough() -> None:
    sampler = learned(Policy(base_ratio=0.0), times=49)
    assert sampler.decide(trace(10_000), anomalous=False).reason == PASSED_OVER
    assert sampler.decide(trace(10_000), anomalous=False).reason == SLOW


def test_both_limits_of_time_can_be_switched_off() -> None:
    sampler = learned(Policy(base_ratio=0.0, slow_seconds=0.0, slow_factor=0.0))
    assert not sampler.decide(trace(1e7), anomalous=False).sampled


def test_the_base_rate_is_its_share_and_a_lower_one_keeps_a_subset() -> None:
    seeded = random.Random(1)
    traces = [trace(1, trace_id=f"{seeded.getrandbits(128):032x}") for _ in range(20_000)]

    def kept(ratio: float) -> set[str]:
        sampler = Sampler(Policy(base_ratio=ratio, slow_factor=0.0))
        return {t.trace_id for t in traces if sampler.decide(t, anomalous=False).sampled}

    tenth = kept(0.1)
    assert 0.09 < len(tenth) / len(traces) < 0.11
    assert kept(0.02) < tenth < kept(0.5)
    assert (len(kept(0.0)), len(kept(1.0))) == (0, len(traces))


def test_baselines_are_bounded_by_count_and_by_age() -> None:
    sampler = Sampler(Policy(max_operations=3, remember_seconds=60.0))
    for number in range(10):
        sampler.decide(trace(1, name=f"op{number}"), anomalous=False)
    assert sampler.operations == 3
    sampler.decide(trace(1, name="much later", at=61_000), anomalous=False)
    assert sampler.operations == 1


def test_a_revision_is_not_learned_twice() -> None:
    sampler = Sampler(Policy(base_ratio=0.0, learn_traces=1))
    revised = trace_record(LOW, [span("a", 0, 100, name="run", trace=LOW)], revision=1)
    sampler.decide(revised, anomalous=False)
    assert sampler.operations == 0
