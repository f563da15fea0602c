"""What an instrumented call costs, beside the OpenTelemetry SDK in the same process.

``python -m benchmarks.emitter --json`` prints one JSON line per call: our nanoseconds, the SDK's, and the ratio
(SDK / ours; above 1 we are cheaper). Each figure is CPU time of the calling thread, the best of several repeats, so
that a busy machine disturbs little; p99 is wall time of single calls, waiting for the interpreter's lock included.

Ours includes the time stamp and the bounded buffer; delivery goes to a transport that only counts, in the background
thread as in production. The SDK aggregates in process, without exporting; its spans go to a batch processor with an
exporter that does nothing.

``redact_*``: what redaction adds in the background thread to one span of a model call (ten attributes, one of them new
each time) and to one log whose text is new each time.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from agents_emitter import Emitter
from agents_emitter.redaction import Redactor
from agents_emitter.transport import Transport

LABELS = {"step_type": "plan", "outcome": "success"}
Call = Callable[[], Any]


class Nowhere:
    """A transport that acknowledges everything."""

    async def send(self, topic: str, key: bytes, value: bytes) -> None:
        """Acknowledge."""
        await asyncio.sleep(0)

    async def close(self) -> None:
        """Nothing to close."""


class NoExport(SpanExporter):
    """An exporter that does nothing."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Done."""
        return SpanExportResult.SUCCESS


async def connect() -> Transport:
    return Nowhere()


def best_ns(call: Call, after: Call, calls: int, repeats: int) -> float:
    """CPU nanoseconds of one call: the best repeat. ``after`` empties the buffers between repeats."""
    best = float("inf")
    for _ in range(repeats):
        gc.collect()
        start = time.thread_time_ns()
        for _ in range(calls):
            call()
        best = min(best, (time.thread_time_ns() - start) / calls)
        after()
    return best


def p99_ns(call: Call, calls: int) -> float:
    """The 99th percentile of single calls, the clock's own cost included."""
    clock = time.perf_counter_ns
    took = []
    for _ in range(calls):
        start = clock()
        call()
        took.append(clock() - start)
    return float(sorted(took)[int(calls * 0.99)])


def our_calls(emitter: Emitter) -> dict[str, Call]:
    counter = emitter.counter("agents.steps")
    histogram = emitter.histogram("agents.inference.duration", "s").labels(operation="chat")
    bound = counter.labels(**LABELS)

    def span() -> None:
        with emitter.span("execute_tool search", attributes=LABELS):
            pass

    return {
        "counter_add_bound": lambda: bound.add(1),
        "counter_add_unbound": lambda: counter.add(1, step_type="plan", outcome="success"),
        "histogram_record": lambda: histogram.record(0.25),
        "span_start_end": span,
    }


def sdk_calls(meters: MeterProvider, tracers: TracerProvider) -> dict[str, Call]:
    meter = meters.get_meter("benchmark")
    counter = meter.create_counter("agents.steps")
    histogram = meter.create_histogram("agents.inference.duration", "s")
    tracer = tracers.get_tracer("benchmark")
    operation = {"operation": "chat"}

    def span() -> None:
        with tracer.start_as_current_span("execute_tool search", attributes=LABELS):
            pass

    return {
        "counter_add_bound": lambda: counter.add(1, LABELS),
        "counter_add_unbound": lambda: counter.add(1, {"step_type": "plan", "outcome": "success"}),
        "histogram_record": lambda: histogram.record(0.25, operation),
        "span_start_end": span,
    }


def redactions() -> dict[str, Call]:
    redactor, number = Redactor(), count()
    model = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4"}
    usage = {"gen_ai.usage.input_tokens": 812, "gen_ai.usage.output_tokens": 133, "gen_ai.response.model": "gpt-4"}
    where = {"server.address": "openai.example", "server.port": 443, "error.type": "timeout"}
    span = {"name": "chat gpt-4", "kind": 3, "status": {"code": 0}}

    def redact_span() -> None:
        attributes = {**model, **usage, **where, "gen_ai.conversation.id": f"conversation-{next(number)}"}
        redactor.row({**span, "attributes": attributes})

    def redact_log() -> None:
        body = f"GET /v1/tasks/{next(number)} took 12.5 ms, status 200: retrying in 3 seconds, attempt 2 of 4 for a"
        redactor.row({"body": body, "attributes": {"logger.name": "agent.plan", "code.function.name": "ask"}})

    return {"redact_span": redact_span, "redact_log": redact_log}


def measure(calls: int, repeats: int) -> list[dict[str, Any]]:
    """One row per kind of call."""
    emitter = Emitter(None, connect=connect, service_name="benchmark", process_interval_seconds=0)
    meters = MeterProvider(metric_readers=[InMemoryMetricReader()])
    tracers = TracerProvider()
    tracers.add_span_processor(BatchSpanProcessor(NoExport(), max_queue_size=100_000))
    ours, theirs = our_calls(emitter), sdk_calls(meters, tracers)
    rows = []
    for name, call in ours.items():
        count = calls // 10 if name.startswith("span") else calls
        emitter_ns = best_ns(call, emitter.flush, count, repeats)
        sdk_ns = best_ns(theirs[name], tracers.force_flush, count, repeats)
        rows.append(
            {
                "call": name,
                "emitter_ns": round(emitter_ns),
                "emitter_p99_ns": round(p99_ns(call, count)),
                "opentelemetry_sdk_ns": round(sdk_ns),
                "ratio": round(sdk_ns / emitter_ns, 2),
                "calls": count,
            }
        )
        emitter.flush()
    for name, call in redactions().items():
        rows.append({"call": name, "sender_ns": round(best_ns(call, lambda: None, calls // 10, repeats))})
    emitter.close()
    tracers.shutdown()
    meters.shutdown()
    stats = emitter.stats()
    rows.append({"call": "all", "emitted": stats.emitted, "delivered": stats.delivered, "dropped": stats.dropped})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="JSON lines (the default prints the same as a table)")
    parser.add_argument("--calls", type=int, default=50_000, help="calls of each repeat; a tenth of it for spans")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    for row in measure(arguments.calls, arguments.repeats):
        print(json.dumps(row) if arguments.json else "  ".join(f"{name} {value}" for name, value in row.items()))


if __name__ == "__main__":
    main()
