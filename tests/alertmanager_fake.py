"""An Alertmanager v2 API in memory, for tests that need it to fail on demand.

``tests/contract/test_alertmanager.py`` holds it to the behaviour of the real one.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

RESOLVE_TIMEOUT = timedelta(minutes=5)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    fake: FakeAlertmanager


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5

    def do_GET(self) -> None:
        self._answer(200, self.server.fake.alerts())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        code, headers = self.server.fake.post(body)
        self._answer(code, "", headers)

    def _answer(self, code: int, body: Any, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(code)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        pass


class FakeAlertmanager:
    """Attributes:
    url: base address.
    posts: bodies of all posts that were parsed, oldest first; codes: what each post was answered.
    fail: codes to answer next instead of looking at the body, each once. ``fail_always``: the same until unset.
    max_alerts: more in one post is 413. headers: sent with failures.
    refuse: an alert for which it is true is refused: with 400 by itself, with 422 together with its whole batch.
    """

    def __init__(self) -> None:
        self.posts: list[list[dict[str, Any]]] = []
        self.codes: list[int] = []
        self.fail: deque[int] = deque()
        self.fail_always = 0
        self.headers: dict[str, str] = {}
        self.max_alerts = 10_000
        self.refuse_code = 400
        self.refuse: Callable[[dict[str, Any]], bool] = lambda alert: False
        self._alerts: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.fake = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def post(self, body: bytes) -> tuple[int, dict[str, str]]:
        with self._lock:
            code = self._post(body)
            self.codes.append(code)
            return code, self.headers if code >= 400 else {}

    def _post(self, body: bytes) -> int:
        if self.fail or self.fail_always:
            return self.fail.popleft() if self.fail else self.fail_always
        alerts = json.loads(body)
        if not isinstance(alerts, list):
            return 400
        self.posts.append(alerts)
        if len(alerts) > self.max_alerts:
            return 413
        for alert in alerts:
            if not all(isinstance(text, str) for text in alert.get("labels", {}).values()):
                return 400
            url = alert.get("generatorURL")
            if url and not urlsplit(url).scheme:
                return 422
        if self.refuse_code == 422 and any(self.refuse(alert) for alert in alerts):
            return 422
        now = datetime.now(UTC)
        stored = [self._store(alert, now) for alert in alerts]  # all of them, whatever the first says
        return 200 if all(stored) else 400

    def _store(self, alert: dict[str, Any], now: datetime) -> bool:
        """False for an alert that is wrong by itself; the others of the batch are kept."""
        labels = tuple(sorted((k, v) for k, v in alert.get("labels", {}).items() if v))
        starts = _time(alert.get("startsAt")) or now
        ends = _time(alert.get("endsAt")) or now + RESOLVE_TIMEOUT
        if not labels or ends < starts or self.refuse(alert):
            return False
        old = self._alerts.get(labels)
        if old and ((old["starts"] < ends < old["ends"]) or (old["starts"] < starts < old["ends"])):
            starts = min(starts, old["starts"])
            if ends > now:
                ends = max(ends, old["ends"])
        annotations = alert.get("annotations", {})
        self._alerts[labels] = {"labels": dict(labels), "annotations": annotations, "starts": starts, "ends": ends}
        return True

    def alerts(self) -> list[dict[str, Any]]:
        """What GET /api/v2/alerts gives: those not yet ended."""
        now = datetime.now(UTC)
        with self._lock:
            return [
                {
                    "labels": a["labels"],
                    "annotations": a["annotations"],
                    "startsAt": a["starts"].isoformat(),
                    "endsAt": a["ends"].isoformat(),
                }
                for a in self._alerts.values()
                if a["ends"] > now
            ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
