"""Source records for the benchmarks: 1,000 series (20 agents with 50 each)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, NamedTuple

import orjson

from agents_emitter import events

SECOND_NS: Final = 1_000_000_000
AGENTS: Final = 20
SERIES_PER_AGENT: Final = 50
POOL: Final = 200_003
START_NS: Final = 1_700_000_000 * SECOND_NS


class Record(NamedTuple):
    """One record to produce; ``events`` samples are in it."""

    topic: str
    key: bytes
    value: bytes
    events: int


def definitions(series_per_agent: int) -> list[events.SeriesDefinition]:
    """Half histograms, a quarter counters, a quarter gauges."""
    kinds: tuple[events.Kind, ...] = ("histogram", "counter", "histogram", "gauge")
    return [
        events.SeriesDefinition(
            f"agents.bench.m{i % 10}", "s", kinds[i % 4], (("operation", f"op{i // 10}"), ("outcome", "success"))
        )
        for i in range(series_per_agent)
    ]


def resource(agent: int) -> dict[str, str]:
    """What an agent says of itself."""
    return {
        "service.name": f"service-{agent % 3}",
        "service.version": "1.0.0",
        "deployment.environment.name": "bench",
        "gen_ai.agent.id": f"agent-{agent}",
        "agents.type": "researcher",
    }


def values(seed: int, count: int) -> list[float]:
    """Log-normal values; enough of them that compression finds no repetition."""
    rng = random.Random(seed)
    return [rng.lognormvariate(-2, 1) for _ in range(count)]


def batches(
    total: int,
    *,
    samples: int = 500,
    per_second: int = 500,
    agents: int = AGENTS,
    series: int = SERIES_PER_AGENT,
) -> Iterator[Record]:
    """Our metric batches: each agent sends ``per_second`` samples a second, ``samples`` in a record."""
    rows = definitions(series)
    heads = [events.encode_metric_head(resource(a), rows, f"bench-{a}") for a in range(agents)]
    pool = values(1, POOL)
    parts = per_second // samples
    offsets = [i * SECOND_NS // per_second for i in range(samples)]
    for seq in range(-(-total // (samples * agents))):
        second, part = divmod(seq, parts)
        index = [(part * samples + i) % series for i in range(samples)]
        for agent in range(agents):
            at = (second * AGENTS + agent) * 7919 % (POOL - per_second) + part * samples
            value = events.encode_metric_batch(
                heads[agent],
                seq=seq,
                dropped_total=0,
                base_time_unix_nano=START_NS + second * SECOND_NS + part * SECOND_NS // parts,
                index=index,
                offset_ns=offsets,
                value=pool[at : at + samples],
            )
            yield Record(events.METRICS_TOPIC, f"agent-{agent}".encode(), value, samples)


def sparse(
    series: int, panes: int, *, per_pane: int = 10, pane_seconds: int = 10, start_ns: int = START_NS
) -> Iterator[Record]:
    """Many series with few samples: each agent of 50 series sends one batch a pane, ``per_pane`` samples a series.

    A batch spans 4 s, less than the lateness, so that no agent's batch is late because another one came before.
    """
    rows = definitions(SERIES_PER_AGENT)
    agents = -(-series // SERIES_PER_AGENT)
    heads = [events.encode_metric_head(resource(a), rows, f"bench-{a}") for a in range(agents)]
    pool = values(1, POOL)
    samples = per_pane * SERIES_PER_AGENT
    index = [i % SERIES_PER_AGENT for i in range(samples)]
    offsets = [i * 4 * SECOND_NS // samples for i in range(samples)]
    for pane in range(panes):
        for agent, head in enumerate(heads):
            at = (pane * agents + agent) * 7919 % (POOL - samples)
            value = events.encode_metric_batch(
                head,
                seq=pane,
                dropped_total=0,
                base_time_unix_nano=start_ns + pane * pane_seconds * SECOND_NS,
                index=index,
                offset_ns=offsets,
                value=pool[at : at + samples],
            )
            yield Record(events.METRICS_TOPIC, f"agent-{agent}".encode(), value, samples)


def last_batches(time_ns: int, *, agents: int = AGENTS, series: int = SERIES_PER_AGENT) -> Iterator[Record]:
    """One batch of every agent with one sample of every series, so late that it closes every window before it."""
    rows = definitions(series)
    for agent in range(agents):
        value = events.encode_metric_batch(
            events.encode_metric_head(resource(agent), rows, f"bench-last-{agent}"),
            seq=0,
            dropped_total=0,
            base_time_unix_nano=time_ns,
            index=range(series),
            offset_ns=[0] * series,
            value=[1.0] * series,
        )
        yield Record(events.METRICS_TOPIC, f"agent-{agent}".encode(), value, series)


def single(agent: int, row: events.SeriesDefinition, value: float, time_ns: int) -> Record:
    """One JSON event, about 200 bytes."""
    body = orjson.dumps(
        {
            "name": row.name,
            "value": value,
            "unit": row.unit,
            "kind": row.kind,
            "time_unix_nano": time_ns,
            "labels": dict(row.labels),
            "resource": {"service.name": f"service-{agent % 3}", "gen_ai.agent.id": f"agent-{agent}"},
        }
    )
    return Record(events.METRICS_TOPIC, f"agent-{agent}".encode(), body, 1)


def singles(total: int, *, agents: int = AGENTS, series: int = SERIES_PER_AGENT) -> Iterator[Record]:
    """One JSON event a record; 10,000 a second of event time."""
    rows = definitions(series)
    pool = values(2, POOL)
    for i in range(total):
        yield single(i % agents, rows[(i // agents) % series], pool[i % len(pool)], START_NS + i * 100_000)


def last_singles(time_ns: int, *, agents: int = AGENTS, series: int = SERIES_PER_AGENT) -> Iterator[Record]:
    """One event of every series at one time, so late that it closes every window before it."""
    for row in definitions(series):
        for agent in range(agents):
            yield single(agent, row, 1.0, time_ns)


def otlp(total: int, *, points: int = 100, agents: int = AGENTS, series: int = SERIES_PER_AGENT) -> Iterator[Record]:
    """OTLP protobuf as a collector batches it: gauges and delta sums, ``points`` data points a record."""
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    pool = values(3, POOL)
    made, second = 0, 0
    per_metric = points // 10
    while made < total:
        for agent in range(agents):
            request = ExportMetricsServiceRequest()
            metrics = request.resource_metrics.add()
            for key, text in resource(agent).items():
                metrics.resource.attributes.add(key=key).value.string_value = text
            scope = metrics.scope_metrics.add()
            scope.scope.name = "bench"
            for m in range(10):
                metric = scope.metrics.add(name=f"agents.bench.m{m}", unit="s")
                points_of = metric.gauge.data_points
                if m % 2:
                    metric.sum.aggregation_temporality = 1
                    metric.sum.is_monotonic = True
                    points_of = metric.sum.data_points
                for p in range(per_metric):
                    point = points_of.add(
                        time_unix_nano=START_NS + second * SECOND_NS + p * 1000,
                        as_double=pool[(made + m * 7 + p) % len(pool)],
                    )
                    point.attributes.add(key="operation").value.string_value = f"op{p % (series // 10)}"
            yield Record("otlp_metrics", f"agent-{agent}".encode(), request.SerializeToString(), per_metric * 10)
            made += per_metric * 10
        second += 1


PATHS: Final[dict[str, Callable[[int], Iterator[Record]]]] = {
    "batch": batches,
    "batch100": partial(batches, samples=100),
    "sparse100": partial(batches, samples=100, per_second=100),
    "single": singles,
    "otlp": otlp,
}
"""How the events of a benchmark come. ``batch``, ``batch100`` and ``single``: 10,000 a second of event time, ten for
each series. ``sparse100``: 2,000, so that each window has a fifth of the samples."""


MODELS: Final = ("contoso-large", "contoso-small", "northwind-mini")
TOOLS: Final = ("web_search", "read_file", "run_query", "send_mail", "plan_route", "translate")
ROLES: Final = ("planner", "researcher", "writer", "reviewer", "router")
SPANS_PER_SECOND: Final = 20_000


def span_resource(role: str, instance: int) -> dict[str, str]:
    """What an agent process says of itself with its spans."""
    return {
        "service.name": role,
        "service.version": "1.4.2",
        "service.instance.id": f"{role}-{instance}",
        "host.name": f"node-{instance % 4}",
        "deployment.environment.name": "bench",
        "gen_ai.agent.id": f"{role}-{instance}",
        "gen_ai.agent.name": role,
        "agents.type": role,
    }


def span_trace(rng: random.Random, start_ns: int) -> list[tuple[dict[str, str], dict[str, object]]]:
    """One trace of 4-12 spans of two or three agents: (resource, span with OTLP field names), in the order of ends."""
    trace = f"{rng.getrandbits(128):032x}"
    ids = [f"{rng.getrandbits(64):016x}" for _ in range(12)]
    conversation = f"conv-{trace[:12]}"
    role, other = rng.sample(ROLES, 2)
    here, there = span_resource(role, rng.randrange(8)), span_resource(other, rng.randrange(8))
    at, spans = start_ns, []

    def add(place: int, parent: str, name: str, kind: int, resource: dict[str, str], **more: object) -> None:
        nonlocal at
        begin, at = at, at + int(rng.lognormvariate(-3, 1) * SECOND_NS)
        failed = rng.random() < 0.02
        body: dict[str, object] = {
            "traceId": trace,
            "spanId": ids[place],
            "parentSpanId": parent,
            "name": name,
            "kind": kind,
            "startTimeUnixNano": begin if parent else start_ns,
            "endTimeUnixNano": at,
            "status": {"code": 2, "message": "TimeoutError"} if failed else {"code": 0},
            "attributes": {"gen_ai.conversation.id": conversation, **more},
        }
        if failed:
            body["attributes"] = {**body["attributes"], "error.type": "TimeoutError"}  # type: ignore[dict-item]
        spans.append((resource, body))

    invoke = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": other,
        "gen_ai.agent.id": there["gen_ai.agent.id"],
    }
    model = rng.choice(MODELS)
    for place in range(3, rng.randrange(4, 13)):
        resource = there if place % 3 else here
        parent = ids[2] if place % 3 else ids[0]
        if place % 2:
            tool = rng.choice(TOOLS)
            tools = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool, "gen_ai.tool.type": "function"}
            add(place, parent, f"execute_tool {tool}", 1, resource, **tools)
        else:
            chat = {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "contoso",
                "gen_ai.request.model": model,
                "gen_ai.usage.input_tokens": rng.randrange(50, 4000),
                "gen_ai.usage.output_tokens": rng.randrange(10, 900),
                "gen_ai.request.temperature": 0.7,
                "gen_ai.response.finish_reasons": ["stop"],
            }
            add(place, parent, f"chat {model}", 3, resource, **chat)
    add(2, ids[1], f"invoke_agent {other}", 2, there, **invoke)
    add(1, ids[0], f"invoke_agent {other}", 3, here, **invoke)
    add(0, "", f"invoke_workflow {role}", 1, here, **{"gen_ai.operation.name": "invoke_workflow"})
    return spans


def span_batches(total: int) -> Iterator[Record]:
    """Our span batches, as agents send them: the spans of one trace and process in a record, keyed by trace id."""
    rng = random.Random(4)
    made = seq = 0
    while made < total:
        groups: dict[str, list[dict[str, object]]] = {}
        resources: dict[str, dict[str, str]] = {}
        for resource, body in span_trace(rng, START_NS + made * SECOND_NS // SPANS_PER_SECOND):
            groups.setdefault(resource["service.instance.id"], []).append(body)
            resources[resource["service.instance.id"]] = resource
        for instance, spans in groups.items():
            seq += 1
            value = events.encode_span_batch(resources[instance], spans, producer=instance, seq=seq)
            yield Record(events.SPANS_TOPIC, str(spans[0]["traceId"]).encode(), value, len(spans))
            made += len(spans)


def otlp_spans(total: int, *, spans: int = 100, topic: str = "otlp_spans") -> Iterator[Record]:
    """The same spans as OTLP protobuf, ``spans`` in a record as a collector batches them, by resource."""
    rng = random.Random(4)
    made, waiting = 0, []
    while made < total:
        waiting += span_trace(rng, START_NS + (made + len(waiting)) * SECOND_NS // SPANS_PER_SECOND)
        if len(waiting) >= spans:
            yield Record(topic, b"", span_request(waiting), len(waiting))
            made += len(waiting)
            waiting = []


def span_request(rows: list[tuple[dict[str, str], dict[str, object]]]) -> bytes:
    """An ExportTraceServiceRequest, one ResourceSpans for each resource."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    scopes = {}
    for resource, body in rows:
        instance = resource["service.instance.id"]
        if instance not in scopes:
            block = request.resource_spans.add()
            for key, text in resource.items():
                block.resource.attributes.add(key=key).value.string_value = text
            scopes[instance] = block.scope_spans.add()
            scopes[instance].scope.name = "bench"
        span_message(scopes[instance].spans.add(), body)
    return bytes(request.SerializeToString())


def span_message(span: Any, body: dict[str, Any]) -> None:
    """Fills an OTLP span from OTLP field names."""
    span.trace_id, span.span_id = bytes.fromhex(body["traceId"]), bytes.fromhex(body["spanId"])
    span.parent_span_id = bytes.fromhex(body["parentSpanId"])
    span.name, span.kind, span.flags = body["name"], body["kind"], 257
    span.start_time_unix_nano, span.end_time_unix_nano = body["startTimeUnixNano"], body["endTimeUnixNano"]
    for key, value in body["attributes"].items():
        given = span.attributes.add(key=key).value
        if isinstance(value, str):
            given.string_value = value
        elif isinstance(value, int):
            given.int_value = value
        elif isinstance(value, float):
            given.double_value = value
        else:
            for item in value:
                given.array_value.values.add(string_value=item)
    span.status.code, span.status.message = body["status"]["code"], body["status"].get("message", "")
