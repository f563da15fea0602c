"""Memory with very many open traces: ``python -m benchmarks.opentraces --json``.

One partition of the traces role is given a span of each of a million traces within the quiet time, so that none is
finished. The bound on open traces (``STREAMS_OPEN_TRACE_LIMIT``) holds: the one that was quiet longest leaves early,
and is counted as evicted. Printed: open traces at the end, records by reason, and the resident memory after each tenth.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter

import psutil

from agents_emitter.events import encode_span_batch
from streams import topics
from streams.app.sink import singly
from streams.app.traces import TracesPart
from streams.domain.block import Block, LogRecord
from streams.domain.trace import decode_trace
from streams.settings import Settings
from streams.trace.assembly import TraceOperator

START_NS = 1_700_000_000 * 10**9
RUN_RECORDS = 500


def record(number: int) -> LogRecord:
    """One span of a trace of its own; the log's clock goes on by a microsecond a record."""
    time_ns = START_NS + number * 1_000
    trace_id = f"{number + 1:032x}"
    span = {
        "traceId": trace_id,
        "spanId": f"{number + 1:016x}",
        "parentSpanId": "",
        "name": "invoke_agent planner",
        "kind": 1,
        "startTimeUnixNano": time_ns - 1_000_000,
        "endTimeUnixNano": time_ns,
        "status": {"code": 0},
        "attributes": {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": f"planner-{number % 50}"},
    }
    value = encode_span_batch({"service.name": "planner"}, [span], producer=f"p{number % 50}", seq=number // 50)
    return LogRecord(topics.SPANS, 0, number, time_ns // 1_000_000, trace_id.encode(), value)


def measure(traces: int) -> dict[str, object]:
    """Feeds the traces and looks at the process."""
    settings, process = Settings(), psutil.Process()
    operator = TraceOperator(max_open_traces=settings.open_trace_limit)
    part = TracesPart(topics.SPANS, 0, operator)
    spans: Counter[str] = Counter()
    memory = [process.memory_info().rss]
    for first in range(0, traces, RUN_RECORDS):
        run = Block.of([record(n) for n in range(first, min(first + RUN_RECORDS, traces))])
        for step in part.process(run, START_NS):
            for output in singly(step.results):
                if output.topic == topics.TRACES:
                    spans["published"] += decode_trace(output.value or b"").span_count
        if (first + RUN_RECORDS) % (traces // 10) < RUN_RECORDS:
            memory.append(process.memory_info().rss)
    return {
        "traces": traces,
        "limit": settings.open_trace_limit,
        "open": operator.open_traces,
        "evicted": spans["published"],
        "lost": traces - operator.open_traces - spans["published"],
        "fates": dict(part.counts),
        "memory_mb": [round(b / 1_048_576) for b in memory],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true", help="one line (else indented)")
    arguments = parser.parse_args()
    found = measure(arguments.traces)
    sys.stdout.write(json.dumps(found, indent=None if arguments.json else 2) + "\n")


if __name__ == "__main__":
    main()
