"""Every exported metric of agents: its names, type, unit, labels, buckets, budget. Data, and the rule for others.

Agents' metrics are declared under their OpenTelemetry names; the Prometheus names follow from them
(:mod:`streams.publish.names`). Labels that are not listed are summed away; ids never become labels, with two
exceptions that have a budget: ``agents.memory`` and ``agents.cpu`` keep ``agent.id``. What agents report and this table
does not know is exported by :func:`default_metric`.

Bucket bounds are the owners' performance baselines and, for ``gen_ai.*``, OpenTelemetry's GenAI conventions. A change
of this file changes ``tests/golden/metrics_catalogue.txt``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from streams.publish.names import prometheus_name

Merge = Literal["sum", "mean", "max"]

WHO: Final = ("environment", "service.name")
"""Kept on every metric: one environment or service must not hide in another's sum."""
TYPE: Final = (*WHO, "agent.type")

FAST_SECONDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0, 2.0, 5.0)
"""1 ms to 5 s, with a bound at each shipped threshold (0.1, 0.2, 0.4, 0.5, 1 s)."""
COORDINATION_SECONDS: Final = (0.001, 0.01, 0.1, 0.5, 1.0, 1.5, 1.8, 2.0, 5.0, 10.0, 30.0, 60.0)
CONVERGENCE_SECONDS: Final = (0.001, 0.01, 0.1, 0.5, 1.0, 2.0, 4.0, 5.0, 10.0)
WORKFLOW_SECONDS: Final = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0)
GENAI_SECONDS: Final = tuple(round(0.01 * 2**i, 2) for i in range(14))
"""0.01 to 81.92 s, doubling (OpenTelemetry GenAI conventions)."""
AGENT_SECONDS: Final = tuple(round(0.1 * 2**i, 1) for i in range(13))
"""0.1 to 409.6 s, doubling (OpenTelemetry GenAI conventions)."""
TOKENS: Final = tuple(float(4**i) for i in range(14))
"""1 to 67,108,864, powers of 4 (OpenTelemetry GenAI conventions)."""
SPAN_SECONDS: Final = (0.002, 0.004, 0.006, 0.008, 0.01, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.4, 2.0, 5.0, 10.0, 15.0)
"""The defaults of OpenTelemetry's spanmetrics connector."""
UNIT_INTERVAL: Final = tuple(round(0.1 * i, 1) for i in range(1, 11))
SECONDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
BYTES: Final = tuple(float(1024 * 4**i) for i in range(12))
OTHER: Final = (0.0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000)
"""OpenTelemetry SDK's default bounds."""

DEFAULT_BUDGET: Final = 1_000
AGENT_BUDGET: Final = 500
SPAN_BUDGET: Final = 2_000


@dataclass(frozen=True, slots=True)
class Metric:
    """How one reported metric is exported.

    Attributes:
        name, unit, kind: as reported: OpenTelemetry name, UCUM unit, counter | updowncounter | gauge | histogram.
        help: one sentence for the exposition.
        labels: reported labels that are kept, others are merged away; None keeps all but ids.
        buckets: upper bounds of a histogram, ascending, without infinity.
        merge: how gauges of several sources become one.
        extremes: a gauge also gives ``<name>_min`` and ``<name>_max`` of its last window.
        budget: label sets of this metric that are exported on their own; the rest share an overflow series.
    """

    name: str
    unit: str
    kind: str
    help: str
    labels: tuple[str, ...] | None
    buckets: tuple[float, ...] = ()
    merge: Merge = "sum"
    extremes: bool = False
    budget: int = DEFAULT_BUDGET

    def __hash__(self) -> int:
        """Of what tells metrics apart; over all fields, buckets too, it would take ten times as long."""
        return hash((self.name, self.unit, self.kind))

    @property
    def exported(self) -> str:
        """The Prometheus name."""
        return prometheus_name(self.name, self.unit, self.kind)

    @property
    def prometheus_type(self) -> str:
        """counter, gauge or histogram."""
        return "gauge" if self.kind == "updowncounter" else self.kind


def _counter(name: str, text: str, *labels: str, who: tuple[str, ...] = TYPE, budget: int = DEFAULT_BUDGET) -> Metric:
    return Metric(name, "1", "counter", text, (*who, *labels), budget=budget)


def _gauge(
    name: str,
    unit: str,
    text: str,
    *labels: str,
    who: tuple[str, ...] = TYPE,
    merge: Merge = "sum",
    extremes: bool = False,
    budget: int = DEFAULT_BUDGET,
) -> Metric:
    return Metric(name, unit, "gauge", text, (*who, *labels), (), merge, extremes, budget)


def _histogram(
    name: str,
    unit: str,
    buckets: tuple[float, ...],
    text: str,
    *labels: str,
    who: tuple[str, ...] = TYPE,
    budget: int = DEFAULT_BUDGET,
) -> Metric:
    return Metric(name, unit, "histogram", text, (*who, *labels), buckets, budget=budget)


_MODEL: Final = ("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model")
_SPAN: Final = ("span.name", "span.kind", "status.code")
_EDGE: Final = ("client", "server", "connection_type")

METRICS: Final[tuple[Metric, ...]] = (
    # agents
    _gauge("agents.active", "{agent}", "Agents at work."),
    _counter("agents.heartbeat", "Signs of life of agents."),
    _counter("agents.lifecycle.events", "Spawns, starts, stops, crashes and restarts of agents.", "event", "outcome"),
    _counter("agents.steps", "Steps that agents took.", "step_type", "outcome"),
    _counter("agents.errors", "Errors of agents by class.", "error_type", "severity"),
    _histogram("agents.inference.duration", "s", FAST_SECONDS, "Time of one inference.", "operation"),
    _counter("agents.inference.operations", "Inference operations.", "operation", "outcome"),
    _gauge("agents.memory", "By", "Memory of one agent.", "agent.id", budget=AGENT_BUDGET),
    _gauge("agents.cpu", "1", "Processor share of one agent, 0 to 1.", "agent.id", merge="mean", budget=AGENT_BUDGET),
    # coordination
    _counter("agents.coordination.requests", "Requests to coordinate.", "coordination_type", "outcome"),
    _counter("agents.coordination.errors", "Errors of coordination.", "coordination_type", "error_type"),
    _histogram(
        "agents.coordination.duration",
        "s",
        COORDINATION_SECONDS,
        "Time from a request to coordinate to its outcome.",
        "coordination_type",
        "outcome",
    ),
    _gauge("agents.coordination.sessions.active", "{session}", "Open coordination sessions.", "coordination_type"),
    _counter("agents.coordination.sessions.hung", "Sessions that never ended.", "coordination_type"),
    _counter("agents.sessions.hung", "Announced spans whose end did not come within a minute.", "operation", who=WHO),
    _counter(
        "agents.tool.loops",
        "Tool calls that repeated an earlier one of the trace.",
        "agent",
        "gen_ai.tool.name",
        who=WHO,
    ),
    _histogram(
        "agents.coalition.formation.duration",
        "s",
        COORDINATION_SECONDS,
        "Time to form a coalition.",
        "coalition_type",
        "size_bucket",
    ),
    _gauge("agents.coalitions.active", "{coalition}", "Coalitions that exist.", "coalition_type", "size_bucket"),
    # beliefs
    _counter("agents.belief.updates", "Updates of beliefs.", "update_type", "outcome"),
    _counter("agents.belief.predictions", "Predictions that met their outcome; correct says whether right.", "correct"),
    _histogram("agents.belief.convergence", "s", CONVERGENCE_SECONDS, "Time until beliefs settled."),
    _gauge("agents.belief.free_energy", "{nat}", "Variational free energy.", merge="mean", extremes=True),
    _gauge("agents.belief.entropy", "{nat}", "Entropy of beliefs.", merge="mean", extremes=True),
    _gauge("agents.belief.kl_divergence", "{nat}", "Divergence of beliefs.", merge="mean", extremes=True),
    _gauge("agents.kg.nodes", "{node}", "Nodes of the knowledge graph.", who=WHO, merge="max"),
    _gauge("agents.kg.edges", "{edge}", "Edges of the knowledge graph.", who=WHO, merge="max"),
    _counter("agents.kg.operations", "Operations on the knowledge graph.", "operation", "outcome"),
    # people and quality
    _counter("agents.interactions", "Interactions with people.", "interaction_type", "outcome"),
    _histogram("agents.response.quality", "1", UNIT_INTERVAL, "Quality of responses, 0 to 1.", "response_type"),
    # security
    _counter("agents.auth.attempts", "Attempts to sign in: success, failure, locked.", "method", "outcome", who=WHO),
    _counter("agents.security.events", "Security events.", "event_type", "severity", who=WHO),
    _counter("agents.security.anomalies", "Security anomalies.", "type", "severity", who=WHO),
    _counter("agents.access.violations", "Refused accesses.", "violation_type", "resource_class", who=WHO),
    _counter("agents.rate_limited", "Requests refused by a rate limit.", "route", "reason", who=WHO),
    _counter("agents.log.records", "Log records by severity and logger.", "severity", "logger"),
    # GenAI conventions
    _histogram("gen_ai.client.token.usage", "{token}", TOKENS, "Tokens per request.", *_MODEL, "gen_ai.token.type"),
    _histogram("gen_ai.client.operation.duration", "s", GENAI_SECONDS, "Time of model calls.", *_MODEL, "error.type"),
    _histogram(
        "gen_ai.invoke_agent.duration",
        "s",
        AGENT_SECONDS,
        "Time of one run of an agent.",
        "agent.name",
        "gen_ai.agent.name",
        "gen_ai.request.model",
        "error.type",
    ),
    _histogram(
        "gen_ai.execute_tool.duration",
        "s",
        GENAI_SECONDS,
        "Time of tool calls.",
        "agent.name",
        "gen_ai.agent.name",
        "gen_ai.tool.name",
        "gen_ai.tool.type",
        "error.type",
    ),
    _histogram(
        "gen_ai.workflow.duration", "s", WORKFLOW_SECONDS, "Time of workflows.", "gen_ai.workflow.name", "error.type"
    ),
    # services and processes
    _counter("http.requests", "Requests served, by route template.", "method", "route", "status", who=WHO),
    _histogram(
        "http.request.duration", "s", FAST_SECONDS, "Time to serve a request.", "method", "route", "status", who=WHO
    ),
    _gauge("process.memory.usage", "By", "Resident memory of a service's processes, summed.", extremes=True),
    _gauge("process.cpu.utilization", "1", "Processor share of processes, 0 to 1.", merge="mean", extremes=True),
    _gauge("process.open_file_descriptor.count", "{count}", "Open file descriptors of a service's processes."),
    _gauge("process.thread.count", "{thread}", "Threads of a service's processes."),
    # computed from spans
    _counter("traces.span.metrics.calls", "Spans by name and status.", *_SPAN, who=WHO, budget=SPAN_BUDGET),
    _histogram(
        "traces.span.metrics.duration",
        "s",
        SPAN_SECONDS,
        "Time of spans.",
        *_SPAN,
        who=WHO,
        budget=SPAN_BUDGET,
    ),
    _counter("traces.service.graph.request", "Calls from client to server.", *_EDGE, who=WHO[:1]),
    _counter("traces.service.graph.request.failed", "Failed calls from client to server.", *_EDGE, who=WHO[:1]),
    _histogram(
        "traces.service.graph.request.server", "s", SPAN_SECONDS, "Time seen by the server.", *_EDGE, who=WHO[:1]
    ),
    _histogram(
        "traces.service.graph.request.client", "s", SPAN_SECONDS, "Time seen by the client.", *_EDGE, who=WHO[:1]
    ),
    _counter("traces.service.graph.unpaired_spans", "Calls whose other side was never seen.", *_EDGE, who=WHO[:1]),
    _counter("traces.service.graph.dropped_spans", "Spans that did not fit into the service graph.", who=WHO[:1]),
)

BY_NAME: Final = {(metric.name, metric.kind): metric for metric in METRICS}


def default_metric(name: str, unit: str, kind: str) -> Metric:
    """The rule for metrics that agents invented.

    All labels but ids are kept, up to :data:`DEFAULT_BUDGET` label sets. Gauges of amounts (bytes, things in braces)
    are added, others averaged, because a sum of ratios or temperatures means nothing.
    """
    amount = unit.startswith("{") or unit.endswith("By")
    buckets = () if kind != "histogram" else {"s": SECONDS, "By": BYTES}.get(unit, OTHER)
    text = f"Reported by agents as {name} in {unit or '1'}."
    return Metric(name, unit, kind, text, None, buckets, "sum" if amount else "mean")


@lru_cache(maxsize=4_096)
def metric_for(name: str, unit: str, kind: str) -> Metric:
    """The rule of one reported metric: the table's where name, kind and unit agree with it, else the default.

    Another unit (milliseconds for a duration in seconds) is another metric: nothing is converted silently. Counts
    agree whatever they are called (``1``, ``{step}``). Remembered, for thousands of series have the same few.
    """
    known = BY_NAME.get((name, kind))
    if known is not None and (known.unit == unit or (_is_count(known.unit) and _is_count(unit))):
        return known
    return default_metric(name, unit, kind)


def _is_count(unit: str) -> bool:
    return unit in {"", "1"} or unit.startswith("{")
