"""examples/kubernetes/ agrees with the code: settings, commands, ports, probes, names, the metric it scales by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.cli import parser
from streams.publish.progress import PROGRESS
from streams.settings import Settings, unknown

ROOT = Path(__file__).parents[2]
OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all((ROOT / "examples/kubernetes/streams.yml").read_text()))
BY_KEY = {(one["kind"], one["metadata"]["name"]): one for one in OBJECTS}
ROLES = ("metrics", "traces", "alerts")
SETTINGS = Settings.from_environ(BY_KEY["ConfigMap", "streams"]["data"])


def container(kind: str, name: str) -> dict[str, Any]:
    (one,) = BY_KEY[kind, name]["spec"]["template"]["spec"]["containers"]
    return dict(one)


def test_no_object_is_written_twice_and_every_role_has_all_of_its() -> None:
    kinds = ("Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler")
    wanted = {(kind, f"worker-{role}") for kind in kinds for role in ROLES}
    assert set(BY_KEY) == wanted | {("ConfigMap", "streams"), ("Job", "topics")}
    assert len(BY_KEY) == len(OBJECTS)


def test_every_variable_is_a_setting_and_text() -> None:
    data = BY_KEY["ConfigMap", "streams"]["data"]
    assert unknown(data) == []
    assert all(isinstance(value, str) for value in data.values())
    assert SETTINGS.http_host == "0.0.0.0"


@pytest.mark.parametrize("role", ROLES)
def test_a_worker_is_started_asked_and_found_as_the_code_has_it(role: str) -> None:
    name = f"worker-{role}"
    worker = container("Deployment", name)
    assert parser().parse_args(worker["args"]).role == role
    assert [port["containerPort"] for port in worker["ports"]] == [SETTINGS.http_port]
    assert [port["port"] for port in BY_KEY["Service", name]["spec"]["ports"]] == [SETTINGS.http_port]
    served = (ROOT / "streams/publish/http.py").read_text()
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert f'"{worker[probe]["httpGet"]["path"]}"' in served
    labels = BY_KEY["Deployment", name]["spec"]["template"]["metadata"]["labels"]
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert BY_KEY[kind, name]["spec"]["selector"]["matchLabels"] == labels
    assert BY_KEY["Service", name]["spec"]["selector"] == labels
    assert BY_KEY["Service", name]["spec"]["clusterIP"] == "None", "one address per worker, for Prometheus"


@pytest.mark.parametrize("role", ROLES)
def test_it_scales_by_an_exported_metric_up_to_the_partitions(role: str) -> None:
    spec = BY_KEY["HorizontalPodAutoscaler", f"worker-{role}"]["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"worker-{role}"}
    assert spec["maxReplicas"] <= SETTINGS.partitions
    (metric,) = spec["metrics"]
    assert metric["external"]["metric"]["name"] in {one.sample_name for one in PROGRESS}
    assert metric["external"]["metric"]["selector"]["matchLabels"] == {"role": role}, "as production.yml labels it"


def test_prometheus_looks_up_these_names() -> None:
    body = yaml.safe_load((ROOT / "monitoring/prometheus/production.yml").read_text())
    (job,) = [one for one in body["scrape_configs"] if one["job_name"] == "streams"]
    (discovery,) = job["dns_sd_configs"]
    assert set(discovery["names"]) == {f"worker-{role}" for role in ROLES}
    assert discovery["port"] == SETTINGS.http_port


@pytest.mark.parametrize(("kind", "name"), [("Job", "topics"), *(("Deployment", f"worker-{role}") for role in ROLES)])
def test_every_pod_is_limited_and_not_root(kind: str, name: str) -> None:
    pod, one = BY_KEY[kind, name]["spec"]["template"]["spec"], container(kind, name)
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["automountServiceAccountToken"] is False
    assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert one["securityContext"]["readOnlyRootFilesystem"]
    assert one["resources"]["limits"]["memory"]
    image = yaml.safe_load((ROOT / "docker-compose.kafka.yml").read_text())["x-application"]["image"]
    assert one["image"] == image
