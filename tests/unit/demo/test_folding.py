"""What the demo says of folding: an alert that arrives with its incident has arrived."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.demo.folding import folded_lines, make_folded
from streams.demo.notices import Notices
from streams.demo.plan import SECOND_NS
from streams.demo.summary import report_lines
from streams.demo.view import alert_rows
from streams.demo.watch import Seen
from streams.domain.alert import AlertTransition
from streams.domain.incident import Cause, Incident, Member
from streams.publish.delivery import alert_labels

from . import scenes
from .test_summary import FIRED, LIFE, ending

OTHER = scenes.steps(scenes.transition("firing", 2, 19.0, agent="planner-1"))
CAUSE = Cause("dependency", "northwind", 0.95, ("its calls failed first (0.60)", "three depend on it (0.35)", "more"))


def member(of: AlertTransition) -> Member:
    return Member(of.fingerprint, of.alertname, of.severity, "shop", "", of.starts_at_ns, 0, "", "symptom")


INCIDENT = Incident(
    incident_id="00ff",
    revision=2,
    status="open",
    merged_into="",
    severity="high",
    environment="",
    title="Calls to northwind fail: 2 alerts",
    causes=(CAUSE,),
    members=(member(FIRED), member(OTHER[0].transition)),
    services=("shop",),
    opened_at_ns=FIRED.at_ns,
    updated_at_ns=FIRED.at_ns,
    resolved_at_ns=0,
    reopened=0,
)
SEEN = scenes.seen(LIFE, OTHER, incidents={"00ff": INCIDENT})


def told(*posts: tuple[str, str, float]) -> Notices:
    """Notices of incidents and of the alert itself ("own"): what, status, seconds after the fault's begin."""
    found, requests = Notices(), []
    for what, status, at in posts:
        of = {"alertname": "AgentIncident", "incident_id": what} if what != "own" else dict(alert_labels(FIRED))
        requests.append({"alerts": [{"status": status, "labels": of}]})
        found.take(requests, scenes.FAULT_NS + round(at * SECOND_NS))
    return found


def test_an_alert_has_arrived_with_its_incident() -> None:
    severer = (("00ff", "resolved", 26.0), ("00ff", "firing", 27.0))
    notices = told(("00ff", "firing", 24.0), *severer, ("00ff", "resolved", 60.0))
    folded = make_folded(scenes.FAULT_NS, SEEN, notices)
    done = ending(notices, SEEN, fired=2, folded=folded)
    assert done.exit_code == 0
    text = "\n".join(report_lines(done))
    assert "2 fired; Alertmanager notified 1 incident and 0 single alerts" in text
    assert "Incident of 2 alerts, notified after 24.0 s; 0 of them were notified apart from it" in text
    assert "cause: dependency northwind (0.95): its calls failed first (0.60); three depend on it (0.35)" in text
    assert [line.split()[-2:] for line in text.splitlines() if "notified its incident" in line] == [["24.0", "s"]]
    assert [line.split()[-2:] for line in text.splitlines() if "notified the end" in line] == [["60.0", "s"]]


@pytest.mark.parametrize(
    "posts",
    [(), (("beef", "firing", 24.0),), (("00ff", "firing", 3.0),), (("00ff", "resolved", 24.0),)],
    ids=["nothing", "another incident", "before it fired", "only its end"],
)
def test_what_is_not_of_its_incident_is_no_arrival(posts: tuple[tuple[str, str, float], ...]) -> None:
    assert ending(told(*posts), SEEN).exit_code == 1


def test_a_row_says_that_it_is_folded() -> None:
    rows = alert_rows(SEEN, told(), scenes.START_NS, scenes.FAULT_NS + 50 * SECOND_NS)
    assert {row.who: (row.notified, row.folded) for row in rows} == {
        "researcher-1": (False, True),
        "planner-1": (False, True),
    }
    alone = Seen(alerts=SEEN.alerts, incidents={"00ff": replace(INCIDENT, members=())})
    assert not any(row.folded for row in alert_rows(alone, told(), scenes.START_NS, scenes.FAULT_NS))


def test_what_was_told_apart_is_counted_and_is_its_own_arrival() -> None:
    notices = told(("own", "firing", 22.0), ("00ff", "firing", 24.0))
    (one,) = make_folded(scenes.FAULT_NS, SEEN, notices)
    assert (one.apart, one.told_ns) == (1, scenes.FAULT_NS + 24 * SECOND_NS)
    assert "1 of them were notified apart" in folded_lines(one, scenes.FAULT_NS)[0]
    best = ending(notices, SEEN).best
    assert best is not None
    assert (best.arrived_ns, best.incident_ns) == (scenes.FAULT_NS + 22 * SECOND_NS, one.told_ns)


@pytest.mark.parametrize(
    "incident",
    [
        replace(INCIDENT, members=INCIDENT.members[:1]),
        replace(INCIDENT, status="merged", merged_into="beef"),
        replace(INCIDENT, members=tuple(replace(m, fingerprint=f"{n}") for n, m in enumerate(INCIDENT.members))),
    ],
    ids=["one alert speaks for itself", "another took it over", "its alerts are from before"],
)
def test_what_is_no_incident_of_the_fault(incident: Incident) -> None:
    seen = Seen(alerts=SEEN.alerts, incidents={"00ff": incident})
    assert make_folded(scenes.FAULT_NS, seen, told(("00ff", "firing", 24.0))) == []
