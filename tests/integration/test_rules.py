"""Rules that change under a running worker, and the history of the topics tried with other rules."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams import topics
from streams.domain.alert import AlertTransition, decode_alert
from streams.domain.series import Series
from streams.domain.window import encode_window_batch
from tests.pipeline import ROOT, Pipeline, Sent, eventually, open_pipeline
from tests.unit.window_batches import batch, series

pytestmark = pytest.mark.integration
LOAD = series("load", "gauge", agent__id="a1")
TRIED = series("tried", "gauge", agent__id="a1")
"""Of a source of its own: neither test hears of the other's windows."""


def rules(*names: str) -> str:
    lines = [
        f"  {name}: {{metric: load, statistic: max, window_seconds: 10, group_by: [agent.id], summary: s, "
        "levels: [{severity: high, threshold: 10}]}"
        for name in names
    ]
    return "\n".join(["version: 1", "rules:", *lines])


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[Pipeline]:
    folder = tmp_path_factory.mktemp("rules")
    (folder / "rules.yml").write_text(rules("Kept", "Removed"))
    with open_pipeline(folder, cache_folder, partitions=1, thresholds_path=folder / "rules.yml") as made:
        yield made


def publish(pipeline: Pipeline, first: int, last: int, which: Series = LOAD, source: int = 0) -> None:
    batches = [batch(number, {which: [50.0]}, partition=source) for number in range(first, last)]
    pipeline.produce([Sent(topics.WINDOWS, made.key, encode_window_batch(made)) for made in batches])


def transitions(pipeline: Pipeline) -> list[AlertTransition]:
    """As the rules gave them, not what is told again of an incident's members."""
    found = [decode_alert(record.value) for record in pipeline.read(topics.ALERTS) if record.value]
    return [transition for transition in found if not transition.revision]


def last_states(pipeline: Pipeline) -> dict[str, str]:
    return {transition.alertname: transition.state for transition in transitions(pipeline)}


def streams(pipeline: Pipeline, *arguments: str) -> subprocess.CompletedProcess[str]:
    return pipeline.command("rules", *arguments)


def test_rules_are_reloaded_while_alerts_stay(pipeline: Pipeline) -> None:
    path = pipeline.folder / "rules.yml"
    worker = pipeline.worker("alerts").up()
    publish(pipeline, 0, 3)
    eventually(lambda: last_states(pipeline) == {"Kept": "firing", "Removed": "firing"}, "both fire")
    path.write_text("rules: [")
    eventually(lambda: worker.total("streams_rules_reloads_total", outcome="refused") == 1, "it is refused")
    assert worker.total("streams_rules_last_reload_successful") == 0
    path.write_text(rules("Kept", "Added"))
    eventually(lambda: worker.total("streams_rules_reloads_total", outcome="loaded") == 1, "it is loaded")
    assert worker.total("streams_rules_last_reload_successful") == 1
    publish(pipeline, 3, 6)
    wanted = {"Kept": "firing", "Removed": "resolved", "Added": "firing"}
    eventually(lambda: last_states(pipeline) == wanted, "the new rules are in force")
    assert sum(t.alertname == "Kept" for t in transitions(pipeline)) == 1, "what has not changed is not said again"
    assert worker.terminate() == 0


def test_the_history_is_replayed_with_other_rules_and_nothing_is_written(pipeline: Pipeline) -> None:
    publish(pipeline, 0, 3, TRIED, 7)
    other = pipeline.folder / "other.yml"
    other.write_text(rules("Tried").replace("metric: load", "metric: tried"))
    pipeline.produce([Sent(topics.WINDOWS, b"none", b"{"), Sent(topics.ANOMALIES, b"none", b'{"v": 1}')])
    before = len(pipeline.read(topics.ALERTS, topics.FINDINGS))
    answer = streams(pipeline, "replay", "--rules", str(other), "--json")
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout)
    assert found["windows"] >= 3
    assert found["unreadable_records"] == 2
    assert found["rules"]["Tried"]["fired"] == 1
    assert found["rules"]["Tried"]["worst"] == "high"
    assert len(pipeline.read(topics.ALERTS, topics.FINDINGS)) == before
    assert "Tried" in streams(pipeline, "replay", "--rules", str(other)).stdout


def test_check_and_test_say_what_is_wrong(pipeline: Pipeline) -> None:
    wrong = pipeline.folder / "wrong.yml"
    wrong.write_text(rules("X").replace("max", "maximum"))
    answer = streams(pipeline, "check", str(wrong))
    assert answer.returncode == 2
    assert f"{wrong}: rule X: statistic is 'maximum'; write" in answer.stderr
    wrong.write_text(rules("X").replace("window_seconds: 10", "window_seconds: 15"))
    answer = streams(pipeline, "check", str(wrong))
    assert answer.returncode == 2
    assert f"{wrong}: rule X: window_seconds is 15; write a multiple of 10" in answer.stderr
    answer = streams(pipeline, "test", "--rules", str(ROOT / "monitoring" / "thresholds.yml"))
    assert (answer.returncode, answer.stderr) == (0, "")
    strange = pipeline.folder / "strange.yml"
    strange.write_text(rules("Tried"))
    answer = streams(pipeline, "test", "--rules", str(strange))
    assert answer.returncode == 1
    assert "Tried: has no fixture" in answer.stdout
