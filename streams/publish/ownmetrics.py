"""Every metric of the pipeline's own health. A change changes ``tests/golden/metrics_catalogue.txt``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class HealthMetric:
    """One metric of the pipeline's own health: full Prometheus name without ``_total``, type, help and labels."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def sample_name(self) -> str:
        """The name in the exposition: counters end in ``_total``."""
        return f"{self.name}_total" if self.type == "counter" else self.name


_PARTITION: Final = ("topic", "partition")

HEALTH: Final[dict[str, HealthMetric]] = {
    "dead_letters": HealthMetric("streams_dead_letters", "counter", "Records set aside.", ("topic", "reason")),
    "redactions": HealthMetric(
        "streams_redactions", "counter", "Texts that arrived with something to hide, by what it was.", ("rule",)
    ),
    "log_patterns": HealthMetric(
        "streams_log_patterns", "gauge", "Shapes of log lines that are told apart, 500 at most.", _PARTITION
    ),
    # progress
    "window_emit_delay": HealthMetric(
        "streams_window_emit_delay_seconds",
        "histogram",
        "Clock at emission minus end of the window.",
        ("topic",),
        (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0),
    ),
    "windows_closed": HealthMetric(
        "streams_windows_closed", "counter", "Closed windows (one per series).", ("topic", "window_seconds")
    ),
    "rebalances": HealthMetric("streams_rebalances", "counter", "Assignments of partitions.", ("role",)),
    # state
    "checkpoint_bytes": HealthMetric("streams_checkpoint_bytes", "gauge", "Size of the last checkpoint.", _PARTITION),
    "checkpoint_duration": HealthMetric(
        "streams_checkpoint_duration_seconds",
        "histogram",
        "Time from closing windows to the acknowledged checkpoint.",
        ("role",),
        (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    ),
    "restore_duration": HealthMetric("streams_restore_seconds", "gauge", "Time of the last restore.", ("role",)),
    "snapshot_discarded": HealthMetric(
        "streams_snapshots_discarded", "counter", "Snapshots that did not fit this code.", ("role", "reason")
    ),
    "scrape_failures": HealthMetric(
        "streams_scrape_failures", "counter", "Scrapes from which a part of the page was missing.", ("part",)
    ),
    "delivery_retries": HealthMetric(
        "streams_delivery_retries", "counter", "Deliveries to the broker that were tried again.", ("role",)
    ),
    # traces
    "open_traces": HealthMetric("streams_open_traces", "gauge", "Traces being assembled.", _PARTITION),
    "traces_closed": HealthMetric("streams_traces_closed", "counter", "Assembled traces.", ("outcome",)),
    "orphan_spans": HealthMetric("streams_spans_orphaned", "counter", "Spans whose parent was never seen."),
    "traces_sampled": HealthMetric(
        "streams_traces_sampled", "counter", "Assembled traces by why they are exported (none: not).", ("reason",)
    ),
    "otlp_exported": HealthMetric("streams_otlp_spans_exported", "counter", "Spans that the OTLP receiver took."),
    "otlp_dropped": HealthMetric("streams_otlp_spans_dropped", "counter", "Sampled spans it never got.", ("reason",)),
    "otlp_logs_exported": HealthMetric("streams_otlp_logs_exported", "counter", "Logs that the OTLP receiver took."),
    "otlp_logs_dropped": HealthMetric("streams_otlp_logs_dropped", "counter", "Logs it never got.", ("reason",)),
    "otlp_retries": HealthMetric("streams_otlp_retries", "counter", "Requests to it that were sent again."),
    # decisions
    "detector_verdicts": HealthMetric(
        "streams_detector_verdicts", "counter", "Windows judged by detectors.", ("detector", "verdict")
    ),
    "alert_transitions": HealthMetric(
        "streams_alert_transitions", "counter", "Transitions of alerts.", ("from", "to", "severity")
    ),
    "alerts_firing": HealthMetric("streams_alerts_firing", "gauge", "Alerts that fire.", ("severity",)),
    # what alerting is worth
    "incidents": HealthMetric(
        "streams_incidents", "counter", "Incidents by what became of them (opened, reopened, merged...).", ("change",)
    ),
    "incidents_open": HealthMetric("streams_incidents_open", "gauge", "Incidents that are open.", ("severity",)),
    "alert_episodes": HealthMetric(
        "streams_alert_episodes", "counter", "Alerts that began to fire, as incidents saw them.", ("severity",)
    ),
    "alerts_suppressed": HealthMetric(
        "streams_alerts_suppressed", "counter", "Of these, those that needed no notification.", ("reason",)
    ),
    "alerts_judged": HealthMetric(
        "streams_alerts_judged", "counter", "Alerts that people called useful or noise.", ("alertname", "verdict")
    ),
    "alerts_flapping": HealthMetric(
        "streams_alerts_flapping", "gauge", "Alerts that are suppressed because they flap.", ("alertname",)
    ),
    "deployment_started": HealthMetric(
        "streams_deployment_started_seconds",
        "gauge",
        "When the newest deployment of a service in an environment was registered (Unix time).",
        ("environment", "service_name", "service_version"),
    ),
    "alert_detection": HealthMetric(
        "streams_alert_detection_seconds",
        "histogram",
        "Event time from the first bad window until an alert fired.",
        ("severity",),
        (0.1, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 3600.0),
    ),
    "incident_seconds": HealthMetric(
        "streams_incident_seconds",
        "histogram",
        "Event time from an incident's first alert until people handled it, and until it was resolved.",
        ("until",),
        (10.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 14400.0, 43200.0, 86400.0),
    ),
    "rules_reloads": HealthMetric(
        "streams_rules_reloads", "counter", "Changes of the rules file, by outcome (loaded, refused).", ("outcome",)
    ),
    "rules_reload_ok": HealthMetric(
        "streams_rules_last_reload_successful", "gauge", "0 while the rules file is refused and older rules are used."
    ),
    # delivery
    "alertmanager_posts": HealthMetric(
        "streams_alertmanager_posts", "counter", "Posts by answer (HTTP code or error).", ("peer", "code")
    ),
    "alertmanager_post_duration": HealthMetric(
        "streams_alertmanager_post_duration_seconds",
        "histogram",
        "Time of posts.",
        ("peer",),
        (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    ),
    "alerts_unsent": HealthMetric("streams_alerts_unsent", "gauge", "Alerts whose state a peer lacks.", ("peer",)),
    "alerts_refused": HealthMetric("streams_alerts_refused", "counter", "Alerts a peer refused as wrong.", ("peer",)),
    "alerts_dropped": HealthMetric("streams_alerts_dropped", "counter", "Alerts over the publisher's limit."),
    "alertmanager_reads": HealthMetric(
        "streams_alertmanager_reads", "counter", "Questions what a peer holds, by answer.", ("peer", "code")
    ),
    "alertmanager_alerts": HealthMetric(
        "streams_alertmanager_alerts", "gauge", "This worker's alerts as a peer holds them.", ("peer", "state")
    ),
    "unsent_messages": HealthMetric(
        "streams_alerts_unsent_messages", "counter", "Messages by webhook that alerts do not arrive.", ("outcome",)
    ),
    "build_info": HealthMetric("streams_build_info", "gauge", "Always 1.", ("version", "commit", "python")),
}
"""By the name of its field in :class:`streams.publish.health.Health`."""

WINDOW_HEALTH: Final[tuple[HealthMetric, ...]] = (
    HealthMetric("streams_exported_series", "gauge", "Label sets of agents' metrics at the last scrape."),
    HealthMetric("streams_exported_overflowing", "gauge", "Metrics over their budget at the last scrape."),
    HealthMetric("streams_exported_clashes", "gauge", "Series left out of the last scrape: their name is taken."),
    HealthMetric("streams_exported_refused", "counter", "Series of windows that could not be folded."),
)
"""What :class:`streams.publish.prometheus.WindowCollector` says of itself, in the order of its figures."""
