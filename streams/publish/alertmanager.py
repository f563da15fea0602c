"""Alerts to every Alertmanager of a cluster, by its v2 contract.

One task per peer compares what should be known (:class:`streams.publish.delivery.Board`) with what the peer was told
and sends the difference, so updates coalesce by themselves and a peer that is away delays nobody else. The contract is
written down, and checked against a live server, in ``tests/contract/test_alertmanager.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

import httpx
import orjson

from streams.domain.alert import AlertTransition
from streams.errors import ConfigurationError, PublishFailed
from streams.publish.delivery import SECOND_NS, Board, Desired, Ledger, Timing

API_PATH: Final = "/api/v2/alerts"
SPLIT_CODES: Final = frozenset({400, 413, 422})
"""Answers about the content: one alert of the batch (400, 422) or the size of it (413) is the matter."""
_JSON: Final = {"Content-Type": "application/json"}


class AlertmanagerStats(Protocol):
    """Where the publisher counts (:class:`streams.publish.health.Health` is one)."""

    def posted(self, peer: str, code: str, seconds: float) -> None:
        """A post was answered with an HTTP code, or failed (``timeout``, ``unreachable``)."""

    def refused(self, peer: str) -> None:
        """A peer refused one alert as wrong; it is not sent again until it changes."""

    def dropped(self) -> None:
        """An alert did not fit the limit."""

    def unsent(self, peer: str, count: int) -> None:
        """How many alerts the peer lacks in their current state."""


@dataclass(frozen=True, slots=True)
class AlertmanagerSettings:
    """How it sends.

    Attributes:
        resend_seconds, valid_seconds, retain_seconds: see :class:`streams.publish.delivery.Timing`.
        timeout_seconds: of one post. backoff_seconds: first and longest pause after a failure, doubling between.
        batch: alerts per post, at most 256 (what Prometheus sends).
        max_alerts: label sets remembered; see :class:`streams.publish.delivery.Board`.
        drain_seconds: how long :meth:`AlertmanagerPublisher.stop` tries to deliver what is unsent.
        settle_seconds: nothing is sent for so long after a restore, and until the worker has caught up, but no longer
            than ``settle_at_most_seconds``: what a restarted worker reads again makes alerts fire and end anew, and a
            peer that had seen both would notify of the first once more.
        generator_url: link shown at an alert, ``{fingerprint}`` is replaced; "" sends none.
    """

    resend_seconds: float = 60.0
    valid_seconds: float = 240.0
    retain_seconds: float = 900.0
    timeout_seconds: float = 10.0
    backoff_seconds: tuple[float, float] = (0.5, 30.0)
    batch: int = 256
    max_alerts: int = 10_000
    drain_seconds: float = 5.0
    settle_seconds: float = 2.0
    settle_at_most_seconds: float = 30.0
    generator_url: str = ""


_SETTLING_POLL_SECONDS: Final = 0.1


class AlertmanagerPublisher:
    """Keeps every peer's picture of our alerts true.

    Firing alerts are repeated with a fresh ``endsAt``, so they end by themselves if this process is gone for good;
    stopping never resolves. Resolved ones are repeated for a while. Time-outs, 429 and 5xx are retried for ever with
    backoff; an alert that a peer refuses as wrong (400, 422 after bisection) is set aside until it changes, or for
    ``retain_seconds``: a proxy in between may have been what refused it.

    All methods belong to one event loop; ``clock_ns`` is wall time in nanoseconds since the epoch.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        clock_ns: Callable[[], int],
        stats: AlertmanagerStats,
        settings: AlertmanagerSettings | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        caught_up: Callable[[], bool] = lambda: True,
    ) -> None:
        """``urls``: base addresses of all peers (not of a load balancer). ``caught_up``: nothing waits to be read.

        Raises:
            ConfigurationError: no URL, one that is not http(s), or an impossible setting.
        """
        self._settings = settings or AlertmanagerSettings()
        self._clock_ns = clock_ns
        self._stats = stats
        self._transport = transport
        _check(urls, self._settings)
        timing = Timing(
            round(self._settings.resend_seconds * SECOND_NS),
            round(self._settings.valid_seconds * SECOND_NS),
            round(self._settings.retain_seconds * SECOND_NS),
        )
        self._board = Board(timing, self._settings.max_alerts)
        self._caught_up = caught_up
        self._restored_ns = 0
        self._peers = [_Peer(url.rstrip("/") + API_PATH, self) for url in dict.fromkeys(urls)]
        self._tasks: list[asyncio.Task[None]] = []
        self._client: httpx.AsyncClient | None = None

    async def start(self) -> None:
        """Begins to send. Restore first: what is not restored is not repeated."""
        # trust_env: a proxy from the environment must not catch what is meant for a neighbour.
        self._client = httpx.AsyncClient(
            timeout=self._settings.timeout_seconds, trust_env=False, transport=self._transport
        )
        self._tasks = [asyncio.create_task(peer.run(self._client), name=f"alerts {peer.name}") for peer in self._peers]

    async def stop(self) -> None:
        """Tries for ``drain_seconds`` to deliver what is unsent, then ends. Nothing is resolved."""
        if self._tasks:
            settled = asyncio.gather(*(peer.settled() for peer in self._peers))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(settled, self._settings.drain_seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def update(self, transition: AlertTransition) -> None:
        """Takes over a transition; does not block and does not fail."""
        dropped = self._board.dropped
        if self._board.update(transition, self._clock_ns()):
            for peer in self._peers:
                peer.wake()
        elif self._board.dropped > dropped:
            self._stats.dropped()

    def restore(self, alerts: Iterable[AlertTransition]) -> None:
        """Takes over the last transition of each known alert after a restart; the original ``startsAt`` is kept."""
        self._restored_ns = self._clock_ns()
        for transition in alerts:
            self.update(transition)

    def settling(self) -> bool:
        """Whether what a restart reads again may still change what is desired."""
        if not self._restored_ns:
            return False
        seconds = (self._clock_ns() - self._restored_ns) / SECOND_NS
        still = seconds < self._settings.settle_seconds or not self._caught_up()
        if not still or seconds > self._settings.settle_at_most_seconds:
            self._restored_ns = 0
        return self._restored_ns > 0

    def forget(self, fingerprints: Iterable[str]) -> None:
        """Stops repeating alerts that another worker owns now, without resolving them."""
        for fingerprint in fingerprints:
            self._board.forget(fingerprint)

    @property
    def unsent(self) -> int:
        """Alerts that some peer lacks in their current state, the worst peer's figure."""
        return max(peer.ledger.unsent(self._board) for peer in self._peers)


class _Peer:
    """One Alertmanager."""

    def __init__(self, url: str, owner: AlertmanagerPublisher) -> None:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self.name = f"{parts.hostname}:{port}{parts.path.removesuffix(API_PATH)}"  # without a password in the URL
        self.ledger = Ledger()
        self._url = url
        self._owner = owner
        self._board = owner._board
        self._settings = owner._settings
        self._clock_ns = owner._clock_ns
        self._stats = owner._stats
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._retry_after_seconds = 0.0

    def wake(self) -> None:
        """Something changed."""
        self._settled.clear()
        self._wake.set()

    async def settled(self) -> None:
        """Until the peer knows everything."""
        await self._settled.wait()

    async def run(self, client: httpx.AsyncClient) -> None:
        """Sends what is due, for ever."""
        first, longest = self._settings.backoff_seconds
        pause = first
        while True:
            try:
                await self._step(client)
                pause = first
            except PublishFailed:
                await asyncio.sleep(min(max(pause, self._retry_after_seconds), longest))
                pause = min(2 * pause, longest)
            except Exception:  # noqa: BLE001  the task's boundary, counted: one bad alert must not silence a peer
                self._stats.posted(self.name, "error", 0.0)
                await asyncio.sleep(longest)

    async def _step(self, client: httpx.AsyncClient) -> None:
        """One batch, or a wait."""
        self._wake.clear()
        now_ns = self._clock_ns()
        self._board.expire(now_ns)
        self.ledger.forget_gone(self._board)
        unsent = self.ledger.unsent(self._board)
        self._stats.unsent(self.name, unsent)
        if not unsent:
            self._settled.set()
        if self._owner.settling():
            await asyncio.sleep(_SETTLING_POLL_SECONDS)
            return
        due = self.ledger.due(self._board, now_ns, self._settings.batch)
        if due:
            await self._deliver(client, due)
        else:
            await self._idle()

    async def _idle(self) -> None:
        """Until something changes or is to be repeated."""
        now_ns = self._clock_ns()
        due_ns = self.ledger.next_due_ns(self._board, now_ns + self._board.timing.resend_ns)
        seconds = min(max(due_ns - now_ns, 0) / SECOND_NS, self._settings.resend_seconds)
        try:
            async with asyncio.timeout(max(seconds, 0.001)):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _deliver(self, client: httpx.AsyncClient, batch: Sequence[Desired]) -> None:
        """Posts a batch; one that is refused is halved until the wrong alerts stand alone.

        A refused batch may have been stored in part: sending its halves again is harmless, posting is idempotent.

        Raises:
            PublishFailed: the peer could not take it now; what it has taken is noted.
        """
        now_ns = self._clock_ns()
        versions = [desired.version for desired in batch]
        url = self._settings.generator_url
        code = await self._post(client, [d.body(now_ns, self._board.timing, url) for d in batch])
        if 200 <= code < 300:
            for desired, version in zip(batch, versions, strict=True):
                self.ledger.told(desired, version, now_ns)
        elif code not in SPLIT_CODES:
            raise PublishFailed(f"{self.name} answered {code}")
        elif len(batch) == 1:
            self.ledger.told(batch[0], versions[0], now_ns, refused=True)
            self._stats.refused(self.name)
        else:
            middle = len(batch) // 2
            await self._deliver(client, batch[:middle])
            await self._deliver(client, batch[middle:])

    async def _post(self, client: httpx.AsyncClient, bodies: list[dict[str, object]]) -> int:
        began_ns = self._clock_ns()
        self._retry_after_seconds = 0.0
        try:
            response = await client.post(self._url, content=orjson.dumps(bodies), headers=_JSON)
        except httpx.TimeoutException as error:
            self._count("timeout", began_ns)
            raise PublishFailed(f"{self.name} did not answer") from error
        except httpx.RequestError as error:
            self._count("unreachable", began_ns)
            raise PublishFailed(f"{self.name} is unreachable") from error
        self._count(str(response.status_code), began_ns)
        after = response.headers.get("Retry-After", "")
        self._retry_after_seconds = float(after) if after.isdigit() else 0.0
        return response.status_code

    def _count(self, code: str, began_ns: int) -> None:
        self._stats.posted(self.name, code, max(self._clock_ns() - began_ns, 0) / SECOND_NS)


def _check(urls: Sequence[str], settings: AlertmanagerSettings) -> None:
    if not urls:
        raise ConfigurationError("no Alertmanager: give at least one base URL, e.g. http://127.0.0.1:9093")
    for url in urls:
        _check_url(url, "an Alertmanager")
    if settings.generator_url:
        _check_url(settings.generator_url, "the generator URL")
    if not 1 <= settings.batch <= 256:
        raise ConfigurationError(f"an Alertmanager batch is 1 to 256 alerts, not {settings.batch}")
    if settings.valid_seconds <= settings.resend_seconds:
        raise ConfigurationError(
            f"alerts would end after {settings.valid_seconds} s, before they are repeated ({settings.resend_seconds} s)"
        )


def _check_url(url: str, what: str) -> None:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid or any(c.isspace() for c in url):
        raise ConfigurationError(f"{what} is not an http(s) URL: {url!r}")
