"""The operator over batches: fates, features, replays, bounds, snapshots."""

from __future__ import annotations

import random

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.detect import operator as module
from streams.detect.operator import DetectOperator, DetectResult
from streams.domain.anomaly import decode_anomaly, encode_anomaly
from streams.domain.series import OVERFLOW_LABEL, Series
from streams.domain.window import WindowBatch
from streams.errors import ConfigurationError, StateVersionError
from tests.unit.window_batches import EPOCH, WINDOW, batch, series

GAUGE = series("agents.memory", "gauge", "By", agent__id="a1")
COUNTER = series("agents.steps", "counter", agent__id="a1", outcome="success")
DURATION = series("agents.inference.duration", "histogram", "s", agent__id="a1")
QUALITY = series("agents.response.quality", "histogram", "1", agent__id="a1")
ALL = (GAUGE, COUNTER, DURATION, QUALITY)


def operator(**changes: object) -> DetectOperator:
    arguments: dict[str, object] = {"warmup_windows": 30, "threshold": 0.9999, **changes}
    return DetectOperator("novelty", **arguments)  # type: ignore[arg-type]


def values(rng: random.Random, level: float) -> list[float]:
    return [rng.gauss(level, 0.05 * level) for _ in range(5)]


def windows(count: int, seed: int = 1, chosen: tuple[Series, ...] = ALL) -> list[WindowBatch]:
    rng = random.Random(seed)
    return [batch(number, {s: values(rng, 10.0) for s in chosen}) for number in range(count)]


def fates(result: DetectResult) -> int:
    return result.scored + result.warming_up + result.stale + result.refused + result.unscored


def test_every_row_has_one_fate_and_warm_up_is_counted() -> None:
    detect = operator()
    results = [detect.apply(b) for b in windows(40)]
    assert all(fates(result) == len(ALL) for result in results)
    assert [result.warming_up for result in results] == [4] * 30 + [0] * 10
    assert [result.scored for result in results] == [0] * 30 + [4] * 10


def test_features_and_evidence_of_an_anomaly() -> None:
    detect = operator()
    for window in windows(60):
        assert not detect.apply(window).anomalies
    bad = batch(60, {GAUGE: [200.0, 400.0], COUNTER: [1000.0, 500.0], DURATION: [90.0] * 9 + [1000.0], QUALITY: [10.0]})
    found = {(a.series.name, a.feature): a for a in detect.apply(bad).anomalies}
    assert set(found) == {
        ("agents.memory", "mean"),
        ("agents.steps", "rate"),
        ("agents.inference.duration", "mean"),
        ("agents.inference.duration", "p95"),
    }
    memory = found["agents.memory", "mean"]
    assert memory.value == 300.0
    assert found["agents.steps", "rate"].value == 150.0
    assert memory.score.lower <= 10.0 <= memory.score.upper
    assert (memory.start_ns, memory.end_ns) == (EPOCH + 60 * WINDOW, EPOCH + 61 * WINDOW)
    assert decode_anomaly(encode_anomaly(memory)) == memory


def test_a_replay_changes_nothing() -> None:
    log = windows(50)
    once, twice = operator(), operator()
    for window in log:
        once.apply(window)
    for first in range(0, 50, 10):
        for window in log[first : first + 10]:
            twice.apply(window)
        for window in log[max(0, first - 5) : first + 10]:
            again = twice.apply(window)
            assert again.stale == len(ALL)
            assert again.anomalies == []
    assert once.snapshot() == twice.snapshot()


def test_roll_ups_and_the_overflow_series_are_not_scored() -> None:
    detect = operator()
    minute = batch(0, {GAUGE: [1.0], COUNTER: [1.0]}, window_ns=6 * WINDOW)
    assert detect.apply(minute).unscored == 2
    overflow = Series("agents.steps", "1", "counter", ((OVERFLOW_LABEL, "true"),))
    assert detect.apply(batch(0, {overflow: [1.0]})).unscored == 1
    assert len(detect) == 0


def test_over_the_bound_new_series_are_refused_while_the_others_are_active() -> None:
    detect = operator(max_series=2, max_small_series=0)
    first, second, third = (series("agents.memory", agent__id=name) for name in ("a", "b", "c"))
    detect.apply(batch(0, {first: [1.0], second: [1.0]}))
    assert detect.apply(batch(1, {first: [1.0], second: [1.0], third: [1.0]})).refused == 1
    later = 2 + module.ACTIVE_WINDOWS
    detect.apply(batch(later, {second: [1.0]}))
    result = detect.apply(batch(later + 1, {third: [1.0]}))
    assert (result.refused, result.evicted, len(detect)) == (0, 1, 2)


def test_series_beyond_the_bound_are_judged_by_the_small_detector_and_stay_with_it_after_a_restart() -> None:
    detect = operator(max_series=2, max_small_series=1)
    few, more = (COUNTER, DURATION), (GAUGE, QUALITY)
    for number, window in enumerate(windows(80, chosen=few)):
        rows = {one: values(random.Random(number), 10.0) for one in (*few, *(more if number > 5 else ()))}
        result = detect.apply(batch(number, rows) if number > 5 else window)
        if number == 60:
            data, detect = detect.snapshot(), operator(max_series=2, max_small_series=1)
            assert detect.restore(data).series == 3
    assert (result.scored, result.small_scored, result.refused, fates(result)) == (3, 1, 1, 4)
    found = detect.apply(batch(80, {one: [500.0] for one in few + more})).anomalies
    assert [(a.series.name, a.detector) for a in found if a.feature != "p95"] == [
        *((s.name, "novelty") for s in sorted(few, key=lambda s: s.id)),
        (min(more, key=lambda s: s.id).name, "level"),
    ]


def test_a_series_that_is_gone_for_a_day_is_forgotten() -> None:
    detect = operator()
    detect.apply(batch(0, {GAUGE: [1.0], COUNTER: [1.0]}))
    result = detect.apply(batch(8641, {COUNTER: [1.0]}))
    assert (result.evicted, len(detect)) == (1, 1)


def test_confirmation_waits_for_k_of_n_windows() -> None:
    plain, confirmed = operator(), operator(confirm=(3, 5))
    calm = windows(60, chosen=(GAUGE,))
    step = [batch(number, {GAUGE: values(random.Random(number), 30.0)}) for number in range(60, 64)]
    counts = []
    for window in [*calm, *step]:
        counts.append((len(plain.apply(window).anomalies), len(confirmed.apply(window).anomalies)))
    assert counts[60:] == [(1, 0), (1, 0), (1, 1), (1, 1)]


def test_windows_without_data_are_not_confirmations() -> None:
    detect = operator(confirm=(2, 3))
    for window in windows(60, chosen=(GAUGE,)):
        detect.apply(window)
    assert not detect.apply(batch(60, {GAUGE: [50.0]})).anomalies
    assert not detect.apply(batch(63, {GAUGE: [50.0]})).anomalies
    assert detect.apply(batch(64, {GAUGE: [50.0]})).anomalies


@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(0, 69), max_size=8))
def test_snapshot_and_restore_anywhere_give_the_same_anomalies(stops: set[int]) -> None:
    log = [*windows(50), *(batch(n, {s: values(random.Random(n), 40.0) for s in ALL}) for n in range(50, 70))]
    stayed, moved = operator(), operator()
    for number, window in enumerate(log):
        if number in stops:
            data, moved = moved.snapshot(), operator()
            assert moved.restore(data).series == (len(ALL) if number else 0)
        assert moved.apply(window) == stayed.apply(window)
    assert moved.snapshot() == stayed.snapshot()


@pytest.mark.parametrize("change", [{"v": 0}, {"river": "0.1"}, {"specification": "x"}, {"series": [1]}])
def test_a_snapshot_that_does_not_fit_warms_up_again_and_is_counted(change: dict[str, object]) -> None:
    detect = operator()
    for window in windows(40):
        detect.apply(window)
    data = orjson.dumps({**orjson.loads(detect.snapshot()), **change})
    restored = detect.restore(data)
    assert restored.series == 0
    assert restored.reason
    assert detect.restarts_total == 1
    assert detect.apply(windows(41)[-1]).warming_up == len(ALL)


def test_a_snapshot_of_a_newer_format_is_refused() -> None:
    newer = orjson.dumps({**orjson.loads(operator().snapshot()), "v": 2})
    with pytest.raises(StateVersionError, match="format 2, this version reads up to 1"):
        operator().restore(newer)


def test_another_warm_up_or_detector_does_not_take_the_state_another_threshold_does() -> None:
    detect = operator()
    detect.apply(windows(1)[0])
    data = detect.snapshot()
    assert operator(threshold=0.5, confirm=(2, 3)).restore(data).series == len(ALL)
    assert operator(warmup_windows=31).restore(data).series == 0
    assert DetectOperator("deviation", warmup_windows=30).restore(data).series == 0
    assert operator().restore(b"\x00not a snapshot").series == 0


@pytest.mark.parametrize(
    "wrong",
    [{"threshold": 1.5}, {"warmup_windows": 5}, {"window_seconds": 0}, {"confirm": (3, 2)}, {"confirm": (1, 101)}],
)
def test_settings_out_of_range_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=f"detect {next(iter(wrong))}"):
        operator(**wrong)
