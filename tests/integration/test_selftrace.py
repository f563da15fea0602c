"""The pipeline's own spans at a real OTLP agent, and a receiver's token from a file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import NewTopic

from agents_emitter.simulator import simulate
from streams import topics
from streams.app.export import read_headers
from streams.decode.spans import decode_spans
from streams.domain.span import Span
from streams.errors import ConfigurationError
from streams.services.rotel import RotelService
from streams.settings import Settings
from tests.conftest import create_topics
from tests.pipeline import Pipeline, Sent, eventually, open_pipeline

pytestmark = pytest.mark.integration


def own_spans(broker: Any, folder: Path) -> list[Span]:
    run = decode_spans(Pipeline(broker, folder, 1, {}).read(topics.OTLP_SPANS), hint=topics.OTLP_SPANS)
    return [s for s in run.spans if s.service == "agent-streams"]


def test_runs_and_deliveries_are_spans_at_the_receiver(kafka: Any, tmp_path: Path, cache_folder: Path) -> None:
    """The receiver writes to another broker than the pipeline's: its own spans must not come back to it."""
    names = (topics.OTLP_SPANS, topics.OTLP_METRICS, topics.OTLP_LOGS)
    create_topics(kafka.bootstrap, [NewTopic(name, 1, 1) for name in names])
    headers = tmp_path / "headers"
    headers.write_text("Authorization: Bearer secret-token\n")
    with (
        RotelService(tmp_path / "rotel", kafka_bootstrap=kafka.bootstrap) as receiver,
        open_pipeline(tmp_path / "pipeline", cache_folder, pane_seconds=1, window_seconds="1,5") as pipeline,
    ):
        worker = pipeline.worker(
            "metrics", self_traces_url=f"{receiver.http_endpoint}/v1/traces", otlp_headers_file=headers
        ).up()
        start_ns = time.time_ns() - 20 * 10**9
        load = simulate("normal_day", seed=1, start_ns=start_ns, duration_seconds=10, agents=5)
        pipeline.produce([Sent(e.topic, e.key, e.value) for e in load if e.topic == topics.METRICS])
        eventually(lambda: worker.total("streams_windows_closed_total") > 0, "windows")
        eventually(lambda: any(s.name.startswith("send agents.windows") for s in own_spans(kafka, tmp_path)), "spans")
        assert worker.terminate() == 0
        eventually(lambda: {s.kind for s in own_spans(kafka, tmp_path)} == {4, 5}, "runs and deliveries")
        found = own_spans(kafka, tmp_path)
    by_id = {s.span_id: s for s in found}
    sent = next(s for s in found if s.name.startswith("send") and topics.WINDOWS in s.name)
    run = by_id[sent.parent_span_id]
    assert run.name == f"process {topics.METRICS}"
    assert run.trace_id == sent.trace_id
    assert run.attributes["messaging.batch.message_count"] >= 1
    assert "secret-token" not in worker.log.read_text()


@pytest.mark.parametrize("text", ["no colon", "naïve: x", "a: ü"])
def test_a_line_that_is_no_header_is_named_and_not_shown(tmp_path: Path, text: str) -> None:
    path = tmp_path / "headers"
    path.write_text(f"ok: 1\n\n{text}\n")
    with pytest.raises(ConfigurationError, match=r"STREAMS_OTLP_HEADERS_FILE: line 3") as caught:
        read_headers(Settings(otlp_headers_file=str(path)))
    assert text not in str(caught.value)


def test_headers_are_read_and_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "headers"
    assert read_headers(Settings()) == {}
    with pytest.raises(ConfigurationError, match="FileNotFoundError"):
        read_headers(Settings(otlp_headers_file=str(path)))
    path.write_text("X-Token:  a:b \n")
    assert read_headers(Settings(otlp_headers_file=str(path))) == {"x-token": "a:b"}
