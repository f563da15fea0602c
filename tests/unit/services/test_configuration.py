"""What the services write for their programs, and what they say when a program is missing."""

from __future__ import annotations

import itertools
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from streams.errors import ConfigurationError, DependencyMissing
from streams.services import install, ports
from streams.services.alertmanager import AlertmanagerService
from streams.services.kafka import GroupRow, KafkaService, answers, parse_groups
from streams.services.prometheus import PrometheusService
from streams.services.rotel import RotelService, python_library_folder
from streams.services.stack import Stack
from streams.topics import TOPICS

DESCRIBED = """
Consumer group 'g' has no active members.

GROUP  TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG  CONSUMER-ID  HOST        CLIENT-ID
g      agents.metrics  0          12              15              3    c-1          /127.0.0.1  c
g      agents.metrics  1          -               7               -    -            -           -
"""


def test_group_rows() -> None:
    assert parse_groups(DESCRIBED) == [
        GroupRow("agents.metrics", 0, 12, 15, 3, "c-1"),
        GroupRow("agents.metrics", 1, None, 7, None, ""),
    ]
    assert parse_groups("Error: Consumer group 'x' does not exist.\n") == []


def test_the_broker_takes_every_topics_records_and_listens_on_loopback(tmp_path: Path) -> None:
    service = KafkaService(tmp_path, cache_folder=tmp_path, port=20_001, advertised_port=20_002)
    properties = dict(line.split("=", 1) for line in service._configuration().splitlines())
    assert int(properties["message.max.bytes"]) >= max(topic.max_record_bytes for topic in TOPICS)
    assert properties["auto.create.topics.enable"] == "false"
    assert all("://127.0.0.1:" in listener for listener in properties["listeners"].split(","))
    assert properties["advertised.listeners"] == "PLAINTEXT://127.0.0.1:20002"
    assert service.bootstrap == "127.0.0.1:20002"


def test_a_port_that_is_closed_or_speaks_something_else_is_no_broker() -> None:
    port = ports.free_port()
    assert not answers(port)
    with socket.create_server(("127.0.0.1", port)) as server, ThreadPoolExecutor(1) as threads:

        def refuse() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1_024)
                connection.sendall(b"HTTP/1.0 400 Bad request\r\n\r\n")

        refusal = threads.submit(refuse)
        assert not answers(port)
        refusal.result()


def test_prometheus_keeps_the_jobs_of_the_template_and_finds_targets_by_file(tmp_path: Path) -> None:
    rules = tmp_path / "r.yml"
    service = PrometheusService(
        tmp_path, targets=["127.0.0.1:1"], rule_files=[rules], alertmanager_url="http://127.0.0.1:9/"
    )
    service._prepare()
    written = yaml.safe_load((tmp_path / "prometheus.yml").read_text())
    assert written["rule_files"] == [str(rules)]
    assert written["alerting"]["alertmanagers"][0]["static_configs"] == [{"targets": ["127.0.0.1:9"]}]
    jobs = {job["job_name"]: job for job in written["scrape_configs"]}
    assert jobs["streams"] == {
        "job_name": "streams",
        "honor_labels": True,
        "file_sd_configs": [{"files": ["targets.json"]}],
    }
    assert jobs["alertmanager"]["static_configs"] == [{"targets": ["127.0.0.1:9"]}]
    assert (tmp_path / "targets.json").read_text() == '[{"targets": ["127.0.0.1:1"]}]'


@pytest.mark.parametrize(("divisor", "waits"), [(None, {"1s"}), (8, {"2s", "4s", "8s"}), (60, {"1s"})])
def test_alertmanager_keeps_the_routes_of_the_template_and_posts_to_the_webhook(
    tmp_path: Path, divisor: int | None, waits: set[str]
) -> None:
    AlertmanagerService(tmp_path, webhook_url="http://127.0.0.1:8/", divisor=divisor)._prepare()
    written = yaml.safe_load((tmp_path / "alertmanager.yml").read_text())
    hook = {"url": "http://127.0.0.1:8/", "send_resolved": True}
    *somebody, nobody = written["receivers"]
    assert {"name": "page", "webhook_configs": [hook]} in somebody
    assert all(receiver["webhook_configs"] == [hook] for receiver in somebody)
    assert nobody == {"name": "nobody", "webhook_configs": []}
    routes = [written["route"], *written["route"]["routes"]]
    routes += [inner for route in routes[1:] for inner in route.get("routes", ())]
    assert {route["group_wait"] for route in routes} == waits
    assert divisor != 8 or routes[0]["group_wait"] == "4s" == routes[3]["group_wait"], "a route inherits"
    assert written["inhibit_rules"]


@pytest.mark.parametrize("content", ["- a list\n", "a: [\n", None])
def test_a_template_that_cannot_be_used_is_named(tmp_path: Path, content: str | None) -> None:
    template = tmp_path / "template.yml"
    if content is not None:
        template.write_text(content)
    with pytest.raises(ConfigurationError, match=r"template\.yml"):
        AlertmanagerService(tmp_path, configuration=template)._prepare()


def test_a_missing_program_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(DependencyMissing, match=r"apt-get install -y --no-install-recommends prometheus$"):
        install.program("prometheus")
    with pytest.raises(DependencyMissing, match="prometheus, prometheus-alertmanager not installed"):
        install.install()
    assert install.main() == 1


def test_nothing_is_installed_by_one_who_is_not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("streams.services.install._apt", lambda *arguments: pytest.fail(f"apt ran: {arguments}"))
    with pytest.raises(DependencyMissing, match="only root on a machine with apt can"):
        install.install()


def test_root_installs_only_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    have = {"apt-get", "prometheus"}
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}" if name in have else None)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("streams.services.install._apt", lambda *arguments: ran.append(arguments))
    assert install.install() == ["prometheus-alertmanager"]
    assert ran == [("update",), ("install", "-y", "--no-install-recommends", "prometheus-alertmanager")]


def test_the_agents_library_is_found_or_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (python_library_folder() / "libpython3.11.so.1.0").exists()
    monkeypatch.setattr("pathlib.Path.exists", lambda self: False)
    with pytest.raises(DependencyMissing, match=r"libpython3\.11"):
        python_library_folder()


def test_the_agent_writes_our_topics_or_nothing(tmp_path: Path) -> None:
    with_broker = list(map(str, RotelService(tmp_path, kafka_bootstrap="127.0.0.1:1", record_format="json")._command()))
    pairs = dict(itertools.pairwise(with_broker))
    assert pairs["--kafka-exporter-traces-topic"] == "otlp_spans"
    assert pairs["--kafka-exporter-format"] == "json"
    assert "blackhole" in RotelService(tmp_path)._command()


def test_a_stack_needs_a_broker_and_knows_its_services(tmp_path: Path) -> None:
    for wanted in ({"prometheus"}, {"kafka", "grafana"}):
        with pytest.raises(ValueError, match="wanted must hold kafka"):
            Stack(tmp_path, cache_folder=tmp_path, wanted=frozenset(wanted))


def test_a_wait_of_another_unit_is_no_matter_where_all_wait_for_a_second(tmp_path: Path) -> None:
    template = tmp_path / "template.yml"
    template.write_text("route: {receiver: nobody, group_wait: 1m30s}\nreceivers: [{name: nobody}]\n")
    AlertmanagerService(tmp_path, configuration=template)._prepare()
    assert yaml.safe_load((tmp_path / "alertmanager.yml").read_text())["route"]["group_wait"] == "1s"
