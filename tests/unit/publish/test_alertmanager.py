"""The publisher against peers that fail: what it repeats, splits, sets aside, and never loses."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from streams.domain.alert import AlertTransition, fingerprint
from streams.errors import ConfigurationError
from streams.publish.alertmanager import AlertmanagerPublisher, AlertmanagerSettings
from streams.publish.delivery import SECOND_NS
from streams.publish.health import make_health
from tests.alertmanager_fake import FakeAlertmanager
from tests.unit.publish.builders import CountedStats, transition

DEADLINE_SECONDS = 20.0


@pytest.fixture
def fake() -> Iterator[FakeAlertmanager]:
    with FakeAlertmanager() as server:
        yield server


@pytest.fixture
def other() -> Iterator[FakeAlertmanager]:
    with FakeAlertmanager() as server:
        yield server


def alert(i: int, **changes: Any) -> AlertTransition:
    identity = {"alertname": f"A{i}"}
    now_ns = time.time_ns()
    fields = {"starts_at_ns": now_ns, "at_ns": now_ns, "identity": identity, "alertname": f"A{i}"}
    return transition(**{**fields, "fingerprint": fingerprint(identity), **changes})


@asynccontextmanager
async def publishing(*urls: str, **settings: Any) -> AsyncIterator[tuple[AlertmanagerPublisher, CountedStats]]:
    stats = CountedStats()
    caught_up = settings.pop("caught_up", lambda: True)
    chosen = AlertmanagerSettings(**{"backoff_seconds": (0.01, 0.05), "drain_seconds": 1.0, **settings})
    publisher = AlertmanagerPublisher(urls, clock_ns=time.time_ns, stats=stats, settings=chosen, caught_up=caught_up)
    await publisher.start()
    try:
        yield publisher, stats
    finally:
        await publisher.stop()


async def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        await asyncio.sleep(0.01)


def names(fake: FakeAlertmanager) -> set[str]:
    return {alert["labels"]["alertname"] for alert in fake.alerts()}


def everyone(n: int) -> set[str]:
    return {f"A{i}" for i in range(n)}


def test_batches_hold_at_most_256_alerts(fake: FakeAlertmanager) -> None:
    async def scenario() -> None:
        async with publishing(fake.url) as (publisher, stats):
            for i in range(600):
                publisher.update(alert(i))
            await until(lambda: publisher.unsent == 0)
            assert names(fake) == everyone(600)
            assert [len(post) for post in fake.posts] == [256, 256, 88]
            assert stats.codes == {"200": 3}

    asyncio.run(scenario())


def test_an_update_is_sent_at_once_and_not_with_the_next_repetition(fake: FakeAlertmanager) -> None:
    async def scenario() -> None:
        async with publishing(fake.url, resend_seconds=3_600, valid_seconds=7_200) as (publisher, _):
            for i in range(3):
                publisher.update(alert(i))
                await until(lambda: publisher.unsent == 0)
            assert [len(post) for post in fake.posts] == [1, 1, 1]

    asyncio.run(scenario())


def test_what_fires_is_repeated_with_a_later_end(fake: FakeAlertmanager) -> None:
    async def scenario() -> None:
        async with publishing(fake.url, resend_seconds=0.05) as (publisher, _):
            publisher.update(alert(0))
            await until(lambda: len(fake.posts) >= 4)
        ends = [post[0]["endsAt"] for post in fake.posts]
        assert ends == sorted(set(ends))
        assert len({post[0]["startsAt"] for post in fake.posts}) == 1

    asyncio.run(scenario())


def test_resolved_alerts_are_repeated_until_they_are_retained_no_longer(fake: FakeAlertmanager) -> None:
    async def scenario() -> None:
        async with publishing(fake.url, resend_seconds=0.05, retain_seconds=0.4) as (publisher, _):
            publisher.update(alert(0))
            publisher.update(alert(0, seq=1, state="resolved", ends_at_ns=time.time_ns()))
            await until(lambda: len(fake.posts) >= 3)
            await until(lambda: not publisher._board.desired)
            said = len(fake.posts)
            publisher.update(alert(1))
            await until(lambda: len(fake.posts) >= said + 3)
            assert all(post[0]["labels"]["alertname"] == "A1" for post in fake.posts[said + 1 :])

    asyncio.run(scenario())


@pytest.mark.parametrize("code", [429, 500, 503, 404, 307])
def test_failures_are_retried_until_they_end(fake: FakeAlertmanager, code: int) -> None:
    async def scenario() -> None:
        fake.fail.extend([code] * 5)
        async with publishing(fake.url) as (publisher, stats):
            publisher.update(alert(0))
            await until(lambda: names(fake) == everyone(1))
            await until(lambda: publisher.unsent == 0)
            assert stats.codes == {str(code): 5, "200": 1}

    asyncio.run(scenario())


def test_the_newest_state_is_what_arrives_after_a_failure(fake: FakeAlertmanager) -> None:
    async def scenario() -> None:
        fake.fail_always = 503
        async with publishing(fake.url) as (publisher, _):
            publisher.update(alert(0))
            publisher.update(alert(1))
            await until(lambda: len(fake.codes) >= 3)
            publisher.update(alert(0, seq=1, state="resolved", ends_at_ns=time.time_ns()))
            fake.fail_always = 0
            await until(lambda: publisher.unsent == 0)
            assert names(fake) == {"A1"}
            assert len(fake.posts) == 1

    asyncio.run(scenario())


def test_retry_after_is_respected_within_the_longest_pause(fake: FakeAlertmanager) -> None:
    async def scenario() -> None:
        fake.headers = {"Retry-After": "3600"}
        fake.fail.append(429)
        async with publishing(fake.url, backoff_seconds=(0.01, 0.3)) as (publisher, _):
            began = time.monotonic()
            publisher.update(alert(0))
            await until(lambda: publisher.unsent == 0)
            assert time.monotonic() - began >= 0.3

    asyncio.run(scenario())


def test_a_peer_that_is_away_holds_up_nobody_and_catches_up(fake: FakeAlertmanager) -> None:
    async def scenario() -> None:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))  # bound but not listening: refused
            away = f"http://127.0.0.1:{listening.getsockname()[1]}"
            async with publishing(fake.url, away, drain_seconds=0.0) as (publisher, stats):
                publisher.update(alert(0))
                await until(lambda: names(fake) == everyone(1))
                await until(lambda: stats.codes["unreachable"] >= 3)
                assert publisher.unsent == 1
                assert stats.codes["200"] == 1
                assert sorted(stats.unsent_now.values()) == [0, 1]

    asyncio.run(scenario())


def test_a_peer_that_does_not_answer_is_a_time_out() -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            async with publishing(url, timeout_seconds=0.05, drain_seconds=0.0) as (publisher, stats):
                publisher.update(alert(0))
                await until(lambda: stats.codes["timeout"] >= 2)

    asyncio.run(scenario())


def test_every_peer_is_told(fake: FakeAlertmanager, other: FakeAlertmanager) -> None:
    async def scenario() -> None:
        async with publishing(fake.url, other.url + "/") as (publisher, _):
            for i in range(3):
                publisher.update(alert(i))
            await until(lambda: publisher.unsent == 0)
            assert names(fake) == names(other) == everyone(3)

    asyncio.run(scenario())


@pytest.mark.parametrize("code", [400, 422])
def test_wrong_alerts_are_found_and_set_aside(fake: FakeAlertmanager, code: int) -> None:
    async def scenario() -> None:
        wrong = {"A3", "A40"}
        fake.refuse_code = code
        fake.refuse = lambda alert: alert["labels"]["alertname"] in wrong
        async with publishing(fake.url, resend_seconds=0.2) as (publisher, stats):
            for i in range(64):
                publisher.update(alert(i))
            await until(lambda: publisher.unsent == 0)
            assert names(fake) == everyone(64) - wrong
            assert stats.refusals == 2
            posts = len(fake.posts)
            assert posts < 40
            await until(lambda: len(fake.posts) > posts)
            assert all(a["labels"]["alertname"] not in wrong for post in fake.posts[posts:] for a in post)
            fake.refuse = lambda alert: False
            publisher.update(alert(3, seq=1))
            await until(lambda: names(fake) == everyone(64) - {"A40"})

    asyncio.run(scenario())


def test_a_post_that_is_too_large_is_split(fake: FakeAlertmanager) -> None:
    async def scenario() -> None:
        fake.max_alerts = 10
        async with publishing(fake.url) as (publisher, stats):
            for i in range(100):
                publisher.update(alert(i))
            await until(lambda: publisher.unsent == 0)
            assert names(fake) == everyone(100)
            assert stats.refusals == 0

    asyncio.run(scenario())


def test_stopping_delivers_what_is_unsent_and_resolves_nothing(fake: FakeAlertmanager) -> None:
    async def scenario() -> None:
        async with publishing(fake.url) as (publisher, _):
            publisher.update(alert(0))
        assert names(fake) == everyone(1)

    asyncio.run(scenario())


def test_updates_before_start_and_after_stop_are_no_error(fake: FakeAlertmanager) -> None:
    async def scenario() -> None:
        publisher = AlertmanagerPublisher([fake.url], clock_ns=time.time_ns, stats=CountedStats())
        publisher.update(alert(0))
        await publisher.stop()
        await publisher.start()
        await until(lambda: names(fake) == everyone(1))
        await publisher.stop()
        await publisher.stop()
        publisher.update(alert(1))

    asyncio.run(scenario())


def test_restored_alerts_keep_their_start_and_forgotten_ones_are_not_repeated(fake: FakeAlertmanager) -> None:
    async def scenario() -> None:
        began_ns = time.time_ns() - 3_600 * SECOND_NS
        async with publishing(fake.url, resend_seconds=0.05) as (publisher, _):
            publisher.restore([alert(0, starts_at_ns=began_ns, seq=7)], "mine")
            publisher.restore([alert(1)], "another's")
            await until(lambda: names(fake) == everyone(2))
            publisher.forget("another's")
            said = len(fake.posts)
            await until(lambda: len(fake.posts) >= said + 3)
            assert [len(post) for post in fake.posts[said + 1 :]] == [1] * (len(fake.posts) - said - 1)
            assert names(fake) == everyone(2)

    asyncio.run(scenario())


def test_what_does_not_fit_is_dropped_and_counted(fake: FakeAlertmanager) -> None:
    async def scenario() -> None:
        async with publishing(fake.url, max_alerts=2) as (publisher, stats):
            for i in range(5):
                publisher.update(alert(i))
            await until(lambda: publisher.unsent == 0)
            assert names(fake) == everyone(2)
            assert stats.drops == 3

    asyncio.run(scenario())


def test_an_error_nobody_foresaw_is_counted_and_the_peer_goes_on(
    fake: FakeAlertmanager, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with publishing(fake.url) as (publisher, stats):
            with monkeypatch.context() as patch:
                patch.setattr("streams.publish.delivery.rfc3339", lambda ns: 1 / 0)
                publisher.update(alert(0))
                await until(lambda: stats.codes["error"] >= 2)
            await until(lambda: names(fake) == everyone(1))

    asyncio.run(scenario())


def test_health_counts_what_the_publisher_does(fake: FakeAlertmanager) -> None:
    registry = CollectorRegistry()
    health = make_health(registry, version="1")

    async def scenario() -> None:
        fake.fail.append(503)
        fake.refuse = lambda alert: True
        settings = AlertmanagerSettings(backoff_seconds=(0.01, 0.05), max_alerts=1)
        publisher = AlertmanagerPublisher([fake.url], clock_ns=time.time_ns, stats=health, settings=settings)
        await publisher.start()
        publisher.update(alert(0))
        publisher.update(alert(1))
        await until(lambda: publisher.unsent == 0)
        await publisher.stop()

    asyncio.run(scenario())
    peer = fake.url.removeprefix("http://")

    def figure(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert figure("streams_alertmanager_posts_total", peer=peer, code="503") == 1
    assert figure("streams_alertmanager_posts_total", peer=peer, code="400") == 1
    assert figure("streams_alerts_refused_total", peer=peer) == 1
    assert figure("streams_alertmanager_post_duration_seconds_count", peer=peer) == 2
    assert figure("streams_alerts_unsent", peer=peer) == 0
    assert figure("streams_alerts_dropped_total") == 1


@pytest.mark.parametrize(
    "urls",
    [[], [""], ["127.0.0.1:9093"], ["ftp://x"], ["http://"], ["http://a b"], ["http://x:notaport"], ["http://x:99999"]],
)
def test_urls_are_checked_at_once(urls: list[str]) -> None:
    with pytest.raises(ConfigurationError):
        AlertmanagerPublisher(urls, clock_ns=time.time_ns, stats=CountedStats())


@pytest.mark.parametrize(
    "settings",
    [
        AlertmanagerSettings(batch=0),
        AlertmanagerSettings(batch=257),
        AlertmanagerSettings(valid_seconds=60),
        AlertmanagerSettings(generator_url="nowhere/{fingerprint}"),
    ],
)
def test_settings_are_checked_at_once(settings: AlertmanagerSettings) -> None:
    with pytest.raises(ConfigurationError):
        AlertmanagerPublisher(["http://x"], clock_ns=time.time_ns, stats=CountedStats(), settings=settings)


def test_what_a_restarted_worker_reads_again_settles_before_anything_is_sent(fake: FakeAlertmanager) -> None:
    asked, caught_up = [0], [False]

    def answer() -> bool:
        asked[0] += 1
        return caught_up[0]

    async def scenario() -> None:
        settings = {"settle_seconds": 0.01, "caught_up": answer}
        async with publishing(fake.url, **settings) as (publisher, _):
            publisher.restore([alert(1)])
            publisher.update(alert(0, seq=1))
            await until(lambda: asked[0] >= 3 or bool(fake.posts))  # the runs of a replay are apart
            publisher.update(alert(0, seq=2, previous="firing", state="resolved", ends_at_ns=time.time_ns()))
            caught_up[0] = True
            await until(lambda: publisher.unsent == 0)
            assert names(fake) == {"A1"}
            told = [a for post in fake.posts for a in post if a["labels"]["alertname"] == "A0"]
            assert len({a["endsAt"] for a in told}) == 1

    asyncio.run(scenario())


def test_a_worker_that_does_not_catch_up_tells_what_it_knows_after_a_while(fake: FakeAlertmanager) -> None:
    async def scenario() -> None:
        settings = {"settle_seconds": 0.01, "settle_at_most_seconds": 0.3, "caught_up": lambda: False}
        async with publishing(fake.url, **settings) as (publisher, _):
            publisher.restore([alert(1)])
            await until(lambda: publisher.unsent == 0)
            assert names(fake) == {"A1"}

    asyncio.run(scenario())
