"""What is read from /metrics: every figure from a line, nothing without one."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from streams import topics
from streams.demo.figures import exported_names, read_figures
from streams.publish.health import make_health
from streams.publish.progress import Progress, ProgressCollector


def _exposition() -> str:
    registry = CollectorRegistry()
    health = make_health(registry, version="1")
    health.windows_closed.labels(topics.METRICS, "5").inc(40)
    health.windows_closed.labels(topics.METRICS, "60").inc(2)
    metrics, spans = {"aggregated": 10, "late": 2}, {"aggregated": 5, "rejected": 1}
    registry.register(
        ProgressCollector(
            lambda: [
                Progress(topics.METRICS, 0, metrics, dropped=3, lag=4, watermark_delay_seconds=3.5, series=7),
                Progress(topics.METRICS, 1, {"aggregated": 1}, lag=1, watermark_delay_seconds=9.25, series=1),
                Progress(topics.RED, 0, {"aggregated": 99}, watermark_delay_seconds=1_000.0),
                Progress(topics.OTLP_SPANS, 0, {"aggregated": 6}),
                Progress(topics.SPANS, 0, spans),
                Progress(topics.WINDOWS, 0, {"aggregated": 30, "warming_up": 12}),
            ]
        )
    )
    return generate_latest(registry).decode()


def test_figures_are_the_sums_of_the_partitions() -> None:
    figures = read_figures(_exposition(), 1.0)
    assert figures.events([topics.METRICS]) == 13
    assert figures.fate("late") == 2
    assert figures.dropped[topics.METRICS] == 3
    assert (figures.lag, figures.windows, figures.judged, figures.learning) == (5, 42, 30, 12)
    assert figures.series == 8


def test_the_watermark_is_the_worst_of_the_agents_metrics() -> None:
    assert read_figures(_exposition(), 1.0).watermark_delay_seconds == 9.25


def test_spans_that_are_passed_on_have_one_fate() -> None:
    assert read_figures(_exposition(), 1.0).fate("aggregated") == 10 + 1 + 5


def test_what_is_not_said_is_not_known() -> None:
    figures = read_figures("# HELP x y\nnonsense\n", 0.0)
    assert figures.lag is None
    assert figures.watermark_delay_seconds is None
    assert figures.windows is None
    assert figures.judged is None


def test_names_of_a_service_without_the_suffixes_of_histograms() -> None:
    text = (
        'a_seconds_bucket{le="1",service_name="librarian"} 1\na_seconds_count{service_name="librarian"} 1\n'
        'b_total{service_name="librarian"} 2\nc_total{service_name="other"} 2\n'
    )
    assert exported_names(text, "librarian") == ["a_seconds", "b_total"]
