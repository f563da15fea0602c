"""Alerts to every Alertmanager of a cluster, by its v2 contract.

One task per peer compares what should be known (:class:`streams.publish.delivery.Board`) with what the peer was told
and sends the difference, so updates coalesce by themselves and a peer that is away delays nobody else. A second task
per peer reads what it holds and compares that (:mod:`streams.publish.reconcile`). The contract is written down, and
checked against a live server, in ``tests/contract/test_alertmanager.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import urlsplit

import httpx

from streams.domain.alert import AlertTransition
from streams.errors import ConfigurationError
from streams.publish.delivery import SECOND_NS, Board, Timing
from streams.publish.peer import AlertmanagerSettings, AlertmanagerStats, Peer

__all__ = ["AlertmanagerPublisher", "AlertmanagerSettings", "AlertmanagerStats"]


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
        """``urls``: base addresses of all peers (not of a load balancer). ``caught_up``: what lay
        in the log at the restore has been applied.

        Raises:
            ConfigurationError: no URL, one that is not http(s) or has a password in it, an impossible setting, or a
                file of :class:`streams.publish.access.Access` that is none.
        """
        self._settings = settings or AlertmanagerSettings()
        self._clock_ns = clock_ns
        self._stats = stats
        self._transport = transport
        self._verify, self._auth = self._settings.access.context(), self._settings.access.auth()
        _check(urls, self._settings)
        timing = Timing(
            round(self._settings.resend_seconds * SECOND_NS),
            round(self._settings.valid_seconds * SECOND_NS),
            round(self._settings.retain_seconds * SECOND_NS),
        )
        self._board = Board(timing, self._settings.max_alerts)
        self._caught_up = caught_up
        self._restored_ns = 0
        self._peers = [
            Peer(url, self._settings, self._board, clock_ns=clock_ns, stats=stats, settling=self.settling)
            for url in dict.fromkeys(urls)
        ]
        self._tasks: list[asyncio.Task[None]] = []
        self._client: httpx.AsyncClient | None = None

    async def start(self) -> None:
        """Begins to send. Restore first: what is not restored is not repeated."""
        # trust_env: a proxy from the environment must not catch what is meant for a neighbour.
        self._client = httpx.AsyncClient(
            timeout=self._settings.timeout_seconds,
            trust_env=False,
            transport=self._transport,
            verify=self._verify,
            auth=self._auth,
        )
        self._tasks = [
            asyncio.create_task(work(self._client), name=f"alerts {peer.name}")
            for peer in self._peers
            for work in (peer.run, peer.watch)
        ]

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

    def update(self, transition: AlertTransition, owner: str = "") -> None:
        """Takes over a transition of an owner (a partition); does not block and does not fail."""
        dropped = self._board.dropped
        if self._board.update(transition, self._clock_ns(), owner):
            for peer in self._peers:
                peer.wake()
        elif self._board.dropped > dropped:
            self._stats.dropped()

    def restore(self, alerts: Iterable[AlertTransition], owner: str = "") -> None:
        """Takes over the last transition of each known alert after a restart; the original ``startsAt`` is kept."""
        self._restored_ns = self._clock_ns()
        for transition in alerts:
            self.update(transition, owner)

    def settling(self) -> bool:
        """Whether what a restart reads again may still change what is desired."""
        if not self._restored_ns:
            return False
        seconds = (self._clock_ns() - self._restored_ns) / SECOND_NS
        still = seconds < self._settings.settle_seconds or not self._caught_up()
        if not still or seconds > self._settings.settle_at_most_seconds:
            self._restored_ns = 0
        return self._restored_ns > 0

    def forget(self, owner: str) -> None:
        """Stops repeating alerts of an owner that another worker speaks for now, without resolving them."""
        self._board.forget(owner)

    def failing(self) -> dict[str, int]:
        """Peers that take nothing, and since when (ns): from the begin of the first post that failed."""
        return {peer.name: peer.failing_since_ns for peer in self._peers if peer.failing_since_ns}

    @property
    def unsent(self) -> int:
        """Alerts that some peer lacks in their current state, the worst peer's figure."""
        return max(peer.ledger.unsent(self._board) for peer in self._peers)


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
        parts, valid = urlsplit(""), False
    if not valid or any(c.isspace() for c in url):
        raise ConfigurationError(f"{what} is not an http(s) URL: {url!r}")
    if parts.username is not None:
        raise ConfigurationError(
            f"{what} ({parts.hostname}) has a user in its URL: give user and password file instead"
        )
