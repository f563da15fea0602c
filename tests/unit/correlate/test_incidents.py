"""Incidents: what joins, what does not, whose fault it is, and how an incident lives."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.correlate.incidents import IncidentOperator
from streams.correlate.weights import Weights
from streams.domain.alert import AlertTransition, fingerprint
from streams.domain.control import Ack
from streams.domain.incident import Incident, decode_incident, encode_incident
from streams.domain.trace import CONNECTION_UNSET, Edge
from streams.errors import StateVersionError

SECOND = 10**9
BEGIN = 1_700_000_000 * SECOND


def alert(
    service: str,
    at: float,
    name: str = "AgentErrorsHigh",
    state: str = "firing",
    seq: int = 1,
    severity: str = "high",
    began: float | None = None,
    **labels: str,
) -> AlertTransition:
    """``at`` and ``began`` in seconds; label names are written with ``__`` for a dot."""
    identity = {"alertname": name, "service.name": service, "environment": "test"}
    identity |= {label.replace("__", "."): value for label, value in labels.items()}
    at_ns = BEGIN + round(at * SECOND)
    starts_ns = at_ns if began is None else BEGIN + round(began * SECOND)
    return AlertTransition(
        fingerprint=fingerprint(identity),
        seq=seq,
        state=state,  # type: ignore[arg-type]
        previous="",
        alertname=name,
        severity=severity,
        identity=identity,
        annotations={},
        starts_at_ns=starts_ns,
        at_ns=at_ns,
        ends_at_ns=at_ns if state == "resolved" else 0,
        value=1.0,
        threshold=0.5,
    )


def calls(client: str, server: str, at: float, count: int = 20, failed: int = 0, seconds: float = 0.1) -> Edge:
    at_ns = BEGIN + round(at * SECOND)
    return Edge(client, server, CONNECTION_UNSET, count, failed, count * seconds, seconds, at_ns, at_ns)


def healthy(operator: IncidentOperator, *pairs: tuple[str, str]) -> None:
    for n in range(30):
        for client, server in pairs:
            operator.edge(calls(client, server, -300 + 10 * n))


def failing(operator: IncidentOperator, *pairs: tuple[str, str], at: float = 0.0) -> list[Incident]:
    told = []
    for n in range(4):
        for client, server in pairs:
            told += operator.edge(calls(client, server, at + 10 * n, failed=15))
    return told


def members(incident: Incident) -> set[str]:
    return {member.service for member in incident.members}


def chain() -> IncidentOperator:
    """front calls middle, middle calls back, and these calls fail; side is called by middle and well."""
    operator = IncidentOperator()
    healthy(operator, ("front", "middle"), ("middle", "back"), ("middle", "side"))
    failing(operator, ("front", "middle"), ("middle", "back"))
    return operator


def test_a_cascade_is_one_incident_and_its_cause_is_below_whatever_fired_first() -> None:
    operator = chain()
    operator.alert(alert("front", 100, began=20))
    operator.alert(alert("middle", 110, began=30))
    (told,) = operator.alert(alert("back", 130, began=40))
    assert members(told) == {"front", "middle", "back"}
    assert told.causes[0].place == "back"
    assert "3 of 3 services with alerts depend on it (+0.50)" in told.causes[0].reasons
    assert {member.why for member in told.members} != {""}
    assert {member.suppressed for member in told.members} == {"symptom"}
    assert len(operator.open()) == 1


def test_a_neighbour_whose_calls_are_well_does_not_join() -> None:
    operator = chain()
    operator.alert(alert("middle", 100))
    operator.alert(alert("side", 105))
    assert sorted(map(len, (i.members for i in operator.open()))) == [1, 1]


@pytest.mark.parametrize(
    ("name", "labels"),
    [("SecurityAnomaly", {}), ("AgentErrorsHigh", {"environment": "other"})],
    ids=["an attack is not a symptom", "another environment"],
)
def test_what_never_joins(name: str, labels: dict[str, str]) -> None:
    operator = chain()
    operator.alert(alert("back", 100, agent__id="a"))
    operator.alert(alert("back", 101, name, agent__id="a", **labels))
    assert len(operator.open()) == 2


def test_memory_of_a_caller_is_no_symptom_but_memory_of_the_callee_may_be_the_cause() -> None:
    operator = chain()
    operator.alert(alert("middle", 100))
    operator.alert(alert("front", 101, "AgentMemoryHigh"))
    assert len(operator.open()) == 2
    (told,) = operator.alert(alert("back", 102, "AgentMemoryHigh"))
    assert members(told) == {"middle", "back"}
    assert told.causes[0].place == "back"


def test_long_after_nothing_joins() -> None:
    operator = chain()
    operator.alert(alert("back", 100))
    operator.alert(alert("middle", 100 + Weights().far_seconds, began=100 + Weights().far_seconds))
    assert len(operator.open()) == 2


def test_a_dependency_without_alerts_is_the_cause_of_its_callers() -> None:
    operator = IncidentOperator()
    healthy(operator, ("one", "contoso"), ("two", "contoso"))
    failing(operator, ("one", "contoso"), ("two", "contoso"))
    operator.alert(alert("one", 60))
    (told,) = operator.alert(alert("two", 70))
    assert (told.causes[0].kind, told.causes[0].place) == ("dependency", "contoso")


def test_slow_calls_link_too() -> None:
    operator = IncidentOperator()
    healthy(operator, ("one", "tool"), ("two", "tool"))
    for n in range(6):
        operator.edge(calls("one", "tool", 10 * n, seconds=0.6))
        operator.edge(calls("two", "tool", 10 * n, seconds=0.6))
    operator.alert(alert("one", 60, "InferenceSlow"))
    (told,) = operator.alert(alert("two", 70, "InferenceSlow"))
    assert told.causes[0].place == "tool"


def test_a_recent_deployment_is_named() -> None:
    operator = chain()
    operator.deployed("back", BEGIN - 60 * SECOND)
    operator.deployed("front", BEGIN - 3600 * SECOND)
    operator.alert(alert("middle", 5))
    (told,) = operator.alert(alert("back", 10))
    assert (told.causes[0].kind, told.causes[0].place) == ("deployment", "back")
    assert any("deployed 65 s before" in reason for reason in told.causes[0].reasons)


def test_several_silent_agents_are_a_partition_and_their_callers_belong_to_it() -> None:
    operator = IncidentOperator()
    healthy(operator, ("front", "s0"), ("s0", "s1"))
    for n in range(3):
        operator.alert(alert(f"s{n}", 30 + n, "AgentSilent", agent__id=f"a{n}"))
    (told,) = operator.alert(alert("front", 60, "CoordinationTimeouts"))
    assert (told.causes[0].kind, told.causes[0].place) == ("silence", "a0,a1,a2")
    assert len(operator.open()) == 1


def test_incidents_merge_when_the_calls_between_them_begin_to_suffer_later() -> None:
    operator = IncidentOperator()
    healthy(operator, ("front", "back"))
    operator.alert(alert("front", 10, agent__id="f"))
    operator.alert(alert("front", 10, "HighErrorRatio", agent__id="f"))
    operator.alert(alert("back", 12, agent__id="b"))
    assert len(operator.open()) == 2
    told = failing(operator, ("front", "back"), at=10)
    by_status = {incident.status: incident for incident in told}
    assert by_status["merged"].merged_into == by_status["open"].incident_id
    assert len(by_status["open"].members) == 3
    assert by_status["open"].causes[0].place == "b"


@pytest.mark.parametrize("until", [0.0, 600.0])
def test_an_ack_goes_on_for_the_alerts_it_was_given_for_when_their_incident_becomes_part_of_another(
    until: float,
) -> None:
    operator = IncidentOperator()
    healthy(operator, ("front", "back"))
    operator.alert(alert("front", 10, agent__id="f"))
    operator.alert(alert("front", 10, "HighErrorRatio", agent__id="f"))
    operator.alert(alert("back", 12, agent__id="b"))
    (younger,) = [incident for incident in operator.open() if incident.services == ("back",)]
    until_ns = BEGIN + round(until * SECOND) if until else 0
    operator.control(Ack(younger.incident_id, "me", "on it", BEGIN + 13 * SECOND, until_ns))
    failing(operator, ("front", "back"), at=10)
    (incident,) = operator.open()
    suppressed = {member.service: (member.suppressed, member.suppressed_by) for member in incident.members}
    assert suppressed == {"back": ("acked", "me: on it"), "front": ("symptom", "")}
    if until:
        operator.edge(calls("front", "back", 700))
        (incident,) = operator.open()
        assert {member.suppressed for member in incident.members} == {"symptom"}


def test_it_resolves_with_its_last_member_and_comes_back_with_one() -> None:
    operator = chain()
    operator.alert(alert("middle", 100))
    (first,) = operator.alert(alert("back", 100, severity="critical"))
    assert first.severity == "critical"
    (still,) = operator.alert(alert("back", 200, state="resolved", seq=2, severity="critical", began=100))
    assert (still.status, still.severity) == ("open", "high")
    (ended,) = operator.alert(alert("middle", 230, state="resolved", seq=2, began=100))
    assert (ended.status, ended.resolved_at_ns) == ("resolved", BEGIN + 230 * SECOND)
    (back,) = operator.alert(alert("back", 300, seq=3))
    assert (back.status, back.incident_id, back.reopened) == ("open", first.incident_id, 1)


def test_it_is_forgotten_after_a_while_and_a_new_one_opens() -> None:
    operator = IncidentOperator()
    (first,) = operator.alert(alert("back", 0))
    operator.alert(alert("back", 60, state="resolved", seq=2, began=0))
    (second,) = operator.alert(alert("back", 60 + 2 * Weights().reopen_seconds, seq=3))
    assert second.incident_id != first.incident_id


def test_a_member_that_comes_and_goes_is_flapping_and_its_end_always_passes() -> None:
    operator = IncidentOperator()
    told: list[Incident] = []
    for n in range(3):
        told = operator.alert(alert("back", 100 * n, seq=2 * n + 1))
        if n < 2:
            (ended,) = operator.alert(alert("back", 100 * n + 50, state="resolved", seq=2 * n + 2, began=100 * n))
            assert ended.members[0].suppressed == ""
    assert told[0].members[0].suppressed == "flapping"


def test_what_was_together_before_joins_by_calls_that_are_well() -> None:
    operator = IncidentOperator()
    for n in range(3):
        at = 10_000.0 * (n + 1)
        operator.alert(alert("one", at, seq=2 * n + 1, gen_ai__tool__name="sql"))
        operator.alert(alert("two", at, seq=2 * n + 1, gen_ai__tool__name="sql"))
        operator.alert(alert("one", at + 60, state="resolved", seq=2 * n + 2, began=at, gen_ai__tool__name="sql"))
        operator.alert(alert("two", at + 60, state="resolved", seq=2 * n + 2, began=at, gen_ai__tool__name="sql"))
    operator.alert(alert("one", 50_000))
    operator.alert(alert("two", 50_001))
    assert [len(i.members) for i in operator.open()] == [1, 1], "alone it is not enough"
    operator.edge(calls("one", "two", 50_002))
    (told,) = operator.alert(alert("two", 50_003, "HighErrorRatio"))
    assert len(told.members) == 2, "of one service"
    both = operator.alert(alert("one", 50_004, began=50_000, seq=2, severity="critical"))
    told = next(incident for incident in both if incident.status == "open")
    assert len(told.members) == 3
    assert any("together in 3 earlier incidents" in member.why for member in told.members)


def test_pending_and_repeated_transitions_change_nothing() -> None:
    operator = chain()
    assert operator.alert(alert("back", 1, state="pending")) == []
    assert operator.alert(alert("back", 2, seq=2))
    assert operator.alert(alert("back", 2, seq=2)) == []
    assert operator.counts["stale"] == 1


def test_bounds_hold() -> None:
    operator = IncidentOperator(max_incidents=3, max_members=3, max_edges=5)
    for n in range(9):
        operator.edge(calls(f"c{n}", f"s{n}", n))
        operator.alert(alert("one", 10 + n, agent__id="a", replica=str(n)))
    assert len(list(operator.graph)) == 5
    assert [len(i.members) for i in operator.open()] == [3, 3, 1]
    assert operator.counts["refused"] == 2
    operator.deployments.clear()
    for n in range(1_001):
        operator.deployed(f"s{n}", n)
    assert len(operator.deployments) == 1_000


def script(operator: IncidentOperator, steps: range) -> list[Incident]:
    told: list[Incident] = []
    for n in steps:
        told += operator.edge(calls("front", "back", 10 * n, failed=15 if n > 5 else 0))
        told += operator.alert(alert("front" if n % 2 else "back", 10 * n, seq=n, replica=str(n % 7)))
        if n % 5 == 0:
            told += operator.alert(alert("back", 10 * n + 1, state="resolved", seq=n + 1, replica=str(n % 7)))
    return told


def test_a_snapshot_at_any_step_changes_nothing() -> None:
    whole = script(IncidentOperator(), range(40))
    for cut in range(0, 40, 3):
        operator = IncidentOperator()
        told = script(operator, range(cut))
        other = IncidentOperator()
        assert other.restore(operator.snapshot()) == ""
        assert other.snapshot() == operator.snapshot()
        assert told + script(other, range(cut, 40)) == whole


def test_a_snapshot_that_is_none_is_not_used() -> None:
    operator = chain()
    operator.alert(alert("back", 10))
    assert operator.restore(b"[]")
    assert operator.open() == []
    assert operator.counts["restarts"] == 1


def test_a_snapshot_of_a_newer_version_is_refused() -> None:
    operator = chain()
    with pytest.raises(StateVersionError, match="format 9, this version reads up to 1"):
        operator.restore(operator.snapshot().replace(b'"v":1,"now', b'"v":9,"now'))


def test_a_record_comes_back_whole_and_unknown_fields_are_ignored() -> None:
    operator = chain()
    operator.alert(alert("middle", 5))
    (told,) = operator.alert(alert("back", 10))
    value = encode_incident(told)
    assert decode_incident(value[:-1] + b',"new_field":1}') == told
    with pytest.raises(ValueError, match="not an incident"):
        decode_incident(b'{"schema":"agents.alert/1"}')


def test_weights_are_settings() -> None:
    operator = IncidentOperator(replace(Weights(), join=2.0))
    healthy(operator, ("front", "back"))
    failing(operator, ("front", "back"))
    operator.alert(alert("front", 50))
    operator.alert(alert("back", 51))
    assert len(operator.open()) == 2
