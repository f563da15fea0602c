"""The rate cap: who may speak, who is held, what the one alert says that speaks for them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.correlate.incidents import IncidentOperator
from streams.correlate.ratecap import Floods, RateCap
from streams.correlate.weights import Weights
from streams.domain.alert import AlertTransition
from tests.unit.correlate.test_incidents import alert, calls, healthy

CAP = replace(Weights(), cap_alerts=3, cap_seconds=300.0)


def lonely(number: int, at: float, **changes: object) -> AlertTransition:
    """An alert that belongs to no other one."""
    return alert(f"service-{number}", at, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("at_seconds", "held"),
    [
        pytest.param([0, 1, 2], [], id="as many as may speak"),
        pytest.param([0, 1, 2, 3], [3], id="one more"),
        pytest.param([0, 1, 2, 299, 300, 301], [3], id="the oldest has left the window"),
        pytest.param([0, 1, 2, 3, 4, 400], [3, 4], id="those that were held take no place"),
    ],
)
def test_of_one_name_so_many_are_told_within_the_window(at_seconds: list[float], held: list[int]) -> None:
    cap = RateCap(3, 300.0)
    assert [n for n, at in enumerate(at_seconds) if cap.holds(lonely(n, at))] == held
    assert not cap.holds(lonely(9, 3, name="Other"))


def test_a_verdict_stays_for_the_episode_and_the_next_one_is_judged_anew() -> None:
    cap = RateCap(1, 300.0)
    first, second = lonely(0, 0), lonely(1, 1)
    assert [cap.holds(one) for one in (first, second, second, first)] == [False, True, True, False]
    cap.ended(second)
    assert cap.held == {}
    assert not cap.holds(lonely(1, 400, seq=3))


def test_a_flood_is_told_once_by_an_alert_that_counts_and_ends() -> None:
    operator, floods = IncidentOperator(CAP), Floods()
    said = []
    for n in range(6):
        told = operator.alert(lonely(n, n))
        assert [m.suppressed for i in told for m in i.members] == (["rate_cap"] if n >= 3 else [""])
        said += floods.changes(operator.suppression.cap.held, operator.now_ns, operator.revision)
    for n in range(6):
        operator.alert(lonely(n, 60 + n, state="resolved", seq=2, began=n))
        said += floods.changes(operator.suppression.cap.held, operator.now_ns, operator.revision)
    assert [(t.state, t.value) for t in said] == [
        *[("firing", 1.0), ("firing", 2.0), ("firing", 3.0)],
        *[("firing", 2.0), ("firing", 1.0), ("resolved", 0.0)],
    ]
    assert {t.fingerprint for t in said} == {said[0].fingerprint}
    assert {t.starts_at_ns for t in said} == {said[0].starts_at_ns}
    assert [t.seq for t in said] == sorted({t.seq for t in said})


def test_alerts_of_one_incident_are_symptoms_and_take_no_place() -> None:
    operator = IncidentOperator(CAP)
    healthy(operator, ("front", "back"))
    for n in range(5):
        operator.edge(calls("front", "back", 10 * n, failed=15))
    for n in range(8):
        operator.alert(alert("back", 60 + n, replica=str(n)))
    (incident,) = operator.open()
    assert {member.suppressed for member in incident.members} == {"symptom"}
    assert operator.suppression.cap.held == {}


def test_a_snapshot_keeps_who_is_held_and_what_was_told() -> None:
    one, floods = IncidentOperator(CAP), Floods()
    for n in range(5):
        one.alert(lonely(n, n))
        floods.changes(one.suppression.cap.held, one.now_ns, one.revision)
    two, again = IncidentOperator(CAP), Floods()
    assert two.restore(one.snapshot()) == ""
    assert two.snapshot() == one.snapshot()
    import orjson

    again.load(orjson.loads(orjson.dumps(floods.dump())))
    assert again.told == floods.told
    assert again.changes(two.suppression.cap.held, two.now_ns, two.revision) == []
