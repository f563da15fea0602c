"""Features that hang together: judged by what the others tell; agents, what they lack, replays, bounds, snapshots."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest

from streams.detect import joint
from streams.detect.joint import MATURE_WINDOWS, MAX_AGE_NS, SETTLE_WINDOWS, Verdicts
from streams.detect.vectors import VectorOperator
from streams.domain.anomaly import Anomaly, decode_anomaly, encode_anomaly
from streams.domain.selector import Selector
from streams.domain.series import OVERFLOW_LABEL, Series
from streams.domain.vector import Feature, Vector
from streams.errors import StateVersionError
from tests.unit.window_batches import WINDOW, batch, series

WORK = Vector(
    "work",
    (
        Feature("steps", Selector("steps"), "rate"),
        Feature("latency", Selector("latency"), "mean"),
        Feature("cpu", Selector("cpu"), "mean"),
        Feature("queue", Selector("queue"), "mean"),
    ),
    ("agent.id",),
)
WARMUP = 30
SILENT = SETTLE_WINDOWS + MATURE_WINDOWS + WARMUP
LEARNT = SILENT + 80
Rows = dict[Series, list[float]]


def operator(*vectors: Vector, **more: int) -> VectorOperator:
    return VectorOperator(vectors or [WORK], WINDOW, threshold=0.9999, warmup_windows=WARMUP, **more)


def rows(rng: random.Random, load: float, agent: str = "a", **instead: float) -> Rows:
    """Two series of steps, and what follows the load; a feature ``instead`` as it is at another load."""
    at = {name: instead.get(name, load) for name in ("steps", "latency", "cpu", "queue")}
    steps = 400 * at["steps"] * rng.gauss(1, 0.03)
    return {
        series("steps", "counter", agent__id=agent, outcome="success"): [0.9 * steps],
        series("steps", "counter", agent__id=agent, outcome="failure"): [0.1 * steps],
        series("latency", "histogram", "s", agent__id=agent): [0.2 * (1 + 2 * at["latency"]) * rng.gauss(1, 0.03)] * 2,
        series("cpu", agent__id=agent): [0.1 + 0.7 * at["cpu"] + rng.gauss(0, 0.02)],
        series("queue", agent__id=agent): [30 * at["queue"] + rng.gauss(0, 0.7)],
        series("other", agent__id=agent): [9.0],
    }


def load_at(number: int) -> float:
    return 0.5 + 0.4 * ((number * 7 % 60) / 30 - 1)


def learnt(made: VectorOperator, windows: int = LEARNT, *, first: int = 0) -> None:
    rng = random.Random(first + 1)
    for number in range(first, first + windows):
        assert made.apply(batch(number, rows(rng, load_at(number)))).anomalies == []


@pytest.fixture(scope="module")
def learnt_once() -> bytes:
    made = operator()
    learnt(made)
    return made.snapshot()


def fates(found: Verdicts) -> dict[str, int]:
    names = ("scored", "warming_up", "incomplete", "stale", "refused")
    return {name: getattr(found, name) for name in names if getattr(found, name)}


@pytest.mark.parametrize(
    ("feature", "load", "as_at", "side"),
    [
        ("latency", 0.1, 0.9, "above"),
        ("cpu", 0.1, 0.9, "above"),
        ("steps", 0.9, 0.1, "below"),
        ("queue", 0.1, 0.8, "above"),
    ],
)
def test_a_usual_value_at_an_unusual_load_is_found_and_explained(
    feature: str, load: float, as_at: float, side: str
) -> None:
    made = operator()
    learnt(made)
    (found,) = made.apply(batch(LEARNT, rows(random.Random(9), load, **{feature: as_at}))).anomalies
    assert (found.series.name, found.series.labels, found.feature) == ("work", (("agent.id", "a"),), feature)
    assert found.detector == "vector"
    assert found.series.unit == {"steps": "1/s", "latency": "s"}.get(feature, "1")
    assert not found.score.lower <= found.value <= found.score.upper
    assert [name for name, _ in found.told_by] == [f.name for f in WORK.features if f.name != feature]
    assert found.normal_at is not None
    assert min(found.value, found.score.expected) < found.normal_at < max(found.value, found.score.expected)
    assert f"is {side} the" in found.reason
    assert "expected with" in found.reason
    assert decode_anomaly(encode_anomaly(found)) == found


def test_a_fault_lasts_for_k_of_n_and_names_earlier_ones() -> None:
    made, rng = operator(), random.Random(9)
    learnt(made)
    found: list[Anomaly] = []
    for number in range(LEARNT, LEARNT + 6):
        found += made.apply(batch(number, rows(rng, 0.1, latency=0.9))).anomalies
    assert len(found) >= 3, "three of five windows must be possible"
    assert found[-1].similar[0].start_ns == found[-2].start_ns


def test_warm_up_is_silent_and_counted() -> None:
    made, rng = operator(), random.Random(1)
    for number in range(SILENT):
        assert fates(made.apply(batch(number, rows(rng, load_at(number))))) == {"warming_up": 1}
    assert fates(made.apply(batch(SILENT, rows(rng, load_at(SILENT))))) == {"scored": 1}


def test_nothing_done_is_a_rate_of_0_and_no_mean_at_all() -> None:
    made, rng = operator(), random.Random(1)
    learnt(made)
    idle = {one: values for one, values in rows(rng, 0.1).items() if one.name != "steps"}
    found = made.apply(batch(LEARNT, idle))
    assert fates(found) == {"scored": 1}
    before = made.snapshot()
    without = {one: values for one, values in rows(rng, 0.1).items() if one.name != "latency"}
    assert fates(made.apply(batch(LEARNT + 1, without))) == {"incomplete": 1}
    for number, bad in enumerate((np.nan, np.inf, -np.inf, 1e90)):
        whole = batch(LEARNT + 2 + number, rows(rng, 0.1))
        cpu = np.array([one.name == "cpu" for one in whole.series])
        assert fates(made.apply(replace(whole, sum=np.where(cpu, bad, whole.sum)))) == {"incomplete": 1}
    lossy = replace(batch(LEARNT + 10, rows(rng, 0.9)), incomplete=True)
    assert fates(made.apply(lossy)) == {"incomplete": 1}
    assert numbers(made)[0][1][-3:] == numbers_of(before)[0][1][-3:], "what is incomplete is not learned"


def numbers(made: VectorOperator) -> list[Any]:
    return numbers_of(made.snapshot())


def numbers_of(data: bytes) -> list[Any]:
    found: list[Any] = orjson.loads(data)["vectors"][0][2]
    return found


def test_an_agent_is_judged_by_what_it_reports() -> None:
    made, rng = operator(), random.Random(3)
    kept = {"latency", "cpu"}
    for number in range(SILENT + 100):
        whole = rows(rng, load_at(number))
        some = {one: values for one, values in whole.items() if one.name in kept or number % 9 == 0}
        assert made.apply(batch(number, some)).anomalies == []
    slow = {one: values for one, values in rows(rng, 0.1, latency=0.9).items() if one.name in kept}
    (found,) = made.apply(batch(SILENT + 100, slow)).anomalies
    assert [name for name, _ in found.told_by] == ["cpu" if found.feature == "latency" else "latency"]
    alone = {series("cpu", agent__id="b"): [0.5]}
    for number in range(SILENT + 101, 2 * SILENT + 101):
        assert fates(made.apply(batch(number, alone))) == {"warming_up": 1}, "one feature is no vector"


def test_an_agent_that_reports_otherwise_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint, "MOST_MISSED", 5)
    made, rng = operator(), random.Random(3)
    learnt(made)
    seen = []
    for number in range(LEARNT, LEARNT + 7):
        without = {one: values for one, values in rows(rng, 0.5).items() if one.name != "latency"}
        seen.append(fates(made.apply(batch(number, without))))
    assert seen == [{"incomplete": 1}] * 5 + [{"warming_up": 1}] * 2


def test_replays_and_other_sizes_change_nothing() -> None:
    made, rng = operator(), random.Random(1)
    learnt(made)
    last = batch(LEARNT, rows(rng, 0.5))
    made.apply(last)
    before = made.snapshot()
    assert fates(made.apply(last)) == {"stale": 1}
    assert fates(made.apply(batch(80, rows(rng, 0.5), window_ns=6 * WINDOW))) == {}
    assert fates(made.apply(batch(LEARNT + 1, {series("other"): [1.0]}))) == {}
    overflow = {Series("cpu", "1", "gauge", ((OVERFLOW_LABEL, "true"),)): [1.0]}
    assert fates(made.apply(batch(LEARNT + 2, overflow))) == {}
    assert numbers(made) == numbers_of(before)


def test_agents_are_bounded_by_count_and_age() -> None:
    made, rng = operator(max_groups=1), random.Random(1)
    found = made.apply(batch(0, rows(rng, 0.5) | rows(rng, 0.5, "b")))
    assert fates(found) == {"warming_up": 1, "refused": 1}
    later = MAX_AGE_NS // WINDOW + 2
    assert fates(made.apply(batch(later, rows(rng, 0.5, "b")))) == {"warming_up": 1}
    assert len(made) == 1


def test_agents_that_come_and_go_take_no_more_room() -> None:
    made, rng, step = operator(max_groups=3), random.Random(1), MAX_AGE_NS // WINDOW + 2
    for number in range(20):
        made.apply(batch(number * step, rows(rng, 0.5, f"a{number}") | rows(rng, 0.5, f"b{number}")))
        assert len(made) == 2
    assert len(made._joints[0]._state) <= 17


def test_agents_do_not_hear_of_each_other() -> None:
    one, both = operator(), operator()
    learnt(one)
    rng = random.Random(1)
    for number in range(LEARNT):
        mine = rows(rng, load_at(number))
        both.apply(batch(number, mine | rows(random.Random(number), 0.3, "b")))
    assert numbers(both)[0] == numbers(one)[0]


def faulty() -> Iterator[tuple[int, Rows]]:
    rng = random.Random(5)
    for number in range(SILENT + 150):
        odd = {"cpu": 0.9} if number > SILENT and number % 50 > 45 else {}
        both = rows(rng, load_at(number), **odd)
        if number % 4:
            both |= rows(rng, load_at(number + 9), "b")
        if number % 11 == 0:
            both = {one: values for one, values in both.items() if one.name != "latency"}
        yield number, both


def test_a_snapshot_anywhere_changes_nothing() -> None:
    stayed, through, anomalies = operator(), operator(), 0
    for number, both in faulty():
        if number % 7 == 0:
            again = operator()
            assert again.restore(through.snapshot()) == ""
            through = again
        wanted = stayed.apply(batch(number, both))
        assert through.apply(batch(number, both)) == wanted
        anomalies += len(wanted.anomalies)
    assert anomalies
    assert through.snapshot() == stayed.snapshot()


def test_a_snapshot_that_does_not_fit_says_why() -> None:
    made = operator()
    learnt(made)
    data = made.snapshot()
    other = VectorOperator([WORK], 1, threshold=1.0, warmup_windows=30)
    assert "windows" in other.restore(data)
    assert "damaged" in made.restore(orjson.dumps({"v": 1}))
    assert len(made) == 0
    with pytest.raises(StateVersionError):
        made.restore(data.replace(b'"v":1', b'"v":2', 1))
    fewer = operator(replace(WORK, features=WORK.features[:3]))
    assert (fewer.restore(data), len(fewer)) == ("", 0)
    assert (made.restore(data), len(made)) == ("", 1)


@pytest.mark.parametrize(
    ("at", "value"),
    [
        ((1, 7), [[1.0, 9.0, 9.0, 9.0]] * 4),
        ((1, 7), [[1.0, 2.0, 0.0, 0.0], [2.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]),
        ((1, 6), [None] * 4),
        ((1, 3), 2**63),
        ((1, 5), [True] * 3),
        ((2,), []),
    ],
)
def test_a_forged_snapshot_is_refused(at: tuple[int, ...], value: object, learnt_once: bytes) -> None:
    made = operator()
    body = orjson.loads(learnt_once)
    place = body["vectors"][0][2][0]
    for step in at[:-1]:
        place = place[step]
    place[at[-1]] = value
    assert made.restore(orjson.dumps(body)) != ""
    assert len(made) == 0
    learnt(made, SETTLE_WINDOWS, first=1_000)
