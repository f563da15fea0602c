"""Cost of decoding alone, per event and format: bytes in memory to columns, one core, caches warm.

    python -m benchmarks.decode [--json] [--only PATH] [--repeat N]

CPU time of this process (not wall time), best of N passes over the same records; one line per path.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_DELTA

from agents_emitter import events
from streams.decode.run import HeadCache, decode_run
from streams.decode.spans import decode_spans
from streams.domain.columns import Record
from streams.domain.series import SeriesTable

BASE_NS = 1_700_000_000_000_000_000
AGENTS = 20
RUN_RECORDS = 200


class Row(NamedTuple):
    """A record in memory."""

    value: bytes
    key: bytes
    offset: int
    timestamp: int


def batches(count: int, samples: int, series: int, columns: events.Columns = "packed") -> Iterator[bytes]:
    """Batches of ``AGENTS`` emitters, each with ``series`` series in its head."""
    rng = random.Random(1)
    heads = [
        events.encode_metric_head(
            {"service.name": "bench", "service.instance.id": f"agent-{a}", "deployment.environment.name": "lab"},
            [
                events.SeriesDefinition(
                    "agents.inference.duration", "s", "histogram", (("operation", f"op-{s}"), ("outcome", "ok"))
                )
                for s in range(series)
            ],
            f"agent-{a}-1",
        )
        for a in range(AGENTS)
    ]
    for i in range(count):
        yield events.encode_metric_batch(
            heads[i % AGENTS],
            seq=i,
            dropped_total=0,
            base_time_unix_nano=BASE_NS + i * 1_000_000,
            index=[rng.randrange(series) for _ in range(samples)],
            offset_ns=[rng.randrange(10**9) for _ in range(samples)],
            value=[rng.random() for _ in range(samples)],
            columns=columns,
        )


def singles(count: int) -> Iterator[bytes]:
    """Single events of 50 x AGENTS series, values with 16 digits."""
    rng = random.Random(2)
    for i in range(count):
        yield events.encode_single(
            "agents.inference.duration",
            rng.random(),
            unit="s",
            kind="histogram",
            time_unix_nano=BASE_NS + i * 1_000_000,
            labels={"operation": f"op-{rng.randrange(50)}", "outcome": "ok"},
            resource={"service.name": "bench", "service.instance.id": f"agent-{i % AGENTS}"},
        )


def otlp(count: int, points: int) -> Iterator[bytes]:
    """OTLP protobuf, one gauge and one delta sum per request, half of the points each, three attributes a point."""
    rng = random.Random(3)
    for i in range(count):
        request = ExportMetricsServiceRequest()
        resource = request.resource_metrics.add()
        for key, value in (("service.name", "bench"), ("service.instance.id", f"agent-{i % AGENTS}")):
            attribute = resource.resource.attributes.add()
            attribute.key, attribute.value.string_value = key, value
        scope = resource.scope_metrics.add()
        for name in ("queue.depth", "agents.steps"):
            metric = scope.metrics.add(name=name, unit="1")
            data = metric.gauge if name == "queue.depth" else metric.sum
            if name != "queue.depth":
                metric.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_DELTA
                metric.sum.is_monotonic = True
            for p in range(points // 2):
                point = data.data_points.add(
                    time_unix_nano=BASE_NS + i, start_time_unix_nano=BASE_NS, as_double=rng.random()
                )
                for key, value in (("step_type", f"s{p}"), ("outcome", "ok"), ("region", "eu")):
                    attribute = point.attributes.add()
                    attribute.key, attribute.value.string_value = key, value
        yield request.SerializeToString()


def histograms(count: int, points: int) -> Iterator[bytes]:
    """OTLP protobuf, one delta histogram of 15 bounds a request, five non-empty buckets, two attributes a point."""
    bounds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30]
    for i in range(count):
        request = ExportMetricsServiceRequest()
        resource = request.resource_metrics.add()
        attribute = resource.resource.attributes.add()
        attribute.key, attribute.value.string_value = "service.instance.id", f"agent-{i % AGENTS}"
        metric = resource.scope_metrics.add().metrics.add(name="gen_ai.client.operation.duration", unit="s")
        metric.histogram.aggregation_temporality = AGGREGATION_TEMPORALITY_DELTA
        for p in range(points):
            point = metric.histogram.data_points.add(
                time_unix_nano=BASE_NS + i, count=15, sum=9.5, min=0.03, max=4.0, explicit_bounds=bounds
            )
            point.bucket_counts.extend([0, 0, 0, 1, 2, 3, 4, 5] + [0] * 8)
            for key, value in (("gen_ai.operation.name", f"o{p}"), ("gen_ai.request.model", "m")):
                attribute = point.attributes.add()
                attribute.key, attribute.value.string_value = key, value
        yield request.SerializeToString()


def as_json(requests: Iterator[bytes]) -> Iterator[bytes]:
    """The same requests as OTLP JSON."""
    for request in requests:
        yield json.dumps(MessageToDict(ExportMetricsServiceRequest.FromString(request))).encode()


def spans(count: int, per_record: int) -> Iterator[bytes]:
    """Our span batches, six attributes a span."""
    rng = random.Random(4)
    for i in range(count):
        trace_id = f"{rng.getrandbits(128) | 1:032x}"
        yield events.encode_span_batch(
            {"service.name": "bench", "service.instance.id": f"agent-{i % AGENTS}"},
            [
                {
                    "traceId": trace_id,
                    "spanId": f"{rng.getrandbits(64) | 1:016x}",
                    "parentSpanId": "",
                    "name": "chat gpt",
                    "kind": 3,
                    "startTimeUnixNano": BASE_NS + i,
                    "endTimeUnixNano": BASE_NS + i + 5_000_000,
                    "status": {"code": 1},
                    "attributes": {
                        "gen_ai.operation.name": "chat",
                        "gen_ai.request.model": "m-1",
                        "gen_ai.usage.input_tokens": 120,
                        "gen_ai.usage.output_tokens": 60,
                        "cached": False,
                        "score": 0.5,
                    },
                }
                for _ in range(per_record)
            ],
            producer=f"agent-{i % AGENTS}",
            seq=i,
        )


def rows(values: Iterator[bytes]) -> list[Row]:
    """Records as a consumer would hand them over."""
    return [Row(value, b"agent-%d" % (i % AGENTS), i, BASE_NS // 1_000_000) for i, value in enumerate(values)]


def metrics_pass(records: Sequence[Record]) -> Callable[[], int]:
    """One pass over the records in runs, on a warm cache."""
    table, cache = SeriesTable(), HeadCache()

    def decode() -> int:
        seen = 0
        for at in range(0, len(records), RUN_RECORDS):
            columns = decode_run(records[at : at + RUN_RECORDS], table, cache, hint="otlp_metrics")
            if columns.rejected:
                raise SystemExit(f"rejected: {columns.rejected[0]}")
            seen += int(columns.events.sum())
        return seen

    return decode


def spans_pass(records: Sequence[Record]) -> Callable[[], int]:
    """One pass over span records."""

    def decode() -> int:
        return sum(
            len(decode_spans(records[at : at + RUN_RECORDS]).spans) for at in range(0, len(records), RUN_RECORDS)
        )

    return decode


PATHS: dict[str, Callable[[], Callable[[], int]]] = {
    "batch-500": lambda: metrics_pass(rows(batches(400, 500, 50))),
    "batch-100": lambda: metrics_pass(rows(batches(1000, 100, 50))),
    "batch-100-plain": lambda: metrics_pass(rows(batches(400, 100, 50, "plain"))),
    "single": lambda: metrics_pass(rows(singles(20_000))),
    "otlp-100": lambda: metrics_pass(rows(otlp(300, 100))),
    "otlp-100-json": lambda: metrics_pass(rows(as_json(otlp(60, 100)))),
    "otlp-histogram-20": lambda: metrics_pass(rows(histograms(100, 20))),
    "spans-10": lambda: spans_pass(rows(spans(500, 10))),
}


def measure(decode: Callable[[], int], repeat: int) -> tuple[int, float]:
    """Events of a pass and the least CPU seconds it took."""
    decode()
    decode()
    best, seen = float("inf"), 0
    for _ in range(repeat):
        began = time.process_time()
        seen = decode()
        best = min(best, time.process_time() - began)
    return seen, best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument("--only", choices=sorted(PATHS))
    parser.add_argument("--repeat", type=int, default=7)
    args = parser.parse_args()
    for path in [args.only] if args.only else list(PATHS):
        seen, seconds = measure(PATHS[path](), args.repeat)
        line = {
            "path": path,
            "events": seen,
            "ns_per_event": round(seconds / seen * 1e9, 1),
            "events_per_cpu_second": round(seen / seconds),
        }
        print(json.dumps(line) if args.json else f"{path:16} {line['ns_per_event']:10.1f} ns/event", flush=True)


if __name__ == "__main__":
    main()
