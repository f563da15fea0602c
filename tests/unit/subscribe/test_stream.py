"""Records to events: each once, bad ones passed over and counted; how they read."""

from __future__ import annotations

from typing import Any

import pytest

from streams import topics
from streams.domain.alert import encode_alert
from streams.domain.incident import encode_incident
from streams.subscribe.command import lines
from streams.subscribe.stream import Event, Subscription
from streams.subscribe.wanted import Wanted
from tests.unit.subscribe.drawing import alert, incident


class Record:
    """What is read of a consumer's record."""

    def __init__(self, topic: str, value: bytes | None, offset: int = 0) -> None:
        self.topic, self.partition, self.offset, self.value = topic, 0, offset, value


def subscription(wanted: Wanted = Wanted()) -> Subscription:  # noqa: B008 - frozen
    return Subscription(None, "", wanted)


def test_a_record_that_was_written_twice_is_given_once() -> None:
    events = subscription()
    first, second = alert(seq=3), alert(seq=4)
    log: list[Any] = [Record(topics.ALERTS, encode_alert(a), n) for n, a in enumerate((first, second, first, second))]
    given = [events.read(record) for record in log]
    assert [event.alert for event in given if event] == [first, second]
    assert events.repeated == 2


def test_an_alert_that_is_told_again_as_suppressed_is_given_and_is_in_that_state() -> None:
    again = alert(revision=7, suppressed="symptom", incident_id="i")
    log: list[Any] = [Record(topics.ALERTS, encode_alert(a), n) for n, a in enumerate((alert(), again, again, alert()))]
    everything = Subscription(None, "", Wanted())
    assert [bool(everything.read(record)) for record in log] == [True, True, False, False]
    speaking = Subscription(None, "", Wanted(states=frozenset({"firing"})))
    assert [bool(speaking.read(record)) for record in log] == [True, False, False, False]
    hushed = Subscription(None, "", Wanted(states=frozenset({"suppressed"})))
    (event,) = [event for record in log if (event := hushed.read(record))]
    assert next(lines(event)).endswith("(symptom, incident i)  [agent.id=a1, service.name=planning]")


def test_an_incident_s_older_revision_is_a_repetition() -> None:
    events = subscription()
    for revision, given in ((7, True), (7, False), (6, False), (8, True)):
        record: Any = Record(topics.INCIDENTS, encode_incident(incident(revision=revision)))
        assert (events.read(record) is not None) is given


@pytest.mark.parametrize("topic", [topics.ALERTS, topics.INCIDENTS])
@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b"{}", b'{"schema": "agents.other/1"}'])
def test_what_is_no_event_is_counted_and_passed_over(topic: str, value: bytes | None) -> None:
    events = subscription()
    record: Any = Record(topic, value)
    assert events.read(record) is None
    assert events.unreadable == 1


def test_what_is_unwanted_is_counted_and_still_known() -> None:
    events = subscription(Wanted(severity="critical"))
    record: Any = Record(topics.ALERTS, encode_alert(alert()))
    assert events.read(record) is None
    assert events.read(record) is None
    assert (events.unwanted, events.repeated) == (1, 1)


def test_how_an_alert_and_an_incident_read() -> None:
    (line,) = lines(Event(topics.ALERTS, 0, 0, alert=alert()))
    assert line == (
        "1970-01-01T00:00:09Z  firing      high      AgentErrorsHigh  30 % of the steps of a1 fail  "
        "[agent.id=a1, service.name=planning]"
    )
    shown = list(lines(Event(topics.INCIDENTS, 0, 0, incident=incident())))
    assert shown[0].endswith("INCIDENT i1  planning fails  (1 alert)")
    assert shown[1].strip() == "1. dependency contoso (0.90): all callers fail (0.4); began first (0.5)"
