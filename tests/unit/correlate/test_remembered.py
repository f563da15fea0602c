"""The cause of an incident when its calls are well again, or are not made any more, before its alerts end."""

from __future__ import annotations

import pytest

from streams.correlate.incidents import IncidentOperator
from streams.correlate.remembered import MAX_SUFFERED, Suffered, remember
from streams.domain.control import Close
from streams.domain.incident import Incident
from tests.unit.correlate.test_incidents import alert, calls, failing, healthy

CALLS = (("front", "middle"), ("middle", "back"), ("back", "db"))


def trouble() -> tuple[IncidentOperator, Incident]:
    """Everybody suffers from db, which sends no alerts."""
    operator = IncidentOperator()
    healthy(operator, *CALLS)
    failing(operator, *CALLS)
    for number, service in enumerate(("front", "middle", "back")):
        told = operator.alert(alert(service, 100 + 10 * number, began=20 + 10 * number))
    return operator, told[-1]


def later(operator: IncidentOperator, well: bool) -> None:
    """Half an hour in which the calls are well, or there are others only."""
    for number in range(180):
        for client, server in CALLS if well else (("other", "thing"),):
            operator.edge(calls(client, server, 150 + 10 * number))


@pytest.mark.parametrize("well", [True, False], ids=["they are well", "nobody calls"])
@pytest.mark.parametrize("restored", [False, True])
def test_the_cause_stays_while_alerts_go_on(well: bool, restored: bool) -> None:
    operator, before = trouble()
    assert (before.causes[0].kind, before.causes[0].place) == ("dependency", "db")
    if restored:
        snapshot = operator.snapshot()
        operator = IncidentOperator()
        assert operator.restore(snapshot) == ""
    later(operator, well)
    assert not operator.graph.suffering
    (told,) = operator.alert(alert("front", 2_000, began=20, state="resolved", seq=2))
    assert told.causes == before.causes


def test_what_is_merged_brings_what_it_remembers() -> None:
    operator, before = trouble()
    operator.alert(alert("far", 200, "AgentMemoryHigh"))
    far = operator.open()[-1]
    later(operator, well=True)
    operator.control(Close(before.incident_id, "ann", "the same", operator.now_ns, far.incident_id))
    (whole,) = operator.open()
    assert "db" in {cause.place for cause in whole.causes}


def test_an_incident_of_later_remembers_nothing_of_it() -> None:
    operator, _ = trouble()
    later(operator, well=True)
    for number, service in enumerate(("front", "middle", "back")):
        operator.alert(alert(service, 2_000, began=20 + 10 * number, state="resolved", seq=2))
    told = operator.alert(alert("back", 20_000, "AgentMemoryHigh"))
    assert [cause.place for cause in told[-1].causes] == ["back"]


def test_it_remembers_so_many_calls_and_no_more() -> None:
    operator = IncidentOperator()
    failing(operator, *[("front", f"s{number}") for number in range(MAX_SUFFERED + 5)])
    suffered: Suffered = {}
    remember(suffered, ["front"], operator.graph)
    assert len(suffered) == MAX_SUFFERED
    kept = dict(suffered)
    remember(suffered, ["front"], operator.graph)
    assert suffered == kept
