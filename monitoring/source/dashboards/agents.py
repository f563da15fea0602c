"""Dashboards about the agents: overview, coordination, API, security, capacity, memory, GenAI."""

from __future__ import annotations

from typing import Final

from monitoring.source.dashboards.panel import Board, W, many, more, one

OVERVIEW: Final = Board(
    "agents-overview",
    "System Overview",
    (
        (
            "Now",
            (
                one("Open incidents", "stat", "sum(streams_incidents_open)", wrong="any", width=3),
                one("Firing alerts", "stat", 'sum(streams_alerts_firing{severity=~"critical|high"})', wrong="any",
                    width=3, about="Critical and high, as the stream sees them; Incidents and Alerts has the rest."),
                one("Error budget left", "stat", "min(slo:budget_left:ratio)", unit="percentunit", wrong="negative",
                    width=3, about="Of the objective that has least of it; SLO rules say which.", rare=True),
                one("Failed steps", "stat", f"max(service:agents_step_failures:ratio_5m{{{W}}})", unit="percentunit",
                    limits="agent_errors", width=3, rare=True, about="Of the kind of agents that fails most."),
                one("Requests", "stat", f"sum(service:http_requests:rate_5m{{{W}}})", unit="reqps", width=3),
                one("Active agents", "stat", f"sum(agents_active{{{W}}})", limits="active_agents", width=3),
                one("Workers down", "stat", 'count(up{job="streams"} == 0) or vector(0)', wrong="any", width=3),
                one("Pipeline behind", "stat", "max(streams_watermark_delay_seconds)", unit="s", width=3,
                    about="Event time of the slowest topic behind the clock: how old the other figures may be."),
            ),
        ),
        (
            "Agents and services over time",
            (
                one("Agents by type", "timeseries", f"sum by (agent_type) (agents_active{{{W}}})", "{{agent_type}}"),
                one("Steps", "timeseries", f"sum by (outcome) (rate(agents_steps_total{{{W}}}[1m]))", "{{outcome}}",
                    unit="ops"),
                one("Errors by type", "timeseries", f"topk(10, sum by (agent_type, error_type) "
                    f"(rate(agents_errors_total{{{W}}}[5m])))", "{{agent_type}} {{error_type}}", unit="ops", rare=True),
                one("Memory", "timeseries", f"sum by (service_name) (process_memory_usage_bytes{{{W}}})",
                    "{{service_name}}", unit="bytes", limits="service_memory"),
                one("API errors", "timeseries", f"service:http_errors:ratio_5m{{{W}}}", "{{service_name}}",
                    unit="percentunit", limits="api_errors", rare=True),
                one("Knowledge graph nodes", "timeseries", f"agents_kg_nodes{{{W}}}", "{{service_name}}", rare=True),
            ),
        ),
        (
            "Pipeline",
            (
                one("Events", "timeseries", "sum by (topic) (streams:events:rate_5m)", "{{topic}}", unit="ops"),
                one("Event time behind", "timeseries", "max by (topic) (streams_watermark_delay_seconds)", "{{topic}}",
                    unit="s"),
                one("Services that fail most", "bargauge", f"topk(10, sum by (service_name) "
                    f"(rate(agents_errors_total{{{W}}}[5m])))", "{{service_name}}", unit="ops", rare=True),
            ),
        ),
    ),
)  # fmt: skip

_CALLS: Final = 'sum by (client, server) (rate(traces_service_graph_request_total{environment=~"$environment"}[5m]))'


def _named(label: str, *names: str, of: str = _CALLS) -> str:
    """``of`` with a label's value under further names."""
    for name in names:
        of = f'label_replace({of}, "{name}", "$1", "{label}", "(.+)")'
    return of


_CALLS_OF_PAIR: Final = _named("server", "target", of=_named("client", "source"))

COORDINATION: Final = Board(
    "agents-coordination",
    "Agent Coordination",
    (
        (
            "Now",
            (
                one("Coordination success, worst service", "stat",
                    f"min(service:agents_coordination_success:ratio_5m{{{W}}})", unit="percentunit",
                    limits="CoordinationSuccessLow", width=6),
                one("Coordination time-outs, worst service", "stat",
                    f"max(service:agents_coordination_timeouts:ratio_5m{{{W}}})",
                    unit="percentunit", limits="coordination_timeouts", width=6, rare=True),
                one("Coordination sessions", "stat", f"sum(agents_coordination_sessions_active{{{W}}})", width=6),
                one("Hung sessions, last hour", "stat", more(f"agents_sessions_hung_total{{{W}}}", "1h"),
                    wrong="any", width=6, rare=True),
            ),
        ),
        (
            "Over time",
            (
                one("Coordination requests by outcome", "timeseries", f"sum by (outcome) "
                    f"(rate(agents_coordination_requests_total{{{W}}}[1m]))", "{{outcome}}", unit="ops"),
                many("Coordination duration", "timeseries",
                     (f"service:agents_coordination_duration_seconds:p50_5m{{{W}}}", "p50 {{coordination_type}}"),
                     (f"service:agents_coordination_duration_seconds:p95_5m{{{W}}}", "p95 {{coordination_type}}"),
                     unit="s", limits="coordination_p95"),
                one("Coordination requests of the last hour, by type", "piechart", f"sum by (coordination_type) "
                    f"(increase(agents_coordination_requests_total{{{W}}}[1h]))", "{{coordination_type}}"),
                one("Belief accuracy", "timeseries", f"service:agents_belief_accuracy:ratio_5m{{{W}}}",
                    "{{service_name}}", unit="percentunit", limits="BeliefAccuracyLow"),
                many("Free energy", "timeseries", (f"agents_belief_free_energy{{{W}}}", "{{agent_type}} mean"),
                     (f"agents_belief_free_energy_max{{{W}}}", "{{agent_type}} highest"), limits="free_energy",
                     signed=True),
                one("Belief convergence, p95", "timeseries", f"service:agents_belief_convergence_seconds:p95_5m{{{W}}}",
                    "{{agent_type}}", unit="s", rare=True),
            ),
        ),
        (
            "Who calls whom",
            (
                many("Service map", "nodegraph",
                     (f'sum by (id, title) ({_named("server", "id", "title")}) or sum by (id, title) '
                      f'(0 * {_named("client", "id", "title")})', ""),
                     (f'label_join({_CALLS_OF_PAIR}, "id", " to ", "source", "target")', ""), unit="reqps", width=12,
                     about="Calls a second: answered by each service, and on each way from one to another."),
                one("Calls, most frequent", "table", f"topk(50, {_CALLS})", unit="reqps", width=12),
                one("Share of calls that fail", "timeseries", 'sum by (client, server) (rate('
                    'traces_service_graph_request_failed_total{environment=~"$environment"}[5m])) / sum by (client, '
                    'server) (rate(traces_service_graph_request_total{environment=~"$environment"}[5m])) > 0',
                    "{{client}} to {{server}}", unit="percentunit", width=24, rare=True),
            ),
        ),
    ),
)  # fmt: skip

API: Final = Board(
    "agents-api",
    "API Performance",
    (
        (
            "Now",
            (
                one("Request p95, slowest service", "stat",
                    f"max(service:http_request_duration_seconds:p95_5m{{{W}}})", unit="s",
                    limits="api_p95", width=6),
                one("Request p99, slowest service", "stat",
                    f"max(service:http_request_duration_seconds:p99_5m{{{W}}})", unit="s",
                    limits="api_p99", width=6),
                one("Failed requests, worst service", "stat", f"max(service:http_errors:ratio_5m{{{W}}})",
                    unit="percentunit",
                    limits="api_errors", width=6, rare=True),
                one("Requests", "stat", f"sum(service:http_requests:rate_5m{{{W}}})", unit="reqps", width=6),
            ),
        ),
        (
            "Over time",
            (
                many("Request time", "timeseries",
                     *((f"service:http_request_duration_seconds:p{q}_5m{{{W}}}", f"p{q} {{{{service_name}}}}")
                       for q in (50, 95, 99)), unit="s", limits="api_p95",
                     about="Points are exemplars: they lead to a trace."),
                one("Requests by status", "timeseries", f"sum by (status) (rate(http_requests_total{{{W}}}[1m]))",
                    "{{status}}", unit="reqps"),
                one("Requests by route", "timeseries",
                    f"topk(10, sum by (method, route) (rate(http_requests_total{{{W}}}[5m])))", "{{method}} {{route}}",
                    unit="reqps"),
                one("p95 by route", "timeseries", "histogram_quantile(0.95, sum by (le, route) "
                    f"(rate(http_request_duration_seconds_bucket{{{W}}}[5m])))", "{{route}}", unit="s",
                    limits="api_p95"),
                one("p95 by span", "timeseries",
                    f"topk(10, service:traces_span_metrics_duration_seconds:p95_5m{{{W}}})",
                    "{{service_name}} {{span_name}}", unit="s"),
                one("Response quality", "timeseries", f"sum by (service_name) (rate(agents_response_quality_sum{{{W}}}"
                    f"[5m])) / sum by (service_name) (rate(agents_response_quality_count{{{W}}}[5m]))",
                    "{{service_name}}", unit="percentunit", limits="response_quality"),
                one("Interactions", "timeseries", f"sum by (outcome) (rate(agents_interactions_total{{{W}}}[5m]))",
                    "{{outcome}}", unit="ops", width=24),
            ),
        ),
    ),
)  # fmt: skip

SECURITY: Final = Board(
    "agents-security",
    "Security",
    (
        (
            "Now",
            (
                one("Failed sign-ins, last 5 minutes", "stat",
                    more(f'agents_auth_attempts_total{{{W},outcome!="success"}}', "5m"), width=6, rare=True),
                one("Security events, last hour", "stat", more(f"agents_security_events_total{{{W}}}", "1h"),
                    wrong="any", width=6, rare=True),
                one("Access violations, last hour", "stat",
                    more(f"agents_access_violations_total{{{W}}}", "1h"), wrong="any", width=6, rare=True),
                one("Refused by rate limits, last 5 minutes", "stat",
                    more(f"agents_rate_limited_total{{{W}}}", "5m"), width=6, rare=True),
            ),
        ),
        (
            "Over time",
            (
                one("Sign-ins by outcome", "timeseries", f"sum by (outcome) (rate(agents_auth_attempts_total{{{W}}}"
                    "[1m]))", "{{outcome}}", unit="ops"),
                one("Security events by type, in 5 minutes", "timeseries",
                    more(f"agents_security_events_total{{{W}}}", "5m", "event_type, severity"),
                    "{{event_type}} {{severity}}", rare=True),
                one("Access violations by resource, last hour", "table",
                    "topk(20, " + more(f"agents_access_violations_total{{{W}}}", "1h", "violation_type, resource_class")
                    + ")", rare=True),
            ),
        ),
    ),
)  # fmt: skip

CAPACITY: Final = Board(
    "agents-capacity",
    "Capacity Planning",
    (
        (
            "Used",
            (
                one("Agents", "timeseries", f"sum(agents_active{{{W}}})", "active", limits="active_agents"),
                one("Memory of services", "timeseries", f"process_memory_usage_bytes_max{{{W}}}",
                    "{{service_name}} {{agent_type}}", unit="bytes", limits="service_memory"),
                one("Processors", "timeseries", f"process_cpu_utilization_ratio_max{{{W}}}",
                    "{{service_name}} {{agent_type}}", unit="percentunit", limits="cpu"),
                one("Requests", "timeseries", f"sum(service:http_requests:rate_5m{{{W}}})", "all", unit="reqps",
                    limits="request_rate"),
                one("Disk used", "timeseries", "max by (instance, mountpoint) "
                    "(1 - node_filesystem_avail_bytes / node_filesystem_size_bytes)", "{{instance}} {{mountpoint}}",
                    unit="percentunit", limits="disk", rare=True),
                one("Open files", "timeseries", f"sum by (service_name) (process_open_file_descriptor_count{{{W}}})",
                    "{{service_name}}"),
            ),
        ),
        (
            "To come",
            (
                one("Used of limits, most used", "bargauge",
                    'topk(10, agents_capacity_used_ratio{environment=~"$environment"})',
                    "{{resource}} {{service_name}} {{agent_id}}", unit="percentunit", width=24, rare=True,
                    about="Resources and limits are under capacity in thresholds.yml."),
                one("Time to limits", "timeseries", 'bottomk(10, agents_capacity_seconds_to_limit{bound="expected",'
                    'environment=~"$environment"} < Inf)',
                    "{{resource}} {{service_name}} {{agent_id}}", unit="s", limits="capacity_lead", width=12,
                    rare=True, about="Not within a week: not drawn. CapacityExhaustion alerts below the lines."),
                one("Soonest: earliest, expected, latest", "timeseries", "min by (resource, bound) "
                    '(agents_capacity_seconds_to_limit{environment=~"$environment"} < Inf)', "{{resource}} {{bound}}",
                    unit="s", width=12, rare=True,
                    about="Nine times out of ten the truth lies between earliest and latest."),
                one("Memory in six hours", "timeseries",
                    f"clamp_min(sum by (service_name) (predict_linear(process_memory_usage_bytes{{{W}}}[1h], 6*3600)"
                    f" and process_memory_usage_bytes{{{W}}} offset 30m), 0)",
                    "{{service_name}}", unit="bytes", limits="service_memory", width=12, rare=True,
                    about="A straight line through the last hour, of what is half an hour old; panels above know the "
                    "day and an interval."),
                one("Requests in six hours", "timeseries", f"clamp_min(predict_linear(service:http_requests:rate_5m"
                    f"{{{W}}}[1h], 6*3600) and service:http_requests:rate_5m{{{W}}} offset 30m, 0)",
                    "{{service_name}}", unit="reqps", limits="request_rate", width=12, rare=True),
            ),
        ),
        (
            "Of the pipeline",
            (
                one("Series held", "timeseries", "sum by (topic) (streams_series)", "{{topic}}"),
                one("Series exported", "timeseries", "sum(streams_exported_series)", "exported"),
                one("Size of checkpoints", "timeseries", "sum by (topic) (streams_checkpoint_bytes)", "{{topic}}",
                    unit="bytes"),
            ),
        ),
    ),
)  # fmt: skip

MEMORY: Final = Board(
    "agents-memory",
    "Agent Memory",
    (
        (
            "Memory of agents",
            (
                one("Memory of all agents", "stat", f"sum(agents_memory_bytes{{{W}}})", unit="bytes",
                    limits="total_agent_memory", width=6),
                one("Memory of an agent, mean", "stat", f"avg(agents_memory_bytes{{{W}}})", unit="bytes",
                    limits="agent_memory_mean",
                    width=6),
                one("Memory of an agent, largest", "stat", f"max(agents_memory_bytes{{{W}}})", unit="bytes",
                    limits="AgentMemoryHigh",
                    width=6),
                one("Agents with twice the mean", "stat", f"count(agents_memory_bytes{{{W}}} > 2 * scalar("
                    f"avg(agents_memory_bytes{{{W}}}))) or vector(0)", width=6),
                one("Ten largest agents", "bargauge", f"topk(10, agents_memory_bytes{{{W}}})", "{{agent_id}}",
                    unit="bytes",
                    limits="AgentMemoryHigh", width=12),
                one("Memory of an agent by type, mean", "timeseries",
                    f"avg by (agent_type) (agents_memory_bytes{{{W}}})", "{{agent_type}}",
                    unit="bytes", limits="agent_memory_mean", width=12),
                one("Growth in a minute, ten fastest agents", "timeseries",
                    f"topk(10, deriv(agents_memory_bytes{{{W}}}[5m]) * 60)",
                    "{{agent_id}}", unit="bytes", width=24, signed=True, about="The stream alerts above 2 MB."),
            ),
        ),
    ),
)  # fmt: skip

GENAI: Final = Board(
    "agents-genai",
    "GenAI",
    (
        (
            "Tokens and models",
            (
                one("Tokens a second", "timeseries", f"sum by (gen_ai_request_model, gen_ai_token_type) "
                    f"(service:gen_ai_tokens:rate_5m{{{W}}})", "{{gen_ai_request_model}} {{gen_ai_token_type}}",
                    width=12),
                one("Tokens of the last hour, by model", "piechart", f"sum by (gen_ai_request_model) "
                    f"(increase(gen_ai_client_token_usage_sum{{{W}}}[1h]))", "{{gen_ai_request_model}}", width=12,
                    about="Prices are yours: `streams performance --prices` gives cost."),
                one("Model calls, p95", "timeseries",
                    f"service:gen_ai_client_operation_duration_seconds:p95_5m{{{W}}}", "{{gen_ai_request_model}}",
                    unit="s", width=12),
                one("Failed model calls", "timeseries", "sum by (gen_ai_request_model, error_type) (rate("
                    f'gen_ai_client_operation_duration_seconds_count{{{W},error_type!=""}}[5m]))',
                    "{{gen_ai_request_model}} {{error_type}}", unit="ops", width=12, rare=True),
            ),
        ),
        (
            "Agents and tools",
            (
                one("Agents, p95", "timeseries",
                    f"topk(10, service:gen_ai_invoke_agent_duration_seconds:p95_5m{{{W}}})",
                    "{{gen_ai_agent_name}} {{service_name}}", unit="s"),
                one("Tools, p95", "timeseries", f"topk(10, service:gen_ai_execute_tool_duration_seconds:p95_5m{{{W}}})",
                    "{{gen_ai_tool_name}}", unit="s"),
                one("Tool loops, last hour", "table",
                    more(f"agents_tool_loops_total{{{W}}}", "1h", "agent, gen_ai_tool_name") + " > 0", rare=True,
                    about="Calls that repeated an earlier one with the same arguments."),
            ),
        ),
    ),
)  # fmt: skip

BOARDS: Final = (OVERVIEW, COORDINATION, API, SECURITY, CAPACITY, MEMORY, GENAI)
