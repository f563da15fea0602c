"""docker-compose.kafka.yml, the Dockerfile and monitoring/ agree with the code and with each other."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams import topics
from streams.api.tokens import digest_of, read_tokens
from streams.cli import parser
from streams.services import jars
from streams.settings import Settings, unknown

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.kafka.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROMETHEUS: dict[str, Any] = yaml.safe_load((ROOT / "monitoring/prometheus/prometheus.yml").read_text())
COLLECTOR: dict[str, Any] = yaml.safe_load((ROOT / "monitoring/otel/collector.yml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
WORKERS = ("worker-metrics", "worker-traces", "worker-alerts")
OURS = ("topics", *WORKERS, "api")


def _variables(service: str) -> dict[str, str]:
    return {name: str(value) for name, value in SERVICES[service]["environment"].items()}


def _job(name: str) -> dict[str, Any]:
    (job,) = [job for job in PROMETHEUS["scrape_configs"] if job["job_name"] == name]
    return dict(job)


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting_with_an_allowed_value(name: str) -> None:
    assert unknown(_variables(name)) == []
    settings = Settings.from_environ(_variables(name))
    assert settings.brokers == "broker:9092"
    assert settings.alertmanager_urls == ("http://alertmanager:9093",)
    assert settings.http_host == "0.0.0.0", "Prometheus is in another container"


def test_the_commands_are_the_command_lines_of_the_program() -> None:
    parsed = {name: parser().parse_args(SERVICES[name]["command"]) for name in OURS}
    assert (parsed["topics"].command, parsed["topics"].action) == ("topics", "create")
    roles = {name: (parsed[name].command, parsed[name].role) for name in WORKERS}
    assert roles == {f"worker-{role}": ("worker", role) for role in ("metrics", "traces", "alerts")}
    assert 'ENTRYPOINT ["streams"]' in DOCKERFILE
    (default,) = re.findall(r"^CMD (.+)$", DOCKERFILE, re.MULTILINE)
    assert parser().parse_args(json.loads(default)).role == "all"


def test_workers_start_when_the_topics_are_made_and_topics_when_the_broker_is_healthy() -> None:
    assert SERVICES["topics"]["depends_on"] == {"broker": {"condition": "service_healthy"}}
    assert SERVICES["topics"]["restart"] == "no"
    for name in (*WORKERS, "api", "otel-collector"):
        assert SERVICES[name]["depends_on"] == {"topics": {"condition": "service_completed_successfully"}}


def test_the_broker_is_the_tested_version_and_takes_every_topics_records() -> None:
    assert SERVICES["broker"]["image"] == f"apache/kafka:{jars.KAFKA_VERSION}"
    variables = _variables("broker")
    largest = max(topic.max_record_bytes for topic in topics.TOPICS)
    assert int(variables["KAFKA_MESSAGE_MAX_BYTES"]) >= largest
    assert int(variables["KAFKA_REPLICA_FETCH_MAX_BYTES"]) >= largest
    assert variables["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert not variables["CLUSTER_ID"].startswith("-")


def test_clients_inside_and_on_this_machine_are_told_addresses_that_reach_the_broker() -> None:
    variables = _variables("broker")
    listeners = dict(part.split("://") for part in variables["KAFKA_LISTENERS"].split(","))
    advertised = dict(part.split("://") for part in variables["KAFKA_ADVERTISED_LISTENERS"].split(","))
    assert advertised["INTERNAL"] == _variables("topics")["STREAMS_BROKERS"]
    assert listeners["INTERNAL"].endswith(":9092")
    assert advertised["HOST"] == Settings().brokers, "agents on this machine need no setting"
    (published,) = SERVICES["broker"]["ports"]
    assert published == f"{advertised['HOST']}:{listeners['HOST'].rsplit(':', 1)[1]}"
    mapped = {part.split(":")[0] for part in variables["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")}
    assert mapped == set(listeners)


def test_the_api_is_for_this_machine_and_for_who_has_a_token() -> None:
    api, settings = SERVICES["api"], Settings.from_environ(_variables("api"))
    assert parser().parse_args(api["command"]).command == "api"
    assert api["profiles"] == ["api"], "without a file of tokens the others start all the same"
    assert api["ports"] == [f"127.0.0.1:{settings.api_port}:{settings.api_port}"]
    (secret,) = api["secrets"]
    assert settings.api_tokens_file == f"/run/secrets/{secret}"
    path = COMPOSE["secrets"][secret]["file"]
    assert path.removeprefix("./") in (ROOT / ".gitignore").read_text().splitlines()
    (folder,) = api["tmpfs"]
    assert settings.trace_store_bytes < 0.5 * 2**30
    assert folder.endswith("size=1g")
    assert {str(p.parent) for p in (settings.api_store_path, settings.trace_store_path)} == {"/tmp/streams"}
    assert f":{settings.api_port}/health/live" in api["healthcheck"]["test"][-1]
    assert '"/health/live"' in (ROOT / "streams/api/routes/health.py").read_text()


def test_the_line_that_makes_a_token_makes_one_that_is_read(tmp_path: Path) -> None:
    (line,) = re.findall(r"^#   (openssl rand.+)$", (ROOT / "docker-compose.kafka.yml").read_text(), re.MULTILINE)
    line = line.replace("tee /dev/tty", "tee shown")
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    (token,) = read_tokens((tmp_path / "api-tokens").read_text().splitlines(), "api-tokens")
    assert (token.name, token.scope) == ("me", "admin")
    assert token.digest == digest_of((tmp_path / "shown").read_text().strip())


def test_prometheus_scrapes_the_port_the_workers_serve_by_their_names() -> None:
    (discovery,) = _job("streams")["dns_sd_configs"]
    assert set(discovery["names"]) == set(WORKERS)
    for name in WORKERS:
        assert discovery["port"] == int(_variables(name)["STREAMS_HTTP_PORT"])
        assert f":{discovery['port']}/health/ready" in SERVICES[name]["healthcheck"]["test"][-1]
        assert "ports" not in SERVICES[name], "a published port could not be scaled"
    assert f"EXPOSE {discovery['port']}" in DOCKERFILE


def test_the_health_check_asks_a_path_that_the_worker_serves() -> None:
    source = (ROOT / "streams/publish/http.py").read_text()
    assert '"/health/ready"' in source


def test_everybody_means_the_same_alertmanager() -> None:
    url = "alertmanager:9093"
    (peer,) = PROMETHEUS["alerting"]["alertmanagers"]
    assert peer["static_configs"] == [{"targets": [url]}]
    assert _job("alertmanager")["static_configs"] == [{"targets": [url]}]
    assert _variables("worker-alerts")["STREAMS_ALERTMANAGER_URLS"] == f"http://{url}"
    assert "alertmanager" in SERVICES


def test_the_collector_writes_the_topics_that_the_pipeline_reads() -> None:
    kafka = COLLECTOR["exporters"]["kafka"]
    assert kafka["brokers"] == [_variables("topics")["STREAMS_BROKERS"]]
    assert kafka["traces"]["topic"] == topics.OTLP_SPANS
    assert kafka["metrics"]["topic"] == topics.OTLP_METRICS
    assert kafka["logs"]["topic"] == topics.OTLP_LOGS
    limit = topics.BY_NAME[topics.OTLP_SPANS].max_record_bytes
    assert kafka["producer"]["max_message_bytes"] <= limit
    ports = {port.rsplit(":", 1)[1] for port in SERVICES["otel-collector"]["ports"]}
    protocols = COLLECTOR["receivers"]["otlp"]["protocols"]
    assert ports == {protocol["endpoint"].rsplit(":", 1)[1] for protocol in protocols.values()}


def test_sampled_traces_go_to_the_trace_backend_that_grafana_asks() -> None:
    settings = Settings.from_environ(_variables("worker-traces"))
    assert settings.otlp_traces_url == "http://jaeger:4318/v1/traces"
    flags = dict(flag.split("=") for flag in SERVICES["jaeger"]["command"])
    assert flags["--collector.otlp.http.host-port"] == ":4318"
    assert int(flags["--memory.max-traces"]) > 0, "without it its memory has no bound"
    folder = ROOT / "monitoring/grafana/provisioning/datasources"
    (jaeger,) = yaml.safe_load((folder / "jaeger.yml").read_text())["datasources"]
    assert jaeger["url"] == f"http://jaeger{flags['--query.http-server.host-port']}"
    (prometheus,) = yaml.safe_load((folder / "prometheus.yml").read_text())["datasources"]
    (link,) = prometheus["jsonData"]["exemplarTraceIdDestinations"]
    assert link["datasourceUid"] == jaeger["uid"]
    assert f"{link['name']}=" in (ROOT / "streams/publish/exposition.py").read_text()


def test_grafana_asks_the_prometheus_of_the_stack() -> None:
    path = ROOT / "monitoring/grafana/provisioning/datasources/prometheus.yml"
    (source,) = yaml.safe_load(path.read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert source["jsonData"]["timeInterval"] == PROMETHEUS["global"]["scrape_interval"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_is_pinned_limited_and_not_root(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":v?\d+\.\d+\.\d+$", service["image"])
    uid = str(service["user"]).split(":")[0]
    assert uid.isdigit()
    assert int(uid) > 0
    assert service["mem_limit"]
    assert service["cpus"]
    assert service["pids_limit"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_has_a_health_check_or_cannot_have_one(name: str) -> None:
    without = {"topics": "ends by itself", "otel-collector": "an image without a shell"}
    assert ("healthcheck" in SERVICES[name]) != (name in without)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_ports_are_published_on_loopback_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", ()))


def test_what_is_mounted_exists_and_volumes_are_declared() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists(), source
                assert volume.endswith(":ro")
            elif source.startswith("/"):
                assert volume.endswith(":ro"), source  # the machine's own folders: looked at, never written
            else:
                assert source in COMPOSE["volumes"]


def test_what_the_image_copies_is_in_the_build_context() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = set()
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        copied |= set(line.split()[:-1])
    assert copied <= let_in
    assert all((ROOT / path).exists() for path in copied)
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)


def test_the_image_installs_with_the_tool_of_the_setup() -> None:
    (wanted,) = re.findall(r"^UV_VERSION=(\S+)$", (ROOT / ".ci/setup").read_text(), re.MULTILINE)
    assert f"uv=={wanted}" in DOCKERFILE
