"""A real Prometheus scrapes a worker: what it stores is what the windows said."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry

from streams.domain.exemplar import Exemplar
from streams.publish.health import make_health
from streams.publish.http import WorkerServer
from streams.publish.prometheus import PrometheusFold, WindowCollector
from streams.services.prometheus import PrometheusService
from tests.unit.publish.builders import TOPIC, batch, series

DEADLINE_SECONDS = 30.0


def until(query: Callable[[], list[dict[str, Any]]], holds: Callable[[dict[str, float]], bool]) -> None:
    """Waits until the answer, as {partition: value}, is as wanted."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    answer: dict[str, float] = {}
    while not holds(answer):
        assert time.monotonic() < deadline, answer
        answer = {row["metric"].get("source_partition", ""): float(row["value"][1]) for row in query()}
        time.sleep(0.1)


def until_exemplified(prometheus: PrometheusService, query: str, example: Exemplar) -> None:
    """Waits until Prometheus has the exemplar, with the ids that a dashboard links to a trace by."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    found: set[tuple[str, str, float]] = set()
    while not found:
        assert time.monotonic() < deadline, query
        stored = [row for series in prometheus.exemplars(query) for row in series["exemplars"]]
        found = {(row["labels"]["trace_id"], row["labels"]["span_id"], float(row["value"])) for row in stored}
        time.sleep(0.1)
    assert found == {(example.trace_id, example.span_id, example.value)}


def test_prometheus_stores_what_the_windows_said(prometheus: PrometheusService) -> None:
    run = uuid.uuid4().hex[:8]
    steps = series("agents.steps", "1", "counter", agent__id="a1", step_type=run)
    inference = series("agents.inference.duration", "s", "histogram", agent__id="a1", operation=run)
    example = Exemplar(inference, 0.1, time.time_ns(), "ab" * 16, "cd" * 8)
    memory = series("agents.memory", "By", "gauge", agent__id=run)
    folds = [PrometheusFold(TOPIC, partition) for partition in (0, 1)]
    for partition, fold in enumerate(folds):
        observed = {steps: [partition + 1], inference: [0.1, 0.3, 9.0], memory: [1024.0]}
        fold.apply(batch(observed, partition=partition))
        fold.exemplify([example])
    registry = CollectorRegistry()
    make_health(registry, version="1")
    server = WorkerServer(registry, live=list, ready=list, more=WindowCollector(folds).render)
    server.start()
    try:
        prometheus.set_targets([f"127.0.0.1:{server.port}"])
        counter = f'agents_steps_total{{step_type="{run}"}}'
        until(lambda: prometheus.query(counter), lambda found: found == {f"{TOPIC}/0": 1, f"{TOPIC}/1": 2})
        folds[1].apply(batch({steps: [40]}, start=10, partition=1))
        until(lambda: prometheus.query(counter), lambda found: found.get(f"{TOPIC}/1") == 42)
        below = f'sum(agents_inference_duration_seconds_bucket{{operation="{run}",le="0.3"}})'
        until(lambda: prometheus.query(below), lambda found: found == {"": 4})
        until_exemplified(prometheus, f'agents_inference_duration_seconds_bucket{{operation="{run}"}}', example)
        until(lambda: prometheus.query(f'agents_memory_bytes{{agent_id="{run}"}}'), lambda found: found == {"": 2048.0})
        assert set(prometheus.scraped().values()) <= {"up", "unknown"}
    finally:
        prometheus.set_targets([])
        server.stop()
