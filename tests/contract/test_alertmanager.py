"""The contract of Alertmanager's v2 API, and our publisher against it: on the real server and on the fake one.

What the fake may do is what the real one does: each test here runs on both.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from streams.domain.alert import AlertTransition, fingerprint
from streams.publish.alertmanager import AlertmanagerPublisher, AlertmanagerSettings
from tests.alertmanager_fake import FakeAlertmanager
from tests.unit.publish.builders import CountedStats, transition

SECOND = 1_000_000_000
DEADLINE_SECONDS = 20.0


class Server:
    """One Alertmanager, and a label of this test's own on a shared one."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.run = uuid.uuid4().hex[:12]

    def post(self, body: Any) -> int:
        answer = httpx.post(f"{self.url}/api/v2/alerts", json=body, trust_env=False)
        return answer.status_code

    def alert(self, name: str, **more: Any) -> dict[str, Any]:
        return {"labels": {"alertname": name, "run": self.run}, **more}

    def mine(self) -> dict[str, dict[str, Any]]:
        """Active alerts of this test, by name and severity."""
        answer = httpx.get(f"{self.url}/api/v2/alerts", trust_env=False).json()
        found = [alert for alert in answer if alert["labels"].get("run") == self.run]
        return {"/".join(filter(None, (a["labels"]["alertname"], a["labels"].get("severity")))): a for a in found}


@pytest.fixture(params=["fake", "real"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    if request.param == "real":
        yield Server(request.getfixturevalue("alertmanager").url)
        return
    with FakeAlertmanager() as fake:
        yield Server(fake.url)


def at(**ago: float) -> str:
    return (datetime.now(UTC) - timedelta(**ago)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_the_body_is_an_array(server: Server) -> None:
    assert server.post(server.alert("Lonely")) == 400
    assert server.post([server.alert("Lonely")]) == 200
    assert set(server.mine()) == {"Lonely"}


def test_a_number_as_label_value_rejects_the_whole_batch(server: Server) -> None:
    bad = server.alert("Bad")
    bad["labels"]["count"] = 3
    assert server.post([server.alert("Good"), bad]) == 400
    assert server.mine() == {}


def test_a_generator_url_that_is_none_rejects_the_whole_batch(server: Server) -> None:
    assert server.post([server.alert("Good"), server.alert("Bad", generatorURL="nowhere")]) == 422
    assert server.mine() == {}


def test_one_wrong_alert_is_answered_400_but_the_others_are_stored(server: Server) -> None:
    wrong = server.alert("Wrong", startsAt=at(minutes=1), endsAt=at(minutes=2))
    assert server.post([server.alert("One"), wrong, server.alert("Two")]) == 400
    assert set(server.mine()) == {"One", "Two"}


def test_empty_label_values_are_dropped(server: Server) -> None:
    alert = server.alert("Sparse")
    alert["labels"]["empty"] = ""
    assert server.post([alert]) == 200
    assert server.mine()["Sparse"]["labels"] == {"alertname": "Sparse", "run": server.run}


def test_the_earliest_start_wins_and_only_an_end_in_the_past_resolves(server: Server) -> None:
    ahead = {"endsAt": at(minutes=-4)}
    server.post([server.alert("Long", startsAt=at(minutes=10), **ahead)])
    server.post([server.alert("Long", startsAt=at(minutes=5), endsAt=at(minutes=-1))])
    alert = server.mine()["Long"]
    assert seconds_ago(alert["startsAt"]) > 590
    assert seconds_ago(alert["endsAt"]) < -200
    server.post([server.alert("Long", startsAt=at(minutes=5), endsAt=at(seconds=1))])
    assert server.mine() == {}


def seconds_ago(text: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()


# The publisher against both.


@asynccontextmanager
async def publishing(
    server: Server, transport: httpx.AsyncBaseTransport | None = None, restore: tuple[AlertTransition, ...] = ()
) -> AsyncIterator[AlertmanagerPublisher]:
    settings = AlertmanagerSettings(backoff_seconds=(0.02, 0.1), drain_seconds=2.0)
    publisher = AlertmanagerPublisher(
        [server.url], clock_ns=time.time_ns, stats=CountedStats(), settings=settings, transport=transport
    )
    publisher.restore(restore)
    await publisher.start()
    try:
        yield publisher
    finally:
        await publisher.stop()


async def until(server: Server, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The alerts of this test once they are as wanted."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds(alerts := await asyncio.to_thread(server.mine)):
        assert time.monotonic() < deadline, f"alerts are {json.dumps(alerts, indent=1)}"
        await asyncio.sleep(0.05)
    return alerts


def fires(server: Server, name: str = "StepsFail", **changes: Any) -> AlertTransition:
    identity = {"alertname": name, "run": server.run, "agent.type": "planner"}
    now = time.time_ns()
    defaults: dict[str, Any] = {
        "identity": identity,
        "alertname": name,
        "fingerprint": fingerprint(identity),
        "starts_at_ns": now - 300 * SECOND,
        "at_ns": now,
    }
    return transition(**{**defaults, **changes})


def test_an_alert_fires_with_its_own_start_and_resolves(server: Server) -> None:
    async def scenario() -> None:
        async with publishing(server) as publisher:
            publisher.update(fires(server))
            alert = (await until(server, lambda found: "StepsFail/high" in found))["StepsFail/high"]
            assert alert["labels"]["agent_type"] == "planner"
            assert 295 < seconds_ago(alert["startsAt"]) < 330
            assert -241 < seconds_ago(alert["endsAt"]) < -200
            publisher.update(fires(server, seq=1, state="resolved", ends_at_ns=time.time_ns()))
            await until(server, lambda found: not found)

    asyncio.run(scenario())


def test_a_change_of_severity_ends_the_old_alert_and_comes_back(server: Server) -> None:
    async def scenario() -> None:
        async with publishing(server) as publisher:
            first = fires(server)
            for seq, severity in enumerate(("high", "critical", "high")):
                publisher.update(
                    fires(
                        server,
                        seq=seq,
                        severity=severity,
                        previous="firing" if seq else "",
                        starts_at_ns=first.starts_at_ns,
                    )
                )
                found = await until(server, lambda found, severity=severity: set(found) == {f"StepsFail/{severity}"})
                assert 295 < seconds_ago(found[f"StepsFail/{severity}"]["startsAt"]) < 330

    asyncio.run(scenario())


class Spoiling(httpx.AsyncHTTPTransport):
    """Takes the labels of one alert away on the wire: the server then refuses that one."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        alerts = json.loads(request.content)
        for alert in alerts:
            if alert["labels"]["alertname"] == "Poison":
                alert["labels"] = {}
        content = json.dumps(alerts).encode()
        headers = {**request.headers, "content-length": str(len(content))}
        return await super().handle_async_request(
            httpx.Request(request.method, request.url, headers=headers, content=content)
        )


def test_a_wrong_alert_does_not_hold_up_the_others(server: Server) -> None:
    async def scenario() -> None:
        async with publishing(server, Spoiling(trust_env=False)) as publisher:
            names = [f"Good{i}" for i in range(20)]
            for name in (*names[:7], "Poison", *names[7:]):
                publisher.update(fires(server, name))
            await until(server, lambda found: set(found) == {f"{name}/high" for name in names})
            deadline = time.monotonic() + DEADLINE_SECONDS
            while publisher.unsent:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)

    asyncio.run(scenario())


def test_a_restart_resolves_nothing_and_keeps_the_start(server: Server) -> None:
    async def scenario() -> None:
        before = fires(server)
        async with publishing(server) as publisher:
            publisher.update(before)
            await until(server, lambda found: "StepsFail/high" in found)
        assert set(await asyncio.to_thread(server.mine)) == {"StepsFail/high"}
        async with publishing(server, restore=(before,)) as publisher:
            publisher.update(fires(server, "Another"))
            found = await until(server, lambda found: len(found) == 2)
            assert 295 < seconds_ago(found["StepsFail/high"]["startsAt"]) < 330

    asyncio.run(scenario())
