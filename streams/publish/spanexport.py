"""Sampled spans to any OTLP/HTTP receiver, from a thread of its own: the stream never waits for it.

At least once: a trace that late spans revise, or that a restarted worker assembles again, is sent whole again; backends
know a span by its ids. What is queued is lost with the process, and counted where the process can still count.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import httpx

from streams.domain.span import Span
from streams.publish.otlp import HEADERS, Answer, encode_request, read_answer

QUEUE_FULL: Final = "queue_full"
REFUSED: Final = "refused"
EXPIRED: Final = "expired"
INVALID: Final = "invalid"
STOPPED: Final = "stopped"


class ExportStats(Protocol):
    """Where the exporter counts (:class:`streams.publish.health.Health` is one)."""

    def spans_exported(self, count: int) -> None:
        """The receiver took spans."""

    def spans_dropped(self, reason: str, count: int) -> None:
        """Spans that will not arrive: queue_full, refused, expired, invalid, stopped."""

    def export_retried(self) -> None:
        """A request failed and will be sent again."""


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """How it sends.

    Attributes:
        url: of the receiver's traces, e.g. ``http://collector:4318/v1/traces``.
        queue_spans: spans that wait at most, beside the request under way; a trace that does not fit is dropped whole.
        request_spans: spans of one request.
        retry_seconds: a request is given up after so long. backoff_seconds: first and longest pause, doubling between.
        timeout_seconds: of one post. drain_seconds: how long :meth:`SpanExporter.stop` goes on sending.
        headers: of every request, e.g. the receiver's token; not in the repr.
    """

    url: str
    queue_spans: int = 50_000
    request_spans: int = 512
    retry_seconds: float = 300.0
    backoff_seconds: tuple[float, float] = (0.2, 10.0)
    timeout_seconds: float = 10.0
    drain_seconds: float = 3.0
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class SpanExporter:
    """One thread, one connection, requests in order. Every span offered is exported or dropped, and counted once."""

    def __init__(self, settings: ExportSettings, stats: ExportStats) -> None:
        self._settings, self._stats = settings, stats
        self._queue: deque[Span] = deque()
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._end_seconds = float("inf")  # on the monotonic clock
        self._thread = threading.Thread(target=self._run, name="otlp-export", daemon=True)

    def start(self) -> None:
        """Begins to send."""
        self._thread.start()

    def offer(self, spans: Sequence[Span]) -> None:
        """Queues the spans of a trace, or counts them as dropped; never waits for the receiver."""
        with self._changed:
            fits = not self._stopping.is_set() and len(self._queue) + len(spans) <= self._settings.queue_spans
            if fits:
                self._queue.extend(spans)
                self._changed.notify()
        if not fits:
            self._stats.spans_dropped(QUEUE_FULL, len(spans))

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
                    self._stats.spans_dropped(INVALID, len(batch))

    def _next(self) -> list[Span]:
        """The next spans to send; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._stopping.is_set())
            size = min(len(self._queue), self._settings.request_spans)
            return [self._queue.popleft() for _ in range(size)]

    def _deliver(self, client: httpx.Client, batch: list[Span]) -> None:
        body = encode_request(batch)
        give_up = time.monotonic() + self._settings.retry_seconds
        pause, longest = self._settings.backoff_seconds
        while (now := time.monotonic()) < min(give_up, self._end_seconds):
            answer = self._post(client, body, len(batch), min(self._settings.timeout_seconds, self._end_seconds - now))
            if not answer.retriable:
                self._stats.spans_exported(len(batch) - answer.refused)
                self._stats.spans_dropped(REFUSED, answer.refused)
                return
            self._stats.export_retried()
            self._pause(max(pause, answer.wait_seconds), give_up)
            pause = min(2 * pause, longest)
        self._stats.spans_dropped(STOPPED if self._stopping.is_set() else EXPIRED, len(batch))

    def _post(self, client: httpx.Client, body: bytes, spans: int, timeout_seconds: float) -> Answer:
        try:
            response = client.post(self._settings.url, content=body, timeout=timeout_seconds)
        except httpx.HTTPError:
            return Answer(retriable=True)
        return read_answer(response, spans)

    def _pause(self, seconds: float, give_up: float) -> None:
        """Waits, but not past the time to give up; :meth:`stop` cuts it to a short one."""
        first, _ = self._settings.backoff_seconds
        if self._stopping.is_set():
            time.sleep(min(first, self._settings.drain_seconds))
        else:
            self._stopping.wait(max(0.0, min(seconds, give_up - time.monotonic())))
