"""The pipeline's own health as Prometheus objects, declared once in the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from streams.publish.ownmetrics import HEALTH, HealthMetric


@dataclass(frozen=True)
class Health:
    """One field per metric of :data:`streams.publish.ownmetrics.HEALTH`; ``app/`` updates them.

    Labels in the catalogue's order, e.g. ``health.events.labels("agents.metrics", "late").inc(3)``. Gauges per
    partition stay until :meth:`forget_partition`: call it on revocation.
    """

    dead_letters: Counter
    redactions: Counter
    log_patterns: Gauge
    window_emit_delay: Histogram
    windows_closed: Counter
    rebalances: Counter
    checkpoint_bytes: Gauge
    checkpoint_duration: Histogram
    restore_duration: Gauge
    snapshot_discarded: Counter
    scrape_failures: Counter
    delivery_retries: Counter
    open_traces: Gauge
    traces_closed: Counter
    orphan_spans: Counter
    traces_sampled: Counter
    otlp_exported: Counter
    otlp_dropped: Counter
    otlp_logs_exported: Counter
    otlp_logs_dropped: Counter
    otlp_retries: Counter
    detector_verdicts: Counter
    alert_transitions: Counter
    alerts_firing: Gauge
    incidents: Counter
    incidents_open: Gauge
    alert_episodes: Counter
    alerts_suppressed: Counter
    alerts_judged: Counter
    alerts_flapping: Gauge
    deployment_started: Gauge
    alert_detection: Histogram
    incident_seconds: Histogram
    rules_reloads: Counter
    rules_reload_ok: Gauge
    alertmanager_posts: Counter
    alertmanager_post_duration: Histogram
    alerts_unsent: Gauge
    alerts_refused: Counter
    alerts_dropped: Counter
    alertmanager_reads: Counter
    alertmanager_alerts: Gauge
    unsent_messages: Counter
    build_info: Gauge

    def forget_partition(self, topic: str, partition: int) -> None:
        """Removes the gauges of a partition that another worker owns now."""
        for name, declared in HEALTH.items():
            if declared.labels == ("topic", "partition"):
                gauge: Gauge = getattr(self, name)
                gauge.remove(topic, str(partition))

    def figures(self, found: Iterable[tuple[str, tuple[str, ...], float]]) -> None:
        """Counts and times: the name of a field here, its labels, and 1 or seconds."""
        for name, labels, value in found:
            metric = getattr(self, name).labels(*labels)
            if isinstance(metric, Histogram):
                metric.observe(value)
            else:
                metric.inc(value)

    # The publisher of alerts reports through these (streams.publish.alertmanager.AlertmanagerStats).

    def posted(self, peer: str, code: str, seconds: float) -> None:
        """A post was answered or failed."""
        self.alertmanager_posts.labels(peer, code).inc()
        self.alertmanager_post_duration.labels(peer).observe(seconds)

    def refused(self, peer: str) -> None:
        """A peer refused one alert as wrong."""
        self.alerts_refused.labels(peer).inc()

    def dropped(self) -> None:
        """An alert did not fit the publisher's limit."""
        self.alerts_dropped.inc()

    def unsent(self, peer: str, count: int) -> None:
        """How many alerts a peer does not know in their current state."""
        self.alerts_unsent.labels(peer).set(count)

    def held(self, peer: str, code: str, counts: Mapping[str, int]) -> None:
        """What a peer holds; after a question that failed the last figures stay."""
        self.alertmanager_reads.labels(peer, code).inc()
        for state, count in counts.items():
            self.alertmanager_alerts.labels(peer, state).set(count)

    def told_otherwise(self, outcome: str) -> None:
        """A message that alerts do not arrive (:class:`streams.publish.unsent.UnsentStats`)."""
        self.unsent_messages.labels(outcome).inc()

    def spans_export(self) -> Exported:
        """Where the exporter of sampled spans counts."""
        return Exported(self.otlp_exported, self.otlp_dropped, self.otlp_retries)

    def logs_export(self) -> Exported:
        """Where the exporter of logs counts."""
        return Exported(self.otlp_logs_exported, self.otlp_logs_dropped, self.otlp_retries)


@dataclass(frozen=True)
class Exported:
    """Counts of one exporter (:class:`streams.publish.otlpexport.ExportStats`)."""

    taken: Counter
    lost: Counter
    retries: Counter

    def exported(self, count: int) -> None:
        """The receiver took so many."""
        self.taken.inc(count)

    def dropped(self, reason: str, count: int) -> None:
        """So many will not arrive."""
        if count:
            self.lost.labels(reason).inc(count)

    def retried(self) -> None:
        """A request failed and will be sent again."""
        self.retries.inc()


def make_health(registry: CollectorRegistry, *, version: str, commit: str = "", python: str = "") -> Health:
    """Makes every health metric on this registry (never the process-wide default one).

    Switches prometheus_client's ``_created`` series off for the process: they double the counters, unread.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]
    made: dict[str, Any] = {field.name: _make(HEALTH[field.name], registry) for field in fields(Health)}
    health = Health(**made)
    health.build_info.labels(version, commit, python).set(1)
    return health


def unobserved() -> Health:
    """Health metrics on a registry that nobody reads: for tests, benchmarks and warm-up."""
    return make_health(CollectorRegistry(), version="")


def _make(declared: HealthMetric, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    if declared.type == "counter":
        return Counter(declared.name, declared.help, declared.labels, registry=registry)
    if declared.type == "gauge":
        return Gauge(declared.name, declared.help, declared.labels, registry=registry)
    return Histogram(declared.name, declared.help, declared.labels, registry=registry, buckets=declared.buckets)
