"""Why an alert needs no notification: the order of reasons, their ends, and what becomes of them in incidents."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from streams.correlate.incidents import IncidentOperator
from streams.correlate.notices import INCIDENT_ALERT, MARKED_LABEL, notices
from streams.correlate.ratecap import RateCap
from streams.correlate.suppression import Reason, Suppressed, Suppression
from streams.domain.control import Ack, Control, Maintenance
from streams.domain.incident import Incident
from tests.unit.correlate.test_incidents import BEGIN, SECOND, alert, calls, chain

INCIDENT = "i1"
BACK = alert("back", 0, agent__id="planner-1")


def at(seconds: float) -> int:
    return BEGIN + round(seconds * SECOND)


def ack(target: str = BACK.fingerprint, given: float = 10, until: float = 0, *, cleared: bool = False) -> Ack:
    return Ack(target, "ann", "on it", at(given), at(until) if until else 0, cleared)


def maintenance(begin: float = 0, end: float = 100, *, cleared: bool = False, **where: str) -> Maintenance:
    conditions = {label.replace("__", "."): value for label, value in (where or {"service__name": "ba*"}).items()}
    pairs = tuple((label, (value,)) for label, value in sorted(conditions.items()))
    return Maintenance("m1", pairs, "bob", "upgrade", at(begin), at(end), cleared)


BOTH: tuple[Reason, ...] = ("symptom", "flapping")
CASES: dict[str, tuple[Sequence[Control], float, Sequence[Reason], Reason]] = {
    "nothing": ([], 20, (), ""),
    "maintenance before all": ([ack(), maintenance()], 20, BOTH, "maintenance"),
    "an ack before what lies in the incident": ([ack()], 20, BOTH, "acked"),
    "a symptom before flapping": ([], 20, BOTH, "symptom"),
    "flapping": ([], 20, ("flapping",), "flapping"),
    "maintenance that has begun just now": ([maintenance(20, 30)], 20, (), "maintenance"),
    "maintenance that ends now": ([maintenance(10, 20)], 20, (), ""),
    "maintenance to come": ([maintenance(21, 30)], 20, (), ""),
    "maintenance of others": ([maintenance(service__name="front")], 20, (), ""),
    "of two conditions one holds": ([maintenance(service__name="back", agent__id="x*")], 20, (), ""),
    "maintenance of a severity": ([maintenance(severity="high")], 20, (), "maintenance"),
    "a label that is not there": ([maintenance(team="a")], 20, (), ""),
    "maintenance taken back": ([maintenance(), maintenance(cleared=True)], 20, (), ""),
    "an ack taken back": ([ack(), ack(cleared=True)], 20, (), ""),
    "an ack of the incident": ([ack(INCIDENT)], 20, (), "acked"),
    "an ack of an earlier episode": ([ack(given=-1)], 20, (), ""),
    "an ack with an end covers later episodes": ([ack(given=-1, until=21)], 20, (), "acked"),
    "an ack that ends now": ([ack(until=20)], 20, (), ""),
}


@pytest.mark.parametrize(("said", "now", "others", "reason"), CASES.values(), ids=CASES)
def test_the_reason(said: Sequence[Control], now: float, others: Sequence[Reason], reason: str) -> None:
    suppression = Suppression(RateCap(20, 300.0))
    for control in said:
        suppression.take(control)
    assert suppression.judge(BACK, INCIDENT, at(now), others).reason == reason


def test_a_resolved_alert_always_passes_and_who_said_it_is_told() -> None:
    suppression = Suppression(RateCap(20, 300.0))
    suppression.take(ack())
    assert suppression.judge(BACK, INCIDENT, at(20), ()) == Suppressed("acked", "ann: on it")
    suppression.take(maintenance())
    assert suppression.judge(BACK, INCIDENT, at(20), ()) == Suppressed("maintenance", "m1 by bob: upgrade")
    ended = alert("back", 30, state="resolved", began=0, agent__id="planner-1")
    assert suppression.judge(ended, INCIDENT, at(30), BOTH) == Suppressed()


def only(told: Sequence[Incident]) -> Incident:
    (incident,) = told
    return incident


def reasons(incident: Incident) -> set[str]:
    return {member.suppressed for member in incident.members}


def test_time_ends_a_maintenance_and_an_ack_although_no_alert_comes() -> None:
    operator = IncidentOperator()
    fired = alert("back", 0)
    operator.alert(fired)
    assert operator.control(maintenance(5, 25)) == []
    assert reasons(only(operator.edge(calls("x", "y", 11)))) == {"maintenance"}, "it has begun"
    assert operator.edge(calls("x", "y", 19)) == []
    assert reasons(only(operator.edge(calls("x", "y", 31)))) == {""}, "it has ended"
    assert reasons(only(operator.control(ack(fired.fingerprint, given=31, until=38)))) == {"acked"}
    assert reasons(only(operator.edge(calls("x", "y", 40)))) == {""}


def test_an_incident_that_is_acked_is_marked_itself_until_the_ack_goes() -> None:
    operator = chain()
    operator.alert(alert("front", 100, began=20))
    before = only([i for i in operator.alert(alert("back", 110, began=30)) if i.status == "open"])
    (marked,) = [n for n in notices(before, None, markers=True) if n.alertname == INCIDENT_ALERT]

    def own(now: Incident, then: Incident) -> list[str]:
        made = notices(now, then, markers=True)
        return [n.state for n in made if n.identity.get(MARKED_LABEL) == marked.fingerprint]

    acked = only(operator.control(ack(before.incident_id, given=120)))
    assert reasons(acked) == {"acked"}
    assert {member.suppressed_by for member in acked.members} == {"ann: on it"}
    assert own(acked, before) == ["firing"]
    assert [n.alertname for n in notices(acked, before, markers=False)] == [INCIDENT_ALERT]
    restored = IncidentOperator()
    assert restored.restore(operator.snapshot()) == ""
    for each in (operator, restored):
        grown = only([i for i in each.alert(alert("middle", 130, began=40)) if i.status == "open"])
        assert reasons(grown) == {"acked"}, "what joins an acked incident is acked"
        assert own(grown, acked) == []
        back = only(each.control(ack(before.incident_id, given=140, cleared=True)))
        assert reasons(back) == {"symptom"}
        assert own(back, grown) == ["resolved"]
    assert operator.control(ack("no such alert")) == []


def test_the_ack_of_an_incident_ends_with_it() -> None:
    operator = IncidentOperator()
    incident = only(operator.alert(alert("back", 0)))
    assert reasons(only(operator.control(ack(incident.incident_id)))) == {"acked"}
    operator.alert(alert("back", 20, state="resolved", seq=2, began=0))
    again = only(operator.alert(alert("back", 40, seq=3)))
    assert again.incident_id == incident.incident_id
    assert reasons(again) == {""}


def test_at_the_bound_the_oldest_leaves() -> None:
    suppression = Suppression(RateCap(20, 300.0))
    for n in range(10_001):
        suppression.take(ack(f"a{n}"))
    for n in range(1_001):
        suppression.take(Maintenance(f"m{n}", (("team", (f"t{n}",)),), "bob", "", at(0), at(9)))
    assert len(suppression) == 11_000
    assert suppression.judge(BACK, "a0", at(5), ()).reason == ""
    assert suppression.judge(BACK, "a1", at(5), ()).reason == "acked"
