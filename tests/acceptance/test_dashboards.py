"""Every panel of every dashboard gives data: the pipeline with a simulated system, scraped by a real Prometheus.

The queries of all runbooks are asked there too.
"""

from __future__ import annotations

import re
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agents_emitter.events import encode_single
from monitoring.source.__main__ import FOLDER
from monitoring.source.dashboards.board import BOARDS
from streams import topics
from streams.errors import ServiceUnavailable
from streams.services.alertmanager import AlertmanagerService
from streams.services.process import ChildProcess
from streams.services.prometheus import PrometheusService
from tests.pipeline import ROOT, Sent, open_pipeline
from tests.unit.monitoring.test_runbooks import RUNBOOKS, blocks

pytestmark = [pytest.mark.integration, pytest.mark.timeout(420)]
DEADLINE_SECONDS = 240.0


def expressions() -> dict[tuple[str, str, str], str]:
    """Board, panel and query (with variables filled in) of what a healthy system shows."""
    found = {}
    for board in BOARDS:
        for _, panels in board.rows:
            for panel in panels:
                for target in panel.targets:
                    if not panel.rare:
                        found[board.uid, panel.title, target.expr] = re.sub(r"\$[a-z]\w*", ".*", target.expr)
    return found


def empty(prometheus: PrometheusService, asked: dict[Any, str]) -> dict[Any, str]:
    """Those without data yet."""
    without = {}
    for key, expression in asked.items():
        rows = prometheus.query(expression)
        if not any(row["value"][1] != "NaN" for row in rows):
            without[key] = expression
    return without


def test_every_panel_gives_data(
    tmp_path: Path, cache_folder: Path, monitoring_packages: None, alertmanager: AlertmanagerService
) -> None:
    rules = sorted((FOLDER / "rules").glob("*.yml"))
    security = encode_single(
        "agents.security.events",
        1.0,
        kind="counter",
        labels={"event_type": "prompt_injection", "severity": "critical"},
        resource={"service.name": "planning", "gen_ai.agent.id": "planted"},
    )
    with open_pipeline(tmp_path, cache_folder, alertmanager_urls=alertmanager.url) as pipeline:
        worker = pipeline.worker("all").up()
        prometheus = PrometheusService(tmp_path / "prometheus", rule_files=rules, targets=[f"127.0.0.1:{worker.port}"])
        load = ChildProcess(
            "simulator",
            [
                *(sys.executable, "-m", "agents_emitter.simulator", "--scenario", "model_outage", "--seconds", "600"),
                *("--fault-from-seconds", "20", "--brokers", pipeline.broker.bootstrap),
            ],
            log=tmp_path / "simulator.log",
            folder=ROOT,
        )
        with prometheus:
            load.start()
            try:
                left, deadline = expressions(), time.monotonic() + DEADLINE_SECONDS
                while left:
                    pipeline.produce([Sent(topics.METRICS, b"planted", security)])
                    with suppress(ServiceUnavailable):  # a slow answer; the next round asks again
                        left = empty(prometheus, left)
                    assert time.monotonic() < deadline, f"no data in {len(left)} panels: {list(left)}"
                    time.sleep(2.0)
                for path in RUNBOOKS:
                    for line in blocks(path, "promql"):
                        prometheus.query(line)  # raises where Prometheus refuses it
            finally:
                load.kill()
