"""The worker's HTTP server, over real sockets."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client import CollectorRegistry

from streams.publish.health import make_health
from streams.publish.http import Check, WorkerServer
from streams.publish.prometheus import WindowCollector
from tests.unit.publish.test_prometheus import mixed


class Worker:
    """What the callables answer."""

    def __init__(self) -> None:
        self.live = [Check("loop", True)]
        self.ready = [Check("assigned", True), Check("lag", True, "0 records")]
        registry = CollectorRegistry()
        make_health(registry, version="1").dead_letters.labels("agents.metrics", "json").inc(7)
        more = WindowCollector([mixed()]).render
        self.server = WorkerServer(registry, live=lambda: self.live, ready=lambda: self.ready, more=more)

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(self.server.url + path, headers=headers, trust_env=False)


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    made.server.start()
    yield made
    made.server.stop()


def test_metrics_in_the_format_that_is_asked_for(worker: Worker) -> None:
    plain = worker.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'streams_dead_letters_total{reason="json",topic="agents.metrics"} 7.0\n' in plain.text
    assert "_created" not in plain.text
    asked = worker.get("/metrics", accept="application/openmetrics-text; version=1.0.0, text/plain; q=0.5")
    assert asked.headers["content-type"].startswith("application/openmetrics-text")
    assert asked.text.endswith("# EOF\n")


def test_compression_is_negotiated(worker: Worker) -> None:
    assert "content-encoding" not in worker.get("/metrics", **{"accept-encoding": "identity"}).headers
    packed = worker.get("/metrics", **{"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "streams_dead_letters_total" in packed.text


def test_single_metrics_can_be_asked_for(worker: Worker) -> None:
    answer = worker.get("/metrics?name[]=streams_dead_letters_total")
    assert [line.split("{")[0] for line in answer.text.splitlines() if not line.startswith("#")] == [
        "streams_dead_letters_total"
    ]


def test_head_has_no_body(worker: Worker) -> None:
    host, port = worker.server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"HEAD /metrics HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 200 " in head.splitlines()[0]
    assert body == b""


def test_readiness_is_the_checks(worker: Worker) -> None:
    assert worker.get("/health/ready").status_code == 200
    worker.ready[1] = Check("lag", False, "900 records")
    answer = worker.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "unavailable",
        "checks": [
            {"name": "assigned", "ok": True, "detail": ""},
            {"name": "lag", "ok": False, "detail": "900 records"},
        ],
    }
    assert worker.get("/health/live").json()["status"] == "ok"


def test_other_paths_are_not_found_and_say_what_there_is(worker: Worker) -> None:
    answer = worker.get("/")
    assert answer.status_code == 404
    assert "/metrics" in answer.json()["paths"]


def test_it_listens_on_loopback_only_and_frees_its_port() -> None:
    server = Worker().server
    server.stop()
    server.stop()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", server.port))
    made = Worker()
    assert made.server.url.startswith("http://127.0.0.1:")
    made.server.stop()


def test_promtool_has_nothing_to_say(worker: Worker, monitoring_packages: None) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool comes with the Debian package prometheus"
    scraped = worker.get("/metrics").content
    said = subprocess.run([promtool, "check", "metrics"], input=scraped, capture_output=True, check=False)
    assert (said.stdout + said.stderr).decode() == ""
    assert said.returncode == 0
