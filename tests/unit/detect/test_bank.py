"""The compiled bank against the objects: every figure and every snapshot the same, bit for bit."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import astuple
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.detect.bank import NoveltyBank, ObjectBank
from streams.detect.operator import DetectOperator
from streams.detect.registry import novelty
from streams.detect.watch import Watch
from streams.errors import StateError
from tests.unit.window_batches import WINDOW, batch, series

WARMUP, HOLD = 40, 60
Values = Callable[[random.Random, int], float]
KINDS: dict[str, Values] = {
    "normal": lambda rng, _: rng.gauss(50, 2),
    "with outliers": lambda rng, _: rng.gauss(50, 2) * (1 if rng.random() < 0.97 else rng.choice([-3, 0, 4, 1e6])),
    "sparse": lambda rng, _: float(rng.random() < 0.02),
    "freezes": lambda rng, place: 7.0 if place % 900 > 800 else float(rng.randrange(4)),
    "leaks": lambda rng, place: 100 + rng.gauss(0, 1) + 2 * max(0, place % 700 - 600),
    "swings": lambda rng, place: 100 + 40 * math.sin(place / 1370) + rng.gauss(0, 1),
    "steps": lambda rng, place: 50.0 * (1 + place // 400 % 3) + rng.gauss(0, 2),
    "always new": lambda _, place: 1.5 * place + place % 7,
    "heavy tail": lambda rng, _: rng.paretovariate(0.5),
    "all scales": lambda rng, _: rng.choice([-1, 1]) * 10.0 ** rng.uniform(-300, 99),
    "at the edges": lambda rng, _: rng.choice([0.0, -0.0, 5e-324, 9e99, -9e99, 1.0, 1e-12]),
    "zeros, then not": lambda rng, place: 0.0 if place < 90 else rng.gauss(3, 1),
    "constant": lambda _, place: 5.0 + (place == 1000),
}


def said(bank: NoveltyBank, slots: list[int], values: list[float], at_ns: int) -> list[Any]:
    rows = bank.score(np.array(slots), np.array(values), at_ns).tolist()
    bank.learn()
    return rows


def judged(watch: Watch, value: float, at_ns: int) -> Any:
    score = astuple(watch.score(value, at_ns))
    watch.learn(value, at_ns)
    return score


@pytest.mark.parametrize(("spacing", "count"), [(WINDOW, 1500), (40 * WINDOW, 500)])
def test_all_kinds_side_by_side_are_said_as_the_objects_say_them(spacing: int, count: int) -> None:
    rng, bank = random.Random(7), NoveltyBank(WARMUP)
    slots, watches = [bank.open() for _ in KINDS], [novelty(WARMUP, HOLD) for _ in KINDS]
    for place in range(count):
        values = [kind(rng, place) for kind in KINDS.values()]
        at_ns = place * spacing
        expected = [judged(watch, value, at_ns) for watch, value in zip(watches, values, strict=True)]
        assert said(bank, slots, values, at_ns) == expected
    for slot, watch in zip(slots, watches, strict=True):
        assert bank.take(slot).snapshot() == watch.snapshot()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.floats(-1e99, 1e99, allow_nan=False),
            st.floats(49, 51).map(lambda value: round(value, 2)),
            st.sampled_from([0.0, 50.0, 5e-324]),
        ),
        min_size=1,
        max_size=300,
    ),
    st.sets(st.integers(0, 299), max_size=4),
    st.integers(0, 60),
)
def test_any_values_with_snapshots_anywhere(values: list[float], stops: set[int], hold: int) -> None:
    bank, watch = NoveltyBank(20, hold_windows=hold), novelty(20, hold)
    slot = bank.open()
    for place, value in enumerate(values):
        if place in stops:
            text = orjson.dumps(bank.take(slot).snapshot())
            again, bank = novelty(20, hold), NoveltyBank(20, hold_windows=hold)
            again.restore(orjson.loads(text))
            slot = bank.open()
            bank.put(slot, again)
        assert said(bank, [slot], [value], place * 1000 * WINDOW) == [judged(watch, value, place * 1000 * WINDOW)]
    assert bank.take(slot).snapshot() == watch.snapshot()


def test_one_series_followed_is_the_same_as_window_by_window() -> None:
    rng, bank, watch = random.Random(3), NoveltyBank(WARMUP, hold_windows=0), novelty(WARMUP, 0)
    values = [KINDS["with outliers"](rng, place) for place in range(1200)]
    values[100] = values[700] = math.nan
    usable = np.array([not math.isnan(value) for value in values])
    expected = [watch.score(0.0, 0).score * 0.0 if math.isnan(v) else judged(watch, v, 0)[0] for v in values]
    first = bank.follow(np.array(values[:500]), np.zeros(500), usable[:500])
    second = bank.follow(np.array(values[500:]), np.zeros(700), usable[500:])
    assert [*first["score"].tolist(), *second["score"].tolist()] == expected
    assert bank.take(0).snapshot() == watch.snapshot()


def test_a_number_that_is_given_again_begins_anew() -> None:
    bank = NoveltyBank(WARMUP)
    slot = bank.open()
    said(bank, [slot], [5.0], 0)
    bank.close(slot)
    assert bank.open() == slot
    assert bank.take(slot).snapshot() == novelty(WARMUP, HOLD).snapshot()


def forged() -> Iterator[tuple[str, Callable[[dict[str, Any]], None]]]:
    yield "a place beyond the ring", lambda s: s["scorer"]["recent"].update(place=10**6)
    yield "a place before it", lambda s: s["scorer"]["recent"].update(place=-1)
    yield "a ring with too few", lambda s: s["scorer"]["recent"].update(ring="")
    yield "means of more than the ring", lambda s: s["scorer"]["recent"].update(means=[9, 1.0, 19, 1.0])
    yield "too many first values", lambda s: s["scorer"].update(first=[[0, 1.0]] * 40)
    yield "too many memories", lambda s: s["scorer"].update(memories=["AAAA" * 3 * 2000] * 3)
    yield "too long a queue", lambda s: s.update(peak=[9, [1] * 500, [1.0] * 500])
    yield "a queue of unequal parts", lambda s: s.update(peak=[9, [1] * 5, [1.0] * 6])
    yield "a number too large", lambda s: s.update(seen=10**30)


@pytest.mark.parametrize(("what", "forge"), list(forged()), ids=lambda value: value if isinstance(value, str) else "")
def test_a_forged_snapshot_does_not_reach_compiled_code(what: str, forge: Callable[[dict[str, Any]], None]) -> None:
    bank, slot = NoveltyBank(WARMUP), 0
    for place in range(300):
        said(bank, [slot], [float(place % 7)], place * WINDOW)
    state = bank.take(slot).snapshot()
    forge(state)
    watch = novelty(WARMUP, HOLD)

    def read() -> None:
        watch.restore(state)
        bank.put(slot, watch)

    with pytest.raises(StateError):
        read()


class ByObjects(DetectOperator):
    """The operator without compiled code."""

    def _begin(self) -> None:
        super()._begin()
        first, *rest = self._roster.tiers
        self._roster.tiers = (first._replace(bank=ObjectBank(lambda: novelty(30, HOLD))), *rest)


def test_series_that_come_and_go_are_found_as_by_objects() -> None:
    """Two features, values that are no numbers, gaps, replays, bounds, and restarts in between."""
    rng = random.Random(5)
    all_series = [series("agents.inference.duration", "histogram", "s", agent__id=f"a{i}") for i in range(8)]
    all_series += [series("agents.memory", agent__id=f"a{i}") for i in range(8)]

    def operator(kind: type[DetectOperator]) -> DetectOperator:
        return kind(warmup_windows=30, threshold=0.995, max_series=9, max_small_series=3, confirm=(2, 3))

    ours, theirs = operator(DetectOperator), operator(ByObjects)
    found = 0
    for number in range(600):
        present = [one for i, one in enumerate(all_series) if (number // 50 + i) % 4 or rng.random() < 0.1]
        level = 30 if number % 97 > 93 else 10
        rows = {one: [rng.gauss(level, 0.5) if rng.random() < 0.99 else 1e150] for one in present}
        window = batch(number - 3 * (number % 41 == 40), rows)
        result = ours.apply(window)
        assert result == theirs.apply(window)
        found += len(result.anomalies)
        if number % 150 == 149:
            data = ours.snapshot()
            assert data == theirs.snapshot()
            ours, theirs = operator(DetectOperator), operator(ByObjects)
            assert ours.restore(data) == theirs.restore(data)
    assert found > 20
