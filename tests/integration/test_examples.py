"""The example agents, as a user runs them, into a real Kafka and out of it as our columns and traces."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import NewTopic
from confluent_kafka import Consumer

from streams import topics
from streams.decode.head import HeadCache
from streams.decode.run import decode_run
from streams.decode.spans import decode_spans
from streams.domain.series import SeriesTable
from tests.conftest import create_topics
from tests.unit.trace.drawn import Assembler

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 30.0
pytestmark = pytest.mark.integration


class Record:
    """A fetched record as decoding reads it."""

    def __init__(self, message: Any) -> None:
        self.value: bytes | None = message.value()
        self.key: bytes | None = message.key()
        self.offset: int = message.offset()
        self.timestamp: int = message.timestamp()[1]


def read(consumer: Consumer, topic: str, until: Any) -> list[Record]:
    """All records of a topic, until ``until(records)`` is true."""
    consumer.subscribe([topic])
    deadline = time.monotonic() + DEADLINE_SECONDS
    found: list[Record] = []
    while not until(found):
        assert time.monotonic() < deadline, f"{len(found)} records on {topic} are not what was waited for"
        message = consumer.poll(0.5)
        if message is not None and message.error() is None:
            found.append(Record(message))
    return found


def ours(records: list[Record], service: str = "otel-librarian") -> list[Any]:
    """Spans of the example; other tests share the topic."""
    return [span for span in decode_spans(records).spans if span.service == service]


def metric_names(records: list[Record], service: str) -> set[str]:
    """Names of the metrics that a service sent; nothing of them may have been rejected."""
    table = SeriesTable()
    columns = decode_run(records, table, HeadCache(), hint=topics.OTLP_METRICS)
    assert not columns.rejected
    return {series.name for series in table.rows if series.label("service.name") == service}


def run_example(name: str, *arguments: str) -> str:
    command = [sys.executable, ROOT / "examples" / name, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def consumer(kafka: Any, unique_name: Any) -> Iterator[Consumer]:
    settings = {
        "bootstrap.servers": kafka.bootstrap,
        "group.id": unique_name("examples"),
        "auto.offset.reset": "earliest",
    }
    made = Consumer(settings)
    yield made
    made.close()


def test_five_lines_of_the_emitter_give_a_span_and_two_metrics(kafka: Any, consumer: Consumer) -> None:
    names = (topics.SPANS, topics.METRICS, topics.LOGS)
    create_topics(kafka.bootstrap, [NewTopic(name, num_partitions=1, replication_factor=1) for name in names])
    run_example("instrument_agent.py", kafka.bootstrap)
    records = read(consumer, topics.SPANS, lambda found: ours(found, "planning"))
    (span,) = [s for s in ours(records, "planning") if s.resource.get("gen_ai.agent.id") == "planner-1"]
    assert (span.name, span.status_code) == ("plan planner", 0)

    wanted = {"agents.steps", "agents.inference.duration"}
    read(consumer, topics.METRICS, lambda found: wanted <= metric_names(found, "planning"))


def test_the_lines_of_the_readme_give_a_span_and_a_counter(kafka: Any, consumer: Consumer) -> None:
    names = (topics.SPANS, topics.METRICS, topics.LOGS)
    create_topics(kafka.bootstrap, [NewTopic(name, num_partitions=1, replication_factor=1) for name in names])
    readme = (ROOT / "README.md").read_text()
    (lines,) = re.findall(r"```python\n(from agents_emitter import Emitter\n.+?)```", readme, re.DOTALL)
    assert len([line for line in lines.splitlines() if line.strip()]) <= 5
    assert lines.count("127.0.0.1:9092") == 1
    command = [sys.executable, "-c", lines.replace("127.0.0.1:9092", kafka.bootstrap)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")

    def mine(found: list[Record]) -> list[Any]:  # the simulator has a service of this name
        return [s for s in ours(found, "research") if s.resource.get("gen_ai.agent.id") == "planner-1"]

    (span,) = mine(read(consumer, topics.SPANS, mine))
    assert span.name == "plan"
    read(consumer, topics.METRICS, lambda found: "agents.steps" in metric_names(found, "research"))


def test_the_open_telemetry_example_arrives_as_traces_and_as_metrics(rotel: Any, consumer: Consumer) -> None:
    output = run_example(
        "otel_agent.py", "--seconds", "1.5", "--pause-seconds", "0.01", "--endpoint", rotel.grpc_endpoint
    )
    asked = int(output.split()[0])
    assert asked >= 7

    roots = "invoke_agent librarian"
    spans = ours(read(consumer, topics.OTLP_SPANS, lambda found: sum(s.name == roots for s in ours(found)) >= asked))
    wanted = {"agents.steps", "agents.inference.duration"}
    read(consumer, topics.OTLP_METRICS, lambda found: wanted <= metric_names(found, "otel-librarian"))

    operator = Assembler()
    operator.apply(spans, list(range(len(spans))), [1] * len(spans))
    traces = operator.advance(10**12).traces
    assert len(traces) == asked
    assert all(trace.complete for trace in traces)
    failed = [trace for trace in traces if trace.error_count]
    assert {failure.error_type for trace in failed for failure in trace.failures} == {"NothingFoundError"}
    answered = next(trace for trace in traces if not trace.error_count)
    assert sum(s.end_ns - s.start_ns for s in answered.critical_path) == answered.duration_ns
    assert [(use.model, use.agent) for use in answered.tokens] == [("extractive-1", "librarian")]
    assert len(answered.conversation_ids) == 1
