"""An incident that is closed by hand: when, what becomes of its alerts, what brings it back, what is told."""

from __future__ import annotations

import pytest

from streams.correlate.casefile import CaseFile
from streams.correlate.closing import refusal
from streams.correlate.incidents import IncidentOperator
from streams.correlate.notices import INCIDENT_ALERT, MARKED_LABEL, notices
from streams.correlate.weights import Weights
from streams.domain.control import Ack, Close
from streams.domain.incident import Incident
from tests.unit.correlate.test_incidents import BEGIN, SECOND, alert, chain

HOUR = 3_600


def close(incident: Incident | CaseFile | str, at: float = HOUR, into: str = "") -> Close:
    name = incident if isinstance(incident, str) else incident.incident_id
    return Close(name, "ann", "it is over", BEGIN + round(at * SECOND), into)


def cascade() -> tuple[IncidentOperator, Incident]:
    """front, middle and back fail together: one incident of three."""
    operator = chain()
    operator.alert(alert("front", 100, began=20))
    operator.alert(alert("middle", 110, began=30))
    operator.alert(alert("back", 130, began=40))
    (incident,) = operator.open()
    return operator, incident


def two() -> tuple[IncidentOperator, Incident, Incident]:
    """Incidents that have nothing in common."""
    operator = IncidentOperator()
    operator.alert(alert("one", 0))
    operator.alert(alert("other", 5, "AgentMemoryHigh"))
    first, second = operator.open()
    return operator, first, second


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (close("A"), ""),
        (close("A", 100), ""),  # at the very begin of its newest alert
        (close("A", 99), "overtaken"),
        (close("none"), "unknown"),
        (close("over"), "over"),
        (close("A", into="over"), ""),
        (close("over", into="A"), ""),
        (close("A", 0, into="over"), ""),  # a part of another it is whatever began since
        (close("A", into="none"), "unknown"),
        (close("none", into="A"), "unknown"),
        (close("A", into="large"), "full"),
    ],
)
def test_when_it_is_done(said: Close, reason: str) -> None:
    operator = IncidentOperator(Weights())
    cases = {}
    for name, services in (("A", ["a"]), ("over", ["b"]), ("large", ["c", "d"])):
        for service in services:
            operator.alert(alert(service, 100))
        cases[name] = list(operator.cases.values())[-1]
    cases["large"].take(list(operator.cases.values())[-2], "f", "")
    cases["over"].resolved_at_ns = 1
    assert refusal(said, cases.get(said.incident_id), cases.get(said.into), 2) == reason


def test_resolved_means_told_so_and_what_goes_on_is_acked() -> None:
    operator, before = cascade()
    (after,) = operator.control(close(before))
    assert (after.status, after.resolved_by, after.resolved_at_ns) == ("resolved", "ann: it is over", operator.now_ns)
    assert {(member.suppressed, member.suppressed_by) for member in after.members} == {("acked", "ann: it is over")}
    told = {
        (notice.alertname, notice.identity.get(MARKED_LABEL, "")): notice.state
        for notice in notices(after, before, markers=True)
    }
    assert told == {(INCIDENT_ALERT, ""): "resolved"}, "its alerts were marked as symptoms before, and stay marked"
    assert operator.open() == []
    assert operator.firing() == [after]
    assert operator.counts["resolved"] == 1


def test_what_is_said_again_or_too_late_changes_nothing() -> None:
    operator, incident = cascade()
    assert operator.control(close(incident, 39)) == [], "back began after it was said"
    assert operator.control(close(incident)) != []
    kept = operator.snapshot()
    assert operator.control(close(incident)) == []
    assert operator.snapshot() == kept
    assert (operator.counts["overtaken"], operator.counts["over"]) == (1, 1)


def test_alerts_that_go_on_end_without_another_end_of_the_incident() -> None:
    operator, incident = cascade()
    (over,) = operator.control(close(incident))
    told = operator.alert(alert("front", 140, began=20, seq=2, severity="critical"))
    assert {one.status for one in told} <= {"resolved"}, "it goes on, worse: somebody knows"
    ends = []
    for number, service in enumerate(("front", "middle", "back")):
        began = 20 + 10 * number
        ends += operator.alert(alert(service, 200 + number, state="resolved", began=began, seq=9))
    assert {one.status for one in ends} == {"resolved"}
    assert {one.resolved_at_ns for one in ends} == {over.resolved_at_ns}
    marks = [notice for notice in notices(ends[-1], ends[-2], markers=True) if notice.identity.get(MARKED_LABEL)]
    assert [notice.state for notice in marks] == ["resolved"], "the marker of the last one ends with it"
    assert (operator.counts["resolved"], operator.firing()) == (1, [])


def test_a_new_episode_brings_it_back_and_speaks() -> None:
    operator, incident = cascade()
    operator.control(close(incident))
    operator.alert(alert("back", 200, state="resolved", began=40, seq=2))
    (back,) = [one for one in operator.alert(alert("back", 300, seq=3)) if one.incident_id == incident.incident_id]
    assert (back.status, back.reopened, back.resolved_by, back.resolved_at_ns) == ("open", 1, "", 0)
    reasons = {member.service: member.suppressed for member in back.members}
    assert reasons == {"front": "acked", "middle": "acked", "back": "symptom"}


def test_one_whose_alerts_go_on_is_not_forgotten() -> None:
    operator, incident = cascade()
    operator.control(close(incident))
    operator.alert(alert("far", 10 * HOUR))
    assert incident.incident_id in operator.cases
    for service, began in (("front", 20), ("middle", 30), ("back", 40)):
        operator.alert(alert(service, 10 * HOUR + 10, state="resolved", began=began, seq=9))
    operator.alert(alert("far", 20 * HOUR, state="resolved", began=10 * HOUR, seq=2))
    assert incident.incident_id not in operator.cases


def test_merged_by_hand_ends_as_a_part_of_the_other_with_its_ack() -> None:
    operator, first, second = two()
    operator.control(Ack(first.incident_id, "bob", "mine", operator.now_ns))
    told = {one.incident_id: one for one in operator.control(close(first, into=second.incident_id))}
    assert (told[first.incident_id].status, told[first.incident_id].merged_into) == ("merged", second.incident_id)
    whole = told[second.incident_id]
    assert [(m.service, m.why, m.suppressed) for m in whole.members] == [
        ("one", "ann: it is over", "acked"),
        ("other", "", "symptom"),
    ]
    assert operator.control(close(first, into=second.incident_id)) == []
    assert (operator.counts["merged"], operator.counts["unknown"]) == (1, 1)
    operator.alert(alert("one", 20, state="resolved", began=0, seq=2))
    (ended,) = operator.alert(alert("other", 30, "AgentMemoryHigh", state="resolved", began=5, seq=2))
    assert (ended.status, ended.incident_id) == ("resolved", second.incident_id)


def test_merged_into_one_that_is_over_opens_it_again() -> None:
    operator, first, second = two()
    operator.control(close(second))
    told = {one.incident_id: one for one in operator.control(close(first, into=second.incident_id))}
    assert (told[second.incident_id].status, told[second.incident_id].resolved_by) == ("open", "")


@pytest.mark.parametrize("crash", range(6))
def test_a_snapshot_at_any_point_gives_the_same(crash: int) -> None:
    def run(at: int) -> list[Incident]:
        operator, incident = cascade()
        told: list[Incident] = []
        operator.alert(alert("far", 150))
        far = operator.open()[-1]
        steps = [
            lambda: operator.control(close(incident)),
            lambda: operator.alert(alert("front", 200, state="resolved", began=20, seq=2)),
            lambda: operator.control(close(far, into=incident.incident_id)),
            lambda: operator.alert(alert("back", 300, state="resolved", began=40, seq=2)),
            lambda: operator.alert(alert("back", 400, seq=3)),
            lambda: operator.control(close(incident)),
        ]
        for number, step in enumerate(steps):
            if number == at:
                snapshot = operator.snapshot()
                operator = IncidentOperator()
                assert operator.restore(snapshot) == ""
            told += step()
        return told

    assert run(crash) == run(-1)
    assert run(-1)[-1].resolved_by == "ann: it is over"
