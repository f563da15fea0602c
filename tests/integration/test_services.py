"""The embedded services do what the rest of the tests and the demo take for granted."""

from __future__ import annotations

import asyncio
import http.server
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import NewTopic
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from streams import topics
from streams.errors import ConfigurationError, ServiceUnavailable
from streams.services import ports
from streams.services.alertmanager import AlertmanagerService
from streams.services.kafka import KafkaService, answers
from streams.services.process import wait_until
from streams.services.prometheus import PrometheusService
from streams.services.rotel import RotelService
from streams.services.stack import Stack
from streams.services.webhook import WebhookReceiver
from tests.conftest import create_topics

pytestmark = pytest.mark.integration


async def _produce(bootstrap: str, topic: str, values: list[bytes]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        for value in values:
            await producer.send_and_wait(topic, value)


async def _consume(bootstrap: str, topic: str, count: int, group: str | None = None) -> list[bytes]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest")
    async with consumer:
        values: list[bytes] = []
        async with asyncio.timeout(30):
            while len(values) < count:
                values.append((await consumer.getone()).value)
        if group:
            await consumer.commit()
        return values


def _topic(name: str) -> NewTopic:
    return NewTopic(name, num_partitions=1, replication_factor=1)


class TestKafka:
    def test_what_is_produced_is_consumed_and_the_groups_lag_is_told(
        self, kafka: Any, unique_name: Callable[[str], str]
    ) -> None:
        topic, group = unique_name("topic"), unique_name("group")
        create_topics(kafka.bootstrap, [_topic(topic)])
        asyncio.run(_produce(kafka.bootstrap, topic, [b"a", b"b", b"c"]))
        assert asyncio.run(_consume(kafka.bootstrap, topic, 2, group)) == [b"a", b"b"]
        (row,) = kafka.consumer_groups(group)
        assert (row.topic, row.partition, row.committed, row.end, row.lag) == (topic, 0, 2, 3, 1)
        assert kafka.consumer_groups(unique_name("nobody")) == []

    def test_a_record_of_the_largest_size_passes(self, kafka: Any, unique_name: Callable[[str], str]) -> None:
        topic = unique_name("large")
        size = topics.BY_NAME[topics.STATE].max_record_bytes - 1_000
        limits = {"max.message.bytes": str(topics.BY_NAME[topics.STATE].max_record_bytes)}
        create_topics(kafka.bootstrap, [NewTopic(topic, 1, 1, topic_configs=limits)])

        async def send() -> None:
            async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, max_request_size=size + 1_000) as producer:
                await producer.send_and_wait(topic, b"x" * size)

        asyncio.run(send())
        (value,) = asyncio.run(_consume(kafka.bootstrap, topic, 1))
        assert len(value) == size

    def test_data_and_address_survive_kill_9_and_restart(self, private_kafka: KafkaService) -> None:
        create_topics(private_kafka.bootstrap, [_topic("kept")])
        asyncio.run(_produce(private_kafka.bootstrap, "kept", [b"before"]))
        address = private_kafka.bootstrap
        private_kafka.kill()
        assert not private_kafka.running
        assert not ports.accepts(private_kafka.port)
        private_kafka.restart()
        assert private_kafka.bootstrap == address
        asyncio.run(_produce(private_kafka.bootstrap, "kept", [b"after"]))
        assert asyncio.run(_consume(private_kafka.bootstrap, "kept", 2)) == [b"before", b"after"]

    def test_a_paused_broker_lives_and_answers_nothing_until_resumed(self, private_kafka: KafkaService) -> None:
        private_kafka.pause()
        assert private_kafka.running
        assert not answers(private_kafka.port)
        private_kafka.resume()
        wait_until(lambda: answers(private_kafka.port), seconds=30, what="answer after resume")

    def test_a_paused_broker_can_be_stopped(self, private_kafka: KafkaService) -> None:
        private_kafka.pause()
        private_kafka.stop()
        assert not private_kafka.running

    def test_listens_on_loopback_only(self, kafka: Any) -> None:
        if not isinstance(kafka, KafkaService):
            return  # a container's ports belong to the engine
        listening = [c.laddr.ip for c in psutil.Process(kafka.pid).net_connections() if c.status == psutil.CONN_LISTEN]
        assert listening
        assert all(ip in ("127.0.0.1", "::ffff:127.0.0.1") for ip in listening)

    def test_a_taken_port_is_named(self, tmp_path: Path, cache_folder: Path) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            with pytest.raises(ConfigurationError, match=rf"kafka: port 127\.0\.0\.1:{port} is taken"):
                KafkaService(tmp_path, cache_folder=cache_folder, port=port).start()


class TestAlertmanager:
    def test_an_alert_reaches_the_webhook_and_so_does_its_end(
        self, alertmanager: AlertmanagerService, webhook: WebhookReceiver, unique_name: Callable[[str], str]
    ) -> None:
        labels = {"alertname": unique_name("Slow"), "severity": "high", "service_name": "s"}
        now = datetime.now(UTC)
        firing = {"labels": labels, "startsAt": now.isoformat(), "endsAt": (now + timedelta(minutes=4)).isoformat()}
        httpx.post(f"{alertmanager.url}/api/v2/alerts", json=[firing], trust_env=False).raise_for_status()
        assert webhook.wait_for(status="firing", seconds=20, **labels)["labels"] == labels
        assert labels in [alert["labels"] for alert in alertmanager.alerts()]
        resolved = firing | {"endsAt": datetime.now(UTC).isoformat()}
        httpx.post(f"{alertmanager.url}/api/v2/alerts", json=[resolved], trust_env=False).raise_for_status()
        webhook.wait_for(status="resolved", seconds=20, **labels)

    def test_listens_on_loopback_only(self, alertmanager: AlertmanagerService) -> None:
        connections = psutil.Process(alertmanager.pid).net_connections()
        assert {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN} == {"127.0.0.1"}

    def test_a_broken_configuration_is_told_with_its_reason(self, tmp_path: Path, monitoring_packages: None) -> None:
        broken = tmp_path / "broken.yml"
        broken.write_text("route: {receiver: nobody}\nreceivers: [{name: somebody}]\n")
        with pytest.raises(ServiceUnavailable, match="undefined receiver"):
            AlertmanagerService(tmp_path, configuration=broken).start()


class _Metrics(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"# TYPE probe_value gauge\nprobe_value 42\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def exporter() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Metrics) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class TestPrometheus:
    def test_scrapes_a_target_given_while_it_runs(self, prometheus: PrometheusService, exporter: str) -> None:
        prometheus.set_targets([exporter])
        expression = f'probe_value{{instance="{exporter}", job="streams"}}'
        wait_until(lambda: prometheus.query(expression), seconds=30, what="scraped sample")
        assert prometheus.query(expression)[0]["value"][1] == "42"
        assert prometheus.scraped()[exporter] == "up"

    def test_query_answers_in_rows_and_refuses_aloud(self, prometheus: PrometheusService) -> None:
        assert prometheus.query("vector(7)")[0]["value"][1] == "7"
        assert prometheus.query("1 + 1")[0]["value"][1] == "2"
        assert prometheus.query("no_such_metric") == []
        with pytest.raises(ServiceUnavailable, match="parse error"):
            prometheus.query("sum(")

    def test_a_rule_of_its_own_reaches_the_webhook_through_alertmanager(
        self,
        tmp_path: Path,
        alertmanager: AlertmanagerService,
        webhook: WebhookReceiver,
        unique_name: Callable[[str], str],
    ) -> None:
        name = unique_name("Always").replace("-", "_")
        rules = tmp_path / "rules.yml"
        rule = {"alert": name, "expr": "vector(1)", "labels": {"severity": "info"}}
        rules.write_text(json.dumps({"groups": [{"name": "g", "rules": [rule]}]}))
        with PrometheusService(tmp_path / "p", rule_files=[rules], alertmanager_url=alertmanager.url) as service:
            webhook.wait_for(status="firing", seconds=30, alertname=name)
            assert [alert["labels"]["alertname"] for alert in service.alerts()] == [name]


class TestRotel:
    @staticmethod
    def _request(name: str) -> ExportTraceServiceRequest:
        request = ExportTraceServiceRequest()
        span = request.resource_spans.add().scope_spans.add().spans.add()
        span.trace_id, span.span_id, span.name = b"\x01" * 16, b"\x02" * 8, name
        return request

    def _post(self, rotel: RotelService, name: str) -> None:
        content = self._request(name).SerializeToString()
        headers = {"Content-Type": "application/x-protobuf"}
        url = f"{rotel.http_endpoint}/v1/traces"
        httpx.post(url, content=content, headers=headers, trust_env=False).raise_for_status()

    def test_a_span_over_http_becomes_a_protobuf_record(
        self, rotel: RotelService, kafka: Any, unique_name: Callable[[str], str]
    ) -> None:
        name = unique_name("span")
        self._post(rotel, name)

        async def found() -> ExportTraceServiceRequest:
            consumer = AIOKafkaConsumer(
                topics.OTLP_SPANS, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest"
            )
            async with consumer, asyncio.timeout(30):
                while True:
                    value = (await consumer.getone()).value
                    if name.encode() in value:
                        return ExportTraceServiceRequest.FromString(value)

        record = asyncio.run(found())
        assert record.resource_spans[0].scope_spans[0].spans[0].name == name

    def test_the_json_option(self, tmp_path: Path, private_kafka: KafkaService) -> None:
        create_topics(private_kafka.bootstrap, [_topic(topics.OTLP_SPANS)])
        bootstrap = private_kafka.bootstrap
        with RotelService(tmp_path / "r", kafka_bootstrap=bootstrap, record_format="json") as rotel:
            self._post(rotel, "in json")
            (value,) = asyncio.run(_consume(bootstrap, topics.OTLP_SPANS, 1))
        assert json.loads(value)[0]["scopeSpans"][0]["spans"][0]["name"] == "in json"

    def test_a_receiver_alone_needs_no_broker(self, tmp_path: Path) -> None:
        with RotelService(tmp_path / "r") as rotel:
            self._post(rotel, "nowhere")
            wait_until(lambda: "traces" in rotel.log.read_text().lower(), seconds=10, what="a line in its log")


_PARENT = """
import sys, time
from pathlib import Path
from streams.services.stack import Stack
stack = Stack(Path(sys.argv[1]), cache_folder=Path(sys.argv[2]))
try:
    with stack:
        services = (stack.kafka, stack.prometheus, stack.alertmanager, stack.rotel)
        print(*(service.pid for service in services), flush=True)
        time.sleep(600)
except KeyboardInterrupt:
    print(*(service.running for service in services), flush=True)
"""


class TestStack:
    def _parent(self, folder: Path, cache_folder: Path) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
        command = [sys.executable, "-c", _PARENT, str(folder), str(cache_folder)]
        parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert parent.stdout is not None
        children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        assert len(children) == 4
        assert all(child.is_running() for child in children)
        return parent, children

    def test_no_orphan_after_kill_9_of_the_parent(
        self, tmp_path: Path, cache_folder: Path, monitoring_packages: None
    ) -> None:
        parent, children = self._parent(tmp_path, cache_folder)
        with parent:
            children[0].suspend()  # a stopped child must go too
            parent.kill()
            parent.wait()
        _, alive = psutil.wait_procs(children, timeout=20)
        assert alive == []

    def test_ctrl_c_stops_everything_in_order(
        self, tmp_path: Path, cache_folder: Path, monitoring_packages: None
    ) -> None:
        parent, children = self._parent(tmp_path, cache_folder)
        with parent:
            parent.send_signal(signal.SIGINT)
            assert parent.stdout is not None
            assert parent.stdout.readline().split() == ["False"] * 4
            assert parent.wait(30) == 0
        _, alive = psutil.wait_procs(children, timeout=20)
        assert alive == []
        assert "shut down completed" in (tmp_path / "kafka" / "kafka.log").read_text()

    def test_a_failed_start_leaves_nothing_running(
        self, tmp_path: Path, cache_folder: Path, monitoring_packages: None
    ) -> None:
        before = {child.pid for child in psutil.Process().children(recursive=True)}
        rules = tmp_path / "rules.yml"
        rules.write_text("not: rules\n")
        stack = Stack(tmp_path, cache_folder=cache_folder, rule_files=[rules])
        with pytest.raises(ServiceUnavailable, match="prometheus: ended"):
            stack.start()
        assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
        assert stack.webhook is None

    def test_without_the_packages_it_goes_on_and_says_so(
        self, tmp_path: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("shutil.which", lambda name: None)
        with Stack(tmp_path, cache_folder=cache_folder, wanted=frozenset({"kafka", "prometheus"})) as stack:
            assert stack.prometheus is None
            assert answers(stack.kafka.port)
        assert len(stack.missing) == 1
        assert "apt-get install -y --no-install-recommends prometheus" in stack.missing[0]

    def test_addresses_name_what_runs(self, tmp_path: Path, cache_folder: Path, monitoring_packages: None) -> None:
        with Stack(tmp_path, cache_folder=cache_folder) as stack:
            assert stack.missing == []
            names = {"kafka", "prometheus", "alertmanager", "webhook", "otlp_grpc", "otlp_http"}
            assert set(stack.addresses()) == names
            assert stack.prometheus is not None
            wait_until(
                lambda: stack.prometheus and stack.prometheus.query('up{job="alertmanager"} == 1'),
                seconds=20,
                what="prometheus scrapes alertmanager",
            )


def test_loopback_is_asked_directly_whatever_the_proxy_variables_say(
    prometheus: PrometheusService, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert prometheus._ready()
    assert prometheus.query("vector(1)")
