"""One episode of one alert: fired once, resolved once, though the worker is killed while it fires."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents_emitter.events import encode_single
from streams import topics
from streams.domain.alert import AlertTransition, decode_alert
from streams.services.alertmanager import AlertmanagerService
from streams.services.webhook import WebhookReceiver
from tests.pipeline import Pipeline, Sent, eventually, open_pipeline

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
    "alertmanager_resend_seconds": 15,
    "instance_id": "one",
    "session_timeout_seconds": 6,
    "heartbeat_seconds": 1,
}
pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]


class Agent(threading.Thread):
    """Reports its memory five times a second until it is stopped."""

    def __init__(self, pipeline: Pipeline, name: str) -> None:
        super().__init__(daemon=True)
        self.pipeline, self.agent, self.bytes = pipeline, name, 20.0 * MB
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.wait(0.2):
            line = encode_single(
                "agents.memory",
                self.bytes,
                unit="By",
                time_unix_nano=time.time_ns(),
                resource={"service.name": "leaky", "gen_ai.agent.id": self.agent},
            )
            self.pipeline.produce([Sent(topics.METRICS, self.agent.encode(), line)])


@pytest.fixture
def pipeline(tmp_path: Path, cache_folder: Path, alertmanager: AlertmanagerService) -> Iterator[Pipeline]:
    rules = tmp_path / "thresholds.yml"
    rules.write_text(RULES)
    more = {"thresholds_path": rules, "alertmanager_urls": alertmanager.url}
    with open_pipeline(tmp_path, cache_folder, partitions=1, **SETTINGS, **more) as pipeline:
        yield pipeline


def transitions(pipeline: Pipeline) -> list[AlertTransition]:
    """What rules gave on agents.alerts, each (fingerprint, seq) once; copies of one are the same."""
    found: dict[tuple[str, int], AlertTransition] = {}
    for record in pipeline.read(topics.ALERTS):
        alert = decode_alert(record.value or b"")
        if not alert.revision:
            assert found.setdefault((alert.fingerprint, alert.seq), alert) == alert
    return [found[key] for key in sorted(found)]


def test_a_kill_neither_resolves_nor_repeats_an_alert(
    pipeline: Pipeline, webhook: WebhookReceiver, unique_name: object
) -> None:
    name = unique_name("leaky")  # type: ignore[operator]
    agent = Agent(pipeline, name)
    agent.start()
    worker = pipeline.worker("all").up()

    def notified(status: str) -> list[dict[str, object]]:
        return [a for a in webhook.alerts if a["status"] == status and a["labels"].get("agent_id") == name]

    eventually(lambda: any(b"agents.metrics/" in key for key in pipeline.windows()), "windows")
    agent.bytes = 40.0 * MB
    eventually(lambda: notified("firing"), "the firing notification")
    worker.kill()
    worker.up()
    fired = [t for t in transitions(pipeline) if t.state == "firing"]
    before = worker.total("streams_events_total", topic=topics.METRICS)
    eventually(
        lambda: worker.total("streams_events_total", topic=topics.METRICS) > before + 25, "5 s of the new worker"
    )
    assert not notified("resolved")

    agent.bytes = 20.0 * MB
    eventually(lambda: notified("resolved"), "the resolved notification")
    agent.stopped.set()
    agent.join()
    eventually(lambda: [t for t in transitions(pipeline) if t.state == "resolved"], "the resolved record")
    made = transitions(pipeline)
    print(f"\n{[(t.seq, t.previous, t.state) for t in made]}; {len(pipeline.read(topics.ALERTS))} records")
    assert [(t.previous, t.state) for t in made] == [("", "pending"), ("pending", "firing"), ("firing", "resolved")]
    assert len({t.fingerprint for t in made}) == 1
    assert [t.starts_at_ns for t in made if t.state == "firing"] == [t.starts_at_ns for t in fired]
    firing, resolved = notified("firing"), notified("resolved")
    assert (len(firing), len(resolved)) == (1, 1)
    assert firing[0]["startsAt"] == resolved[0]["startsAt"]
    assert firing[0]["fingerprint"] == resolved[0]["fingerprint"]
