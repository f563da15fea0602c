"""The window operator against a brute force: any order within lateness, any split into runs, any crash point."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.domain.window import WindowBatch, decode_window_batch, encode_window_batch
from streams.window.checkpoint import SeriesLog, checkpoint, restore
from streams.window.fates import Fates
from streams.window.operator import WindowOperator, WindowSpec
from tests.unit.window.logs import PANE, SECOND, Entry, brute_force, columns, same

SIZES = (PANE, 60 * SECOND, 300 * SECOND)
BASE = 1_700_000_000 * SECOND
SPEC = WindowSpec()


def make_log(seed: int, records: int, spread_seconds: float, duplicates: float = 0.05) -> list[Entry]:
    """Records of three producers, event times jittered within ``spread_seconds``, some batches sent again."""
    rng = random.Random(seed)
    log: list[Entry] = []
    sent: list[Entry] = []
    seqs = {"a": 0, "b": 0, "c": 0}
    for i in range(records):
        producer = rng.choice("abc")
        now = BASE + int(i * 1.7 * SECOND)
        samples = [
            (
                rng.choice(("m1", "m2", "m3")),
                now - int(rng.random() * spread_seconds * SECOND),
                rng.lognormvariate(0, 3),
            )
            for _ in range(rng.randrange(1, 6))
        ]
        entry = Entry(samples, batch=(producer, seqs[producer]))
        seqs[producer] += 1
        sent.append(entry)
        log.append(entry)
        if rng.random() < duplicates:
            log.append(rng.choice(sent[-20:]))
        if rng.random() < 0.05:
            log.append(Entry(tick_ns=now))
    return log


def run(operator: WindowOperator, log: list[Entry], cuts: list[int], offset: int = 0) -> list[WindowBatch]:
    """Applies ``log[offset:]`` in runs that end at ``cuts``."""
    closed: list[WindowBatch] = []
    edges = sorted({c for c in cuts if offset < c < len(log)} | {offset, len(log)})
    for low, high in pairwise(edges):
        closed += operator.apply(columns(log[low:high], low, operator.table)).closed
    return closed


def filled(closed: list[WindowBatch]) -> list[WindowBatch]:
    """The windows with events: without those that only say that time moves on."""
    return [batch for batch in closed if len(batch)]


def contents(closed: list[WindowBatch]) -> dict[bytes, bytes]:
    """Key to bytes, as the topic would hold them."""
    return {batch.key: encode_window_batch(batch) for batch in closed}


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), spread=st.sampled_from([0.0, 4.9, 12.0, 40.0]), data=st.data())
def test_windows_and_fates_equal_brute_force(seed: int, spread: float, data: st.DataObject) -> None:
    log = make_log(seed, 150, spread)
    cuts = data.draw(st.lists(st.integers(1, len(log)), max_size=20))
    operator = WindowOperator("t", 0, WindowSpec())
    closed = run(operator, log, cuts)
    expected = brute_force(log, SIZES)
    got = {(w.start_ns, w.end_ns - w.start_ns, w.series.name): w for batch in closed for w in batch.rows()}
    assert got.keys() == expected.windows.keys()
    for key, window in got.items():
        same(window, expected.windows[key])
    assert operator.fates.aggregated == expected.aggregated
    assert operator.fates.late == expected.late
    assert operator.fates.duplicate == expected.duplicate
    assert operator.fates.total == sum(len(entry.samples) for entry in log)
    if spread < 5:
        assert operator.fates.late == 0


def crash_and_resume(
    log: list[Entry], cuts: list[int], crashes: list[int], *, always: bool = False, spec: WindowSpec = SPEC
) -> tuple[dict[bytes, bytes], Fates]:
    """Runs the log with a checkpoint after each run that closed something (``always``: after each), losing all memory
    at each crash point."""
    topic: dict[bytes, bytes] = {}
    state: dict[str, bytes] = {}
    operator = WindowOperator("t", 0, spec)
    series, at = SeriesLog("t", 0, "first"), 0
    edges = sorted({*cuts, *crashes, len(log)})
    for edge in edges:
        if edge > at:
            # counted and not yet counted records never share a run
            bounds = sorted({at, edge, *([operator.counted + 1] if at < operator.counted + 1 < edge else [])})
            for low, high in pairwise(bounds):
                outcome = operator.apply(columns(log[low:high], low, operator.table))
                topic.update(contents(outcome.closed))
                if outcome.closed or (always and operator.applied > operator.counted):
                    chunks, core, gone = checkpoint(operator, series)
                    state.update({k.decode(): v for k, v in chunks}, core=core)
                    for key in gone:
                        del state[key.decode()]
            at = edge
        if edge in crashes:
            operator = WindowOperator("t", 0, spec)
            series = SeriesLog("t", 0, str(edge))
            at = restore(operator, series, state["core"], state).held if state else 0
            for value in topic.values():
                operator.read_back(decode_window_batch(value))
            for low, high in pairwise(sorted({at, min(operator.counted + 1, edge), edge})):
                outcome = operator.apply(columns(log[low:high], low, operator.table))
                topic.update(contents(outcome.closed))
            at = edge
    return topic, operator.fates


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), always=st.booleans(), data=st.data())
def test_any_crash_point_gives_the_same_windows_and_counts(seed: int, always: bool, data: st.DataObject) -> None:
    log = make_log(seed, 120, 12.0)
    cuts = data.draw(st.lists(st.integers(1, len(log)), max_size=30))
    crashes = data.draw(st.lists(st.integers(1, len(log)), min_size=1, max_size=5))
    undisturbed = WindowOperator("t", 0, WindowSpec())
    expected = contents(run(undisturbed, log, cuts))
    topic, fates = crash_and_resume(log, cuts, crashes, always=always)
    assert topic == expected
    assert fates == undisturbed.fates


def test_running_totals_become_increments_and_a_reset_starts_again() -> None:
    start = BASE - SECOND
    log = [
        Entry(totals=[("c", BASE, start, 5.0)]),
        Entry(totals=[("c", BASE + SECOND, start, 8.0)]),
        Entry(totals=[("c", BASE + SECOND, start, 8.0)]),  # sent again
        Entry(totals=[("c", BASE + 2 * SECOND, BASE + 1, 2.0)]),  # restarted
        Entry(tick_ns=BASE + 30 * SECOND),
    ]
    operator = WindowOperator("t", 0, WindowSpec())
    (batch,) = filled(run(operator, log, [1, 2]))
    assert batch.row(0).sum == 5 + 3 + 2
    assert (operator.fates.aggregated, operator.fates.duplicate) == (3, 1)


def test_an_old_running_total_is_a_baseline() -> None:
    log = [
        Entry(totals=[("c", BASE, BASE - 3600 * SECOND, 1e6)]),
        Entry(totals=[("c", BASE + SECOND, BASE - 3600 * SECOND, 1e6 + 4)]),
        Entry(tick_ns=BASE + 30 * SECOND),
    ]
    (batch,) = filled(run(WindowOperator("t", 0, WindowSpec()), log, []))
    assert batch.row(0).sum == 4


@pytest.mark.parametrize("crash", [1, 2, 3, 4, 5])
def test_running_totals_survive_a_crash(crash: int) -> None:
    start = BASE - SECOND
    log = [
        Entry(totals=[("c", BASE, start, 5.0)]),
        Entry(totals=[("c", BASE + 9 * SECOND, start, 7.0)]),
        Entry(totals=[("c", BASE + 16 * SECOND, start, 9.0)]),
        Entry(totals=[("c", BASE + 27 * SECOND, start, 20.0)]),
        Entry(totals=[("c", BASE + 38 * SECOND, start, 21.0)]),
    ]
    undisturbed = WindowOperator("t", 0, WindowSpec())
    expected = contents(run(undisturbed, log, [1, 2, 3, 4]))
    topic, fates = crash_and_resume(log, [1, 2, 3, 4], [crash])
    assert len(expected) == 3
    assert topic == expected
    assert fates == undisturbed.fates


def test_a_clock_in_the_future_is_rejected_and_closes_nothing() -> None:
    log = [
        Entry([("m1", BASE, 1.0)], append_ns=BASE + SECOND),
        Entry([("m2", BASE + 3600 * SECOND, 1.0)], append_ns=BASE + 2 * SECOND),
        Entry([("m2", BASE + 50 * SECOND, 1.0)], append_ns=BASE + 3 * SECOND),
        Entry([("m1", BASE + 4 * SECOND, 1.0)], append_ns=BASE + 4 * SECOND),
    ]
    operator = WindowOperator("t", 0, WindowSpec())
    outcome = operator.apply(columns(log, 0, operator.table))
    assert not outcome.closed
    assert [(r.record, r.reason) for r in outcome.rejected] == [(1, "future")]
    assert operator.fates.aggregated == 3
    assert operator.watermark_ns == BASE + 4 * SECOND - 5 * SECOND


def test_over_the_series_budget_events_go_to_the_overflow_series() -> None:
    log = [Entry([(f"m{i % 2}", BASE, 1.0) for i in range(4)]), Entry(tick_ns=BASE + 30 * SECOND)]
    operator = WindowOperator("t", 0, WindowSpec(series_limit=1))
    (batch,) = filled(run(operator, log, []))
    assert {w.series.name: (w.count, w.series.labels) for w in batch.rows()} == {
        "m0": (2, (("service.name", "s"),)),
        "m1": (2, (("otel.metric.overflow", "true"),)),
    }
    assert (operator.fates.aggregated, operator.fates.overflow) == (2, 2)


def test_decode_rejections_are_counted_and_passed_on() -> None:
    log = [Entry([("m1", BASE, 1.0)], rejected=[("not_finite", 2)]), Entry(rejected=[("not_json", 1)])]
    operator = WindowOperator("t", 0, WindowSpec())
    outcome = operator.apply(columns(log, 0, operator.table))
    assert [(r.record, r.reason, r.events) for r in outcome.rejected] == [(0, "not_finite", 2), (1, "not_json", 1)]
    assert operator.fates.total == 4


def churn_log(rounds: int, names: int) -> list[Entry]:
    """Every round brings new series; those of earlier rounds fall silent."""
    log = []
    for r in range(rounds):
        now = BASE + r * 400 * SECOND
        log.append(Entry([(f"r{r}.{i}", now + i, float(i)) for i in range(names)] + [("steady", now, 1.0)]))
        log.append(Entry(totals=[("total", now + 1, BASE - SECOND, float(r + 1))]))
    log.append(Entry(tick_ns=BASE + rounds * 400 * SECOND + 60 * SECOND))
    return log


def test_idle_series_give_their_place_back_and_nothing_is_lost() -> None:
    log = churn_log(rounds=12, names=700)
    operator = WindowOperator("t", 0, WindowSpec())
    closed = run(operator, log, list(range(1, len(log))))
    assert operator.generation > 0
    assert len(operator.table) < 4 * 701
    expected = brute_force(log, SIZES)
    got = {(w.start_ns, w.end_ns - w.start_ns, w.series.name): w for batch in closed for w in batch.rows()}
    totals = {key: window for key, window in got.items() if key[2] == "total"}
    assert got.keys() - totals.keys() == expected.windows.keys()
    for key, values in expected.windows.items():
        same(got[key], values)
    assert sum(w.sum for (_, size, _), w in totals.items() if size == PANE) == 12


@pytest.mark.parametrize("crash", [7, 11, 16, 20])
def test_a_crash_around_a_smaller_table_changes_nothing(crash: int) -> None:
    log = churn_log(rounds=12, names=700)
    cuts = list(range(1, len(log)))
    undisturbed = WindowOperator("t", 0, WindowSpec())
    expected = contents(run(undisturbed, log, cuts))
    topic, fates = crash_and_resume(log, cuts, [crash])
    assert topic == expected
    assert fates == undisturbed.fates
