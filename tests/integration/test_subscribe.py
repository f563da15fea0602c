"""Subscribers on a real broker: filters, places, the terminal, the example, a signed webhook that was away."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import orjson
import pytest
from confluent_kafka import Producer

from streams import cli, topics
from streams.app import control
from streams.app.admin import create_topics
from streams.domain.alert import encode_alert
from streams.domain.control import Ack
from streams.domain.incident import encode_incident
from streams.errors import ServiceUnavailable
from streams.records.cluster import Cluster
from streams.services.kafka import KafkaService
from streams.services.ports import free_port
from streams.settings import Settings
from streams.subscribe import Event, Wanted, subscribe
from streams.subscribe.signature import HEADER, TIMESTAMP_HEADER, verified
from streams.subscribe.stream import Start
from tests.pipeline import eventually, run_command
from tests.unit.subscribe.drawing import alert, incident

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
SECRET = "a-secret-of-24-characters"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[KafkaService]:
    """One of our own, so that the topics hold only what these tests write."""
    with KafkaService(tmp_path_factory.mktemp("kafka"), cache_folder=cache_folder) as service:
        asyncio.run(create_topics(Settings(brokers=service.bootstrap, partitions=2, replication_factor=1)))
        produce(
            service, *((topics.ALERTS, f"f{n}", encode_alert(alert(fingerprint=f"f{n}", seq=n))) for n in range(20))
        )
        produce(service, (topics.ALERTS, "f1", encode_alert(alert(fingerprint="f1", seq=1))))  # written twice
        produce(service, (topics.ALERTS, "x", b"no alert"), (topics.INCIDENTS, "i1", encode_incident(incident())))
        yield service


def produce(broker: KafkaService, *records: tuple[str, str, bytes]) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap, "partitioner": "murmur2_random"})
    for topic, key, value in records:
        producer.produce(topic, value, key)
    assert producer.flush(30) == 0


async def take(brokers: str, count: int, *, done: int = 0, **how: Any) -> list[Event]:
    """The first events; stores the place behind the first ``done`` of them."""
    found: list[Event] = []
    async with subscribe(brokers, **how) as events, asyncio.timeout(60):
        async for event in events:
            found.append(event)
            if len(found) <= done:
                await events.done(event)
            if len(found) == count:
                break
    return found


def names(events: list[Event]) -> list[str]:
    return sorted(e.alert.fingerprint if e.alert else e.incident.incident_id for e in events if e.alert or e.incident)


def test_everything_comes_once(broker: KafkaService) -> None:
    found = asyncio.run(take(broker.bootstrap, 21, start=Start(0), wanted=Wanted(severity="high")))
    assert names(found) == sorted([*(f"f{n}" for n in range(20)), "i1"])


def test_a_group_goes_on_where_it_was(broker: KafkaService) -> None:
    group = uuid.uuid4().hex
    mine = [alert(fingerprint=f"{group}{n}", severity="info", identity={"agent.id": group}) for n in range(12)]
    produce(broker, *((topics.ALERTS, a.fingerprint, encode_alert(a)) for a in mine))
    how: dict[str, Any] = {"group": group, "start": Start(0), "wanted": Wanted(labels={"agent.id": group})}
    first = asyncio.run(take(broker.bootstrap, 8, done=5, **how))
    rest = asyncio.run(take(broker.bootstrap, 7, **how))
    assert names([*first[:5], *rest]) == sorted(a.fingerprint for a in mine)


def test_without_a_start_only_what_comes_is_given(broker: KafkaService) -> None:
    async def follow() -> list[Event]:
        async with subscribe(broker.bootstrap, wanted=Wanted(labels={"agent.id": "new"})) as events:
            mine = alert(fingerprint=uuid.uuid4().hex, severity="info", identity={"agent.id": "new"})
            await asyncio.to_thread(produce, broker, (topics.ALERTS, "n", encode_alert(mine)))
            async with asyncio.timeout(60):
                return [await anext(events)]

    (event,) = asyncio.run(follow())
    assert event.alert is not None
    assert event.alert.identity == {"agent.id": "new"}


def test_no_broker_and_no_topics_are_told(tmp_path: Path, private_kafka: KafkaService) -> None:
    with pytest.raises(ServiceUnavailable, match="no broker answers"):
        asyncio.run(take(f"127.0.0.1:{free_port()}", 1))
    with pytest.raises(ServiceUnavailable, match="streams topics create"):
        asyncio.run(take(private_kafka.bootstrap, 1))


def command(broker: KafkaService, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "STREAMS_BROKERS": broker.bootstrap}
    line = [sys.executable, "-m", "streams", "alerts", *arguments]
    return subprocess.Popen(line, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_tail_prints_incidents_with_their_cause_until_a_signal(broker: KafkaService) -> None:
    with command(broker, "tail", "--only", "incidents", "--from-start") as process:
        assert process.stdout is not None
        shown = [process.stdout.readline(), process.stdout.readline()]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert "INCIDENT i1  planning fails" in shown[0]
    assert "1. dependency contoso" in shown[1]


def test_acks_and_maintenance_are_written_and_listed(broker: KafkaService) -> None:
    def said(*arguments: str) -> str:
        done = run_command(*arguments, STREAMS_BROKERS=broker.bootstrap)
        return done.stdout.strip() if done.returncode == 0 else f"{done.returncode}: {done.stderr.strip()}"

    by = ("--by", "ann", "--why", "upgrade")
    assert said("maintenance", "list") == "none"
    assert said("alerts", "ack", "f1", "--for", "2h", *by) == ""
    added = said("maintenance", "add", "m1", "service.name=plan*", "--for", "1d", *by)
    assert "service.name=plan*  by ann: upgrade" in added
    assert said("maintenance", "list") == added
    assert said("maintenance", "end", "m1", *by) == "ended m1"
    assert said("maintenance", "list") == "none"
    assert said("maintenance", "end", "m1", *by).startswith("2: streams: no maintenance 'm1'")
    assert said("alerts", "unack", "f1", *by) == ""
    acks = [c for c in control.said(Cluster(broker.bootstrap)) if isinstance(c, Ack)]
    assert [(a.target, a.by, a.cleared) for a in acks] == [("f1", "ann", True)]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("maintenance", "add", "m", "x=y", "--for", "soon"), "is no length of time"),
        (("maintenance", "add", "m", "x", "--for", "1h"), "is no condition"),
        (("maintenance", "add", "m", "x=y", "--for", "1h", "--begin", "2026-01-31"), "is no time"),
        (("maintenance", "add", "m", "x=y", "--for", "1h", "--begin", "2020-01-31T00:00Z"), "would have ended"),
        (("alerts", "ack", "f", "--for", "0m"), "is no length of time"),
    ],
)
def test_what_people_may_not_say(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMS_BROKERS", "127.0.0.1:1")
    assert cli.main([*arguments, "--by", "ann", "--why", ""]) == 2
    assert told in capsys.readouterr().err


def test_the_example_prints_and_ends(broker: KafkaService) -> None:
    line = [
        sys.executable,
        ROOT / "examples" / "follow_alerts.py",
        broker.bootstrap,
        "--count",
        "21",
        "--severity",
        "high",
    ]
    done = subprocess.run([*line, "--group", uuid.uuid4().hex], capture_output=True, text=True, timeout=90, check=True)
    assert "incident open: planning fails; likeliest cause: contoso" in done.stdout
    assert done.stdout.count("alert firing: 30 % of the steps of a1 fail") == 20


class Receiver(HTTPServer):
    """Fails the first requests, then takes them."""

    def __init__(self, port: int, failures: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.failures, self.taken = failures, []


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        signed = verified(SECRET.encode(), self.headers[TIMESTAMP_HEADER], self.headers[HEADER], body, time.time())
        self.server.failures -= 1
        if self.server.failures < 0:
            self.server.taken.append((signed, orjson.loads(body)["id"]))
        self.send_response(503 if self.server.failures >= 0 else 204)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def test_a_webhook_that_was_away_gets_every_event_signed(broker: KafkaService, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    port = free_port()
    where = ["--url", f"http://127.0.0.1:{port}/in", "--secret-file", str(secret), "--group", uuid.uuid4().hex]
    with command(broker, "forward", *where) as refused:
        assert "--allow-private" in refused.communicate(timeout=60)[1]
    assert refused.returncode == 2
    with command(broker, "forward", *where, "--allow-private", "--from-start", "agent.id=a1") as process:
        time.sleep(3)  # the fault: nobody listens
        receiver = Receiver(port, failures=2)
        Thread(target=receiver.serve_forever, args=(0.05,), daemon=True).start()
        try:
            eventually(lambda: len({key for _, key in receiver.taken}) == 21, "all events", 60)
            process.terminate()
            assert process.wait(30) == 0
        finally:
            receiver.shutdown()
            receiver.server_close()
    assert all(signed for signed, _ in receiver.taken)
    assert {key for _, key in receiver.taken} == {*(f"f{n}/{n}" for n in range(20)), "i1/7"}
