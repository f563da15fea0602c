"""Dashboards about what the pipeline finds and about itself."""

from __future__ import annotations

from typing import Final

from monitoring.source.dashboards.panel import Board, many, more, one

B: Final = 'metric=~"$metric",service_name=~"$service",agent_id=~"$agent"'
"""Label matchers of the variables of the anomalies."""

_WHAT: Final = "environment, service_name, service_version"
"""Labels of a deployment."""
_CALLED: Final = "{{service_name}} {{service_version}}"


def _deployment(metric: str) -> str:
    """With one label for what goes where, so that a table is narrow."""
    return f'label_join({metric}, "deployment", " ", "service_name", "service_version", "environment")'


INCIDENTS: Final = Board(
    "agents-incidents",
    "Incidents and Alerts",
    (
        (
            "Now",
            (
                one("Open incidents", "stat", "sum by (severity) (streams_incidents_open)", "{{severity}}", width=8),
                one("Firing alerts", "stat", "sum by (severity) (streams_alerts_firing)", "{{severity}}", width=8),
                one("Not told to Alertmanager", "stat", "max by (peer) (streams_alerts_unsent)", "{{peer}}",
                    wrong="any", width=4),
                one("Alerts dropped", "stat", "sum(streams_alerts_dropped_total)", wrong="any", width=4,
                    about="Beyond the publisher's bound."),
                one("Prometheus' own alerts", "table", "sum by (alertname, severity, service_name, topic) "
                    '(ALERTS{alertstate="firing",alertname!="Watchdog"})', width=12, rare=True),
                one("Flapping", "table", "topk(10, sum by (alertname) (streams_alerts_flapping))", width=12,
                    rare=True, about="Suppressed because they come back again and again."),
            ),
        ),
        (
            "Over time",
            (
                one("Firing alerts by severity", "timeseries", "sum by (severity) (streams_alerts_firing)",
                    "{{severity}}"),
                one("Transitions of alerts", "timeseries",
                    "sum by (from, to) (rate(streams_alert_transitions_total[5m]))",
                    "{{from}} to {{to}}", unit="ops"),
                one("Incidents, in an hour", "timeseries", "sum by (change) (increase(streams_incidents_total[1h]))",
                    "{{change}}", rare=True),
                one("Posts to Alertmanager", "timeseries",
                    "sum by (peer, code) (rate(streams_alertmanager_posts_total[5m]))", "{{peer}} {{code}}",
                    unit="ops"),
                one("Alerts as Alertmanagers hold them", "timeseries",
                    "sum by (peer, state) (streams_alertmanager_alerts)", "{{peer}} {{state}}",
                    about="Missing for five minutes: AlertsLost."),
                one("Time of posts, p95", "timeseries", "histogram_quantile(0.95, sum by (le, peer) "
                    "(rate(streams_alertmanager_post_duration_seconds_bucket[5m])))", "{{peer}}", unit="s"),
            ),
        ),
        (
            "What alerting is worth",
            (
                one("Alerts per incident", "timeseries", "sum(increase(streams_alert_episodes_total[6h])) / "
                    'sum(increase(streams_incidents_total{change="opened"}[6h]))', "alerts", rare=True,
                    about="Over six hours. Near 1: nothing belongs together, or the calls are not traced."),
                one("Notifications saved", "timeseries",
                    "sum by (reason) (increase(streams_alerts_suppressed_total[1h]))", "{{reason}}", rare=True,
                    about="Alerts that nobody had to be told of on their own, by reason."),
                one("Found useful", "table", 'sum by (alertname) (streams_alerts_judged_total{verdict="useful"}) / '
                    "sum by (alertname) (streams_alerts_judged_total)", unit="percentunit", rare=True,
                    about="Of those that somebody judged: streams alerts ack ... --verdict useful or noise."),
                one("Time to detect, median", "timeseries", "histogram_quantile(0.5, sum by (le, severity) "
                    "(rate(streams_alert_detection_seconds_bucket[1h])))", "{{severity}}", unit="s", width=12,
                    rare=True,
                    about="From the first bad window until the alert fires; most of it is the rule's own for."),
                one("Until handled and until resolved, median", "timeseries", "histogram_quantile(0.5, "
                    "sum by (le, until) (rate(streams_incident_seconds_bucket[6h])))", "{{until}}", unit="s", width=12,
                    rare=True,
                    about="Handled: all that fires in it is acked or in maintenance."),
            ),
        ),
    ),
    variables=(),
)  # fmt: skip

ANOMALIES: Final = Board(
    "agents-anomalies",
    "Anomalies",
    (
        (
            "Out of its band now",
            (
                *(one(f"{word} its band, widths of it", "table", f"topk(20, sum by (metric, feature, service_name, "
                      f"agent_id) ({distance} / (agents_expected_upper - agents_expected_lower) > 0))", unit="none",
                      width=12,
                      rare=True)
                  for word, distance in (("Above", "(agents_observed - agents_expected_upper)"),
                                         ("Below", "(agents_expected_lower - agents_observed)"))),
            ),
        ),
        (
            "What this hour of the week is expected to show",
            (
                many("Observed, expected and band", "timeseries",
                     *((f"{name}{{{B}}}", f"{said} {{{{metric}}}} {{{{feature}}}} {{{{agent_id}}}}")
                       for name, said in (("agents_observed", "observed"), ("agents_expected", "expected"),
                                          ("agents_expected_lower", "lower"), ("agents_expected_upper", "upper"))),
                     width=20, signed=True, rare=True, about="Of the metric, service and agent above. Which series "
                     "have a band is under bands in thresholds.yml; bands stay within the limits of its rules."),
                one("Share that is provisional", "stat", f"avg(agents_expected_provisional{{{B}}})", unit="percentunit",
                    width=4,
                    rare=True, about="Hours seen in fewer than two weeks: their band is that of all hours."),
            ),
        ),
        (
            "Detectors",
            (
                one("Verdicts", "timeseries", "sum by (detector, verdict) (rate(streams_detector_verdicts_total[5m]))",
                    "{{detector}} {{verdict}}", unit="ops", width=12),
                one("Share of windows that is anomalous", "timeseries",
                    'sum(rate(streams_detector_verdicts_total{verdict="anomaly"}[15m])) / '
                    "sum(rate(streams_detector_verdicts_total[15m]))", "anomalous", unit="percentunit", width=12,
                    rare=True,
                    about="The operating point is one false alarm per series and week: 0.0017 % of windows."),
                one("Windows that detectors saw, last hour", "stat",
                    "sum(increase(streams_detector_verdicts_total[1h]))"),
                one("Windows that closed, last hour", "stat", "sum by (window_seconds) "
                    "(increase(streams_windows_closed_total[1h]))", "{{window_seconds}} s"),
                one("Anomalies, last hour", "stat",
                    'sum(increase(streams_detector_verdicts_total{verdict="anomaly"}[1h]))', rare=True),
            ),
        ),
    ),
    variables=(
        ("metric", "label_values(agents_expected, metric)"),
        ("service", 'label_values(agents_expected{metric=~"$metric"}, service_name)'),
        ("agent", 'label_values(agents_expected{metric=~"$metric",service_name=~"$service"}, agent_id)'),
    ),
    single=True,
)  # fmt: skip

INTERNALS: Final = Board(
    "agents-pipeline",
    "Pipeline Internals",
    (
        (
            "Reading",
            (
                one("Records not read yet", "timeseries", "sum by (topic) (streams_consumer_lag_records)", "{{topic}}"),
                one("Event time behind", "timeseries", "max by (topic) (streams_watermark_delay_seconds)", "{{topic}}",
                    unit="s"),
                one("What became of events", "timeseries", "sum by (fate) (streams:events:rate_5m)", "{{fate}}",
                    unit="ops"),
                one("Events rejected", "timeseries", "sum by (topic, reason) (rate(streams_events_rejected_total[5m]))",
                    "{{topic}} {{reason}}", unit="ops", rare=True),
                one("Batches missing", "timeseries", "sum by (topic) (streams_batches_missing)", "{{topic}}"),
                one("Dead letters, last hour", "table",
                    more("streams_dead_letters_total", "1h", "topic, reason") + " > 0", rare=True),
            ),
        ),
        (
            "Windows and state",
            (
                one("Windows closed", "timeseries", "sum by (topic, window_seconds) (rate(streams_windows_closed_total"
                    "[1m]))", "{{topic}} {{window_seconds}} s", unit="ops"),
                one("From window end to publication, p95", "timeseries", "histogram_quantile(0.95, sum by (le, topic) "
                    "(rate(streams_window_emit_delay_seconds_bucket[5m])))", "{{topic}}", unit="s"),
                one("Time of a checkpoint, mean", "timeseries",
                    "sum by (role) (rate(streams_checkpoint_duration_seconds_sum"
                    "[5m])) / sum by (role) (rate(streams_checkpoint_duration_seconds_count[5m]))", "{{role}}",
                    unit="s"),
                one("Time to restore state", "stat", "max by (role) (streams_restore_seconds)", "{{role}}", unit="s"),
                one("Rebalances, last hour", "stat", "sum by (role) (increase(streams_rebalances_total[1h]))",
                    "{{role}}"),
                one("Snapshots discarded", "stat", "sum(streams_snapshots_discarded_total) or vector(0)",
                    wrong="any"),
            ),
        ),
        (
            "Traces",
            (
                one("Open traces", "timeseries", "sum(streams_open_traces)", "open"),
                one("Traces by how they left", "timeseries", "sum by (outcome) (rate(streams_traces_closed_total[5m]))",
                    "{{outcome}}", unit="ops"),
                one("Orphaned spans", "timeseries", "rate(streams_spans_orphaned_total[5m])", "orphans", unit="ops"),
            ),
        ),
        (
            "Leaving",
            (
                many("Exported to Prometheus", "timeseries", ("sum(streams_exported_series)", "series"),
                     ("sum(streams_exported_overflowing)", "metrics over their budget"), width=12),
                one("Deliveries tried again", "timeseries", "sum by (role) (rate(streams_delivery_retries_total[5m]))",
                    "{{role}}", unit="ops", width=12, rare=True),
            ),
        ),
    ),
    variables=(),
)  # fmt: skip

DEPLOYMENTS: Final = Board(
    "agents-deployments",
    "Deployments and Gates",
    (
        (
            "Verdicts on the newest deployments",
            (
                one("Verdicts", "table", "max by (service_name, environment, service_version, profile) "
                    "(streams_deployment_verdict)", width=10, rare=True, verdict=True,
                    about="What the gates last said of the newest deployment of each service."),
                one("Gates", "table", f"max by (deployment, gate) ({_deployment('streams_gate_status')})", width=14,
                    rare=True, verdict=True, matrix=("deployment", "gate"),
                    about="Each gate of those verdicts. The reasons in words: the deployment on the operator's page."),
                many("Candidate beside baseline", "table",
                    (f"max by (deployment, gate, unit) ({_deployment('streams_gate_candidate')})", "candidate"),
                    (f"max by (deployment, gate, unit) ({_deployment('streams_gate_baseline')})", "baseline"),
                    unit="none", width=12, rare=True,
                    about="The baseline ran at the same time, or was pinned; a gate against a fixed limit has none."),
                one("Effect of the change", "bargauge", f"max by ({_WHAT}, gate) (streams_gate_effect_ratio)",
                    f"{_CALLED} {{{{gate}}}}", unit="percentunit", width=6, rare=True, signed=True,
                    about="How much worse the candidate is: of the baseline's figure, of ratios the difference."),
                one("Chance alone would show as much", "bargauge", f"max by ({_WHAT}, gate) (streams_gate_p_value)",
                    f"{_CALLED} {{{{gate}}}}", unit="percentunit", width=6, rare=True,
                    about="The p value: small where the difference is real."),
                one("Verdicts over time", "timeseries", f"max by ({_WHAT}, profile) (streams_deployment_verdict)",
                    _CALLED, width=12, rare=True, verdict=True, signed=True),
                one("Since they were judged", "table", "sort(time() - max by (service_name, environment, "
                    "service_version, profile) (streams_deployment_judged_seconds))", unit="s", width=12, rare=True),
            ),
        ),
        (
            "Since the newest deployment",
            (
                one("Time since the newest deployment", "table", "sort(time() - max by (service_name, environment, "
                    "service_version) (streams_deployment_started_seconds))", unit="s", width=24, rare=True,
                    about="Purple marks on all dashboards show where they began."),
                one("Failed steps by service", "timeseries", "service:agents_step_failures:ratio_5m",
                    "{{service_name}} {{agent_type}}", unit="percentunit", limits="agent_errors", width=12, rare=True),
                one("Request p95 by service", "timeseries", "service:http_request_duration_seconds:p95_5m",
                    "{{service_name}}", unit="s", limits="api_p95", width=12),
                one("Versions of the pipeline", "table", "sum by (version, commit, python) (streams_build_info)",
                    width=24,
                    about="Gates take their evidence by service.version."),
            ),
        ),
    ),
    variables=(),
)  # fmt: skip

BOARDS: Final = (INCIDENTS, ANOMALIES, DEPLOYMENTS, INTERNALS)
