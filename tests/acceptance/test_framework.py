"""A real agent framework with its own OpenTelemetry instrumentation, by an OTLP collector and by the one line.

What the example says it did must be what the traces, and the metrics, say.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams import topics
from streams.domain.span import Span
from streams.domain.trace import TraceRecord, decode_trace
from streams.domain.window import Window
from streams.services.rotel import RotelService
from tests.pipeline import ROOT, Pipeline, Worker, decoded, eventually, open_pipeline

QUESTIONS = 21
SETTINGS = {
    "pane_seconds": 1,
    "window_seconds": "1,5",
    "lateness_seconds": 1,
    "tick_interval_seconds": 0.2,
    "idle_seconds": 0.5,
}
TOKENS = "gen_ai.client.token.usage"
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[Pipeline]:
    with open_pipeline(tmp_path_factory.mktemp("framework"), cache_folder, partitions=2, **SETTINGS) as pipeline:
        yield pipeline


@pytest.fixture(scope="module")
def worker(pipeline: Pipeline) -> Worker:
    return pipeline.worker("all").up()


@pytest.fixture(scope="module")
def collector(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RotelService]:
    with RotelService(tmp_path_factory.mktemp("rotel"), kafka_bootstrap=pipeline.broker.bootstrap) as service:
        yield service


def run_example(agent_id: str, *where: str) -> dict[str, Counter[str]]:
    """What the program says it did: kind -> by name."""
    command = [sys.executable, ROOT / "examples" / "framework_agent.py", "--questions", str(QUESTIONS)]
    done = subprocess.run(
        [*command, "--agent-id", agent_id, *where], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Counter[str]] = {}
    for words, count in json.loads(done.stdout.splitlines()[-1]).items():
        kind, _, name = words.partition(" ")
        said.setdefault(kind, Counter())[name] += count
    assert said["traces"] == {"": QUESTIONS}
    assert said["failed_tools"] == {"": QUESTIONS // 7}
    return said


def traces_of(pipeline: Pipeline, agent_id: str) -> list[TraceRecord]:
    """The newest record of each trace whose spans come from the program."""
    newest: dict[str, TraceRecord] = {}
    for record in pipeline.read(topics.TRACES):
        if record.value is not None:
            trace = decode_trace(record.value)
            if trace.spans[0].resource.get("gen_ai.agent.id") == agent_id:
                newest[trace.trace_id] = trace
    return list(newest.values())


def seen(traces: list[TraceRecord]) -> dict[str, Counter[str]]:
    """The same figures as the program's, out of the traces."""
    spans = [span for trace in traces for span in trace.spans]
    tokens: dict[str, Counter[str]] = {"input_tokens": Counter(), "output_tokens": Counter()}
    for use in (use for trace in traces for use in trace.tokens):
        tokens["input_tokens"][use.agent] += use.input_tokens
        tokens["output_tokens"][use.agent] += use.output_tokens
    return {
        "traces": Counter({"": len(traces)}),
        "agents": _by(spans, "invoke_agent", "gen_ai.agent.name"),
        "tools": _by(spans, "execute_tool", "gen_ai.tool.name"),
        "model_calls": _by(spans, "chat", "gen_ai.agent.name"),
        "failed_tools": Counter({"": sum(trace.error_count for trace in traces)}),
        **tokens,
    }


def _by(spans: list[Span], operation: str, name: str) -> Counter[str]:
    return Counter(
        str(span.attributes[name]) for span in spans if span.attributes.get("gen_ai.operation.name") == operation
    )


def own_windows(pipeline: Pipeline, agent_id: str) -> list[Window]:
    """Windows of the tokens as the framework itself measured them, by one size."""
    batches = [batch for batch in decoded(pipeline.windows()) if batch.size_seconds == 1]
    rows = [window for batch in batches for window in batch.rows() if window.series.name == TOKENS]
    return [window for window in rows if window.series.label("agent.id") == agent_id]


@pytest.mark.parametrize("way", ["one_line", "collector"])
def test_agents_tools_model_calls_and_tokens_are_what_the_program_did(
    way: str, pipeline: Pipeline, worker: Worker, collector: RotelService
) -> None:
    agent_id = f"reading-room-{way}"
    where = ("--brokers", pipeline.broker.bootstrap) if way == "one_line" else ("--endpoint", collector.grpc_endpoint)
    said = run_example(agent_id, *where)
    spans = sum(said["agents"].values()) + sum(said["tools"].values()) + sum(said["model_calls"].values())
    eventually(lambda: sum(t.span_count for t in traces_of(pipeline, agent_id)) >= spans, "all spans are in traces")
    traces = traces_of(pipeline, agent_id)
    assert seen(traces) == said
    assert all(trace.complete for trace in traces)
    assert {trace.services for trace in traces} == {("reading-room",)}
    for trace in traces:
        by_id = {span.span_id: span for span in trace.spans}
        (root,) = [span for span in trace.spans if not span.parent_span_id]
        assert (root.name, len(trace.conversation_ids) > 0) == ("invoke_agent librarian", True)
        writers = [by_id[s.parent_span_id].name for s in trace.spans if s.name == "invoke_agent writer"]
        assert set(writers) <= {"execute_tool ask_writer"}
        assert sum(part.end_ns - part.start_ns for part in trace.critical_path) == root.duration_ns

    tokens = said["input_tokens"].total() + said["output_tokens"].total()
    eventually(lambda: sum(w.sum for w in own_windows(pipeline, agent_id)) >= tokens, "the framework's own metrics")
    assert sum(w.sum for w in own_windows(pipeline, agent_id)) == tokens
    assert pipeline.read(topics.DEAD_LETTERS) == []
