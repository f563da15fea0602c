"""``streams gate check`` as CI calls it: good, bad and undecided versions on a real broker; no broker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from streams import topics
from streams.domain.window import encode_window_batch
from streams.services.ports import free_port
from tests.pipeline import ROOT, Pipeline, Sent, open_pipeline
from tests.unit.gate.windows import series, window

pytestmark = pytest.mark.integration
GATES = """
version: 1
profiles:
  default:
    max_age_seconds: 600
    comparisons:
      slower: {metric: latency, statistic: p95, unit: s, max_change: 0.1, window_seconds: 3600}
  pinned:
    max_age_seconds: 600
    comparisons:
      slower: {metric: latency, statistic: p95, unit: s, against: pinned, max_change: 0.1, window_seconds: 3600}
"""


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[Pipeline]:
    folder = tmp_path_factory.mktemp("gates")
    (folder / "gates.yml").write_text(GATES)
    with open_pipeline(folder, cache_folder, gates_path=folder / "gates.yml") as made:
        yield made


def publish(pipeline: Pipeline, service: str, factor: float, panes: int, **labels: str) -> None:
    """Windows up to now, of a partition of its own: version 2 is ``factor`` times as slow as version 1."""
    partition = zlib.crc32(service.encode())
    rng, last = np.random.default_rng(3), int(time.time() // 10) - 1
    records = []
    for pane in range(last - panes, last):
        rows = [
            (series("latency", version, service, **labels), times * rng.lognormal(-1, 0.4, 60))
            for version, times in (("1", 1.0), ("2", factor))
        ]
        records.append(
            Sent(topics.WINDOWS, f"{service}{pane}".encode(), encode_window_batch(window(pane, rows, partition)))
        )
    pipeline.produce(records)


def gate(pipeline: Pipeline, service: str, *more: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return pipeline.command("gate", "check", "--service", service, "--version", "2", *more, **variables)


@pytest.mark.parametrize(
    ("service", "factor", "panes", "code", "says"),
    [
        ("good", 1.0, 60, 0, "passed (promote)"),
        ("bad", 1.5, 60, 1, "FAILED (roll back)"),
        ("little", 1.0, 4, 2, "undecided (hold)"),
        ("nobody", 1.0, 0, 2, "data: none"),
    ],
)
def test_exit_codes(pipeline: Pipeline, service: str, factor: float, panes: int, code: int, says: str) -> None:
    publish(pipeline, service, factor, panes)
    done = gate(pipeline, service)
    assert done.returncode == code, done.stderr
    assert says in done.stdout


def test_json_and_summary(pipeline: Pipeline, tmp_path: Path) -> None:
    publish(pipeline, "told", 1.5, 60)
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    body = json.loads(gate(pipeline, "told", "--json", "--summary", str(summary)).stdout)
    assert (body["verdict"], body["baseline"], body["gates"][0]["status"]) == ("fail", "1", "fail")
    assert summary.read_text().startswith("before\n### Gate `default`: FAILED")


def test_it_waits_until_it_is_decided(pipeline: Pipeline) -> None:
    publish(pipeline, "later", 1.5, 4)
    line = [sys.executable, "-m", "streams", "gate", "check", "--service", "later", "--version", "2", "--wait", "60"]
    with subprocess.Popen(
        line, env={**os.environ, **pipeline.variables}, cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as waiting:
        time.sleep(5)  # it has looked once
        assert waiting.poll() is None
        publish(pipeline, "later", 1.5, 60)
        shown = waiting.communicate(timeout=90)[0]
    assert waiting.returncode == 1, shown


def test_a_baseline_is_pinned_shown_and_held_against(pipeline: Pipeline) -> None:
    publish(pipeline, "fixed", 1.5, 60)
    where, who = ("--service", "fixed", "--profile", "pinned"), ("--by", "ann", "--why", "release 1")
    assert "a pinned baseline" in gate(pipeline, "fixed", "--profile", "pinned").stdout
    done = pipeline.command("gate", "baseline", "pin", *where, "--version", "1", *who)
    assert (done.returncode, "pinned: fixed 1, " in done.stdout) == (0, True), done.stderr
    (known,) = json.loads(pipeline.command("gate", "baseline", "show", "--service", "fixed", "--json").stdout)
    assert (known["version"], known["by"], known["gates"]["slower"]["windows"]) == ("1", "ann", 60)
    done = gate(pipeline, "fixed", "--profile", "pinned", "--environment", "")
    assert (done.returncode, "FAILED     blocking  slower" in done.stdout) == (1, True), done.stdout
    done = pipeline.command("gate", "baseline", "pin", *where, "--version", "none", *who)
    assert (done.returncode, "nothing is pinned" in done.stderr) == (2, True)
    assert len(pipeline.read(topics.BASELINES)) == 1


def test_without_a_broker_or_profile_nothing_is_promoted(pipeline: Pipeline) -> None:
    done = gate(pipeline, "good", STREAMS_BROKERS=f"127.0.0.1:{free_port()}")
    assert (done.returncode, "cannot read agents.windows" in done.stderr) == (2, True), done.stderr
    done = gate(pipeline, "good", "--profile", "none")
    assert (done.returncode, "default" in done.stderr) == (2, True)


def test_the_script_for_any_ci(pipeline: Pipeline) -> None:
    publish(pipeline, "scripted", 1.5, 60)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, **pipeline.variables, "PATH": path, "GATE_WAIT_SECONDS": "0", "PYTHONPATH": str(ROOT)}
    script = [ROOT / "examples" / "ci" / "gate.sh", "scripted", "2"]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stderr
    assert "roll back scripted 2" in done.stdout
