"""Recording rules: what dashboards and alerts would otherwise compute again and again, and old names."""

from __future__ import annotations

from typing import Any, Final

Group = dict[str, Any]

_WHO: Final = "environment, service_name"

QUANTILES: Final = (
    # metric, labels kept, quantiles
    ("http_request_duration_seconds", _WHO, (50, 95, 99)),
    ("agents_inference_duration_seconds", f"agent_type, {_WHO}", (50, 95, 99)),
    ("agents_coordination_duration_seconds", f"coordination_type, {_WHO}", (50, 90, 95)),
    ("agents_belief_convergence_seconds", f"agent_type, {_WHO}", (90, 95)),
    ("gen_ai_client_operation_duration_seconds", f"gen_ai_request_model, {_WHO}", (95,)),
    ("gen_ai_execute_tool_duration_seconds", f"gen_ai_tool_name, {_WHO}", (95,)),
    ("gen_ai_invoke_agent_duration_seconds", f"gen_ai_agent_name, {_WHO}", (95,)),
    ("traces_span_metrics_duration_seconds", f"span_name, {_WHO}", (95,)),
)

RATIOS: Final = (
    # record, numerator, denominator, labels kept
    ("service:http_errors:ratio_5m", 'http_requests_total{status=~"5.."}', "http_requests_total", _WHO),
    ("service:agents_step_failures:ratio_5m", 'agents_steps_total{outcome=~"failure|timeout"}', "agents_steps_total",
     f"agent_type, {_WHO}"),
    ("service:agents_coordination_success:ratio_5m", 'agents_coordination_requests_total{outcome="success"}',
     "agents_coordination_requests_total", _WHO),
    ("service:agents_coordination_timeouts:ratio_5m", 'agents_coordination_requests_total{outcome="timeout"}',
     "agents_coordination_requests_total", _WHO),
    ("service:agents_belief_accuracy:ratio_5m", 'agents_belief_predictions_total{correct="true"}',
     "agents_belief_predictions_total", _WHO),
)  # fmt: skip

SUMS: Final = (
    # record, counter, labels kept
    ("service:http_requests:rate_5m", "http_requests_total", _WHO),
    ("service:agents_steps:rate_5m", "agents_steps_total", f"agent_type, {_WHO}"),
    ("service:gen_ai_tokens:rate_5m", "gen_ai_client_token_usage_sum",
     f"gen_ai_request_model, gen_ai_token_type, {_WHO}"),
    ("streams:events:rate_5m", "streams_events_total", "topic, fate"),
)  # fmt: skip


def _histogram(former: str, metric: str, keep: str) -> tuple[tuple[str, str], ...]:
    """All that is read of a histogram: quantiles from its buckets, means from the other two."""
    parts = (("_bucket", f"{keep}, le"), ("_sum", keep), ("_count", keep))
    return tuple((former + suffix, f"sum by ({labels}) ({metric}{suffix})") for suffix, labels in parts)


FORMER_NAMES: Final = (
    # former name, expression; the names and label sets that dashboards of FreeAgentics read
    ("freeagentics_system_active_agents_total", "sum(agents_active)"),
    ("freeagentics_system_agent_steps_total", "sum by (agent_type, step_type, outcome) (agents_steps_total)"),
    ("freeagentics_system_agent_errors_total", "sum by (agent_type, error_type, severity) (agents_errors_total)"),
    *_histogram("freeagentics_system_agent_inference_duration_seconds", "agents_inference_duration_seconds",
                "agent_type, operation"),
    ("freeagentics_system_agent_memory_usage_bytes", "agents_memory_bytes"),
    ("freeagentics_system_agent_cpu_usage_percent", "100 * agents_cpu_ratio"),
    ("freeagentics_system_coordination_requests_total",
     "sum by (coordination_type, outcome) (agents_coordination_requests_total)"),
    ("freeagentics_system_coordination_errors_total",
     "sum by (coordination_type, error_type) (agents_coordination_errors_total)"),
    *_histogram("freeagentics_system_coordination_duration_seconds", "agents_coordination_duration_seconds",
                "coordination_type"),
    ("freeagentics_system_coordination_concurrent_sessions",
     "sum by (coordination_type) (agents_coordination_sessions_active)"),
    ("freeagentics_belief_accuracy_ratio", "sum by (agent_type) (rate(agents_belief_predictions_total"
     '{correct="true"}[5m])) / sum by (agent_type) (rate(agents_belief_predictions_total[5m]))'),
    ("freeagentics_belief_free_energy_current", "avg by (agent_type) (agents_belief_free_energy)"),
    ("freeagentics_system_knowledge_graph_nodes_total", "sum(agents_kg_nodes)"),
    ("freeagentics_system_knowledge_graph_edges_total", "sum(agents_kg_edges)"),
    ("freeagentics_business_user_interactions_total",
     "sum by (interaction_type, outcome) (agents_interactions_total)"),
    ("freeagentics_business_inference_operations_total",
     "sum by (operation, outcome) (agents_inference_operations_total)"),
    ("freeagentics_business_response_quality_score",
     "sum(rate(agents_response_quality_sum[5m])) / sum(rate(agents_response_quality_count[5m]))"),
    ("freeagentics_security_anomaly_detections_total", "sum by (type, severity) (agents_security_anomalies_total)"),
    ("freeagentics_security_authentication_attempts_total",
     "sum by (method, outcome) (agents_auth_attempts_total)"),
    ("freeagentics_security_access_violations_total",
     "sum by (violation_type, resource_class) (agents_access_violations_total)"),
    ("agent_spawn_total", 'sum by (agent_type) (agents_lifecycle_events_total{event="spawn"})'),
)  # fmt: skip


def groups() -> list[Group]:
    """Recordings for dashboards and alerts."""
    rules = [_quantile(metric, labels, q) for metric, labels, quantiles in QUANTILES for q in quantiles]
    rules += [
        {"record": name, "expr": f"{_rate(above, keep)} / {_rate(below, keep)}"} for name, above, below, keep in RATIOS
    ]
    rules += [{"record": name, "expr": _rate(counter, keep)} for name, counter, keep in SUMS]
    rules.append({"record": "service:agents_active:sum", "expr": f"sum by ({_WHO}) (agents_active)"})
    return [{"name": "recordings", "rules": rules}]


def former_names() -> list[Group]:
    """Series under the names of FreeAgentics, for dashboards that exist already."""
    rules = [{"record": name, "expr": expression} for name, expression in FORMER_NAMES]
    return [{"name": "former_names", "interval": "15s", "rules": rules}]


def _rate(counter: str, keep: str) -> str:
    return f"sum by ({keep}) (rate({counter}[5m]))"


def _quantile(metric: str, keep: str, percent: int) -> dict[str, Any]:
    buckets = f"sum by (le, {keep}) (rate({metric}_bucket[5m]))"
    return {
        "record": f"service:{metric}:p{percent}_5m",
        "expr": f"histogram_quantile({percent / 100:g}, {buckets})",
    }
