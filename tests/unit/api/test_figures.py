"""What the API works out of what it has read: figures, health, analyses, rules."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streams import topics
from streams.api.agents.writer import AgentWriter
from streams.api.board.writer import BoardWriter, Fetched
from streams.correlate.rehearsal import Rehearsal
from streams.correlate.rule import Rule
from streams.domain.progress import Standing, encode_standing
from streams.domain.window import encode_window_batch
from streams.settings import Settings
from tests.unit.api.scene import Scene
from tests.unit.gate.windows import series, window
from tests.unit.trace.drawing import EPOCH
from tests.unit.window_batches import batch as window_batch
from tests.unit.window_batches import series as batch_series

SECOND = 10**9


def test_rules_are_tried_on_what_has_been(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[tuple[str, ...], int]] = []

    async def rehearse(_: Settings, rules: Sequence[Rule], since_ns: int) -> tuple[Rehearsal, int]:
        asked.append((tuple(rule.name for rule in rules), since_ns))
        made = Rehearsal(rules)
        for number in range(3):
            made.apply(0, window_batch(number, {batch_series("load", "gauge", agent__id="a1"): [50.0]}))
        return made, 1

    scene.context.rehearse = rehearse
    text = (
        "version: 1\nrules:\n  Load: {metric: load, statistic: max, window_seconds: 10, group_by: [agent.id], "
        "summary: s, "
        "levels: [{severity: high, threshold: 10}]}\n"
    )
    status, found = scene.post("rules/replay", {"rules": text, "since_seconds": 60})
    assert (status, found["windows"], found["unreadable_records"], found["since_seconds"]) == (200, 3, 1, 60)
    outcome = found["rules"]["Load"]
    assert (outcome["fired"], outcome["groups"], outcome["worst"]) == (1, 1, "high")
    assert scene.post("rules/replay", {})[1]["rules"].keys() >= {"AgentMemoryHigh"}
    assert [(names[0], (scene.now_ns - since) // SECOND) for names, since in asked[:1]] == [("Load", 60)]
    assert (scene.now_ns - asked[1][1]) // SECOND == 3600
    status, refused = scene.post("rules/replay", {"rules": "rules: ["})
    assert (status, "these rules cannot be used" in refused["detail"]) == (422, True)
    assert scene.post("rules/replay", {"since_seconds": 0})[0] == 422

    async def slow(*_: Any) -> tuple[Rehearsal, int]:
        await asyncio.Event().wait()
        raise AssertionError

    scene.context.rehearse = slow
    monkeypatch.setattr("streams.api.routes.rules.REPLAY_SECONDS", 0.01)
    status, refused = scene.post("rules/replay", {})
    assert (status, "ask for less" in refused["detail"]) == (503, True)


def test_how_far_the_pipeline_is_and_what_became_of_events(scene: Scene, tmp_path: Path) -> None:
    scene.now_ns = 100_000 * SECOND
    writer, told = BoardWriter(tmp_path / "board.sqlite3"), []
    for minute in range(70):
        for partition in range(2):
            fates = {"late": 2 * minute, "duplicate": partition, "rejected": minute if partition else 0, "overflow": 0}
            at_ns = scene.now_ns - (69 - minute) * 60 * SECOND
            far = (5, 1.5, 3.0) if partition else (7, 0.5, 9.0)
            told.append(encode_standing(Standing("metrics", topics.METRICS, partition, at_ns, fates, *far)))
    gone = Standing("traces", topics.SPANS, 0, scene.now_ns - 61 * SECOND, {"late": 3}, 1_000, 99.0, 99.0)
    told += [encode_standing(gone), b"{"]
    writer.write([Fetched(topics.PROGRESS, 0, n, 6_000, value) for n, value in enumerate(told)])
    found = scene.get("monitoring/stats?window=300")["pipeline"]
    assert (found["lag_records"], found["lag_seconds"], found["watermark_delay_seconds"]) == (12, 1.5, 9.0)
    assert [found[name] for name in ("late", "duplicate", "rejected", "overflow")] == [20, 0, 5, 0]
    assert (found["partitions"], found["partitions_silent"]) == (3, 1)
    assert scene.get("monitoring/stats?window=3600")["pipeline"]["late"] == 240
    writer.write(
        [Fetched(topics.PROGRESS, 0, 200, 6_000, encode_standing(replace(gone, fates={"late": 1}, at_ns=scene.now_ns)))]
    )
    assert scene.get("monitoring/stats?window=60")["pipeline"]["late"] == 4 + 1, "its state began anew"
    writer.prune(86_400, scene.now_ns + 7_300 * SECOND)
    assert scene.get("monitoring/stats")["pipeline"]["partitions"] == 0, "nobody asks for what was longer ago"
    assert (writer.unreadable, writer.pruned) == (1, 142)


def test_figures_of_all_agents_are_of_the_window_and_none_where_none_is_of_now(scene: Scene, tmp_path: Path) -> None:
    def of(metric: str, *values: float, **labels: str) -> tuple[Any, list[float]]:
        return series(metric, "2", **labels), list(values)

    agent = {"agent.id": "planner-1"}
    work = [
        of("agents.steps", 90.0, outcome="success", **agent),
        of("agents.steps", 10.0, outcome="timeout", **agent),
        of("agents.inference.operations", 50.0, outcome="success"),
        of("agents.inference.duration", *[0.1] * 90, *[0.4] * 10, **agent),
        of("agents.coordination.requests", 19.0, outcome="success"),
        of("agents.coordination.requests", 1.0, outcome="failure"),
        of("agents.coordination.sessions.active", 2.0, 4.0, coordination_type="x"),
        of("agents.coordination.sessions.active", 1.0, coordination_type="y"),
        of("agents.belief.predictions", 3.0, correct="true"),
        of("agents.belief.predictions", 1.0, correct="false"),
        of("agents.belief.free_energy", 1.0, 3.0),
        of("agents.lifecycle.events", 1.0, event="restart", **agent),
        of("gen_ai.client.token.usage", 100.0, 50.0, **{"gen_ai.token.type": "input"}),
    ]
    scene.now_ns = 10_000 * SECOND
    writer = AgentWriter(tmp_path / "board-agents.sqlite3", 10.0)
    batches = [window(999, work), window(960, [of("agents.steps", 7.0, **agent)]), window(999, work[:2], partition=1)]
    writer.write(
        [Fetched(topics.WINDOWS, 0, n + 1, 6_000, encode_window_batch(batch)) for n, batch in enumerate(batches)]
    )
    found = scene.get("monitoring/stats?window=60")
    assert (found["status"], found["agents"]["active"]) == ("ok", 1)
    assert found["pipeline"] == {
        **dict.fromkeys(("watermark_delay_seconds", "lag_records", "lag_seconds")),
        **dict.fromkeys(("late", "duplicate", "rejected", "overflow")),
        "windows_age_seconds": 0.0,
        "dead_letters": 0,
        "partitions": 0,
        "partitions_silent": 0,
    }
    assert (found["agents"]["started"], found["agents"]["stopped"]) == (1.0, 0.0)
    assert found["steps"] == {"count": 200.0, "error_ratio": 0.1}
    times = found["inferences"]
    assert (times["count"], times["error_ratio"], times["timed"]) == (50.0, 0.0, 100)
    assert (times["p50_seconds"], times["p99_seconds"]) == (pytest.approx(0.1, rel=0.02), pytest.approx(0.4, rel=0.02))
    assert found["coordination"] == {"requests": 20.0, "success_ratio": 0.95, "p95_seconds": None, "sessions": 4.0}
    beliefs = {"updates": None, "error_ratio": None, "accuracy_ratio": 0.75, "free_energy": 2.0}
    assert (found["beliefs"], found["tokens"]) == (beliefs, {"input": 150.0, "output": None})
    assert scene.get("monitoring/stats?window=3600")["steps"]["count"] == 207.0
    assert scene.client.get("/api/v1/monitoring/stats?window=7").status_code == 422
    scene.now_ns += 121 * SECOND
    found = scene.get("monitoring/stats")
    assert (found["status"], found["steps"], found["agents"]["active"]) == (
        "no_data",
        {"count": None, "error_ratio": None},
        None,
    )
    assert found["pipeline"]["windows_age_seconds"] == 121.0
    scene.ledger.broken = True
    assert scene.get("monitoring/stats")["pipeline"]["dead_letters"] is None, "nobody knows"
    writer.prune(60, scene.now_ns)
    assert writer._db.execute("SELECT count(*) FROM activity").fetchone() == (0,)
    writer.close()


def test_health_follows_the_baselines_and_says_where_nothing_is_known(scene: Scene, tmp_path: Path) -> None:
    def say(memory: float, pane: int) -> None:
        agents = AgentWriter(tmp_path / "board-agents.sqlite3", 10.0)
        offset = agents.offsets().get((topics.WINDOWS, 0), 0)
        rows = [(series("agents.memory", "2", **{"agent.id": "planner-1"}), [memory])]
        agents.write([Fetched(topics.WINDOWS, 0, offset, 6_000, encode_window_batch(window(pane, rows)))])
        agents.close()

    found = scene.get("system/metrics/health")
    checks = {check["name"]: check for check in found["checks"]}
    assert (found["status"], found["agents"]) == ("healthy", {"alive": 1})
    assert (checks["agent_memory_max"]["value"], checks["agent_memory_max"]["status"]) == (1e6, "ok")
    assert (checks["belief_accuracy"]["value"], checks["belief_accuracy"]["status"]) == (None, "no_data")
    assert found["topics"] == [{"topic": topics.WINDOWS, "records": 1, "newest_record": "1970-01-01T00:00:06.000Z"}]
    for memory, status in ((3.4e7, "degraded"), (3.7e7, "unhealthy"), (1e6, "healthy")):
        scene.now_ns += 100 * SECOND
        say(memory, scene.now_ns // (10 * SECOND) - 1)
        assert scene.get("system/metrics/health")["status"] == status
    event = scene.context.caught_up = {"board": asyncio.Event()}
    assert scene.get("system/metrics/health")["status"] == "degraded"
    event["board"].set()
    assert scene.get("system/metrics/health")["status"] == "healthy"
    scene.context.failures["board"] = "no broker"
    assert scene.get("system/metrics/health")["feeders"][0]["detail"] == "no broker"
    scene.now_ns += 121 * SECOND
    found = scene.get("system/metrics/health")
    assert (found["status"], found["agents"], found["checks"][-1]["value"]) == ("unhealthy", {"no_data": 1}, 121.0)
    (tmp_path / "board-agents.sqlite3").unlink()
    AgentWriter(tmp_path / "board-agents.sqlite3", 10.0).close()
    assert scene.get("system/metrics/health")["status"] == "no_data"


def test_traces_are_analysed_beside_those_before(scene: Scene) -> None:
    scene.now_ns = EPOCH + 60 * SECOND
    found = scene.get("traces/analysis?time_window=120")
    assert (found["traces"], found["baseline_traces"], found["cut"]) == (1, 0, False)
    assert [(one["name"], one["count"], one["new"]) for one in found["errors"]] == [("c", 1, True)]
    assert scene.get("traces/analysis?time_window=120&version=2")["errors"] == []
    scene.now_ns += 120 * SECOND
    found = scene.get("traces/analysis?time_window=120")
    assert (found["traces"], found["baseline_traces"], found["errors"]) == (0, 1, [])


def test_rules_are_those_of_the_file(scene: Scene) -> None:
    rules = {one["name"]: one for one in scene.get("rules")["rules"]}
    assert rules["AgentMemoryHigh"]["levels"][0]["threshold"] == 36_175_872
    assert scene.get("rules/AgentMemoryHigh")["rule"] == rules["AgentMemoryHigh"]
    assert scene.client.get("/api/v1/rules/None").status_code == 404
    scene.context.settings = replace(scene.context.settings, thresholds_path=Path("none.yml"))
    answer = scene.client.get("/api/v1/rules")
    assert (answer.status_code, "STREAMS_THRESHOLDS_PATH=none.yml" in answer.json()["detail"]) == (503, True)
