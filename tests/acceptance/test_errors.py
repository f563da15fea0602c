"""What a worker says when it cannot work: one line that names the remedy, and an exit code."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from streams.services.kafka import KafkaService
from streams.services.ports import free_port
from tests.pipeline import ROOT, Pipeline, open_pipeline

USAGE, UNAVAILABLE = 2, 3
pytestmark = pytest.mark.timeout(180)


def worker(folder: Path, variables: Mapping[str, object], *arguments: str) -> tuple[int, str]:
    """Exit code and stderr of ``streams worker`` in this process's environment and these settings."""
    settings = {"STREAMS_THRESHOLDS_PATH": ROOT / "monitoring" / "thresholds.yml", "STREAMS_HTTP_PORT": 0} | variables
    command = ["env", *(f"{k}={v}" for k, v in settings.items()), sys.executable, "-m", "streams", "worker", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stderr


@pytest.fixture(scope="module")
def empty_broker(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[KafkaService]:
    with KafkaService(tmp_path_factory.mktemp("empty"), cache_folder=cache_folder) as broker:
        yield broker


def test_no_broker(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    code, text = worker(tmp_path, {"STREAMS_BROKERS": address}, "--no-supervise")
    assert code == UNAVAILABLE
    assert f"streams: no Kafka broker answers at {address}" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("supervised", [True, False])
def test_a_wrong_setting_ends_also_the_supervisor(tmp_path: Path, supervised: bool) -> None:
    arguments = () if supervised else ("--no-supervise",)
    code, text = worker(tmp_path, {"STREAMS_PANE_SECONDS": "ten"}, *arguments)
    assert code == USAGE
    assert text.startswith("streams: STREAMS_PANE_SECONDS=ten: allowed is 1 to 3600")
    assert text.count("\n") == 1


def test_no_rules_file(tmp_path: Path) -> None:
    code, text = worker(tmp_path, {"STREAMS_THRESHOLDS_PATH": "absent.yml"}, "--no-supervise")
    assert code == USAGE
    assert "STREAMS_THRESHOLDS_PATH=absent.yml: No such file or directory" in text


def test_topics_missing(tmp_path: Path, empty_broker: KafkaService) -> None:
    code, text = worker(tmp_path, {"STREAMS_BROKERS": empty_broker.bootstrap}, "--role", "metrics", "--no-supervise")
    assert code == UNAVAILABLE
    assert "agents.metrics" in text
    assert "run `streams topics create`" in text
    assert "Traceback" not in text


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[Pipeline]:
    with open_pipeline(tmp_path_factory.mktemp("errors"), cache_folder, partitions=2) as pipeline:
        yield pipeline


def test_the_http_port_is_taken(tmp_path: Path, pipeline: Pipeline) -> None:
    taken = pipeline.broker.port
    code, text = worker(tmp_path, {**pipeline.variables, "STREAMS_HTTP_PORT": taken}, "--no-supervise")
    assert code == UNAVAILABLE
    assert f"STREAMS_HTTP_PORT={taken}: the port is taken" in text
    assert "Traceback" not in text


def test_topics_with_another_number_of_partitions(tmp_path: Path, pipeline: Pipeline) -> None:
    code, text = worker(tmp_path, {**pipeline.variables, "STREAMS_PARTITIONS": 3}, "--no-supervise")
    assert code == USAGE
    assert "agents.metrics has 2 partitions, STREAMS_PARTITIONS is 3: set STREAMS_PARTITIONS=2" in text
