"""The alert that alerts do not arrive, by another way than the one that is broken: a webhook of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import httpx

from streams.errors import ConfigurationError
from streams.publish.delivery import SECOND_NS, rfc3339

ALERT: Final = "AlertsNotDelivered"
POLL_SECONDS: Final = 1.0
TIMEOUT_SECONDS: Final = 10.0
_AGAIN_SECONDS: Final = (2.0, 60.0)


class UnsentStats(Protocol):
    """Where it counts (:class:`streams.publish.health.Health` is one)."""

    def told_otherwise(self, outcome: str) -> None:
        """A message to the webhook was ``sent``, or ``failed`` and will be tried again."""


@dataclass
class UnsentAlarm:
    """Tells a webhook when a peer takes nothing although there is something to tell, and when it does again.

    The body is Alertmanager's own webhook format (version 4), so that whatever receives notifications reads it; the
    state is repeated every ``repeat_seconds`` while it lasts. At most one message per peer is under way, and only the
    newest state is sent: nothing queues up.

    Attributes:
        url: of the webhook; often a secret in itself, therefore never shown (:func:`read_url`).
        failing: peer to the time (ns) since when it has taken nothing; peers that are well are not in it.
        clock_ns: wall time.
        after_seconds: how long a peer may fail before somebody is told.
    """

    url: str = field(repr=False)
    failing: Callable[[], Mapping[str, int]]
    clock_ns: Callable[[], int]
    stats: UnsentStats
    after_seconds: float = 120.0
    repeat_seconds: float = 3_600.0
    poll_seconds: float = POLL_SECONDS
    again_seconds: tuple[float, float] = _AGAIN_SECONDS
    _told: dict[str, tuple[int, int]] = field(default_factory=dict)
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to watch, in the running event loop."""
        self._task = asyncio.create_task(self._run(), name="alerts not delivered")

    async def stop(self) -> None:
        """Ends; what is under way is given up."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def due(self, now_ns: int) -> dict[str, tuple[str, int]]:
        """Peer to (``firing`` | ``resolved``, since when), for what the webhook does not know yet."""
        failing = self.failing()
        late = {p: since for p, since in failing.items() if now_ns - since >= self.after_seconds * SECOND_NS}
        found = {
            peer: ("firing", since)
            for peer, since in late.items()
            if now_ns - self._told.get(peer, (0, 0))[1] >= self.repeat_seconds * SECOND_NS
        }
        return found | {peer: ("resolved", told[0]) for peer, told in self._told.items() if peer not in failing}

    async def _run(self) -> None:
        first, longest = self.again_seconds
        pause = first
        # trust_env: as for the peers themselves
        async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False) as client:
            while True:
                due = self.due(self.clock_ns())
                if due and not await self._send(client, due):
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, longest)
                    continue
                pause = first
                await asyncio.sleep(self.poll_seconds)

    async def _send(self, client: httpx.AsyncClient, due: Mapping[str, tuple[str, int]]) -> bool:
        now_ns = self.clock_ns()
        try:
            answer = await client.post(self.url, json=body(due, now_ns))
            taken = 200 <= answer.status_code < 300
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            taken = False
        self.stats.told_otherwise("sent" if taken else "failed")
        if taken:
            for peer, (status, since_ns) in due.items():
                self._told.pop(peer, None)
                if status == "firing":
                    self._told[peer] = (since_ns, now_ns)
        return taken


def body(due: Mapping[str, tuple[str, int]], now_ns: int) -> dict[str, Any]:
    """A notification as Alertmanager sends it to webhooks."""
    alerts = [
        {
            "status": status,
            "labels": {"alertname": ALERT, "peer": peer, "severity": "critical"},
            "annotations": {
                "summary": f"{peer} takes no alerts",
                "description": "Alerts are kept and sent when it answers; until then look at the stream's own.",
            },
            "startsAt": rfc3339(since_ns),
            "endsAt": rfc3339(now_ns) if status == "resolved" else "0001-01-01T00:00:00Z",
        }
        for peer, (status, since_ns) in sorted(due.items())
    ]
    firing = any(alert["status"] == "firing" for alert in alerts)
    return {
        "version": "4",
        "status": "firing" if firing else "resolved",
        "receiver": "streams",
        "groupKey": ALERT,
        "groupLabels": {"alertname": ALERT},
        "commonLabels": {"alertname": ALERT, "severity": "critical"},
        "commonAnnotations": {},
        "alerts": alerts,
    }


def read_url(path: str) -> str:
    """The address in a file.

    Raises:
        ConfigurationError: it cannot be read, or holds no http(s) address. The message shows none of it.
    """
    try:
        url = Path(path).read_text(encoding="utf-8").strip()
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: {type(error).__name__}: it must hold the webhook's address") from None
    if not good or any(c.isspace() for c in url):
        raise ConfigurationError(f"{path} must hold one http(s) address")
    return url
