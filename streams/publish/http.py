"""The small HTTP server of a worker: metrics for Prometheus, liveness and readiness for whoever starts it.

It runs in threads of its own, so that a busy event loop still answers; it decides nothing, it asks the callables it was
given.
"""

from __future__ import annotations

import gzip
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Collection
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qs, urlsplit

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder, gzip_accepted

SOCKET_TIMEOUT_SECONDS = 10.0
JSON = "application/json"


class Check(NamedTuple):
    """One named question about the worker and its answer; ``detail`` is for a person."""

    name: str
    ok: bool
    detail: str = ""


Checks = Callable[[], list[Check]]


class Render(Protocol):
    """Families as text, without an end mark."""

    def __call__(self, *, openmetrics: bool, names: Collection[str]) -> bytes:
        """``names``: only families with a sample of these names; empty: all."""
        ...


def nothing(*, openmetrics: bool, names: Collection[str]) -> bytes:
    """No families."""
    return b""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    registry: CollectorRegistry
    live: Checks
    ready: Checks
    more: Render
    tls: ssl.SSLContext | None

    def get_request(self) -> tuple[socket.socket, Any]:
        """A connection; its handshake is made in its own thread, where a silent client holds up nobody."""
        plain, address = super().get_request()
        if self.tls is None:
            return plain, address
        plain.settimeout(SOCKET_TIMEOUT_SECONDS)
        return self.tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is its own affair; anything else is shown."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError, ssl.SSLError)):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = SOCKET_TIMEOUT_SECONDS

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/metrics" and not self._known():
            self._answer(HTTPStatus.FORBIDDEN, JSON, orjson.dumps({"status": "a certificate of a client is needed"}))
        elif url.path == "/metrics":
            self._metrics(parse_qs(url.query).get("name[]"))
        elif url.path == "/health/live":
            self._checks(self.server.live())
        elif url.path == "/health/ready":
            self._checks(self.server.ready())
        else:
            paths = ["/metrics", "/health/live", "/health/ready"]
            self._answer(HTTPStatus.NOT_FOUND, JSON, orjson.dumps({"status": "not_found", "paths": paths}))

    def do_HEAD(self) -> None:
        self.do_GET()

    def _known(self) -> bool:
        """Health is for everybody, so that a probe needs no certificate; metrics are not."""
        tls = self.server.tls
        wanted = tls is not None and tls.verify_mode != ssl.CERT_NONE
        return not wanted or bool(isinstance(self.connection, ssl.SSLSocket) and self.connection.getpeercert())

    def _metrics(self, names: list[str] | None) -> None:
        encoder, content_type = choose_encoder(self.headers.get("Accept", ""))
        registry: Any = self.server.registry
        more = self.server.more(openmetrics="openmetrics" in content_type, names=names or ())
        rest = encoder(registry.restricted_registry(names) if names else registry)
        self._answer(HTTPStatus.OK, content_type, more + rest)  # OpenMetrics' end mark is in the rest

    def _checks(self, checks: list[Check]) -> None:
        ok = all(check.ok for check in checks)
        body = {"status": "ok" if ok else "unavailable", "checks": [check._asdict() for check in checks]}
        self._answer(HTTPStatus.OK if ok else HTTPStatus.SERVICE_UNAVAILABLE, JSON, orjson.dumps(body))

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        packed = gzip_accepted(self.headers.get("Accept-Encoding", ""))
        if packed:
            body = gzip.compress(body, compresslevel=1)
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        if packed:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Scrapes are not worth a line each."""


class WorkerServer:
    """``/metrics`` (OpenMetrics or Prometheus text, by the Accept header), ``/health/live``, ``/health/ready``.

    A health answer is 200 when every check is ok, else 503, with the checks as JSON in both cases. Bound to loopback
    unless told otherwise: in plain text nobody is asked who he is. With ``tls`` it answers in TLS only; where that asks
    for certificates of clients, ``/metrics`` is for those who have one. The callables are called in the server's
    threads.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        live: Checks,
        ready: Checks,
        more: Render = nothing,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Binds at once; ``port`` 0 takes a free one. ``more`` comes before what the registry holds.

        Raises:
            OSError: the address is in use.
        """
        self._server = _Server((host, port), _Handler)
        self._server.registry, self._server.tls = registry, tls
        self._server.live, self._server.ready, self._server.more = live, ready, more
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="worker-http", daemon=True
        )

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Its base address, without a slash at the end."""
        return f"http{'s' * (self._server.tls is not None)}://{self._server.server_address[0]!s}:{self.port}"

    def start(self) -> None:
        """Answers from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Stops and frees the port; fine before start and twice."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
