"""A simulated system from its bytes to its traces: what comes out is what the simulator says has happened."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import orjson
import pytest

from agents_emitter.events import SPANS_TOPIC
from agents_emitter.simulator import ground_truth, recount, simulate
from streams.decode.spans import decode_spans
from streams.trace import assembly
from streams.trace.assembly import TraceOperator, TraceResult
from streams.trace.red import Names, graph_batches, red_batches
from tests.unit.trace.drawing import EPOCH, SECOND

RUN = {"seed": 11, "start_ns": EPOCH, "duration_seconds": 60.0}


class Record(NamedTuple):
    """A record as the broker gives it."""

    value: bytes
    key: bytes
    offset: int
    timestamp: int


def records(scenario: str) -> list[Record]:
    emissions = [e for e in simulate(scenario, **RUN) if e.topic == SPANS_TOPIC]  # type: ignore[arg-type]
    return [Record(e.value, e.key, offset, e.time_ns // 1_000_000) for offset, e in enumerate(emissions)]


def assemble(log: list[Record], operator: TraceOperator) -> tuple[TraceResult, Counter[str]]:
    total, samples = TraceResult(), Counter[str]()
    names = Names()
    for record in log:
        run = decode_spans([record])
        assert not run.rejected
        count = len(run.spans)
        result = operator.apply(run.spans, [record.offset] * count, [record.timestamp * 1_000_000] * count)
        batches = red_batches(run.spans, source_topic=SPANS_TOPIC, partition=0, names=names)
        batches += graph_batches(result.calls, source_topic=SPANS_TOPIC, partition=0, names=names)
        for batch in batches:
            samples[batch.key] += orjson.loads(batch.value)["count"]
        merge(total, result)
    merge(total, operator.advance(EPOCH + 10**4 * SECOND))
    return total, samples


def merge(total: TraceResult, more: TraceResult) -> None:
    total.traces += more.traces
    total.calls += more.calls
    total.fates += more.fates
    total.unpaired += more.unpaired


@pytest.fixture(params=["normal_day", "cascade"])
def scenario(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_service_graph_is_the_one_that_was_simulated(scenario: str) -> None:
    log = records(scenario)
    total, samples = assemble(log, TraceOperator())
    truth = ground_truth(scenario, **RUN)  # type: ignore[arg-type]
    answered: Counter[tuple[str, str]] = Counter()
    unanswered = 0
    for (client, server), calls in recount(scenario, **RUN).items():  # type: ignore[arg-type]
        answered[truth.agents[client], truth.agents[server]] += calls.answered
        unanswered += calls.total - calls.answered
    real = Counter((c.client, c.server) for c in total.calls if c.connection_type == "unset")
    assert real == +answered
    assert set(real) <= set(truth.service_edges)
    assert total.unpaired == unanswered
    assert sum(total.fates.values()) == sum(len(orjson.loads(record.value)["spans"]) for record in log)
    assert total.fates[assembly.DUPLICATE] == 0
    assert set(samples) == set(truth.agents.values())


def test_every_trace_of_a_healthy_day_is_complete_and_its_critical_path_is_its_duration() -> None:
    total, _ = assemble(records("normal_day"), TraceOperator())
    assert len(total.traces) > 100
    assert [r.trace_id for r in total.traces if not r.complete or r.revision] == []
    for record in total.traces:
        root = next(s for s in record.spans if s.span_id == record.root)
        assert sum(end - start for _, start, end in record.critical_path) == root.duration_ns
    with_tokens = [record for record in total.traces if record.tokens]
    assert {use.model for record in with_tokens for use in record.tokens} == {"contoso-large", "northwind-mini"}
