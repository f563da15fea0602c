"""Spans or logs to any OTLP/HTTP receiver, from a thread of its own: the stream never waits for it.

At least once: a trace that late spans revise, or that a restarted worker assembles again, is sent whole again (backends
know a span by its ids), and so are logs that were read after the last checkpoint. What is queued is lost with the
process, and counted where the process can still count.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

import httpx

from streams.publish.otlp import HEADERS, Answer, read_answer

Item = TypeVar("Item")
QUEUE_FULL: Final = "queue_full"
REFUSED: Final = "refused"
EXPIRED: Final = "expired"
INVALID: Final = "invalid"
STOPPED: Final = "stopped"


class ExportStats(Protocol):
    """Where the exporter counts (:class:`streams.publish.health.Exported` is one)."""

    def exported(self, count: int) -> None:
        """The receiver took so many."""

    def dropped(self, reason: str, count: int) -> None:
        """So many will not arrive: queue_full, refused, expired, invalid, stopped."""

    def retried(self) -> None:
        """A request failed and will be sent again."""


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """How it sends.

    Attributes:
        url: of the receiver's traces or logs, e.g. ``http://collector:4318/v1/traces``.
        queue_items: spans or logs that wait at most, beside the request under way; what is offered at once and does not
            fit is dropped whole.
        request_items: of one request.
        retry_seconds: a request is given up after so long. backoff_seconds: first and longest pause, doubling between.
        timeout_seconds: of one post. drain_seconds: how long :meth:`OtlpExporter.stop` goes on sending.
        headers: of every request, e.g. the receiver's token; not in the repr.
    """

    url: str
    queue_items: int = 50_000
    request_items: int = 512
    retry_seconds: float = 300.0
    backoff_seconds: tuple[float, float] = (0.2, 10.0)
    timeout_seconds: float = 10.0
    drain_seconds: float = 3.0
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class OtlpExporter(Generic[Item]):
    """One thread, one connection, requests in order. Each item offered is exported or dropped, and counted once.

    Args:
        encode: items to an OTLP request (:mod:`streams.publish.otlp`).
    """

    def __init__(self, settings: ExportSettings, stats: ExportStats, encode: Callable[[Sequence[Item]], bytes]) -> None:
        self._settings, self._stats, self._encode = settings, stats, encode
        self._queue: deque[Item] = deque()
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._end_seconds = float("inf")  # on the monotonic clock
        self._thread = threading.Thread(target=self._run, name="otlp-export", daemon=True)

    def start(self) -> None:
        """Begins to send."""
        self._thread.start()

    def offer(self, items: Sequence[Item]) -> None:
        """Queues what belongs together (a trace), or counts it as dropped; never waits for the receiver."""
        with self._changed:
            fits = not self._stopping.is_set() and len(self._queue) + len(items) <= self._settings.queue_items
            if fits:
                self._queue.extend(items)
                self._changed.notify()
        if not fits:
            self._stats.dropped(QUEUE_FULL, len(items))

    def stop(self) -> None:
        """Sends what is queued for a while; the rest is counted as dropped. Blocks for that while."""
        self._end_seconds = time.monotonic() + self._settings.drain_seconds
        with self._changed:
            self._stopping.set()
            self._changed.notify()
        self._thread.join(self._settings.drain_seconds + self._settings.timeout_seconds)

    def _run(self) -> None:
        with httpx.Client(
            timeout=self._settings.timeout_seconds, headers={**HEADERS, **self._settings.headers}
        ) as client:
            while batch := self._next():
                try:
                    self._deliver(client, batch)
                except Exception:  # noqa: BLE001 - the counted boundary of this thread
                    self._stats.dropped(INVALID, len(batch))

    def _next(self) -> list[Item]:
        """The next to send; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._stopping.is_set())
            size = min(len(self._queue), self._settings.request_items)
            return [self._queue.popleft() for _ in range(size)]

    def _deliver(self, client: httpx.Client, batch: list[Item]) -> None:
        body = self._encode(batch)
        give_up = time.monotonic() + self._settings.retry_seconds
        pause, longest = self._settings.backoff_seconds
        while (now := time.monotonic()) < min(give_up, self._end_seconds):
            answer = self._post(client, body, len(batch), min(self._settings.timeout_seconds, self._end_seconds - now))
            if not answer.retriable:
                self._stats.exported(len(batch) - answer.refused)
                self._stats.dropped(REFUSED, answer.refused)
                return
            self._stats.retried()
            self._pause(max(pause, answer.wait_seconds), give_up)
            pause = min(2 * pause, longest)
        self._stats.dropped(STOPPED if self._stopping.is_set() else EXPIRED, len(batch))

    def _post(self, client: httpx.Client, body: bytes, items: int, timeout_seconds: float) -> Answer:
        try:
            response = client.post(self._settings.url, content=body, timeout=timeout_seconds)
        except httpx.HTTPError:
            return Answer(retriable=True)
        return read_answer(response, items)

    def _pause(self, seconds: float, give_up: float) -> None:
        """Waits, but not past the time to give up; :meth:`stop` cuts it to a short one."""
        first, _ = self._settings.backoff_seconds
        if self._stopping.is_set():
            time.sleep(min(first, self._settings.drain_seconds))
        else:
            self._stopping.wait(max(0.0, min(seconds, give_up - time.monotonic())))
