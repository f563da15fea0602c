"""Incidents at the real Alertmanager: its own alert is notified, what it explains is inhibited, and speaks again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from streams.correlate.incidents import IncidentOperator
from streams.correlate.notices import INCIDENT_ALERT, MARKER_ALERT, notices, standing
from streams.domain.alert import AlertTransition
from streams.domain.control import Ack, Close, Unlink
from streams.domain.incident import Incident
from streams.publish.alertmanager import AlertmanagerPublisher, AlertmanagerSettings
from streams.services.alertmanager import AlertmanagerService
from streams.services.webhook import WebhookReceiver
from tests.unit.correlate.test_incidents import alert
from tests.unit.publish.builders import CountedStats

DEADLINE_SECONDS = 30.0


class Desk:
    """An operator whose alerts and incidents go to Alertmanager, as the alerts role does it."""

    def __init__(self, publisher: AlertmanagerPublisher) -> None:
        self.publisher = publisher
        self.operator = IncidentOperator()
        self.told: dict[str, Incident] = {}

    def take(self, transition: AlertTransition) -> Incident:
        self.publisher.update(transition)
        return self.tell(self.operator.alert(transition))

    def tell(self, told: list[Incident]) -> Incident:
        for incident in told:
            for notice in notices(incident, self.told.get(incident.incident_id), markers=True):
                self.publisher.update(notice)
            self.told[incident.incident_id] = incident
        return told[-1]


@asynccontextmanager
async def desk_at(alertmanager: AlertmanagerService) -> AsyncIterator[Desk]:
    """A desk that tells this Alertmanager."""
    settings = AlertmanagerSettings(backoff_seconds=(0.02, 0.1))
    publisher = AlertmanagerPublisher(
        [alertmanager.url], clock_ns=time.time_ns, stats=CountedStats(), settings=settings
    )
    await publisher.start()
    try:
        yield Desk(publisher)
    finally:
        await publisher.stop()


def inhibitions(alertmanager: AlertmanagerService, name: str, **labels: str) -> list[bool]:
    """Of each alert of this name and labels that is there: whether it is inhibited."""
    of = [a for a in alertmanager.alerts() if {"alertname": name, **labels}.items() <= a["labels"].items()]
    return [bool(a["status"]["inhibitedBy"]) for a in of]


def now_seconds() -> float:
    """As the tests of incidents count time."""
    return time.time() - 1_700_000_000


async def until(holds: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (found := await asyncio.to_thread(holds)):
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.05)
    return found


def test_an_incident_is_notified_and_its_members_are_inhibited_until_they_end(
    alertmanager: AlertmanagerService, webhook: WebhookReceiver, unique_name: Callable[[str], str]
) -> None:
    service = unique_name("incident")

    def held(fingerprint: str) -> dict[str, Any]:
        of = [a for a in alertmanager.alerts() if a["labels"].get("fingerprint") == fingerprint]
        return next((a for a in of if a["labels"]["alertname"] != MARKER_ALERT), {})

    def inhibited(fingerprint: str) -> bool:
        return bool(held(fingerprint).get("status", {}).get("inhibitedBy"))

    def notified(**labels: str) -> list[str]:
        return [a["status"] for a in webhook.alerts if labels.items() <= a["labels"].items()]

    async def scenario() -> None:
        async with desk_at(alertmanager) as desk:
            await story(desk)

    async def story(desk: Desk) -> None:
        begin = now_seconds()
        first = alert(service, begin, agent__id="a")
        second = alert(service, begin, "HighErrorRatio", agent__id="a")
        desk.take(first)
        incident = desk.take(second)
        for one in (first, second):
            await until(lambda one=one: inhibited(one.fingerprint), "the member is inhibited")
        name = {"alertname": INCIDENT_ALERT, "incident_id": incident.incident_id}
        await until(lambda: "firing" in notified(**name), "the incident's notification")
        assert not notified(alertname=MARKER_ALERT), "markers are not for people"
        stranger = alert(unique_name("stranger"), begin, agent__id="b")
        desk.take(stranger)
        await until(lambda: notified(service_name=stranger.identity["service.name"]), "what belongs to nothing is told")
        assert not inhibited(stranger.fingerprint)
        for one in (first, second):
            ended = alert(service, now_seconds(), one.alertname, "resolved", seq=2, began=begin, agent__id="a")
            desk.take(ended)
        await until(lambda: "resolved" in notified(**name), "the end of the incident is notified")
        await until(lambda: not held(first.fingerprint), "the member has ended")

    asyncio.run(scenario())


def test_resolved_by_hand_is_told_and_what_goes_on_stays_inhibited_until_it_ends(
    alertmanager: AlertmanagerService, webhook: WebhookReceiver, unique_name: Callable[[str], str]
) -> None:
    service = unique_name("closed")

    held = partial(inhibitions, alertmanager)

    async def scenario() -> None:
        async with desk_at(alertmanager) as desk:
            begin = now_seconds()
            names = ("AgentErrorsHigh", "HighErrorRatio")
            for name in names:
                incident = desk.take(alert(service, begin, name, agent__id="a"))
            mine = {"alertname": INCIDENT_ALERT, "incident_id": incident.incident_id}

            def told() -> list[str]:
                return [a["status"] for a in webhook.alerts if mine.items() <= a["labels"].items()]

            await until(lambda: "firing" in told(), "the incident is notified")
            desk.tell(desk.operator.control(Close(incident.incident_id, "ann", "known", time.time_ns())))
            await until(lambda: "resolved" in told(), "its end is notified, although its alerts go on")
            for name in names:
                assert held(name, service_name=service) == [True], "an alert that goes on is inhibited"
            for name in names:
                desk.take(alert(service, now_seconds(), name, "resolved", seq=2, began=begin, agent__id="a"))
            for name in names:
                await until(lambda name=name: not held(name, service_name=service), "the end of the alert passes")
            await until(lambda: not held(MARKER_ALERT, incident_id=incident.incident_id), "so do the markers")

    asyncio.run(scenario())


def test_what_is_taken_out_speaks_again_and_so_does_the_one_that_is_left(
    alertmanager: AlertmanagerService, unique_name: Callable[[str], str]
) -> None:
    service = unique_name("parted")
    held = partial(inhibitions, alertmanager)

    async def scenario() -> None:
        async with desk_at(alertmanager) as desk:
            begin = now_seconds()
            names = ("AgentErrorsHigh", "HighErrorRatio")
            for name in names:
                incident = desk.take(alert(service, begin, name, agent__id="a"))
            mine = {"incident_id": incident.incident_id}
            for name in names:
                await until(lambda name=name: held(name, service_name=service) == [True], "it is folded")
            said = Unlink(incident.incident_id, incident.members[0].fingerprint, "ann", "other", time.time_ns())
            desk.tell(desk.operator.control(said))
            for name in names:
                await until(lambda name=name: held(name, service_name=service) == [False], "it speaks for itself")
            await until(lambda: not held(INCIDENT_ALERT, **mine), "nothing speaks for both")

    asyncio.run(scenario())


def test_what_is_acked_is_inhibited_until_the_ack_is_taken_back(
    alertmanager: AlertmanagerService, webhook: WebhookReceiver, unique_name: Callable[[str], str]
) -> None:
    service = unique_name("acked")

    silenced = partial(inhibitions, alertmanager)

    async def scenario() -> None:
        async with desk_at(alertmanager) as desk:
            begin = now_seconds()
            one = alert(service, begin, agent__id="a")
            desk.take(one)
            await until(lambda: silenced(one.alertname, service_name=service) == [False], "it is there and speaks")
            given = Ack(one.fingerprint, "ann", "on it", one.at_ns)
            desk.tell(desk.operator.control(given))
            await until(lambda: silenced(one.alertname, service_name=service) == [True], "it is acked")
            desk.tell(desk.operator.control(replace(given, cleared=True)))
            await until(lambda: silenced(one.alertname, service_name=service) == [False], "the ack is taken back")
            incident = desk.take(alert(service, begin + 1, "HighErrorRatio", agent__id="a"))
            name = {"incident_id": incident.incident_id}
            await until(lambda: silenced(INCIDENT_ALERT, **name) == [False], "the incident speaks")
            desk.tell(desk.operator.control(replace(given, target=incident.incident_id)))
            await until(lambda: silenced(INCIDENT_ALERT, **name) == [True], "the incident is acked as a whole")
            for n, each in enumerate((one.alertname, "HighErrorRatio")):
                desk.take(alert(service, now_seconds(), each, "resolved", seq=2, began=begin + n, agent__id="a"))
            await until(lambda: not any(silenced(INCIDENT_ALERT, **name)), "its end passes")

    asyncio.run(scenario())


def test_notices_say_only_what_changed_and_what_stands_is_all_that_fires() -> None:
    operator = IncidentOperator()
    (one,) = operator.alert(alert("s", 0, agent__id="a"))
    assert list(notices(one, None, markers=True)) == [], "an alert alone speaks for itself"
    (two,) = operator.alert(alert("s", 1, "HighErrorRatio", agent__id="a"))
    made = list(notices(two, one, markers=True))
    assert [n.alertname for n in made] == [INCIDENT_ALERT, MARKER_ALERT, MARKER_ALERT]
    assert made[0].annotations["cause"] == "a"
    assert made[0].annotations["members"] == "2"
    assert {n.identity["fingerprint"] for n in made[1:]} == {m.fingerprint for m in two.members}
    assert [n.alertname for n in notices(two, one, markers=False)] == [INCIDENT_ALERT]
    assert list(standing(two, markers=True)) == made
    (three,) = operator.alert(alert("s", 9, "HighErrorRatio", "resolved", seq=2, began=1, agent__id="a"))
    ends = [n for n in notices(three, two, markers=True) if n.state == "resolved"]
    assert [n.identity["fingerprint"] for n in ends] == [alert("s", 1, "HighErrorRatio", agent__id="a").fingerprint]
    (four,) = operator.alert(alert("s", 9, state="resolved", seq=2, began=0, agent__id="a"))
    assert {n.state for n in notices(four, three, markers=True)} == {"resolved"}
