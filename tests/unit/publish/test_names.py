"""Names and labels, and the default rule for metrics that agents invent."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.publish.catalogue import BY_NAME, METRICS, metric_for
from streams.publish.claims import NameClaims
from streams.publish.names import is_id, label_name, label_set, prometheus_name


@pytest.mark.parametrize(
    ("name", "unit", "kind", "exported"),
    [
        ("agents.inference.duration", "s", "histogram", "agents_inference_duration_seconds"),
        ("agents.memory", "By", "gauge", "agents_memory_bytes"),
        ("agents.cpu", "1", "gauge", "agents_cpu_ratio"),
        ("agents.steps", "1", "counter", "agents_steps_total"),
        ("agents.response.quality", "1", "histogram", "agents_response_quality"),
        ("gen_ai.client.token.usage", "{token}", "histogram", "gen_ai_client_token_usage"),
        ("process.open_file_descriptor.count", "{count}", "gauge", "process_open_file_descriptor_count"),
        ("disk.io", "By/s", "gauge", "disk_io_bytes_per_second"),
        ("wait.seconds", "s", "gauge", "wait_seconds"),
        ("jobs.total", "{job}", "counter", "jobs_total"),
        ("latency", "ms", "gauge", "latency_milliseconds"),
        ("3d.prints-done", "1", "counter", "_3d_prints_done_total"),
        ("…", "", "gauge", "unnamed"),
    ],
)
def test_prometheus_names(name: str, unit: str, kind: str, exported: str) -> None:
    assert prometheus_name(name, unit, kind) == exported


@given(st.text(), st.text(), st.sampled_from(["counter", "gauge", "histogram", "updowncounter"]))
def test_every_name_becomes_legal(name: str, unit: str, kind: str) -> None:
    exported = prometheus_name(name, unit, kind)
    assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", exported)
    assert exported.endswith("_total") == (kind == "counter") or kind != "counter"


@given(st.lists(st.tuples(st.text(), st.text())))
def test_every_label_set_becomes_legal(labels: list[tuple[str, str]]) -> None:
    made = label_set(labels)
    assert list(made) == sorted(dict(made).items())
    for name, value in made:
        assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name)
        assert value
        assert name not in {"le", "quantile"}
        assert not name.startswith("__")


def test_labels_that_fall_together_are_joined_and_reserved_ones_renamed() -> None:
    labels = [("a_b", "2"), ("a.b", "1"), ("le", "x"), ("job", "y"), ("none", "")]
    assert label_set(labels) == (("a_b", "1;2"), ("exported_job", "y"), ("exported_le", "x"))
    assert label_name("__name__") == "exported_name__"


@pytest.mark.parametrize("label", ["agent.id", "session_id", "traceId", "id", "uuid", "gen_ai.conversation.id"])
def test_ids_are_recognised(label: str) -> None:
    assert is_id(label)


@pytest.mark.parametrize("label", ["valid", "grid", "paid", "agent.type", "identity", "idle", "humid"])
def test_other_labels_are_not_ids(label: str) -> None:
    assert not is_id(label)


def test_names_of_the_catalogue_are_unique() -> None:
    claims = NameClaims()
    assert all(claims.claim(metric) for metric in METRICS)
    assert len({metric.exported for metric in METRICS}) == len(METRICS) == len(BY_NAME)


def test_buckets_ascend() -> None:
    for metric in METRICS:
        assert list(metric.buckets) == sorted(set(metric.buckets))
        assert bool(metric.buckets) == (metric.kind == "histogram")


def test_another_unit_is_another_metric() -> None:
    assert metric_for("agents.inference.duration", "s", "histogram") in METRICS
    assert metric_for("agents.inference.duration", "ms", "histogram") not in METRICS
    assert metric_for("agents.steps", "{step}", "counter") in METRICS
    assert metric_for("agents.steps", "1", "gauge") not in METRICS


def test_invented_gauges_are_added_only_where_that_means_something() -> None:
    assert metric_for("queue.depth", "{task}", "gauge").merge == "sum"
    assert metric_for("cache.size", "By", "gauge").merge == "sum"
    assert metric_for("battery.level", "1", "gauge").merge == "mean"
    assert metric_for("room.temperature", "Cel", "gauge").merge == "mean"
