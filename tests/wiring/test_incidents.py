"""The part that forms incidents: any cut of the log and any crash gives the same incidents."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import pytest

from streams import topics
from streams.app.incidents import IncidentsPart
from streams.app.relay import RelayPart
from streams.correlate.notices import MARKED_LABEL, notices, standing
from streams.domain.alert import AlertTransition, decode_alert, encode_alert
from streams.domain.control import Ack, Close, Unlink, control_key, encode_control
from streams.domain.deployment import encode_deployment
from streams.domain.finding import encode_edges
from streams.domain.incident import Incident, decode_incident, incident_id
from tests.unit.correlate.test_deployments import FAIL, deployment
from tests.unit.correlate.test_incidents import BEGIN, SECOND, alert, calls
from tests.wiring.line import Line, Record


def findings() -> list[Record]:
    values = [encode_edges([calls("front", "back", 10 * n - 300)] * 2) for n in range(30)]
    for n in range(20):
        values.append(encode_edges([calls("front", "back", 10 * n, failed=15)]))
        values.append(encode_alert(alert("front" if n % 2 else "back", 10 * n, seq=n, replica=str(n % 5))))
    values.append(encode_alert(alert("back", 300, state="resolved", seq=99, replica="0")))
    return [Record(value, n, 0, topic=topics.FINDINGS) for n, value in enumerate(values)]


def crowd() -> list[Record]:
    """Alerts that have nothing in common, a cascade, and a deployment that fails and is rolled back."""
    values = [encode_alert(alert(f"service-{n}", n)) for n in range(25)]
    values += [(r.value or b"") for r in findings()]
    values += [encode_deployment(deployment("failed", BEGIN + 400 * SECOND, FAIL))]
    values += [encode_alert(alert("service-24", 500, state="resolved", seq=2, began=24))]
    values += [encode_deployment(deployment("rolled_back", BEGIN + 600 * SECOND, FAIL))]
    return [Record(value, n, 0, topic=topics.FINDINGS) for n, value in enumerate(values)]


def alerts(line: Line) -> dict[tuple[str, int, int], AlertTransition]:
    """By fingerprint and place; what a restart repeats must not differ."""
    found: dict[tuple[str, int, int], AlertTransition] = {}
    for record in line.topics[topics.ALERTS]:
        transition = decode_alert(record.value or b"")
        assert found.setdefault((transition.fingerprint, *transition.place), transition) == transition
    return found


def part() -> IncidentsPart:
    return IncidentsPart(topics.FINDINGS, 0, lambda *_: (), lambda _: None)


def incidents(line: Line) -> dict[int, Incident]:
    """By revision; what a restart repeats must not differ."""
    found: dict[int, Incident] = {}
    for record in line.topics[topics.INCIDENTS]:
        incident = decode_incident(record.value or b"")
        assert found.setdefault(incident.revision, incident) == incident
    return found


@pytest.mark.parametrize("crash", range(0, 60, 7))
def test_a_crash_after_any_delivery_changes_nothing(monkeypatch: pytest.MonkeyPatch, crash: int) -> None:
    monkeypatch.setattr("streams.app.incidents.SNAPSHOT_NS", 0)
    log = findings()
    calm, crashed = Line(log, part), Line(log, part, [crash, crash // 2])
    calm.run(itertools.repeat(len(log)), 0)
    crashed.run(itertools.cycle((3, 1, 5)), 2)
    assert crashed.lives == 3
    assert incidents(crashed) == incidents(calm)
    assert len(incidents(calm)) > 5


@pytest.mark.parametrize("crash", range(0, 120, 11))
def test_what_is_told_of_alerts_is_the_same_after_any_crash(monkeypatch: pytest.MonkeyPatch, crash: int) -> None:
    monkeypatch.setattr("streams.app.incidents.SNAPSHOT_NS", 0)
    log = crowd()
    calm, crashed = Line(log, part), Line(log, part, [crash, crash // 2])
    calm.run(itertools.repeat(len(log)), 0)
    crashed.run(itertools.cycle((3, 1, 5)), 2)
    assert crashed.lives == 3
    assert alerts(crashed) == alerts(calm)
    reasons = Counter(t.suppressed for t in alerts(calm).values() if t.revision)
    assert reasons["rate_cap"] == 7  # five that are alone, two before they join what they are a symptom of
    assert reasons["symptom"] > 5
    floods = [t.value for t in alerts(calm).values() if t.alertname == "AlertFlood"]
    assert floods == [1, 2, 3, 4, 5, 6, 7, 5, 4]
    ends = [t.state for t in alerts(calm).values() if t.alertname == "DeploymentRegression" and not t.revision]
    assert ends == ["firing", "resolved"]


def test_what_is_made_here_is_told_again_after_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.app.incidents.SNAPSHOT_NS", 0)
    log = crowd()[:-2]
    line = Line(log, part)
    line.run(itertools.repeat(len(log)), 0)
    again: list[AlertTransition] = []
    line._make = lambda: replace(part(), resume_alerts=again.extend)
    line._restore()
    assert sorted(t.alertname for t in again) == ["AlertFlood", "DeploymentRegression"]


def test_what_ended_is_told_again_after_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Alertmanager may not have heard of it before."""
    monkeypatch.setattr("streams.app.incidents.SNAPSHOT_NS", 0)
    log = crowd()
    told: dict[str, AlertTransition] = {}

    def tell(incident: Incident, before: Incident | None) -> list[AlertTransition]:
        said = list(notices(incident, before, markers=True))
        told.update((notice.fingerprint, notice) for notice in said)
        return said

    line = Line(log, lambda: replace(part(), notify=tell))
    line.run(itertools.repeat(7), 1)
    again: list[AlertTransition] = []
    line._make = lambda: replace(part(), resume_alerts=again.extend)
    line._restore()
    ended = {t.fingerprint: t for t in again if t.state == "resolved"}
    markers = {f: t for f, t in told.items() if t.state == "resolved"}
    assert markers
    assert ended.items() >= markers.items()
    assert [t.alertname for f, t in ended.items() if f not in markers] == ["DeploymentRegression"]


def test_what_is_open_is_told_again_after_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.app.incidents.SNAPSHOT_NS", 0)
    log = findings()
    line = Line(log, part)
    line.run(itertools.repeat(len(log)), 0)
    again: list[Incident] = []
    line._make = lambda: IncidentsPart(topics.FINDINGS, 0, lambda *_: (), again.extend)
    line._restore()
    (incident,) = again
    assert incident == incidents(line)[max(incidents(line))]


def test_what_is_no_finding_goes_to_the_dead_letters_and_is_counted() -> None:
    line = Line([Record(b"{", 0, 0), Record(b'{"schema":"other"}', 1, 0), Record(None, 2, 0)], part)
    line.run(itertools.repeat(3), 0)
    assert len(line.topics[topics.DEAD_LETTERS]) == 3
    assert line.part.progress(0, 0).reasons == {"not_a_finding": 3}


def test_a_snapshot_that_is_damaged_begins_anew_and_is_counted() -> None:
    line = Line(findings(), part)
    line.run(itertools.repeat(100), 0)
    state = {key: value.replace(b"incidents", b"incidentz") for key, value in line.state().items()}
    fresh = part()
    from streams.domain.source import SourceLog

    assert fresh.restore(state, SourceLog("first", 1, 0, 100)).offset is None
    assert fresh.operator.open() == []


@pytest.mark.parametrize("crash", range(0, 12, 3))
def test_what_people_say_goes_on_to_the_findings_through_crashes(crash: int) -> None:
    acks = [Ack(f"a{n}", "ann", "", n) for n in range(9)]
    log = [Record(encode_control(a), n, 0, control_key(a), topic=topics.CONTROL) for n, a in enumerate(acks)]
    log.append(Record(None, 9, 0, b"ack/a0", topic=topics.CONTROL))
    line = Line(log, lambda: RelayPart(topics.CONTROL, 0), [crash])
    line.run(itertools.repeat(2), 1)
    found = [(record.key, record.value) for record in line.topics[topics.FINDINGS]]
    assert list(dict.fromkeys(found)) == [(record.key, record.value) for record in log[:-1]]
    assert line.topics[topics.DEAD_LETTERS]
    assert line.part.progress(0, 0).fates == {"aggregated": 9}
    assert line.part.progress(0, 0).reasons == {"not_a_control": 1}


def test_an_incident_closed_by_hand_stays_so_through_crashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told as resolved; its alert stays marked, also by a worker that begins anew, until it ends."""
    monkeypatch.setattr("streams.app.incidents.SNAPSHOT_NS", 0)
    fired = alert("back", 0)
    name = incident_id(fired.fingerprint, fired.starts_at_ns)
    values = [encode_alert(fired), encode_control(Close(name, "ann", "known", fired.at_ns))]
    values += [encode_control(Close(name, "ann", "known", fired.at_ns)), encode_alert(alert("far", 20))]
    log = [Record(value, n, 0, topic=topics.FINDINGS) for n, value in enumerate(values)]
    for crashes in ([], [2], [3], [4], [5]):
        line = Line(log, part, crashes)
        line.run(itertools.repeat(1), 0)
        mine = [one for one in incidents(line).values() if one.incident_id == name]
        assert [(one.status, one.resolved_by) for one in mine] == [("open", ""), ("resolved", "ann: known")]
        again: list[Incident] = []
        line._make = lambda again=again: replace(part(), resume=again.extend)  # type: ignore[misc]
        line._restore()
        marks = [notice for one in again for notice in standing(one, markers=True)]
        assert [(notice.identity[MARKED_LABEL], notice.state) for notice in marks] == [(fired.fingerprint, "firing")]


def test_an_alert_taken_out_by_hand_stays_so_through_crashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its record says the new incident, its marker has ended, and what fails again between the two joins nothing."""
    monkeypatch.setattr("streams.app.incidents.SNAPSHOT_NS", 0)
    first, second = alert("back", 0, agent__id="a"), alert("back", 1, "HighErrorRatio", agent__id="a")
    name = incident_id(first.fingerprint, first.starts_at_ns)
    said = encode_control(Unlink(name, second.fingerprint, "ann", "other", second.at_ns))
    values = [encode_alert(first), encode_alert(second), said, said]
    values.append(encode_alert(alert("back", 20, "HighErrorRatio", seq=2, severity="critical", began=1, agent__id="a")))
    log = [Record(value, n, 0, topic=topics.FINDINGS) for n, value in enumerate(values)]
    for crashes in ([], [2], [3], [4], [5], [6]):
        line = Line(log, part, crashes)
        line.run(itertools.repeat(1), 0)
        last = {one.incident_id: one for one in (decode_incident(r.value) for r in line.topics[topics.INCIDENTS])}
        assert [[m.fingerprint for m in one.members] for one in last.values() if one.incident_id == name] == [
            [first.fingerprint]
        ]
        (out,) = [one for one in last.values() if one.incident_id != name]
        assert [(m.fingerprint, m.severity, m.suppressed) for m in out.members] == [
            (second.fingerprint, "critical", "")
        ]
        records = [decode_alert(r.value) for r in line.topics[topics.ALERTS]]
        newest = max((r for r in records if r.fingerprint == second.fingerprint), key=lambda r: (r.seq, r.revision))
        assert (newest.incident_id, newest.suppressed) == (out.incident_id, "")


def test_an_ack_among_the_findings_is_taken_and_survives_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.app.incidents.SNAPSHOT_NS", 0)
    fired = alert("back", 0)
    values = [encode_alert(fired), encode_control(Ack(fired.fingerprint, "ann", "on it", fired.at_ns))]
    values += [
        encode_edges([calls("front", "back", 10)]),
        encode_alert(alert("back", 20, seq=2, began=0, severity="critical")),
    ]
    log = [Record(value, n, 0, topic=topics.FINDINGS) for n, value in enumerate(values)]
    for crashes in ([], [3], [4], [6]):
        line = Line(log, part, crashes)
        line.run(itertools.repeat(1), 0)
        last = incidents(line)[max(incidents(line))]
        assert [(m.severity, m.suppressed, m.suppressed_by) for m in last.members] == [
            ("critical", "acked", "ann: on it")
        ]
