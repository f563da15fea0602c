"""One Alertmanager: what is posted to it, and what it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final, Protocol
from urllib.parse import urlsplit

import httpx
import orjson

from streams.errors import PublishFailed
from streams.publish.access import Access
from streams.publish.delivery import SECOND_NS, Board, Desired, Ledger
from streams.publish.reconcile import compare

API_PATH: Final = "/api/v2/alerts"
SPLIT_CODES: Final = frozenset({400, 413, 422})
"""Answers about the content: one alert of the batch (400, 422) or the size of it (413) is the matter."""
OURS: Final = {"filter": 'fingerprint=~".+"'}
"""Every alert of ours has this label; what Prometheus sends has not."""
_JSON: Final = {"Content-Type": "application/json"}
_SETTLING_POLL_SECONDS: Final = 0.1


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

    def held(self, peer: str, code: str, counts: Mapping[str, int]) -> None:
        """A peer was asked what it holds: alerts by :data:`streams.publish.reconcile.STATES`; none if it failed."""


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
            than ``settle_at_most_seconds`` (a broker may be away meanwhile; what fires must be repeated before its
            validity is over): what a restarted worker reads again makes alerts fire and end anew, and a peer that had
            seen both would notify of the first once more.
        reconcile_seconds: how often a peer is asked what it holds; what it has lost is sent again at once.
        access: certificates and secrets, the same for all peers.
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
    settle_at_most_seconds: float = 120.0
    reconcile_seconds: float = 15.0
    access: Access = field(default_factory=Access)
    generator_url: str = ""


class Peer:
    """One Alertmanager; see :class:`streams.publish.alertmanager.AlertmanagerPublisher` for what it is promised."""

    def __init__(
        self,
        url: str,
        settings: AlertmanagerSettings,
        board: Board,
        *,
        clock_ns: Callable[[], int],
        stats: AlertmanagerStats,
        settling: Callable[[], bool],
    ) -> None:
        """``url``: base address. ``settling``: whether what a restart reads again may still change ``board``."""
        parts = urlsplit(url.rstrip("/") + API_PATH)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self.name = f"{parts.hostname}:{port}{parts.path.removesuffix(API_PATH)}"  # without a password in the URL
        self.ledger = Ledger()
        self._url = url.rstrip("/") + API_PATH
        self._settings, self._board = settings, board
        self._clock_ns, self._stats, self._settling = clock_ns, stats, settling
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._retry_after_seconds = 0.0
        self.failing_since_ns = 0

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
            began_ns = self._clock_ns()
            try:
                await self._step(client)
                pause = first
            except PublishFailed:
                self.failing_since_ns = self.failing_since_ns or began_ns
                await asyncio.sleep(min(max(pause, self._retry_after_seconds), longest))
                pause = min(2 * pause, longest)
            except Exception:  # noqa: BLE001  the task's boundary, counted: one bad alert must not silence a peer
                self.failing_since_ns = self.failing_since_ns or began_ns
                self._stats.posted(self.name, "error", 0.0)
                await asyncio.sleep(longest)

    async def watch(self, client: httpx.AsyncClient) -> None:
        """Asks the peer what it holds, for ever; what it has lost becomes due again.

        A question that fails is counted and asked again at the next turn: posting does not wait for it.
        """
        while True:
            await asyncio.sleep(self._settings.reconcile_seconds)
            if self._settling():
                continue
            try:
                await self._reconcile(client)
            except httpx.TimeoutException:
                self._stats.held(self.name, "timeout", {})
            except (httpx.RequestError, OSError):
                self._stats.held(self.name, "unreachable", {})
            except Exception:  # noqa: BLE001  the task's boundary, counted: an answer nobody foresaw
                self._stats.held(self.name, "error", {})

    async def _reconcile(self, client: httpx.AsyncClient) -> None:
        asked_ns = self._clock_ns()
        answer = await client.get(self._url, params=OURS)
        if answer.status_code != 200:
            self._stats.held(self.name, str(answer.status_code), {})
            return
        found = compare(self._board, self.ledger, orjson.loads(answer.content), asked_ns)
        self._stats.held(self.name, "200", found.counts())
        for labels in (*found.missing, *found.lingering):
            self.ledger.untold(labels)
        for stray in found.superseded:
            self._board.supersede(stray, self._clock_ns())
        if found.missing or found.lingering or found.superseded:
            self.wake()

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
        if self._settling():
            await asyncio.sleep(_SETTLING_POLL_SECONDS)
            return
        due = self.ledger.due(self._board, now_ns, self._settings.batch)
        if due:
            await self._deliver(client, due)
        else:
            self.failing_since_ns = 0  # nothing is left that could fail
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
            self.failing_since_ns = 0
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
        except (httpx.RequestError, OSError) as error:  # a TLS alert after the handshake comes as ssl.SSLError
            self._count("unreachable", began_ns)
            raise PublishFailed(f"{self.name} is unreachable") from error
        self._count(str(response.status_code), began_ns)
        self._retry_after_seconds = retry_after_seconds(response.headers.get("Retry-After", ""), self._clock_ns())
        return response.status_code

    def _count(self, code: str, began_ns: int) -> None:
        self._stats.posted(self.name, code, max(self._clock_ns() - began_ns, 0) / SECOND_NS)


def retry_after_seconds(text: str, now_ns: int) -> float:
    """``Retry-After`` as RFC 9110 has it, seconds or a date; 0 for what is neither, and for a date that is over."""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return max(0.0, moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now_ns / SECOND_NS)
