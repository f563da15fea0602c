"""The contract of Alertmanager's v2 API, and our publisher against it: on the real server and on the fake one.

What the fake may do is what the real one does: each test here runs on both.
"""

from __future__ import annotations

import asyncio
import json
import socket
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

    def lose(self, name: str) -> None:
        """Ends an alert behind the publisher's back, as a restart would: it is no longer there."""
        alert = next(alert for key, alert in self.mine().items() if key.startswith(name))
        ended = {"labels": alert["labels"], "startsAt": alert["startsAt"], "endsAt": at(seconds=1)}
        assert self.post([ended]) == 200

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


def test_an_episode_that_is_over_takes_the_place_of_the_one_that_fires(server: Server) -> None:
    """Why nobody may repeat the end of an alert that another worker speaks for (``forget``)."""
    server.post([server.alert("Twice", startsAt=at(minutes=1), endsAt=at(minutes=-4))])
    assert set(server.mine()) == {"Twice"}
    server.post([server.alert("Twice", startsAt=at(minutes=5), endsAt=at(minutes=2))])
    assert server.mine() == {}


def seconds_ago(text: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()


# The publisher against both.


@asynccontextmanager
async def publishing(
    server: Server,
    transport: httpx.AsyncBaseTransport | None = None,
    restore: tuple[AlertTransition, ...] = (),
    stats: CountedStats | None = None,
    also: tuple[str, ...] = (),
    **settings: Any,
) -> AsyncIterator[AlertmanagerPublisher]:
    """A publisher to this server and ``also`` to others."""
    publisher = AlertmanagerPublisher(
        [server.url, *also],
        clock_ns=time.time_ns,
        stats=stats or CountedStats(),
        settings=AlertmanagerSettings(**{"backoff_seconds": (0.02, 0.1), "drain_seconds": 2.0, **settings}),
        transport=transport,
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


def test_what_an_owner_lets_go_does_not_end_the_next_owner_s_episode(server: Server) -> None:
    async def scenario() -> None:
        now, stats = time.time_ns(), CountedStats()
        async with (
            publishing(server, stats=stats, resend_seconds=0.1) as old,
            publishing(server, resend_seconds=60.0, reconcile_seconds=60.0) as new,
        ):
            old.update(fires(server, "Other"), "agents.windows/1")
            old.update(fires(server, seq=1, state="resolved", ends_at_ns=now - 60 * SECOND), "agents.windows/0")
            await until(server, lambda found: set(found) == {"Other/high"})
            old.forget("agents.windows/0")
            new.update(fires(server, seq=3, starts_at_ns=now - 30 * SECOND), "agents.windows/0")
            await until(server, lambda found: "StepsFail/high" in found)
            said = stats.codes["200"]
            found = await until(server, lambda _: stats.codes["200"] >= said + 3)
            assert set(found) == {"Other/high", "StepsFail/high"}

    asyncio.run(scenario())


class Between(httpx.AsyncHTTPTransport):
    """A proxy in front of a server: answers some posts itself, and remembers which alerts the server has accepted.

    Attributes:
        answers: what it says instead of the server, each once; None = what the server says.
        largest: more alerts in one post are 413.
        accepted: names in posts that were answered 200, one list per post. sizes: alerts in each post.
    """

    def __init__(self, *answers: httpx.Response | None, largest: int = 1_000) -> None:
        super().__init__(trust_env=False)
        self.answers = list(answers)
        self.largest = largest
        self.accepted: list[list[str]] = []
        self.sizes: list[int] = []
        self.codes: list[int] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "POST":
            return await super().handle_async_request(request)
        alerts = json.loads(request.content)
        self.sizes.append(len(alerts))
        answer = self.answers.pop(0) if self.answers else None
        if len(alerts) > self.largest:
            answer = httpx.Response(413)
        if answer is None:
            poisoned = [{**a, "labels": {} if a["labels"]["alertname"] == "Poison" else a["labels"]} for a in alerts]
            content = json.dumps(poisoned).encode()
            headers = {**request.headers, "content-length": str(len(content))}
            answer = await super().handle_async_request(
                httpx.Request(request.method, request.url, headers=headers, content=content)
            )
        self.codes.append(answer.status_code)
        if answer.status_code == 200:
            self.accepted.append([alert["labels"]["alertname"] for alert in alerts])
        return answer


async def told(publisher: AlertmanagerPublisher) -> None:
    """Until every peer has taken or refused everything."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while publisher.unsent:
        assert time.monotonic() < deadline, f"{publisher.unsent} are unsent"
        await asyncio.sleep(0.02)


def test_an_alert_that_was_accepted_is_not_sent_again_because_another_is_wrong(server: Server) -> None:
    async def scenario() -> None:
        between = Between()
        async with publishing(server, between, restore=()) as publisher:
            names = [f"Good{i}" for i in range(15)]
            for name in (*names[:4], "Poison", *names[4:]):
                publisher.update(fires(server, name))
            await told(publisher)
            await until(server, lambda found: len(found) == 15)
        accepted = [name for post in between.accepted for name in post]
        assert sorted(accepted) == sorted(names)
        assert 400 in between.codes

    asyncio.run(scenario())


def test_a_post_that_is_too_large_is_halved(server: Server) -> None:
    async def scenario() -> None:
        between = Between(largest=5)
        async with publishing(server, between) as publisher:
            for i in range(16):
                publisher.update(fires(server, f"Many{i}"))
            await told(publisher)
            assert len(await until(server, lambda found: len(found) == 16)) == 16
        assert between.sizes[:3] == [16, 8, 4]
        assert sorted(map(len, between.accepted)) == [4, 4, 4, 4]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "answer", [httpx.Response(429, headers={"Retry-After": "0"}), httpx.Response(429), httpx.Response(503)]
)
def test_a_peer_that_cannot_now_is_asked_until_it_can(server: Server, answer: httpx.Response) -> None:
    async def scenario() -> None:
        between = Between(*[answer] * 4)
        async with publishing(server, between) as publisher:
            publisher.update(fires(server))
            await until(server, lambda found: "StepsFail/high" in found)
            await told(publisher)
        assert between.codes == [answer.status_code] * 4 + [200]

    asyncio.run(scenario())


def test_what_a_peer_has_lost_is_sent_again_without_waiting_for_the_repetition(server: Server) -> None:
    async def scenario() -> None:
        stats = CountedStats()
        async with publishing(server, stats=stats, reconcile_seconds=0.1) as publisher:
            first = fires(server)
            publisher.update(first)
            publisher.update(fires(server, "Another"))
            await until(server, lambda found: len(found) == 2)
            await asyncio.to_thread(server.lose, "StepsFail")
            found = await until(server, lambda found: "StepsFail/high" in found)
            assert 295 < seconds_ago(found["StepsFail/high"]["startsAt"]) < 330
        assert stats.ever["missing"] >= 1  # what is sent again may take longer than the next look
        assert set(stats.reads) == {"200"}

    asyncio.run(scenario())


def test_a_severity_that_a_crash_left_behind_is_ended_and_strangers_are_left_alone(server: Server) -> None:
    async def scenario() -> None:
        stats = CountedStats()
        async with publishing(server) as publisher:
            publisher.update(fires(server, seq=3))
            publisher.update(fires(server, "Stranger"))
            await until(server, lambda found: len(found) == 2)
        after = fires(server, seq=4, severity="critical", previous="firing")
        async with publishing(server, restore=(after,), stats=stats, reconcile_seconds=0.1, settle_seconds=0.0):
            await until(server, lambda found: set(found) == {"StepsFail/critical", "Stranger/high"})
        assert stats.ever["superseded"] >= 1
        assert stats.seen["unknown"] >= 1

    asyncio.run(scenario())


def test_a_peer_that_hangs_delays_nobody_else(server: Server) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as hanging:
            where = f"127.0.0.1:{hanging.getsockname()[1]}"
            stats = CountedStats()
            settings = {"timeout_seconds": 60.0, "drain_seconds": 0.0}
            async with publishing(server, stats=stats, also=(f"http://{where}",), **settings) as publisher:
                for i in range(20):  # each is there before the next happens: none waits for the peer that hangs
                    publisher.update(fires(server, f"Prompt{i}"))
                    await until(server, lambda found, i=i: f"Prompt{i}/high" in found)
                assert set(stats.codes) == {"200"}
                assert stats.unsent_now[where] >= 1

    asyncio.run(scenario())
