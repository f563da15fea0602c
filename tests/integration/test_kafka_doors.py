"""A real broker that lets in nobody without TLS, a password and a right: every role with its own."""

from __future__ import annotations

import shlex
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from agents_emitter import Emitter
from streams import topics
from streams.domain.alert import decode_alert
from streams.records.cluster import security_of
from streams.records.rights import PRINCIPALS, Right, rights
from streams.services.kafka import Doors, KafkaService
from streams.services.ports import free_port
from streams.services.process import ChildProcess
from tests.contract.test_access import Papers
from tests.pipeline import ROOT, Worker, eventually, run_command

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
GROUPS = "locked"
RULES = """
version: 1
rules:
  Hot: {metric: heat, statistic: max, window_seconds: 1, group_by: [agent.id], summary: s,
        levels: [{severity: high, threshold: 1}]}
"""


class Locked:
    """The broker, and a properties file for each principal."""

    def __init__(self, folder: Path, cache_folder: Path) -> None:
        papers = Papers(folder)
        key_store = folder / "server-store.pem"
        key_store.write_text((folder / "server.key").read_text() + (folder / "server.pem").read_text())
        self.ca, self.folder = papers.path("ca.pem"), folder
        self.passwords = {name: f"secret of {name}" for name in ("admin", *(f"streams-{who}" for who in PRINCIPALS))}
        doors = Doors(key_store, Path(self.ca), self.passwords)
        self.broker = KafkaService(folder / "kafka", cache_folder=cache_folder, doors=doors)

    def properties(self, name: str, password: str = "") -> Path:
        path = self.folder / f"{name}{password and '-wrong'}.properties"
        lines = ("security.protocol=SASL_SSL", f"ssl.ca.location={self.ca}", f"sasl.username={name}")
        path.write_text("\n".join((*lines, f"sasl.password={password or self.passwords[name]}")))
        return path

    def confluent(self, name: str) -> dict[str, str]:
        return {
            "bootstrap.servers": self.broker.bootstrap,
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": name,
            "sasl.password": self.passwords[name],
            "ssl.ca.location": self.ca,
        }

    def variables(self, name: str, password: str = "") -> dict[str, str]:
        rules = self.folder / "rules.yml"
        rules.write_text(RULES)
        return {
            "STREAMS_BROKERS": self.broker.bootstrap,
            "STREAMS_KAFKA_PROPERTIES_FILE": str(self.properties(name, password)),
            "STREAMS_GROUP_PREFIX": GROUPS,
            "STREAMS_PARTITIONS": "1",
            "STREAMS_THRESHOLDS_PATH": str(rules),
            "STREAMS_PANE_SECONDS": "1",
            "STREAMS_WINDOW_SECONDS": "1,5",
            "STREAMS_LATENESS_SECONDS": "1",
            "STREAMS_IDLE_SECONDS": "0.5",
            "STREAMS_TICK_INTERVAL_SECONDS": "0.2",
        }

    def streams(self, name: str, *arguments: str, password: str = "") -> subprocess.CompletedProcess[str]:
        return run_command(*arguments, **self.variables(name, password))

    def change(self, wanted: Sequence[Right], *, add: bool) -> None:
        """Adds or takes away rights, as the broker's own user."""
        admin = AdminClient(self.confluent("admin"))
        if add:
            done = admin.create_acls([AclBinding(*binding(right)) for right in wanted])
        else:
            done = admin.delete_acls([AclBindingFilter(*binding(right)) for right in wanted])
        for future in done.values():
            future.result(30)


def binding(right: Right) -> tuple[Any, ...]:
    kind = ResourceType.TOPIC if right.kind == "topic" else ResourceType.GROUP
    pattern = ResourcePatternType.LITERAL if right.kind == "topic" else ResourcePatternType.PREFIXED
    operation = AclOperation[right.operation.upper()]
    who = f"User:streams-{right.principal}"
    return kind, right.name, pattern, who, "*", operation, AclPermissionType.ALLOW


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[Locked]:
    made = Locked(tmp_path_factory.mktemp("doors"), cache_folder)
    with made.broker:
        created = made.streams("admin", "topics", "create")
        assert created.returncode == 0, created.stderr
        made.change(rights(GROUPS), add=True)
        yield made


def test_every_role_does_its_work_with_its_own_rights(locked: Locked) -> None:
    workers = [
        Worker(role, locked.folder, locked.variables(f"streams-{role}")) for role in ("metrics", "traces", "alerts")
    ]
    consumer = Consumer(locked.confluent("streams-users") | {"group.id": "users-test", "auto.offset.reset": "earliest"})
    kafka = security_of(locked.properties("streams-emitter").read_text())
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.wait_up()
        consumer.subscribe([topics.ALERTS])
        found = []
        with Emitter(locked.broker.bootstrap, service_name="s", agent_id="a1", agent_type="t", kafka=kafka) as emitter:
            gauge = emitter.gauge("heat")

            def alerted() -> bool:
                gauge.set(9.0)
                message = consumer.poll(0.2)
                if message is not None and message.error() is None:
                    found.append(decode_alert(message.value() or b""))
                return any(alert.alertname == "Hot" and alert.state == "firing" for alert in found)

            eventually(alerted, "an alert of what an agent reported")
        assert [worker.terminate() for worker in workers] == [0, 0, 0]
    finally:
        consumer.close()
        for worker in workers:
            worker.kill()


def test_the_check_says_which_right_is_missing(locked: Locked) -> None:
    good = locked.streams("streams-metrics", "config", "check", "--kafka", "--as", "metrics")
    assert good.returncode == 0, good.stderr
    assert "metrics may do with them what is needed" in good.stdout
    assert locked.streams("streams-api", "config", "check", "--kafka", "--as", "api").returncode == 0
    stranger = locked.streams("streams-emitter", "config", "check", "--kafka", "--as", "metrics")
    assert stranger.returncode == 3, "it may not even see all topics"
    right = Right("metrics", "Write", "topic", topics.WINDOWS)
    locked.change([right], add=False)
    try:
        checked = lambda: locked.streams("streams-metrics", "config", "check", "--kafka", "--as", "metrics")  # noqa: E731
        eventually(lambda: checked().returncode == 2, "the broker has taken the right away")
        assert "metrics needs Write on topic agents.windows" in checked().stdout
    finally:
        locked.change([right], add=True)


def test_a_wrong_password_and_plain_text_are_told_at_once_and_not_shown(locked: Locked) -> None:
    wrong = locked.streams("streams-metrics", "config", "check", "--kafka", password="wrong one")
    assert wrong.returncode == 3
    assert "wrong one" not in wrong.stdout + wrong.stderr
    assert "Traceback" not in wrong.stderr
    variables = locked.variables("streams-metrics") | {"STREAMS_KAFKA_PROPERTIES_FILE": ""}
    plain = run_command("topics", "describe", **variables)
    assert (plain.returncode, "Traceback" in plain.stderr) == (3, False), plain.stderr


def test_kafka_s_own_tool_takes_the_lines_that_are_printed(locked: Locked) -> None:
    printed = locked.streams("admin", "topics", "acls")
    assert printed.returncode == 0, printed.stderr
    lines = [shlex.split(line) for line in printed.stdout.splitlines()]
    assert {line[0] for line in lines} == {"kafka-acls"}
    java = locked.folder / "admin-java.properties"
    login = "org.apache.kafka.common.security.scram.ScramLoginModule required"
    java.write_text(
        f"security.protocol=SASL_SSL\nssl.truststore.type=PEM\nssl.truststore.location={locked.ca}\n"
        "sasl.mechanism=SCRAM-SHA-512\n"
        f'sasl.jaas.config={login} username="admin" password="{locked.passwords["admin"]}";\n'
    )
    for line in (next(one for one in lines if "--topic" in one), next(one for one in lines if "--group" in one)):
        arguments = [str(java) if part == "admin.properties" else part for part in line[1:]]
        said = locked.broker._tool("org.apache.kafka.tools.AclCommand", *arguments).splitlines()
        assert said, "every right of the line is there already: it says the same as the table"
        assert all(row.endswith("already exists.") for row in said if row.startswith("Acl ("))
        assert not any(row.startswith("Adding") for row in said)


def served_by(locked: Locked, scheme: str, port: int, path: str, *, known: bool) -> int:
    """The status of an answer over TLS, 0 where there is none."""
    context = ssl.create_default_context(cafile=locked.ca)
    if known:
        context.load_cert_chain(locked.folder / "us.pem", locked.folder / "us.key")
    try:
        return httpx.get(f"{scheme}://127.0.0.1:{port}{path}", verify=context, trust_env=False, timeout=5).status_code
    except (httpx.HTTPError, ssl.SSLError, OSError):
        return 0


def tls(locked: Locked) -> dict[str, str]:
    files = {"CERT": "server.pem", "KEY": "server.key", "CLIENTS": "ca.pem"}
    return {f"STREAMS_TLS_{name}_FILE": str(locked.folder / file) for name, file in files.items()}


def test_a_worker_s_metrics_are_for_known_clients_and_its_health_for_everybody(locked: Locked) -> None:
    worker = Worker("metrics", locked.folder, locked.variables("streams-metrics") | tls(locked))
    ask = partial(served_by, locked, "https", worker.port)
    worker.start()
    try:
        eventually(lambda: not worker.running or ask("/health/ready", known=False) == 200, "it is ready", 90.0)
        assert worker.running, worker.log_tail()
        assert (ask("/metrics", known=True), ask("/metrics", known=False)) == (200, 403)
        assert served_by(locked, "http", worker.port, "/metrics", known=False) == 0
        with socket.create_connection(("127.0.0.1", worker.port)):  # says nothing: nobody waits for it
            assert ask("/metrics", known=True) == 200
        assert worker.terminate() == 0
    finally:
        worker.kill()


def test_the_api_lets_in_known_clients_only(locked: Locked) -> None:
    port = free_port()
    folder = locked.folder / "api"
    folder.mkdir()
    variables = locked.variables("streams-api") | tls(locked)
    variables |= {"STREAMS_API_PORT": str(port), "STREAMS_API_STORE_PATH": str(folder / "board.sqlite3")}
    variables |= {"STREAMS_TRACE_STORE_PATH": str(folder / "traces.sqlite3"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "streams", "api"]
    api = ChildProcess("api", command, log=folder / "api.log", variables=variables, folder=ROOT)
    api.start()
    try:
        ask = partial(served_by, locked, "https", port)
        eventually(lambda: not api.running or ask("/health/ready", known=True) == 200, "it is ready", 90.0)
        assert api.running, api.log_tail()
        assert (ask("/api/v1/alerts", known=True), ask("/api/v1/alerts", known=False)) == (200, 0)
    finally:
        api.kill()


def test_files_of_tls_that_cannot_be_are_named(locked: Locked) -> None:
    for files, said in (
        ({"STREAMS_TLS_KEY_FILE": "/nowhere"}, "STREAMS_TLS_CERT_FILE is missing"),
        ({"STREAMS_TLS_CERT_FILE": "/nowhere"}, "No such file or directory: name PEM files"),
    ):
        done = run_command("worker", "--no-supervise", **locked.variables("streams-metrics"), **files)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
