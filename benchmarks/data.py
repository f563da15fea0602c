"""Source records for the benchmarks: 1,000 series (20 agents with 50 each), the same events on every path."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final, NamedTuple

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
    total: int, *, samples: int = 500, agents: int = AGENTS, series: int = SERIES_PER_AGENT
) -> Iterator[Record]:
    """Our metric batches: each agent sends ``samples`` samples once a second."""
    rows = definitions(series)
    heads = [events.encode_metric_head(resource(a), rows, f"bench-{a}") for a in range(agents)]
    pool = values(1, POOL)
    index = [i % series for i in range(samples)]
    offsets = [i * SECOND_NS // samples for i in range(samples)]
    made, second = 0, 0
    while made < total:
        for agent in range(agents):
            at = (second * AGENTS + agent) * 7919 % (POOL - samples)
            value = events.encode_metric_batch(
                heads[agent],
                seq=second,
                dropped_total=0,
                base_time_unix_nano=START_NS + second * SECOND_NS,
                index=index,
                offset_ns=offsets,
                value=pool[at : at + samples],
            )
            yield Record(events.METRICS_TOPIC, f"agent-{agent}".encode(), value, samples)
            made += samples
        second += 1


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


PATHS: Final = {"batch": batches, "single": singles, "otlp": otlp}
