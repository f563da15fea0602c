"""The alerts role killed with SIGKILL at every step of its work: the episodes are those of an undisturbed run.

Each step has a worker of its own that ends there (``benchmarks.nemesis.crash``) while new windows wait for it. What had
to come out is what the pure rules make of the log of windows as the broker holds it.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams import topics
from streams.correlate.operator import CorrelateOperator
from streams.correlate.rules import load_rules
from streams.domain.alert import AlertTransition, decode_alert
from streams.domain.window import decode_window_batch, encode_window_batch
from tests.pipeline import Pipeline, Sent, eventually, open_pipeline
from tests.unit.window_batches import batch, series

AGENTS = 5
STEPS = (
    *("assigned", "ready", "before-results", "send", "sent-in-part", "after-results"),
    *("after-chunks", "after-core", "before-hold", "before-commit", "after-commit", "restore"),
)
WINDOWS_A_STEP = 8
RULES = """
version: 1
rules:
  Hot:
    metric: heat
    statistic: max
    window_seconds: 20
    group_by: [agent.id]
    levels:
      - {severity: critical, op: ">", threshold: 9, for_seconds: 30}
      - {severity: warning, op: ">", threshold: 5, for_seconds: 20}
    keep_firing_seconds: 20
    summary: "{agent.id} {value}"
"""
SETTINGS = {"state_snapshot_windows": 3, "instance_id": "one", "session_timeout_seconds": 6, "heartbeat_seconds": 1}
pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


@pytest.fixture
def pipeline(tmp_path: Path, cache_folder: Path) -> Iterator[Pipeline]:
    rules = tmp_path / "thresholds.yml"
    rules.write_text(RULES)
    with open_pipeline(tmp_path, cache_folder, partitions=1, thresholds_path=rules, **SETTINGS) as made:
        yield made


def heat(agent: int, number: int) -> float:
    """Each agent is hot for a while, hotter for a part of it, and well in between, at times of its own."""
    phase = (number + 5 * agent) % 23
    return 10.0 if phase in range(4, 9) else 7.0 if phase < 12 else 1.0


def publish(pipeline: Pipeline, first: int, last: int) -> None:
    rows = [
        {series("heat", agent__id=f"a{agent}"): [heat(agent, number)] for agent in range(AGENTS)}
        for number in range(first, last)
    ]
    made = [batch(number, values) for number, values in enumerate(rows, first)]
    pipeline.produce([Sent(topics.WINDOWS, one.key, encode_window_batch(one)) for one in made])


def undisturbed(pipeline: Pipeline) -> list[AlertTransition]:
    """What the rules make of the log, in one process that nothing happens to."""
    operator, made = CorrelateOperator(load_rules(RULES)), []
    for record in pipeline.read(topics.WINDOWS):
        if record.key is not None:
            window = decode_window_batch(record.value or b"")
            made += [*operator.apply(window), *operator.advance(window.end_ns)]
    return made


def told(pipeline: Pipeline) -> dict[tuple[str, int], AlertTransition]:
    """By (fingerprint, number); what was written again must be the same."""
    found: dict[tuple[str, int], AlertTransition] = {}
    for record in pipeline.read(topics.ALERTS):
        alert = decode_alert(record.value or b"")
        if not alert.revision:
            assert found.setdefault((alert.fingerprint, alert.seq), alert) == alert
    return found


def test_a_kill_at_every_step_leaves_the_episodes_of_an_undisturbed_run(pipeline: Pipeline) -> None:
    number = 0
    for step in STEPS:
        publish(pipeline, number, number + WINDOWS_A_STEP)
        number += WINDOWS_A_STEP
        worker = pipeline.worker("alerts", crash=f"{step}:1")
        worker.start()
        eventually(lambda worker=worker: not worker.running, f"the worker has died at {step}", 60.0)  # type: ignore[misc]
        assert worker.returncode == -signal.SIGKILL, worker.log_tail()
    publish(pipeline, number, number + WINDOWS_A_STEP)
    last = pipeline.worker("alerts").up()
    expected = {(t.fingerprint, t.seq): t for t in undisturbed(pipeline)}
    eventually(lambda: told(pipeline).keys() >= expected.keys(), "all transitions are there", 60.0)
    assert told(pipeline) == expected
    episodes = {(t.fingerprint, t.starts_at_ns) for t in expected.values() if t.state == "firing"}
    ended = {(t.fingerprint, t.starts_at_ns) for t in expected.values() if t.state == "resolved"}
    print(f"\n{len(STEPS)} kills, {number} windows, {len(expected)} transitions, {len(episodes)} episodes fired")
    assert len(episodes) > AGENTS
    assert episodes & ended
    assert last.terminate() == 0
