"""Signatures, where webhooks may go, and what becomes of an event by the answer."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest

from streams import topics
from streams.errors import ConfigurationError
from streams.subscribe.signature import HEADER, TIMESTAMP_HEADER, sign, verified
from streams.subscribe.stream import Event
from streams.subscribe.target import Target, target
from streams.subscribe.webhook import Forwarder, body_of
from tests.unit.subscribe.drawing import alert, incident

SECRET = b"sixteen-bytes-at-least"
NOW = 1_700_000_000


@pytest.mark.parametrize(
    ("secret", "timestamp", "body", "now", "good"),
    [
        (SECRET, NOW, b"{}", NOW, True),
        (SECRET, NOW, b"{}", NOW + 300, True),
        (SECRET, NOW, b"{}", NOW + 301, False),  # a replay
        (SECRET, NOW, b"{}", NOW - 301, False),
        (SECRET, NOW + 1, b"{}", NOW, False),  # the time is signed
        (SECRET, NOW, b"{ }", NOW, False),
        (b"another-secret-here", NOW, b"{}", NOW, False),
    ],
)
def test_a_signature_holds_for_its_time_body_and_secret_only(
    secret: bytes, timestamp: int, body: bytes, now: int, good: bool
) -> None:
    assert verified(secret, str(timestamp), sign(SECRET, NOW, b"{}"), body, now) is good


@pytest.mark.parametrize("timestamp", ["", "x", "-1", "1e9", "²", "9" * 40])
def test_a_timestamp_that_is_none_is_refused(timestamp: str) -> None:
    assert not verified(SECRET, timestamp, sign(SECRET, NOW, b""), b"", NOW)


def test_the_signature_is_the_documented_one() -> None:
    """echo -n '1700000000.{}' | openssl dgst -sha256 -hmac sixteen-bytes-at-least"""
    import hashlib
    import hmac

    assert sign(SECRET, NOW, b"{}") == "v1=" + hmac.digest(SECRET, b"1700000000.{}", hashlib.sha256).hex()


def resolved(*addresses: str) -> Any:
    return lambda host, port: list(addresses)


@pytest.mark.parametrize(
    ("addresses", "private", "allowed"),
    [
        (("93.184.216.34",), False, True),
        (("2606:2800:220:1::1",), False, True),
        (("10.0.0.1",), False, False),
        (("10.0.0.1",), True, True),
        (("192.168.1.1",), False, False),
        (("172.16.0.1",), False, False),
        (("127.0.0.1",), False, False),
        (("127.0.0.1",), True, True),
        (("::1",), False, False),
        (("::1",), True, True),
        (("169.254.169.254",), True, False),  # cloud metadata
        (("fe80::1",), True, False),
        (("::ffff:169.254.169.254",), True, False),
        (("::ffff:10.0.0.1",), False, False),
        (("100.64.0.1",), False, False),  # carrier-grade NAT
        (("fd00::1",), False, False),
        (("0.0.0.0",), True, False),
        (("224.0.0.1",), True, False),
        (("93.184.216.34", "10.0.0.1"), False, False),  # one name, two meanings
        ((), True, False),
    ],
)
def test_where_a_webhook_may_go(addresses: tuple[str, ...], private: bool, allowed: bool) -> None:
    try:
        found = target("https://hooks.example/a?b=1", resolved(*addresses), private=private)
    except ConfigurationError:
        assert not allowed
    else:
        assert allowed
        assert (found.address, found.host, found.port, found.path) == (addresses[0], "hooks.example", 443, "/a?b=1")


@pytest.mark.parametrize(
    "url", ["ftp://a/", "http://", "http://user:pw@host/", "file:///etc/passwd", "http://a:x/", ""]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        target(url, resolved("93.184.216.34"), private=True)


def test_an_address_is_pinned() -> None:
    assert target("http://h/x", resolved("93.184.216.34"), private=False).url == "http://93.184.216.34:80/x"
    assert Target("https", "h", 443, "2606::1", "/").url == "https://[2606::1]:443/"


class Receiver:
    """Answers with the given codes (0: no answer; -1: TLS breaks), and keeps what it got."""

    def __init__(self, *codes: int, headers: dict[str, str] | None = None) -> None:
        self.codes, self.got, self.headers = list(codes), list[httpx.Request](), headers or {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.got.append(request)
        code = self.codes.pop(0)
        if not code:
            raise httpx.ConnectError("refused")
        if code < 0:
            raise ssl.SSLError("alert certificate required")
        return httpx.Response(code, headers=self.headers)


def there() -> Target:
    return Target("http", "h", 80, "192.0.2.1", "/in")


def deliver(receiver: Receiver, event: Event, where: Callable[[], Target] = there) -> tuple[Forwarder, list[float]]:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    sender = Forwarder(where, SECRET, lambda: NOW, pause)

    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(receiver)) as client:
            await sender.deliver(client, event)

    asyncio.run(run())
    return sender, pauses


EVENT = Event(topics.ALERTS, 0, 0, alert=alert())


def test_it_sends_until_the_event_is_taken_and_signs_each_attempt() -> None:
    receiver = Receiver(0, 503, 429, 408, -1, 204)
    sender, pauses = deliver(receiver, EVENT)
    assert (sender.sent, sender.refused, sender.retried) == (1, 0, 5)
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0]
    for request in receiver.got:
        assert verified(SECRET, request.headers[TIMESTAMP_HEADER], request.headers[HEADER], request.content, NOW)
        assert request.headers["host"] == "h:80"
        assert request.url.host == "192.0.2.1"


@pytest.mark.parametrize(("asked", "waited"), [("7", 7.0), ("0", 0.5), ("3600", 60.0), ("soon", 0.5)])
def test_it_waits_as_long_as_it_is_asked_to_but_not_longer_than_a_minute(asked: str, waited: float) -> None:
    _, pauses = deliver(Receiver(429, 200, headers={"Retry-After": asked}), EVENT)
    assert pauses == [waited]


def test_a_name_without_an_address_and_one_that_became_private_are_tried_again_and_not_sent_to() -> None:
    found = [[], ["169.254.169.254"], ["10.0.0.1"], ["93.184.216.34"]]
    receiver = Receiver(200)
    sender, _ = deliver(receiver, EVENT, lambda: target("http://h/in", lambda *_: found.pop(0), private=False))
    assert (sender.sent, sender.retried) == (1, 3)
    assert [request.url.host for request in receiver.got] == ["93.184.216.34"]


@pytest.mark.parametrize("code", [301, 400, 401, 404, 410, 422])
def test_an_event_that_is_refused_is_counted_and_not_sent_again(code: int) -> None:
    receiver = Receiver(code)
    sender, _ = deliver(receiver, EVENT)
    assert (sender.sent, sender.refused, len(receiver.got)) == (0, 1, 1)


def test_the_body_says_what_it_is_and_has_an_id_that_stays() -> None:
    body = orjson.loads(body_of(EVENT))
    assert (body["id"], body["type"], body["alert"]["alertname"]) == ("f1/3", "alert", "AgentErrorsHigh")
    of_incident = orjson.loads(body_of(Event(topics.INCIDENTS, 0, 0, incident=incident())))
    assert (of_incident["id"], of_incident["incident"]["title"]) == ("i1/7", "planning fails")
