"""Alert rules that belong to Prometheus: what the stream cannot say of itself, and limits over minutes.

Limits come from ``baselines`` in ``monitoring/thresholds.yml``; numbers written here are of the pipeline's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from streams.correlate.rule import Baseline

Group = dict[str, Any]

_WHO: Final = "environment, service_name"


class Alert(NamedTuple):
    """One rule: Prometheus' fields, the texts an operator reads."""

    name: str
    expr: str
    severity: str
    wait: str
    summary: str
    description: str
    team: str = "pipeline"

    def rule(self) -> dict[str, Any]:
        """As a mapping of a rule file."""
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.wait,
            "labels": {"severity": self.severity, "team": self.team},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook": f"monitoring/runbooks/{self.name}.md",
            },
        }


def groups(baselines: Mapping[str, Baseline]) -> list[Group]:
    """Alert groups: all agents together and services by their baselines, the pipeline, the watchdog."""
    return [
        {"name": "agents", "rules": [alert.rule() for alert in _agents(baselines)]},
        {"name": "services", "rules": [alert.rule() for alert in _services(baselines)]},
        {"name": "pipeline", "rules": [alert.rule() for alert in PIPELINE]},
        {"name": "watchdog", "rules": [WATCHDOG.rule()]},
    ]


def _agents(baselines: Mapping[str, Baseline]) -> list[Alert]:
    """Totals over all agents are Prometheus': the events of an agent are in one partition, those of all are not."""
    active, interactions = baselines["active_agents"], baselines["user_interactions"]
    inference = baselines["inference_rate"]
    return [
        *_above(
            "AgentCoordinationLimit",
            "sum by (environment) (agents_active)",
            [("critical", active.critical, "1m"), ("warning", active.warning, "5m")],
            "{{ $value | humanize }} agents are active in {{ $labels.environment }}",
        ),
        _below_usual(
            "InferenceRateLow",
            ("agents_inference_operations_total", "10m"),
            inference.critical,
            ("warning", "10m"),
            "Only {{ $value | humanize }} inferences a second in {{ $labels.environment }}",
        ),
        _below_usual(
            "InteractionRateLow",
            ("agents_interactions_total", "30m"),
            interactions.critical,
            ("info", "30m"),
            "Only {{ $value | humanize }} interactions a second in {{ $labels.environment }}",
        ),
    ]


def _services(baselines: Mapping[str, Baseline]) -> list[Alert]:
    p95, p99, cpu, disk = (baselines[name] for name in ("api_p95", "api_p99", "cpu", "disk"))
    growth, lead = baselines["kg_growth"], baselines["capacity_lead"]
    return [
        *_above(
            "ApiLatencyP95High",
            "service:http_request_duration_seconds:p95_5m",
            [("high", p95.critical, "3m"), ("warning", p95.warning, "5m")],
            "One request in twenty to {{ $labels.service_name }} takes more than {{ $value | humanizeDuration }}",
        ),
        *_above(
            "ApiLatencyP99High",
            "service:http_request_duration_seconds:p99_5m",
            [("high", p99.critical, "2m")],
            "One request in a hundred to {{ $labels.service_name }} takes more than {{ $value | humanizeDuration }}",
        ),
        *_above(
            "CpuHigh",
            f"max by ({_WHO}) (process_cpu_utilization_ratio_max)",
            [("critical", cpu.critical, "5m"), ("high", 0.8, "5m"), ("warning", cpu.warning, "10m")],
            "{{ $labels.service_name }} uses {{ $value | humanizePercentage }} of its processors",
        ),
        *_above(
            "DiskFreeLow",
            "max by (instance, mountpoint) (1 - node_filesystem_avail_bytes / node_filesystem_size_bytes)",
            [("high", disk.critical, "5m"), ("warning", disk.warning, "15m")],
            "{{ $labels.mountpoint }} on {{ $labels.instance }} is {{ $value | humanizePercentage }} full",
        ),
        Alert(
            "DiskFreeLow",
            'predict_linear(node_filesystem_avail_bytes{fstype!~"tmpfs|overlay"}[2h], 4 * 3600) < 0',
            "critical",
            "30m",
            "{{ $labels.mountpoint }} on {{ $labels.instance }} will be full within four hours",
            "A straight line through the last two hours of free space.",
            team="agents",
        ),
        *_above(
            "KgGrowthHigh",
            f"max by ({_WHO}) (delta(agents_kg_nodes[1h]))",
            [("warning", growth.warning, "15m")],
            "The knowledge graph of {{ $labels.service_name }} grew by {{ $value | humanize }} nodes in an hour",
        ),
        _exhaustion("high", f"{_TO_LIMIT} < {lead.critical:g}", lead.critical),
        _exhaustion(
            "warning",
            f"{_TO_LIMIT} >= {lead.critical:g} < {lead.warning:g} "
            'and ignoring (bound) agents_capacity_seconds_to_limit{bound="latest"} < Inf',
            lead.warning,
        ),
    ]


_TO_LIMIT: Final = 'agents_capacity_seconds_to_limit{bound="expected"}'


def _exhaustion(severity: str, expr: str, limit: float) -> Alert:
    """Hours before: expected soon; earlier only where the slow end of the interval reaches the limit too."""
    return Alert(
        "CapacityExhaustion",
        expr,
        severity,
        "15m",
        "{{ $labels.resource }} of {{ $labels.environment }} {{ $labels.service_name }} {{ $labels.agent_id }} "
        "reaches its limit in {{ $value | humanizeDuration }}",
        f"Forecast within {limit / 3600:g} hours. Limits are under capacity in monitoring/thresholds.yml.",
        team="agents",
    )


def _above(name: str, expr: str, levels: list[tuple[str, float, str]], summary: str) -> list[Alert]:
    """One alert per severity, each silent while a worse one's limit holds."""
    made: list[Alert] = []
    worse: float | None = None
    for severity, limit, wait in levels:
        condition = f"{expr} > {limit:g}" + (f" <= {worse:g}" if worse is not None else "")
        made.append(Alert(name, condition, severity, wait, summary, f"The limit is {limit:g}, for {wait}.", "agents"))
        worse = limit
    return made


def _below_usual(name: str, counter: tuple[str, str], limit: float, when: tuple[str, str], summary: str) -> Alert:
    """Less than the limit where a week ago (or, with less history, a day ago) it was more."""
    (metric, window), (severity, wait) = counter, when
    week, day = (f"sum by (environment) (rate({metric}[1h] offset {ago}))" for ago in ("1w", "1d"))
    usual = f"({week} or {day})"
    now = f"(sum by (environment) (rate({metric}[{window}])) or 0 * {usual})"
    text = f"A week ago (or a day, with less history) it was more than {limit:g} a second at this hour."
    return Alert(name, f"{now} < {limit:g} and {usual} > {limit:g}", severity, wait, summary, text, "agents")


def _counted(counter: str) -> str:
    """More of a counter that begins with its worker, in ten minutes.

    It has no series before it first counts, so that its first value is no increase.
    """
    return f"increase({counter}[10m]) > 0 or ({counter} unless {counter} offset 10m) > 0"


def _lasting(counter: str, keep: str) -> str:
    """More of a counter that outlives its worker, in ten minutes.

    Another worker, or the next one at this address, begins with what it was before.
    """
    now, before = f"max by ({keep}) ({counter})", f"max by ({keep}) (max_over_time({counter}[1d] offset 10m))"
    return f"sum by ({keep}) (increase({counter}[10m])) > 0 or {now} - ({before} or 0 * {now}) > 0"


PIPELINE: Final = (
    Alert(
        "StreamsWorkerDown",
        'up{job="streams"} == 0',
        "critical",
        "30s",
        "The worker at {{ $labels.instance }} does not answer",
        "Prometheus cannot read its page. Its partitions move to another worker of the role, if there is one.",
    ),
    Alert(
        "AgentSystemDown",
        'absent(up{job="streams"} == 1)',
        "critical",
        "30s",
        "No worker answers: nothing is monitored",
        "Every worker's page is gone, or none is configured.",
    ),
    Alert(
        "ConsumerLagHigh",
        "min_over_time(streams_consumer_lag_records[5m]) > 1000 and delta(streams_consumer_lag_records[5m]) >= 0",
        "high",
        "5m",
        "{{ $labels.topic }}/{{ $labels.partition }} is {{ $value | humanize }} records behind and does not catch up",
        "More arrives than the worker of this partition processes.",
    ),
    Alert(
        "WatermarkStalled",
        "streams_watermark_delay_seconds > 120",
        "high",
        "2m",
        "Event time of {{ $labels.topic }}/{{ $labels.partition }} is {{ $value | humanizeDuration }} behind",
        "Windows close late, and so do alerts.",
    ),
    Alert(
        "EventGap",
        "delta(streams_batches_missing[5m]) > 0",
        "high",
        "0s",
        "{{ $value | humanize }} batches of agents are missing on {{ $labels.topic }}/{{ $labels.partition }}",
        "Sequence numbers have holes: agents sent what never arrived.",
    ),
    Alert(
        "SourceOffsetsLost",
        _lasting("streams_source_offsets_lost_total", "topic, partition, change, stage"),
        "critical",
        "0s",
        "{{ $value | humanize }} records of {{ $labels.topic }} were gone before they were read",
        "The topic was made again, cut, or its retention is shorter than the delay.",
    ),
    Alert(
        "EmitterDropping",
        "increase(streams_emitter_dropped_total[5m]) > 0",
        "warning",
        "0s",
        "Agents dropped {{ $value | humanize }} events at their own bound",
        "The broker was away for longer than the emitters' buffers hold, or one agent emits more than it may.",
    ),
    Alert(
        "DlqNotEmpty",
        _counted("streams_dead_letters_total"),
        "warning",
        "0s",
        "{{ $value | humanize }} records of {{ $labels.topic }} could not be read: {{ $labels.reason }}",
        "They are kept, with the reason, on the topic agents.dead-letters.",
    ),
    Alert(
        "AlertmanagerUnreachable",
        "max by (peer) (min_over_time(streams_alerts_unsent[2m])) > 0",
        "critical",
        "1m",
        "{{ $labels.peer }} does not know {{ $value | humanize }} alerts",
        "Posts to this Alertmanager fail or hang. Alerts are kept and sent when it answers.",
    ),
    Alert(
        "AlertsRefused",
        _counted("streams_alerts_refused_total"),
        "high",
        "0s",
        "{{ $labels.peer }} refused {{ $value | humanize }} alerts as malformed",
        "They will not be notified.",
    ),
    Alert(
        "AlertsLost",
        'max by (peer) (min_over_time(streams_alertmanager_alerts{state="missing"}[5m])) > 0',
        "critical",
        "1m",
        "{{ $labels.peer }} takes alerts and does not have them: {{ $value | humanize }} each time it is asked",
        "They are sent again after each question. A limit by name, a proxy, or a clock minutes ahead loses them.",
    ),
    Alert(
        "DetectorNoData",
        "sum(rate(streams_windows_closed_total[5m])) > 0 unless sum(rate(streams_detector_verdicts_total[5m])) > 0",
        "warning",
        "10m",
        "Windows close, but no detector looks at them",
        "The alerts role is down, or reads nothing.",
    ),
    Alert(
        "RulesRefused",
        "min by (instance) (streams_rules_last_reload_successful) == 0",
        "warning",
        "1m",
        "The worker at {{ $labels.instance }} refuses the rules file and goes on with the rules it had",
        "`streams rules check FILE` says what to write. A worker that starts with this file will not start.",
    ),
    Alert(
        "MetricsIncomplete",
        _counted("streams_scrape_failures_total"),
        "high",
        "0s",
        "The worker at {{ $labels.instance }} answers scrapes without {{ $labels.part }}",
        "What alerts on these metrics is blind. The worker's log has the reason.",
    ),
    Alert(
        "SeriesBudgetExceeded",
        "max(streams_exported_overflowing) > 0",
        "warning",
        "5m",
        "{{ $value }} metrics have more label sets than their budget",
        "The rest is exported together in one overflow series; the topic of windows keeps all.",
    ),
    Alert(
        "SnapshotsDiscarded",
        _counted("streams_snapshots_discarded_total"),
        "high",
        "0s",
        "A worker of {{ $labels.role }} could not use its saved state: {{ $labels.reason }}",
        "It began anew: open windows, learnt behaviour or open alerts may be incomplete.",
    ),
    Alert(
        "CheckpointSlow",
        "max by (role) (rate(streams_checkpoint_duration_seconds_sum[5m]) / "
        "rate(streams_checkpoint_duration_seconds_count[5m])) > 5",
        "warning",
        "10m",
        "Saving the state of {{ $labels.role }} takes {{ $value | humanizeDuration }}",
        "Records are not acknowledged meanwhile; a restart repeats more.",
    ),
    Alert(
        "RebalancesFrequent",
        "increase(streams_rebalances_total[15m]) > 6",
        "warning",
        "5m",
        "Partitions of {{ $labels.role }} moved {{ $value | humanize }} times in 15 minutes",
        "Workers come and go, or are stopped for longer than the session time-out.",
    ),
)

WATCHDOG: Final = Alert(
    "Watchdog",
    "vector(1)",
    "none",
    "0s",
    "Alerting works",
    "Always firing. Connect it to a dead man's switch: when it stops arriving, nobody would hear of anything else.",
)
