"""What alerting is worth: figures from incidents, alerts and acks."""

from __future__ import annotations

from collections import Counter

import pytest

from streams.correlate import quality
from streams.correlate.incidents import IncidentOperator
from streams.domain.control import Ack
from streams.domain.incident import Incident
from tests.unit.correlate.test_incidents import BEGIN, SECOND, alert, calls, healthy


def cascade() -> tuple[IncidentOperator, list[Incident]]:
    """Two services, an alert each, in one incident; then it ends."""
    operator = IncidentOperator()
    healthy(operator, ("front", "back"))
    told = [incident for n in range(5) for incident in operator.edge(calls("front", "back", 10 * n, failed=15))]
    told += operator.alert(alert("back", 60))
    told += operator.alert(alert("front", 90))
    return operator, told


def figures(told: list[Incident]) -> Counter[str]:
    last: dict[str, Incident] = {}
    found: Counter[str] = Counter()
    for incident in told:
        for figure in quality.of_incident(incident, last.get(incident.incident_id)):
            found[f"{figure.name} {' '.join(figure.labels)}"] += round(figure.value)
        last[incident.incident_id] = incident
    return found


def test_an_incident_is_opened_handled_and_resolved_once() -> None:
    operator, told = cascade()
    (incident,) = operator.open()
    told += operator.control(Ack(incident.incident_id, "me", "on it", BEGIN + 120 * SECOND))
    told += operator.alert(alert("front", 180, state="resolved", seq=2, began=90))
    told += operator.alert(alert("back", 360, state="resolved", seq=2, began=60))
    assert figures(told) == {
        "incidents opened": 1,
        "incident_seconds handled": 30,
        "incidents resolved": 1,
        "incident_seconds resolved": 300,
    }


def test_one_that_comes_back_is_reopened() -> None:
    operator, told = cascade()
    for service, began in (("back", 60), ("front", 90)):
        told += operator.alert(alert(service, 180, state="resolved", seq=2, began=began))
    told += operator.alert(alert("back", 200, seq=3))
    assert figures(told)["incidents reopened"] == 1


def test_members_that_need_no_word_of_their_own_are_told_once_and_again_when_it_changes() -> None:
    operator, told = cascade()
    standing = quality.Standing()
    changes = [(m.service, m.suppressed, first) for incident in told for m, first in standing.take(incident)]
    assert changes == [("back", "symptom", True), ("front", "symptom", True)]
    (incident,) = operator.open()
    acked = operator.control(Ack(incident.incident_id, "me", "on it", BEGIN + 120 * SECOND))
    changes = [(m.service, m.suppressed, first) for one in acked for m, first in standing.take(one)]
    assert changes == [("back", "acked", False), ("front", "acked", False)]
    for service, began in (("back", 60), ("front", 90)):
        for one in operator.alert(alert(service, 180, state="resolved", seq=2, began=began)):
            standing.take(one)
    assert len(standing) == 0


def test_an_alert_that_begins_to_fire_says_how_long_that_took() -> None:
    began = alert("back", 90, began=60)
    assert list(quality.of_alert(began)) == [("alert_episodes", ("high",), 1.0), ("alert_detection", ("high",), 30.0)]
    assert list(quality.of_alert(alert("back", 90, state="resolved", began=60))) == []


@pytest.mark.parametrize(
    ("ack", "names", "told"),
    [
        (Ack("f", "me", "", 1), {"A"}, []),
        (Ack("f", "me", "", 1, verdict="noise"), {"B", "A"}, [("A", "noise"), ("B", "noise")]),
        (Ack("f", "me", "", 1, verdict="useful"), set(), [("unknown", "useful")]),
        (Ack("f", "me", "", 1, cleared=True, verdict="useful"), {"A"}, []),
    ],
)
def test_what_people_say_is_counted_by_alertname(ack: Ack, names: set[str], told: list[tuple[str, str]]) -> None:
    assert [figure.labels for figure in quality.of_ack(ack, names)] == told


def test_an_incident_and_an_alert_stand_for_alertnames() -> None:
    operator, _ = cascade()
    (incident,) = operator.open()
    assert operator.alertnames(incident.incident_id) == {"AgentErrorsHigh"}
    assert operator.alertnames(incident.members[0].fingerprint) == {"AgentErrorsHigh"}
    assert operator.alertnames("nobody") == set()
