"""1,000 events of our emitter and 1,000 records of others, something to hide in every field of them: what is published,
stored, alerted on, shown by the API and logged shows none of it.
"""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import orjson
import pytest

from agents_emitter import Emitter
from benchmarks.page import page
from streams import topics
from tests.integration.test_api import Api
from tests.pipeline import Pipeline, Sent, eventually, open_pipeline
from tests.planted import Garden, emit, identity, records

pytestmark = pytest.mark.timeout(300)
SETTINGS = {
    "pane_seconds": 1,
    "window_seconds": "1,5",
    "lateness_seconds": 1,
    "tick_interval_seconds": 0.2,
    "idle_seconds": 0.5,
    "trace_quiet_seconds": 1,
}
RULES = """
version: 1
rules:
  Steps: {metric: agents.steps, statistic: sum, window_seconds: 1, group_by: [agent.id, agent.type, service.name],
          levels: [{severity: high, threshold: 0}], summary: "{agent.id} of {service.name} steps"}
  Logs: {metric: agents.log.records, statistic: sum, window_seconds: 1, group_by: [agent.id, logger, pattern],
         levels: [{severity: high, threshold: 0}], summary: "{logger} says {pattern}"}
"""
SHOWN = (
    *("alerts", "incidents", "anomalies", "traces", "traces/stats", "traces/analysis", "topology?since_seconds=0"),
    *("monitoring/agents", "monitoring/stats", "logs", "rules"),
)
SOURCES = {topics.METRICS, topics.SPANS, topics.LOGS, topics.OTLP_METRICS, topics.OTLP_SPANS, topics.OTLP_LOGS}


def test_nothing_that_was_planted_is_seen_again(tmp_path: Path, cache_folder: Path) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(RULES)
    with open_pipeline(tmp_path, cache_folder, partitions=2, thresholds_path=rules, **SETTINGS) as pipeline:
        ours, theirs = Garden(11), Garden(12)
        with Emitter(pipeline.broker.bootstrap, **identity(ours)) as emitter:
            emit(emitter, ours, 1_000)
            assert emitter.flush(60)
            sent = emitter.stats().delivered
        sources = pipeline.read(*SOURCES)
        assert [seen for r in sources for seen in ours.seen_in((r.key or b"") + (r.value or b""))] == []
        count = pipeline.produce(
            Sent(topic, theirs.secret().text.encode(), value) for topic, value in records(theirs, 1_000, time.time_ns())
        )
        worker = pipeline.worker("all").up()
        eventually(lambda: sum(sum(f.values()) for f in worker.fates().values()) >= sent + count, "all have a fate")
        eventually(lambda: pipeline.read(topics.DEAD_LETTERS, topics.TRACES, topics.RED), "something was published")
        eventually(lambda: worker.total("streams_windows_closed_total") > 100, "windows closed")
        eventually(lambda: len(pipeline.read(topics.TRACES)) > 100, "traces left")
        eventually(lambda: len(pipeline.read(topics.ALERTS)) > 10, "alerts fired")
        shown = asked_of_the_api(pipeline, tmp_path)
        assert {path: found for path, text in shown.items() for g in (ours, theirs) if (found := g.seen_in(text))} == {}
        assert min(len(shown[path]) for path in ("alerts", "incidents", "traces", "logs", "monitoring/agents")) > 300
        for garden in (ours, theirs):
            for record in pipeline.read(*set(topics.BY_NAME) - SOURCES):
                everything = b" ".join([record.key or b"", record.value or b"", *(v for _, v in record.headers)])
                assert garden.seen_in(everything) == [], (record.topic, everything[:2000])
            assert garden.seen_in(page(worker.port, "/metrics")[1].encode()) == []
        assert worker.total("streams_redactions_total") > 1_000
        assert worker.terminate() == 0
        log = next(tmp_path.glob("worker-*.log")).read_bytes()
        assert ours.seen_in(log) == theirs.seen_in(log) == []


def asked_of_the_api(pipeline: Pipeline, folder: Path) -> dict[str, bytes]:
    """What it answers once it has read the topics, and every trace it lists."""
    api = Api(pipeline, folder)
    api.start()
    try:
        eventually(lambda: not api.running or api.ready(), "the API is ready")
        assert api.running, api.log_tail()

        def answer(path: str) -> bytes:
            return httpx.get(f"{api.url}/api/v1/{path}", timeout=30, trust_env=False).content

        eventually(lambda: len(answer("alerts")) > 300 and len(answer("logs")) > 300, "it has read the topics")
        found = {path: answer(path) for path in SHOWN}
        listed = [trace["trace_id"] for trace in orjson.loads(found["traces"])["traces"]]
        return found | {name: answer(f"traces/{name}") for name in listed}
    finally:
        api.kill()
