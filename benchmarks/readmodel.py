"""The read models: ``python -m benchmarks.readmodel --json`` writes 1 M spans and 100,000 alerts and asks for lists.

No broker: the writers get records as the feeders fetch them. Printed: spans and alerts written per CPU second, traces
per second, the size of the file, and for each kind of list the median and the 95th percentile of its time.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from streams.api.board import writer as board_writer
from streams.api.board.query import Asked, BoardReader
from streams.api.board.writer import BoardWriter
from streams.api.tracequery import Filter, TraceReader
from streams.api.tracewriter import Fetched, TraceWriter
from streams.domain.alert import SEVERITIES, AlertTransition, encode_alert, fingerprint
from streams.domain.incident import Cause, Incident, Member, Status, encode_incident
from streams.domain.span import Span
from streams.domain.trace import Failure, Segment, TraceRecord, encode_trace
from streams.topics import ALERTS, INCIDENTS, TRACES

SPANS_PER_TRACE = 10
BATCH_RECORDS = 500
START_NS = 1_700_000_000 * 10**9
EVERY_NS = 50_000_000
"""Between the starts of traces: 20 a second."""
AGENTS, SERVICES, CONVERSATIONS = 200, 20, 5_000


def drawn(number: int, rng: random.Random) -> TraceRecord:
    """A run of an agent: model and tool calls of several services, 2 % with an error."""
    trace_id, agent = f"{rng.getrandbits(128):032x}", rng.randrange(AGENTS)
    start, failed = START_NS + number * EVERY_NS, rng.random() < 0.02
    attributes = {
        "gen_ai.agent.name": f"agent-{agent}",
        "gen_ai.conversation.id": f"conversation-{rng.randrange(CONVERSATIONS)}",
        "gen_ai.request.model": f"model-{agent % 7}",
        "note": f"word{rng.randrange(2_000)} of a task",
    }
    spans = []
    for position in range(SPANS_PER_TRACE):
        length = int(rng.lognormvariate(18, 1))
        spans.append(
            Span(
                trace_id,
                f"{position + 1:016x}",
                "" if position == 0 else f"{rng.randrange(position) + 1:016x}",
                f"invoke_agent agent-{agent}" if position == 0 else f"execute_tool tool-{rng.randrange(50)}",
                1,
                start + position * 1_000_000,
                start + position * 1_000_000 + length,
                status_code=2 if failed and position == 5 else 0,
                status_message="deadline exceeded" if failed and position == 5 else "",
                attributes=attributes,
                resource={"service.name": f"service-{(agent + position % 3) % SERVICES}"},
            )
        )
    return record(spans)


def record(spans: list[Span]) -> TraceRecord:
    """As the traces role publishes it; times on the critical path are not true."""
    failed = [span for span in spans if span.status_code]
    return TraceRecord(
        trace_id=spans[0].trace_id,
        revision=0,
        spans=tuple(spans),
        self_ns=tuple(span.duration_ns for span in spans),
        root=spans[0].span_id,
        services=tuple(sorted({span.service for span in spans})),
        start_ns=spans[0].start_ns,
        end_ns=max(span.end_ns for span in spans),
        error_count=len(failed),
        failures=tuple(Failure(s.span_id, s.service, s.name, "_OTHER", s.status_message) for s in failed),
        orphans=(),
        unfinished=(),
        dropped_spans=0,
        critical_path=tuple(Segment(span.span_id, span.start_ns, span.end_ns) for span in spans[:3]),
        tokens=(),
        conversation_ids=(str(spans[0].attributes["gen_ai.conversation.id"]),),
        span_count=len(spans),
    )


def batches(spans: int, seed: int) -> Iterator[list[Fetched]]:
    rng = random.Random(seed)
    for first in range(0, spans // SPANS_PER_TRACE, BATCH_RECORDS):
        yield [Fetched(0, n, encode_trace(drawn(n, rng))) for n in range(first, first + BATCH_RECORDS)]


def filters(spans: int, rng: random.Random) -> dict[str, Filter]:
    """One of each kind, at random."""
    agent, service = f"agent-{rng.randrange(AGENTS)}", f"service-{rng.randrange(SERVICES)}"
    since = START_NS + rng.randrange(max(spans // SPANS_PER_TRACE, 1)) * EVERY_NS
    return {
        "newest": Filter(),
        "service": Filter(service=service),
        "agent": Filter(agent=agent),
        "operation": Filter(operation=f"execute_tool tool-{rng.randrange(50)}"),
        "conversation": Filter(conversation=f"conversation-{rng.randrange(CONVERSATIONS)}"),
        "errors": Filter(status="error"),
        "slow": Filter(min_duration_ns=5_000_000_000),
        "slower_than_any": Filter(min_duration_ns=10**15),
        "range": Filter(since_ns=since, until_ns=since + 600 * 10**9),
        "text_rare": Filter(text=f"word{rng.randrange(2_000)}"),
        "text_in_a_third": Filter(text=f"model {rng.randrange(7)}"),
        "text_in_every_trace": Filter(text="task"),
        "text_absent": Filter(text="nowhere"),
        "agent_service_errors": Filter(agent=agent, service=service, status="error"),
    }


def ask(path: Path, spans: int, times: int, seed: int) -> dict[str, dict[str, float]]:
    """Milliseconds of a first page of 100 and the page after it, by kind."""
    rng, reader = random.Random(seed), TraceReader(path)
    taken: dict[str, list[float]] = {}
    for _ in range(times):
        for name, asked in filters(spans, rng).items():
            cursor = ""
            for _ in range(2):
                begin = time.perf_counter()
                cursor = reader.page(asked, limit=100, cursor=cursor).next_cursor
                taken.setdefault(name, []).append((time.perf_counter() - begin) * 1e3)
                if not cursor:
                    break
    reader.close()
    taken["all"] = [ms for each in list(taken.values()) for ms in each]
    return {name: {"p50_ms": quantile(ms, 0.5), "p95_ms": quantile(ms, 0.95)} for name, ms in taken.items()}


def quantile(values: list[float], q: float) -> float:
    return round(sorted(values)[int(q * (len(values) - 1))], 2)


def episodes(alerts: int, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Alerts and the incidents of ten each, as their topics hold them: one in a hundred still fires."""
    for number in range(alerts):
        service, agent = f"service-{number % SERVICES}", f"agent-{rng.randrange(AGENTS)}"
        name, severity = rng.choice(("AgentErrorsHigh", "InferenceSlow", "AgentSilent")), rng.choice(SEVERITIES)
        identity = {"alertname": name, "service.name": service, "agent.id": agent, "n": str(number)}
        begin = START_NS + number * EVERY_NS
        fires = rng.random() < 0.01
        end = begin + 60 * 10**9
        alert = AlertTransition(
            fingerprint(identity),
            2,
            "firing" if fires else "resolved",
            "firing",
            name,
            severity,
            identity,
            {"summary": f"{agent} fails", "runbook": f"monitoring/runbooks/{name}.md"},
            begin,
            begin if fires else end,
            0 if fires else end,
            0.3,
            0.05,
        )
        yield ALERTS, encode_alert(alert)
        if number % 10 == 0:
            member = Member(alert.fingerprint, name, severity, service, agent, begin, alert.ends_at_ns, "")
            cause = Cause("service", service, 0.9, ("it was the first (0.15)",))
            status: Status = "open" if fires else "resolved"
            known = (
                f"{number:016x}",
                number + 1,
                status,
                "",
                severity,
                "prod",
                f"{service} fails",
                (cause,),
                (member,),
            )
            yield INCIDENTS, encode_incident(Incident(*known, (service,), begin, end, alert.ends_at_ns, 0))


def board(path: Path, alerts: int, times: int, seed: int) -> dict[str, object]:
    """Writes alerts and incidents and asks for their lists."""
    rng = random.Random(seed)
    writer, cpu, offsets = BoardWriter(path), 0.0, Counter[str]()
    waiting: list[board_writer.Fetched] = []
    for topic, value in episodes(alerts, rng):
        waiting.append(board_writer.Fetched(topic, 0, offsets[topic], START_NS // 1_000_000, value))
        offsets[topic] += 1
        if len(waiting) == BATCH_RECORDS:
            cpu -= time.process_time()
            writer.write(waiting)
            cpu += time.process_time()
            waiting = []
    writer.write(waiting)
    reader, taken = BoardReader(path), dict[str, list[float]]()
    for _ in range(times):
        service, agent = f"service-{rng.randrange(SERVICES)}", f"agent-{rng.randrange(AGENTS)}"
        for name, kind, asked in (
            ("alerts: newest", "alerts", Asked()),
            ("alerts: firing", "alerts", Asked(state="firing")),
            ("alerts: firing critical", "alerts", Asked(state="firing", severity="critical")),
            ("alerts: service", "alerts", Asked(service=service)),
            ("alerts: agent", "alerts", Asked(agent=agent)),
            ("alerts: agent firing", "alerts", Asked(agent=agent, state="firing")),
            ("alerts: nobody", "alerts", Asked(alertname="Nobody")),
            ("alerts: incidents open", "incidents", Asked(state="open")),
            ("alerts: incidents newest", "incidents", Asked()),
        ):
            begin = time.perf_counter()
            reader.page(kind, asked, limit=100)
            taken.setdefault(name, []).append((time.perf_counter() - begin) * 1e3)
    reader.close()
    writer.close()
    taken["alerts: all"] = [ms for each in list(taken.values()) for ms in each]
    lists = {name: {"p50_ms": quantile(ms, 0.5), "p95_ms": quantile(ms, 0.95)} for name, ms in taken.items()}
    return {"alerts_per_cpu_second": round(alerts / cpu), "alert_lists": lists}


def measure(spans: int, alerts: int, times: int, seed: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="streams-bench-") as folder:
        path = Path(folder) / "traces.sqlite3"
        writer = TraceWriter(path, TRACES)
        cpu = clock = 0.0
        for records in batches(spans, seed):
            begin_cpu, begin = time.process_time(), time.perf_counter()
            writer.write(records)
            cpu += time.process_time() - begin_cpu
            clock += time.perf_counter() - begin
        found: dict[str, object] = {
            "spans": writer.written * SPANS_PER_TRACE,
            "traces": writer.written,
            "spans_per_cpu_second": round(writer.written * SPANS_PER_TRACE / cpu),
            "traces_per_second": round(writer.written / clock),
            "file_bytes": writer.used_bytes(),
            "lists": ask(path, spans, times, seed),
            "alerts": alerts,
            **board(Path(folder) / "board.sqlite3", alerts, times, seed),
        }
        writer.close()
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--alerts", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=30, help="lists of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one JSON object (else indented)")
    arguments = parser.parse_args()
    found = measure(arguments.spans, arguments.alerts, arguments.times, arguments.seed)
    sys.stdout.write(json.dumps(found, indent=None if arguments.json else 2) + "\n")


if __name__ == "__main__":
    main()
