"""An HTTP receiver that remembers what was posted to it: Alertmanager's receiver in the demo and the tests."""

from __future__ import annotations

import json
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from streams.services.process import wait_until

MAX_REQUESTS: Final = 10_000


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    received: deque[dict[str, Any]]


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        """Any path. 400 if the body is not a JSON object."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        try:
            content = json.loads(body)
        except ValueError:
            content = None
        if isinstance(content, dict):
            self.server.received.append(content)
        self.send_response(200 if isinstance(content, dict) else 400)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        """Silent."""


class WebhookReceiver:
    """Listens on a free loopback port from construction until :meth:`stop`; also a context manager.

    Keeps the last 10,000 requests; older ones are forgotten.

    Attributes:
        url: where to post.
    """

    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.received = deque(maxlen=MAX_REQUESTS)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="webhook", daemon=True
        )
        self._thread.start()

    @property
    def requests(self) -> list[dict[str, Any]]:
        """Posted JSON objects, oldest first (a copy)."""
        return list(self._server.received)

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """The alerts of all notifications, oldest first: status, labels, annotations, startsAt, endsAt."""
        return [alert for request in self.requests for alert in request.get("alerts", ())]

    def wait_for(self, *, status: str, seconds: float, **labels: str) -> dict[str, Any]:
        """Wait for an alert with this status ("firing", "resolved") and these labels.

        Raises:
            ServiceUnavailable: it did not come in time.
        """

        def found() -> list[dict[str, Any]]:
            wanted = labels.items()
            return [alert for alert in self.alerts if alert["status"] == status and wanted <= alert["labels"].items()]

        wait_until(found, seconds=seconds, what=f"webhook: {status} alert {labels}")
        return found()[0]

    def clear(self) -> None:
        """Forget what was received."""
        self._server.received.clear()

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
