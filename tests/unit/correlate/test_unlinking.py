"""An alert that somebody takes out of an incident: when, what becomes of both, what is told."""

from __future__ import annotations

import pytest

from streams.correlate.incidents import IncidentOperator
from streams.correlate.notices import INCIDENT_ALERT, MARKED_LABEL, notices
from streams.correlate.quality import Standing
from streams.domain.control import Ack, Close, Unlink
from streams.domain.incident import Incident
from tests.unit.correlate.test_closing import HOUR, cascade
from tests.unit.correlate.test_incidents import BEGIN, SECOND, alert, failing


def unlink(incident: Incident, service: str, at: float = HOUR) -> Unlink:
    fingerprint = next((m.fingerprint for m in incident.members if m.service == service), service)
    return Unlink(incident.incident_id, fingerprint, "ann", "another matter", BEGIN + round(at * SECOND))


def taken_out(*services: str) -> tuple[IncidentOperator, Incident, list[Incident]]:
    """front, middle and back, of which some were taken out; their incidents as told last."""
    operator, incident = cascade()
    told = {}
    for service in services:
        rest, out = operator.control(unlink(incident, service))
        told |= {"rest": rest, service: out}
    return operator, told["rest"], [told[service] for service in services]


def marks(incident: Incident, before: Incident | None) -> dict[tuple[str, str], str]:
    """By alertname and fingerprint that is marked: the state that is told."""
    found = notices(incident, before, markers=True)
    return {(one.alertname, one.identity.get(MARKED_LABEL, "")): one.state for one in found}


def test_the_rest_goes_on_and_the_alert_speaks_for_itself() -> None:
    operator, before = cascade()
    back = unlink(before, "back").fingerprint
    rest, out = operator.control(unlink(before, "back"))
    assert rest.incident_id == before.incident_id
    assert [(m.service, m.suppressed) for m in rest.members] == [("front", "symptom"), ("middle", "symptom")]
    (member,) = out.members
    assert (member.service, member.suppressed, out.status, out.severity) == ("back", "", "open", "high")
    assert member.why == f"taken out of {before.incident_id} by ann: another matter"
    assert out.opened_at_ns == BEGIN + 40 * SECOND
    assert marks(rest, before) == {(INCIDENT_ALERT, ""): "firing", ("AgentIncidentMember", back): "resolved"}
    assert marks(out, None) == {}
    assert (operator.counts["unlinked"], operator.counts["opened"] - operator.counts["merged"]) == (1, 2)


def test_one_that_opened_the_incident_leaves_it_its_name() -> None:
    _, rest, (out,) = taken_out("front")
    assert rest.incident_id != out.incident_id
    assert [m.service for m in rest.members] == ["middle", "back"]


def test_no_link_joins_them_again_and_merging_does() -> None:
    operator, rest, (out,) = taken_out("back")
    failing(operator, ("middle", "back"), at=200)
    operator.alert(alert("back", 250, "AgentMemoryHigh"))
    open_now = {one.incident_id: {m.service for m in one.members} for one in operator.open()}
    assert open_now == {rest.incident_id: {"front", "middle"}, out.incident_id: {"back"}}
    operator.control(Close(out.incident_id, "ann", "it was it", operator.now_ns, rest.incident_id))
    (whole,) = operator.open()
    assert {m.service for m in whole.members} == {"front", "middle", "back"}
    assert operator.cases[whole.incident_id].apart == set()


def test_what_takes_one_over_is_parted_from_the_other_too() -> None:
    operator, rest, (out,) = taken_out("back")
    operator.alert(alert("far", 300))
    far = operator.open()[-1]
    operator.control(Close(out.incident_id, "ann", "the same", operator.now_ns, far.incident_id))
    assert operator.cases[far.incident_id].apart == {rest.incident_id}
    assert operator.cases[rest.incident_id].apart == {far.incident_id}
    operator.alert(alert("back", 400, "AgentMemoryHigh"))
    assert {one.incident_id for one in operator.open()} == {rest.incident_id, far.incident_id}


def test_where_one_is_left_it_speaks_for_itself_and_the_notification_of_the_incident_ends() -> None:
    _, incident = cascade()
    operator, rest, _ = taken_out("back")
    last, _ = operator.control(unlink(incident, "middle"))
    front, middle = (m.fingerprint for m in incident.members[:2])
    assert marks(last, rest) == {
        (INCIDENT_ALERT, ""): "resolved",
        ("AgentIncidentMember", front): "resolved",
        ("AgentIncidentMember", middle): "resolved",
    }
    assert (last.status, [m.suppressed for m in last.members]) == ("open", [""])
    assert operator.control(unlink(incident, "front")) == []
    assert operator.refused == "alone"


def test_where_nothing_else_fires_the_rest_is_over() -> None:
    operator, incident = cascade()
    for number, service in enumerate(("front", "middle")):
        operator.alert(alert(service, 200 + number, state="resolved", began=20 + 10 * number, seq=9))
    rest, out = operator.control(unlink(incident, "back"))
    assert (rest.status, rest.resolved_at_ns, out.status) == ("resolved", BEGIN + 201 * SECOND, "open")
    assert operator.counts["resolved"] == 1


def test_one_that_is_acked_stays_silent_in_its_own_incident() -> None:
    operator, incident = cascade()
    said = unlink(incident, "back")
    (acked,) = operator.control(Ack(said.fingerprint, "bob", "mine", operator.now_ns))
    standing = Standing()
    standing.take(acked)
    rest, out = operator.control(said)
    assert [m.suppressed for m in out.members] == ["acked"]
    assert marks(rest, acked)["AgentIncidentMember", said.fingerprint] == "resolved"
    assert marks(out, None) == {("AgentIncidentMember", said.fingerprint): "firing"}, "told after the rest: it counts"
    assert out.revision > rest.revision
    assert standing.take(rest) == []
    assert [(m.service, first) for m, first in standing.take(out)] == [("back", False)], "it is in another incident now"


@pytest.mark.parametrize(
    ("service", "at", "reason"),
    [("back", HOUR, ""), ("back", 40, ""), ("back", 39, "overtaken"), ("none", HOUR, "unknown"), ("front", 99, "over")],
)
def test_when_it_is_done(service: str, at: float, reason: str) -> None:
    operator, incident = cascade()
    operator.alert(alert("front", 200, state="resolved", began=20, seq=2))
    said = unlink(incident, service, at)
    assert bool(operator.control(said)) == (not reason)
    assert operator.refused == reason
    kept = operator.snapshot()
    assert operator.control(said) == [], "said again"
    assert operator.snapshot() == kept
    operator.control(Ack("f", "ann", "", 0))
    assert operator.refused == "", "of what was said last"


def test_of_an_unknown_incident_or_one_that_is_over_nothing_is_taken() -> None:
    operator, incident = cascade()
    assert operator.control(Unlink("none", incident.members[0].fingerprint, "ann", "", BEGIN)) == []
    operator.control(Close(incident.incident_id, "ann", "", BEGIN + HOUR * SECOND))
    assert operator.control(unlink(incident, "back")) == []
    assert (operator.counts["unknown"], operator.counts["over"]) == (1, 1)


def test_where_all_that_may_be_are_open_it_stays_where_it_is() -> None:
    operator, incident = cascade()
    operator._max_incidents = len(operator.cases)
    for name in [n for n in operator.cases if n != incident.incident_id]:
        operator._drop(name)
    operator._max_incidents = 1
    assert operator.control(unlink(incident, "back")) == []
    assert operator.refused == "full"


@pytest.mark.parametrize("crash", range(4))
def test_a_snapshot_at_any_point_gives_the_same(crash: int) -> None:
    def run(at: int) -> list[Incident]:
        operator, incident = cascade()
        told: list[Incident] = []
        steps = [
            lambda: operator.control(unlink(incident, "back")),
            lambda: failing(operator, ("middle", "back"), at=200),
            lambda: operator.alert(alert("back", 300, "AgentMemoryHigh")),
            lambda: operator.alert(alert("back", 400, state="resolved", began=40, seq=2)),
        ]
        for number, step in enumerate(steps):
            if number == at:
                snapshot = operator.snapshot()
                operator = IncidentOperator()
                assert operator.restore(snapshot) == ""
            told += step()
        return told

    assert run(crash) == run(-1)
