"""Events to a webhook, signed, in order, again and again until it takes them.

The place is stored in Kafka when an event is answered, so nothing is lost while the receiver or this program is away;
what was under way comes again. A receiver that answers 4xx (but 408, 425 and 429) refuses the event: it is counted and
passed over.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import httpx
import orjson

from streams.domain.alert import encode_alert
from streams.domain.incident import encode_incident
from streams.errors import ConfigurationError
from streams.publish.peer import retry_after_seconds
from streams.subscribe.signature import HEADER, TIMESTAMP_HEADER, sign
from streams.subscribe.stream import Event, Subscription
from streams.subscribe.target import Target

log = logging.getLogger(__name__)
AGAIN: Final = frozenset({408, 425, 429})
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 60.0


def body_of(event: Event) -> bytes:
    """``{"id", "type", "alert" | "incident"}``; the id is the same when an event is sent again."""
    if event.alert is not None:
        key, kind = f"{event.alert.fingerprint}/{event.alert.seq}", "alert"
        record = encode_alert(event.alert)
    else:
        assert event.incident is not None
        key, kind = f"{event.incident.incident_id}/{event.incident.revision}", "incident"
        record = encode_incident(event.incident)
    return orjson.dumps({"id": key, "type": kind, kind: orjson.Fragment(record)})


def addresses(host: str, port: int) -> list[str]:
    """What a name means now; nothing where it means nothing."""
    with suppress(socket.gaierror):
        return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    return []


def opened(timeout_seconds: float) -> httpx.AsyncClient:
    """A client that goes where it is told: through no proxy, after no redirect."""
    return httpx.AsyncClient(timeout=timeout_seconds, trust_env=False, follow_redirects=False)


async def post(
    client: httpx.AsyncClient, where: Target, body: bytes, headers: Mapping[str, str]
) -> httpx.Response | None:
    """One attempt; None where there was no answer."""
    given = {"Host": f"{where.host}:{where.port}", "Content-Type": "application/json", **headers}
    extensions: dict[str, Any] = {"sni_hostname": where.host}  # the certificate must be the name's
    try:
        return await client.post(where.url, content=body, headers=given, extensions=extensions)
    except (httpx.HTTPError, OSError) as error:  # a TLS alert after the handshake comes as ssl.SSLError
        log.warning("the webhook did not answer: %s", type(error).__name__)
        return None


@dataclass
class Forwarder:
    """Sends what a subscription gives.

    Attributes:
        target: looked up anew for each attempt, in a thread, so that a name may move. While it has no address, or one
            that is refused (:func:`streams.subscribe.target.target`), nothing is sent and the attempt has failed.
        secret: of the signature. clock: seconds since the epoch. pause: waits so many seconds.
        sent, refused, retried: events by fate, and attempts that failed.
    """

    target: Callable[[], Target]
    secret: bytes
    clock: Callable[[], float]
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    timeout_seconds: float = 10.0
    sent: int = 0
    refused: int = 0
    retried: int = 0

    async def run(self, events: Subscription) -> None:
        """Forwards until the subscription ends."""
        async with opened(self.timeout_seconds) as client:
            async for event in events:
                await self.deliver(client, event)
                await events.done(event)

    async def deliver(self, client: httpx.AsyncClient, event: Event) -> None:
        """Returns when the receiver has taken or refused the event."""
        body, wait = body_of(event), FIRST_PAUSE_SECONDS
        while True:
            status, after_seconds = await self._post(client, body)
            if 200 <= status < 300:
                self.sent += 1
                return
            if 300 <= status < 500 and status not in AGAIN:
                self.refused += 1
                log.error("the webhook refused an event with %d", status)
                return
            self.retried += 1
            await self.pause(min(max(wait, after_seconds), LONGEST_PAUSE_SECONDS))
            wait = min(2 * wait, LONGEST_PAUSE_SECONDS)

    async def _post(self, client: httpx.AsyncClient, body: bytes) -> tuple[int, float]:
        """The status, 0 where there was no answer, and the seconds that the receiver asks us to wait."""
        try:
            where = await asyncio.to_thread(self.target)
        except ConfigurationError as error:
            log.warning("%s", error)
            return 0, 0.0
        timestamp = int(self.clock())
        headers = {TIMESTAMP_HEADER: str(timestamp), HEADER: sign(self.secret, timestamp, body)}
        answer = await post(client, where, body, headers)
        if answer is None:
            return 0, 0.0
        after_seconds = retry_after_seconds(answer.headers.get("Retry-After", ""), round(self.clock() * 1e9))
        return answer.status_code, after_seconds
