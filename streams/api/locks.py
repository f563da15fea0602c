"""What stands before every route: whose page asks, how often, how much; who asked for a change; headers of answers."""

from __future__ import annotations

import ipaddress
import logging
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request

from streams import topics
from streams.api.context import LOCAL, Context
from streams.api.problem import problem
from streams.api.tokens import Token, bearer
from streams.domain.audit import MAX_BODY_CHARS, Entry, encode_entry
from streams.errors import ServiceUnavailable

log = logging.getLogger(__name__)
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

SECURITY: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src "
    "'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}
BURST_SECONDS: Final = 5.0
"""Who was silent may ask for so many seconds' worth at once."""
MAX_CALLERS: Final = 10_000
READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Refused(Exception):
    """A request that goes no further: status, detail, headers."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        self.answer = problem(status, detail, {name.replace("_", "-"): value for name, value in headers.items()})


@dataclass
class Buckets:
    """A rate for each caller. Bounded: :data:`MAX_CALLERS`; beyond it the one that asked longest ago is forgotten.

    Attributes:
        per_second: requests, with a burst of :data:`BURST_SECONDS` of them.
    """

    per_second: float
    _left: dict[str, tuple[float, int]] = field(default_factory=dict)

    def wait_seconds(self, caller: str, now_ns: int) -> float:
        """0 and one request is taken, or how long until one is there."""
        most = max(self.per_second * BURST_SECONDS, 1.0)
        left, at_ns = self._left.pop(caller, (most, now_ns))
        left = min(most, left + max(now_ns - at_ns, 0) / 1e9 * self.per_second)
        wait = max(0.0, (1.0 - left) / self.per_second)
        self._left[caller] = (left - 1.0 if not wait else left, now_ns)
        if len(self._left) > MAX_CALLERS:
            del self._left[next(iter(self._left))]
        return wait


class Locks:
    """ASGI middleware around the whole app."""

    def __init__(self, app: App, context: Context) -> None:
        self._app, self._context = app, context
        self._buckets = Buckets(context.settings.api_requests_per_second)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """One request; other kinds (the app's start and end) pass."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        try:
            await self._pass(Request(scope, receive), answer)
        except Refused as refused:
            await refused.answer(scope, receive, answer)

    async def _pass(self, request: Request, answer: _Answer) -> None:
        headers, path = request.headers, request.url.path
        self._same_site(request.method, headers)
        if not path.startswith("/api/"):
            await self._app(request.scope, request.receive, answer)
            return
        token = bearer(self._context.tokens, headers.get("Authorization", ""))
        address = request.client.host if request.client else ""
        wait = self._buckets.wait_seconds(f"token {token.name}" if token else address, self._context.clock_ns())
        if wait:
            raise Refused(429, "too many requests", Retry_After=str(int(wait) + 1))
        if request.method in READING:
            await self._app(request.scope, request.receive, answer)
        else:
            await self._change(request, token, address, answer)

    def _same_site(self, method: str, headers: Headers) -> None:
        """No other site's page may ask in the name of who looks at it."""
        host, origin = headers.get("Host", ""), headers.get("Origin", "")
        if not self._context.tokens and not is_loopback(_name(host)):
            raise Refused(403, "without tokens it answers only to this machine's own names")
        if method not in READING and origin and urlsplit(origin).netloc != host:
            raise Refused(403, "another site's page may not ask for a change")

    async def _change(self, request: Request, token: Token | None, address: str, answer: _Answer) -> None:
        """With the whole body at hand, on the record before and after; who is nobody is refused by the route."""
        body = await self._body(request)
        if self._context.tokens and token is None:
            await self._app(request.scope, _replay(body), answer)
            return
        by, scope = (token.name, token.scope) if token else (LOCAL, "admin")
        what = (request.method, request.url.path, request.url.query, body.decode(errors="replace")[:MAX_BODY_CHARS])
        entry = Entry(secrets.token_hex(8), self._context.clock_ns(), by, scope, address, *what)
        try:
            await self._context.ledger.write(topics.AUDIT, by.encode(), encode_entry(entry))
        except ServiceUnavailable as error:
            raise Refused(503, f"nothing is done that is not on record: {error}", Retry_After="2") from error
        answer.headers["X-Request-Id"] = entry.id
        try:
            await self._app(request.scope, _replay(body), answer)
        finally:
            await self._done(replace(entry, at_ns=self._context.clock_ns(), status=answer.status))

    async def _done(self, entry: Entry) -> None:
        try:
            await self._context.ledger.write(topics.AUDIT, entry.by.encode(), encode_entry(entry))
        except ServiceUnavailable as error:
            log.warning("the end of request %s (%s) is not on record: %s", entry.id, entry.status, error)

    async def _body(self, request: Request) -> bytes:
        most = self._context.settings.api_body_bytes
        length = request.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit()) or int(length) > most:
            raise Refused(413, f"at most {most} bytes")
        found = b""
        with suppress(ClientDisconnect):
            async for part in request.stream():
                found += part
                if len(found) > most:
                    raise Refused(413, f"at most {most} bytes", Connection="close")
        return found


class _Answer:
    """Sends on, with the headers of all answers; remembers the status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.headers = dict(SECURITY)
        self.status = 500

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in self.headers.items():
                headers.setdefault(name, value)
        await self._send(message)


def _replay(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _name(host: str) -> str:
    """A Host header without its port."""
    with suppress(ValueError):
        return urlsplit(f"//{host}").hostname or ""
    return ""


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
