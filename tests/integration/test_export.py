"""Sampled traces to a real OTLP agent, which is away at first, and what it received held against what was sampled."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import NewTopic
from prometheus_client import CollectorRegistry

from agents_emitter.events import encode_log_batch
from agents_emitter.redaction import Redactor
from agents_emitter.simulator import simulate
from streams import topics
from streams.decode.logrows import read_logs
from streams.decode.spans import decode_spans
from streams.domain.span import Span
from streams.domain.trace import TraceRecord, decode_trace
from streams.publish.health import Health, make_health
from streams.publish.otlp import encode_spans
from streams.publish.otlpexport import ExportSettings, OtlpExporter
from streams.services.ports import free_port
from streams.services.rotel import RotelService
from tests.conftest import create_topics
from tests.pipeline import Pipeline, Sent, eventually, open_pipeline
from tests.unit.trace.drawing import span

pytestmark = pytest.mark.integration

RESOURCE = {"service.name": "planner", "service.version": "1.2", "host.cpus": 4, "tags": ["a", "b"]}


def drawn(number: int, trace_id: str) -> Span:
    """A span with something in every field; kinds and states by number."""
    return replace(
        span(f"{number + 1:016x}", number, number + 3, parent=f"{number:016x}" if number else "", trace=trace_id),
        name=f"execute_tool {number}",
        kind=number % 6,
        status_code=number % 3,
        status_message="it broke" if number % 3 == 2 else "",
        attributes={
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "search",
            "n": -number,
            "ratio": 0.25,
            "ok": number % 2 == 0,
            "list": [1, 2],
        },
        resource=RESOURCE,
        events=({"timeUnixNano": 1_700_000_000_000_000_000 + number, "name": "retry", "attributes": {"attempt": 2}},),
        links=({"traceId": "ab" * 16, "spanId": "cd" * 8, "attributes": {"why": "fan-in"}},),
    )


def received(broker: Any, folder: Path, trace_ids: Iterable[str]) -> dict[tuple[str, str], Span]:
    """What the agent wrote, by trace and span id (other tests write to the same topic, also what is no span)."""
    run = decode_spans(Pipeline(broker, folder, 1, {}).read(topics.OTLP_SPANS), hint=topics.OTLP_SPANS)
    wanted = set(trace_ids)
    return {(s.trace_id, s.span_id): s for s in run.spans if s.trace_id in wanted}


def counted(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return registry.get_sample_value(name, labels) or 0.0


def exporter(url: str, health: Health, **more: Any) -> OtlpExporter[Span]:
    settings = ExportSettings(url, backoff_seconds=(0.05, 0.2), **more)
    return OtlpExporter(settings, health.spans_export(), encode_spans)


def agent(broker: Any, folder: Path) -> RotelService:
    create_topics(
        broker.bootstrap,
        [NewTopic(name, 1, 1) for name in (topics.OTLP_SPANS, topics.OTLP_METRICS, topics.OTLP_LOGS)],
    )
    return RotelService(folder / "rotel", kafka_bootstrap=broker.bootstrap)


def test_spans_of_a_receiver_that_was_away_arrive_as_they_were(kafka: Any, tmp_path: Path) -> None:
    registry, seeded = CollectorRegistry(), random.Random(time.time_ns())
    ids = [f"{seeded.getrandbits(128):032x}" for _ in range(150)]
    traces = [[drawn(n, trace_id) for n in range(7)] for trace_id in ids]
    service = agent(kafka, tmp_path)
    sender = exporter(f"{service.http_endpoint}/v1/traces", make_health(registry, version=""), request_items=100)
    sender.start()
    for trace in traces:
        sender.offer(trace)
    eventually(lambda: counted(registry, "streams_otlp_retries_total") >= 2, "it tries again")
    assert counted(registry, "streams_otlp_spans_exported_total") == 0
    sent = {(s.trace_id, s.span_id): s for trace in traces for s in trace}
    with service:
        eventually(lambda: counted(registry, "streams_otlp_spans_exported_total") == len(sent), "all are taken")
        eventually(lambda: len(received(kafka, tmp_path, ids)) == len(sent), "all are in Kafka")
        assert received(kafka, tmp_path, ids) == sent
        sender.stop()


def test_a_full_queue_drops_whole_traces_and_counts_them() -> None:
    registry = CollectorRegistry()
    sender = exporter(
        f"http://127.0.0.1:{free_port()}/v1/traces",
        make_health(registry, version=""),
        queue_items=10,
        drain_seconds=0.2,
    )
    for _ in range(4):
        sender.offer([drawn(n, "ab" * 16) for n in range(4)])
    assert counted(registry, "streams_otlp_spans_dropped_total", reason="queue_full") == 8
    sender.start()
    sender.stop()
    assert counted(registry, "streams_otlp_spans_dropped_total", reason="stopped") == 8


def test_what_is_given_up_is_counted() -> None:
    registry = CollectorRegistry()
    url = f"http://127.0.0.1:{free_port()}/v1/traces"
    sender = exporter(url, make_health(registry, version=""), retry_seconds=0.3)
    sender.start()
    sender.offer([drawn(0, "ab" * 16)])
    eventually(lambda: counted(registry, "streams_otlp_spans_dropped_total", reason="expired") == 1, "it gives up")
    sender.offer([replace(drawn(1, "ab" * 16), span_id="no hex")])
    eventually(lambda: counted(registry, "streams_otlp_spans_dropped_total", reason="invalid") == 1, "it goes on")
    sender.stop()


def test_a_receiver_that_refuses_is_not_asked_again(rotel: RotelService) -> None:
    registry = CollectorRegistry()
    sender = exporter(f"{rotel.http_endpoint}/no/such/path", make_health(registry, version=""))
    sender.start()
    sender.offer([drawn(0, "ab" * 16)])
    eventually(lambda: counted(registry, "streams_otlp_spans_dropped_total", reason="refused") == 1, "it is refused")
    assert counted(registry, "streams_otlp_retries_total") == 0
    sender.stop()


def assembled(pipeline: Pipeline) -> dict[str, TraceRecord]:
    """The newest record of each trace."""
    found: dict[str, TraceRecord] = {}
    for record in pipeline.read(topics.TRACES):
        trace = decode_trace(record.value or b"")
        if trace.trace_id not in found or trace.supersedes(found[trace.trace_id]):
            found[trace.trace_id] = trace
    return found


def test_a_worker_sends_what_it_samples(kafka: Any, rotel: RotelService, cache_folder: Path, tmp_path: Path) -> None:
    """Of a simulated system with failures: all failed traces, and of the others those that the base rate chooses."""
    settings = {
        "otlp_traces_url": f"{rotel.http_endpoint}/v1/traces",
        "sample_base_ratio": 0.25,
        "sample_slow_factor": 0,
        "trace_quiet_seconds": 1,
    }
    start_ns = time.time_ns() - 60 * 10**9
    emissions = simulate("model_outage", seed=time.time_ns() % 10**6, start_ns=start_ns, duration_seconds=20, agents=6)
    with open_pipeline(tmp_path, cache_folder, partitions=2, **settings) as pipeline:
        worker = pipeline.worker("traces").up()
        pipeline.produce(Sent(e.topic, e.key, e.value) for e in emissions if e.topic == topics.SPANS)
        sent = decode_spans(pipeline.read(topics.SPANS), hint=topics.SPANS).spans
        ids = {s.trace_id for s in sent if s.phase == "end"}
        eventually(lambda: assembled(pipeline).keys() >= ids, "all are assembled")
        traces = assembled(pipeline)
        chosen = {i for i, t in traces.items() if t.error_count or t.unfinished or int(i[-14:], 16) >= 0.75 * (1 << 56)}
        assert 0 < len(chosen) < len(traces)
        wanted = {(i, s.span_id): s for i in chosen for s in traces[i].spans}
        eventually(lambda: received(kafka, tmp_path, traces).keys() == wanted.keys(), "what was sampled arrives")
        assert received(kafka, tmp_path, traces) == wanted
        assert worker.total("streams_traces_sampled_total", reason="none") == len(traces) - len(chosen)
        assert worker.total("streams_otlp_spans_dropped_total") == 0


BROKEN = b"{"


def logged(pipeline: Pipeline, topic: str, words: str) -> set[tuple[int, str, str, str, str]]:
    """Logs of a topic whose text begins with these words."""
    values = [record.value or b"" for record in pipeline.read(topic) if record.value != BROKEN]
    logs = [log for value in values for log in read_logs(value, 1, Redactor())]
    kept = [log for log in logs if log.body.startswith(words)]
    return {(log.time_ns, log.severity_text, log.body, log.trace_id, str(log.resource["service.name"])) for log in kept}


def test_a_worker_sends_the_logs_it_counts(kafka: Any, rotel: RotelService, cache_folder: Path, tmp_path: Path) -> None:
    words, trace_id = f"run {random.Random(time.time_ns()).getrandbits(64):x}", "ab" * 16
    rows = [
        {"timeUnixNano": 10**18 + n, "severityNumber": 17, "body": f"{words}, {n}: password={n}", "traceId": trace_id}
        for n in range(300)
    ]
    settings = {"otlp_logs_url": f"{rotel.http_endpoint}/v1/logs"}
    with open_pipeline(tmp_path, cache_folder, partitions=2, **settings) as pipeline:
        values = [encode_log_batch({"service.name": "shop"}, rows[n::3], producer="p", seq=n) for n in range(3)]
        pipeline.produce(Sent(topics.LOGS, b"shop", value) for value in [*values, BROKEN])
        worker = pipeline.worker("metrics").up()
        there = Pipeline(kafka, tmp_path, 1, {})
        eventually(lambda: len(logged(there, topics.OTLP_LOGS, words)) == len(rows), "all arrive")
        assert logged(there, topics.OTLP_LOGS, words) == logged(pipeline, topics.LOGS, words)
        assert {body.rpartition(" ")[2] for _, _, body, _, _ in logged(there, topics.OTLP_LOGS, words)} == {
            "password=[redacted:secret]"
        }
        assert worker.total("streams_otlp_logs_exported_total") == len(rows)
        assert worker.total("streams_otlp_logs_dropped_total") == 0
