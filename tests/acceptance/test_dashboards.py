"""What an operator looks at, against the pipeline with a simulated system, scraped by a real Prometheus.

Every panel of every dashboard gives data, every query of a runbook is taken, every command of one is carried out.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agents_emitter.events import encode_single
from monitoring.source.__main__ import FOLDER
from monitoring.source.dashboards.board import BOARDS
from streams import topics
from streams.errors import ServiceUnavailable
from streams.services.alertmanager import AlertmanagerService
from streams.services.process import ChildProcess
from streams.services.prometheus import PrometheusService
from tests.pipeline import ROOT, Pipeline, Sent, open_pipeline
from tests.unit.monitoring.test_runbooks import RUNBOOKS, blocks

pytestmark = [pytest.mark.integration, pytest.mark.timeout(420)]
DEADLINE_SECONDS = 240.0
SCENARIOS = ("model_outage", "security_burst")
RARE = {"hung", "loop", "suppressed", "alertname=MetricAnomaly"}
"""Words of commands that ask for what these scenarios may have none of."""


class Live(NamedTuple):
    """The running system; ``store`` is the file of traces that ``streams traces feed`` keeps."""

    pipeline: Pipeline
    prometheus: PrometheusService
    store: Path


def simulator(pipeline: Pipeline, scenario: str, folder: Path) -> ChildProcess:
    line = [sys.executable, "-m", "agents_emitter.simulator", "--scenario", scenario, "--seconds", "900"]
    fault = ["--fault-from-seconds", "20", "--fault-seconds", "600", "--brokers", pipeline.broker.bootstrap]
    return ChildProcess(scenario, [*line, *fault], log=folder / f"{scenario}.log", folder=ROOT)


@pytest.fixture(scope="module")
def live(
    tmp_path_factory: pytest.TempPathFactory,
    cache_folder: Path,
    monitoring_packages: None,
    alertmanager: AlertmanagerService,
) -> Iterator[Live]:
    folder, rules = tmp_path_factory.mktemp("live"), sorted((FOLDER / "rules").glob("*.yml"))
    store = folder / "traces.sqlite3"
    with ExitStack() as ends:
        pipeline = ends.enter_context(open_pipeline(folder, cache_folder, alertmanager_urls=alertmanager.url))
        pipeline.variables["STREAMS_TRACE_STORE_PATH"] = str(store)
        worker = pipeline.worker("all").up()
        targets = [f"127.0.0.1:{worker.port}"]
        prometheus = PrometheusService(folder / "prometheus", rule_files=rules, targets=targets)
        ends.enter_context(prometheus)
        feed = ChildProcess(
            "feed",
            [sys.executable, "-m", "streams", "traces", "feed"],
            log=folder / "feed.log",
            variables=pipeline.variables,
            folder=ROOT,
        )
        for child in (feed, *(simulator(pipeline, scenario, folder) for scenario in SCENARIOS)):
            child.start()
            ends.callback(child.kill)
        began = "deployments start d1 --service planning --version 2 --by ann"
        assert pipeline.command(*began.split()).returncode == 0
        yield Live(pipeline, prometheus, store)


def expressions(*, rare: bool = False) -> dict[tuple[str, str, str], str]:
    """Board, panel and query (with variables filled in) of what a healthy system shows, or of the other panels."""
    return {
        (board.uid, panel.title, target.expr): re.sub(r"\$[a-z]\w*", ".*", target.expr)
        for board in BOARDS
        for _, panels in board.rows
        for panel in panels
        for target in panel.targets
        if panel.rare is rare
    }


def empty(prometheus: PrometheusService, asked: dict[Any, str]) -> dict[Any, str]:
    """Those without data yet."""
    without = {}
    for key, expression in asked.items():
        rows = prometheus.query(expression)
        if not any(row["value"][1] != "NaN" for row in rows):
            without[key] = expression
    return without


def within_deadline(left: Callable[[], object], what: str) -> None:
    """Asks until nothing is left."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while found := left():
        assert time.monotonic() < deadline, f"{what}: {found}"
        time.sleep(2.0)


def test_every_panel_gives_data(live: Live) -> None:
    security = encode_single(
        "agents.security.events",
        1.0,
        kind="counter",
        labels={"event_type": "prompt_injection", "severity": "critical"},
        resource={"service.name": "planning", "gen_ai.agent.id": "planted"},
    )
    left = {**expressions(), "planted": "rate(agents_planted_total[5m])"}

    def without() -> dict[Any, str]:
        nonlocal left
        live.pipeline.produce([Sent(topics.METRICS, b"planted", security)])
        with suppress(ServiceUnavailable):  # a slow answer; the next round asks again
            left = empty(live.prometheus, left)
        return {key: query for key, query in left.items() if key != "planted"}

    within_deadline(without, "panels without data")
    assert "planted" in left, "a metric that nobody exports was taken for data"


def test_prometheus_takes_every_query_of_a_runbook_or_a_panel_that_is_empty_in_good_times(live: Live) -> None:
    queries = [line for path in RUNBOOKS for line in blocks(path, "promql")]
    for query in (*queries, *expressions(rare=True).values()):
        live.prometheus.query(query)  # raises where Prometheus refuses it
    with pytest.raises(ServiceUnavailable, match="parse error"):
        live.prometheus.query("sum by (topic) streams_events_total)")


def carried_out(live: Live, line: str) -> str:
    """What is wrong with a command of a runbook, or "": it must end well, or go on, and have something to show."""
    command, environment = [sys.executable, "-m", *shlex.split(line)], {**os.environ, **live.pipeline.variables}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        if line.startswith("streams alerts tail"):  # it goes on until a signal comes
            threading.Timer(10.0, process.send_signal, [signal.SIGINT]).start()
        output, errors = process.communicate(timeout=90)
    if process.returncode or errors:
        return f"{process.returncode}: {errors[-500:]}"
    shown = output.splitlines()["traces list" in line :]  # a list has a head
    return "" if shown or RARE & {*line.split()} else "it shows nothing"


def test_every_command_of_a_runbook_is_carried_out(live: Live) -> None:
    left = {line for path in RUNBOOKS for line in blocks(path, "sh")}
    assert len(left) > 10

    def failing() -> dict[str, str]:
        said = {line: carried_out(live, line) for line in sorted(left)}
        left.intersection_update(line for line, wrong in said.items() if wrong)
        return {line: wrong for line, wrong in said.items() if wrong}

    within_deadline(failing, "commands")
    assert "no trace 00" in carried_out(live, "streams traces show 00")
