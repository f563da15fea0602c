"""Alertmanager is killed and comes back with nothing: the pipeline's picture is there again within 65 s.

The repetition is the real one (60 s). The outage is shorter than ten minutes, but as long as it takes for the pauses
between attempts to reach their longest: from then on a longer one differs in nothing.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents_emitter.events import encode_single
from streams import topics
from streams.services.alertmanager import AlertmanagerService
from streams.services.webhook import WebhookReceiver
from tests.pipeline import Pipeline, Sent, Worker, eventually, open_pipeline

MB = 1_048_576
RULES = """
version: 1
rules:
  AgentMemoryHigh:
    metric: agents.memory
    statistic: max
    window_seconds: 3
    unit: By
    group_by: [agent.id]
    levels:
      - {severity: critical, op: ">", threshold: 36175872, clear: 35127296, for_seconds: 3}
    keep_firing_seconds: 2
    summary: "{agent.id} uses {value} of memory"
    description: "The limit is {threshold}."
"""
SETTINGS = {
    "pane_seconds": 1,
    "window_seconds": "1,5",
    "lateness_seconds": 1,
    "state_snapshot_windows": 5,
    "tick_interval_seconds": 0.2,
    "idle_seconds": 0.5,
}
BACK_SECONDS = 65.0
FAILURES = 7
"""Pauses of 0.5, 1, 2, 4, 8, 16 and 30 s: the longest is reached."""
pytestmark = pytest.mark.timeout(400)


class Agents(threading.Thread):
    """Report their memory five times a second until they are stopped; ``leaky`` ones use too much."""

    def __init__(self, pipeline: Pipeline, names: list[str]) -> None:
        super().__init__(daemon=True)
        self.pipeline, self.names = pipeline, names
        self.leaky: set[str] = set()
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.wait(0.2):
            self.pipeline.produce([Sent(topics.METRICS, name.encode(), self._line(name)) for name in self.names])

    def _line(self, name: str) -> bytes:
        return encode_single(
            "agents.memory",
            (40.0 if name in self.leaky else 20.0) * MB,
            unit="By",
            time_unix_nano=time.time_ns(),
            resource={"service.name": "leaky", "gen_ai.agent.id": name},
        )


@pytest.fixture
def second() -> Iterator[WebhookReceiver]:
    """What is told that Alertmanager is away."""
    with WebhookReceiver() as receiver:
        yield receiver


@pytest.fixture
def pipeline(
    tmp_path: Path, cache_folder: Path, private_alertmanager: AlertmanagerService, second: WebhookReceiver
) -> Iterator[Pipeline]:
    rules, address = tmp_path / "thresholds.yml", tmp_path / "address"
    rules.write_text(RULES)
    address.write_text(second.url)
    more = {"thresholds_path": rules, "alertmanager_urls": private_alertmanager.url}
    more |= {"unsent_webhook_file": address, "unsent_after_seconds": 5}
    with open_pipeline(tmp_path, cache_folder, partitions=1, **SETTINGS, **more) as pipeline:
        yield pipeline


def active(private_alertmanager: AlertmanagerService) -> dict[str, str]:
    """Agent to start of its alert, as Alertmanager has it."""
    alerts = [a for a in private_alertmanager.alerts() if a["labels"]["alertname"] == "AgentMemoryHigh"]
    return {alert["labels"]["agent_id"]: alert["startsAt"] for alert in alerts}


def restarted_empty(private_alertmanager: AlertmanagerService) -> float:
    """Nothing survives, not even the log of notifications; returns when it answers."""
    shutil.rmtree(private_alertmanager.folder / "data")
    private_alertmanager.start()
    return time.monotonic()


def windows_judged(worker: Worker) -> float:
    return worker.total("streams_detector_verdicts_total")


def test_alerts_are_back_after_an_outage_and_nothing_is_resolved(
    pipeline: Pipeline,
    private_alertmanager: AlertmanagerService,
    private_webhook: WebhookReceiver,
    second: WebhookReceiver,
) -> None:
    names = [f"agent-{i}" for i in range(6)]
    agents, worker = Agents(pipeline, names), pipeline.worker("all").up()
    agents.start()

    def notified(status: str) -> set[str]:
        found: list[dict[str, Any]] = [a for a in private_webhook.alerts if a["status"] == status]
        return {a["labels"]["agent_id"] for a in found if a["labels"]["alertname"] == "AgentMemoryHigh"}

    eventually(lambda: windows_judged(worker) > 5, "windows")
    agents.leaky = set(names[:4])
    eventually(lambda: set(active(private_alertmanager)) == agents.leaky, "four alerts")
    began = active(private_alertmanager)

    private_alertmanager.kill()
    judged = windows_judged(worker)
    agents.leaky = set(names[1:5])  # one ends and one begins while nobody listens
    eventually(
        lambda: worker.total("streams_alertmanager_posts_total", code="unreachable") >= FAILURES, "the longest pause"
    )
    eventually(lambda: worker.total("streams_alerts_firing", severity="critical") == 4, "alerts of the stream itself")
    assert windows_judged(worker) > judged + 6 * 20
    eventually(lambda: worker.total("streams_consumer_lag_records") == 0, "no lag while Alertmanager is away")
    assert [(a["status"], a["labels"]["alertname"]) for a in second.alerts] == [("firing", "AlertsNotDelivered")]
    private_webhook.clear()
    answered = restarted_empty(private_alertmanager)
    eventually(lambda: set(active(private_alertmanager)) == agents.leaky, "all active alerts", BACK_SECONDS)
    after_outage = time.monotonic() - answered
    again = active(private_alertmanager)
    assert {name: again[name] for name in names[1:4]} == {name: began[name] for name in names[1:4]}
    eventually(lambda: notified("firing") >= agents.leaky, "notifications of all of them")
    assert notified("resolved") <= {names[0]}
    eventually(lambda: [a["status"] for a in second.alerts] == ["firing", "resolved"], "it is told of the return")

    private_webhook.clear()
    private_alertmanager.kill()  # so short that hardly a post has failed
    answered = restarted_empty(private_alertmanager)
    eventually(lambda: set(active(private_alertmanager)) == agents.leaky, "all active alerts", BACK_SECONDS)
    after_restart = time.monotonic() - answered
    eventually(lambda: notified("firing") >= agents.leaky, "notifications of all of them")
    assert not notified("resolved")
    agents.stopped.set()
    agents.join()
    print(f"\nall alerts back {after_outage:.1f} s after an outage, {after_restart:.1f} s after a quick restart")
