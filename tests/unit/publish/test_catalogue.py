"""The public list of exported metrics: a change of it must change the golden file.

Write it again with ``python -m tests.unit.publish.test_catalogue``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.utils import floatToGoString

from streams.publish.capacity import CAPACITY
from streams.publish.catalogue import METRICS
from streams.publish.expected import BANDS
from streams.publish.health import Health, make_health
from streams.publish.names import label_name
from streams.publish.ownmetrics import HEALTH, WINDOW_HEALTH
from streams.publish.progress import PROGRESS, Progress, ProgressCollector
from streams.publish.verdicts import VERDICTS

GOLDEN = Path(__file__).parents[2] / "golden" / "metrics_catalogue.txt"


def lines() -> Iterator[str]:
    for metric in METRICS:
        labels = sorted(label_name(name) for name in metric.labels or ())
        names = {metric.exported: f" merge={metric.merge}" if metric.kind == "gauge" else ""}
        if metric.extremes:
            names |= {f"{metric.exported}_{merge}": f" merge={merge}" for merge in ("min", "max")}
        buckets = f" le={','.join(map(floatToGoString, metric.buckets))}" if metric.buckets else ""
        for name, merge in names.items():
            yield f"{name} {metric.prometheus_type} {{{','.join(labels)}}} budget={metric.budget}{merge}{buckets}"
    for health in (*HEALTH.values(), *WINDOW_HEALTH, *PROGRESS, *CAPACITY, *BANDS, *VERDICTS):
        buckets = f" le={','.join(map(floatToGoString, health.buckets))}" if health.buckets else ""
        yield f"{health.sample_name} {health.type} {{{','.join(sorted(health.labels))}}}{buckets}"


def text() -> str:
    return "\n".join(sorted(lines())) + "\n"


def test_the_catalogue_is_the_golden_file() -> None:
    assert text() == GOLDEN.read_text(), "a public name changed: was it meant? then write the golden file again"


def test_every_health_metric_has_its_field_and_is_exported() -> None:
    assert {field.name for field in fields(Health)} == set(HEALTH)
    registry = CollectorRegistry()
    make_health(registry, version="1.2.3", commit="abc", python="3.11")
    exposed = generate_latest(registry).decode()
    for metric in HEALTH.values():
        assert f"# TYPE {metric.sample_name} {metric.type}\n" in exposed
    assert 'streams_build_info{commit="abc",python="3.11",version="1.2.3"} 1.0' in exposed


def test_a_revoked_partition_leaves_no_gauges_behind() -> None:
    registry = CollectorRegistry()
    health = make_health(registry, version="1")
    for gauge in (health.checkpoint_bytes, health.open_traces):
        gauge.labels("agents.metrics", "3").set(7)
    health.checkpoint_bytes.labels("agents.metrics", "4").set(8)
    health.forget_partition("agents.metrics", 3)
    health.forget_partition("agents.metrics", 99)
    exposed = generate_latest(registry).decode()
    assert 'partition="3"' not in exposed
    assert 'streams_checkpoint_bytes{partition="4",topic="agents.metrics"} 8.0' in exposed


def test_progress_is_what_the_source_says_at_each_scrape() -> None:
    said = [Progress("agents.metrics", 0, {"aggregated": 5, "late": 1}, {"json": 2}, dropped=3, gaps=4, series=9)]
    registry = CollectorRegistry()
    registry.register(ProgressCollector(lambda: said))
    make_health(registry, version="1")
    at = {"topic": "agents.metrics", "partition": "0"}
    assert registry.get_sample_value("streams_events_total", {**at, "fate": "aggregated"}) == 5
    assert registry.get_sample_value("streams_events_rejected_total", {**at, "reason": "json"}) == 2
    assert registry.get_sample_value("streams_emitter_dropped_total", at) == 3
    assert registry.get_sample_value("streams_batches_missing", at) == 4
    assert registry.get_sample_value("streams_consumer_lag_records", at) is None
    assert registry.get_sample_value("streams_watermark_delay_seconds", at) is None
    said[:] = [Progress("agents.metrics", 0, {"aggregated": 6}, lag=0, watermark_delay_seconds=1.5)]
    assert registry.get_sample_value("streams_events_total", {**at, "fate": "aggregated"}) == 6
    assert registry.get_sample_value("streams_consumer_lag_records", at) == 0
    assert registry.get_sample_value("streams_watermark_delay_seconds", at) == 1.5


def test_every_name_of_the_pipeline_is_declared_once() -> None:
    declared = [m.sample_name for m in (*HEALTH.values(), *WINDOW_HEALTH, *PROGRESS)]
    assert sorted(declared) == sorted(set(declared))
    assert all(name.startswith("streams_") for name in declared)


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(text())
