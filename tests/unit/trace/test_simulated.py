"""A simulated system from its bytes to its traces: what comes out is what the simulator says has happened."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import orjson
import pytest

from agents_emitter.events import SPANS_TOPIC, encode_tick
from agents_emitter.simulator import ground_truth, recount, simulate
from streams.decode.spans import SpanDecoder
from streams.domain.trace import TraceRecord, decode_trace
from streams.trace.assembly import DUPLICATE, FATES, TraceOperator
from streams.trace.block import Blocks
from streams.trace.graph import CONNECTIONS
from streams.trace.red import Names, Red
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


@dataclass
class Total:
    """What came out of a log."""

    traces: list[TraceRecord]
    pairs: Counter[tuple[str, str]]
    fates: Counter[str]
    unpaired: int


def assemble(log: list[Record]) -> tuple[Total, Counter[str]]:
    operator = TraceOperator()
    text = operator.tables.texts.text
    decoder, blocks = SpanDecoder(operator.tables), Blocks(Red(operator.tables, Names()), f"{SPANS_TOPIC}/0")
    total, samples = Total([], Counter(), Counter(), 0), Counter[str]()
    end_ns = EPOCH + 10**4 * SECOND
    log = [*log, Record(encode_tick(end_ns), b"", len(log), end_ns // 1_000_000)]
    for first in range(0, len(log), 7):
        records = log[first : first + 7]
        run = decoder.decode(records)
        assert not run.rejected
        offset = np.array([r.offset for r in records])
        arrival_ns = np.array([r.timestamp * 1_000_000 for r in records])
        tick = np.isin(np.arange(len(records)), [t.record for t in run.ticks])
        found = operator.apply(run.rows, run.bodies, offset, arrival_ns, tick)
        batches = blocks.take(run.rows, np.ones(len(run.rows), np.bool_), found, offset, arrival_ns)
        for batch in batches:
            samples[batch.key] += orjson.loads(batch.value)["count"]
        for call in found.calls[found.calls["connection"] == CONNECTIONS.index("unset")]:
            total.pairs[text(int(call["client"])), text(int(call["server"]))] += 1
        total.traces += [decode_trace(value) for bundle in found.bundles for _, value in bundle]
        total.fates += Counter(FATES[fate] for fate in found.fate.tolist())
        total.unpaired += found.unpaired
    return total, samples


@pytest.fixture(params=["normal_day", "cascade"])
def scenario(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_service_graph_is_the_one_that_was_simulated(scenario: str) -> None:
    log = records(scenario)
    total, samples = assemble(log)
    truth = ground_truth(scenario, **RUN)  # type: ignore[arg-type]
    answered: Counter[tuple[str, str]] = Counter()
    unanswered = 0
    for (client, server), calls in recount(scenario, **RUN).items():  # type: ignore[arg-type]
        answered[truth.agents[client], truth.agents[server]] += calls.answered
        unanswered += calls.total - calls.answered
    real = total.pairs
    assert real == +answered
    assert set(real) <= set(truth.service_edges)
    assert total.unpaired == unanswered
    assert sum(total.fates.values()) == sum(len(orjson.loads(record.value)["spans"]) for record in log)
    assert total.fates[DUPLICATE] == 0
    assert set(samples) == set(truth.agents.values())


def test_every_trace_of_a_healthy_day_is_complete_and_its_critical_path_is_its_duration() -> None:
    total, _ = assemble(records("normal_day"))
    assert len(total.traces) > 100
    assert [r.trace_id for r in total.traces if not r.complete or r.revision] == []
    for record in total.traces:
        root = next(s for s in record.spans if s.span_id == record.root)
        assert sum(end - start for _, start, end in record.critical_path) == root.duration_ns
    with_tokens = [record for record in total.traces if record.tokens]
    assert {use.model for record in with_tokens for use in record.tokens} == {"contoso-large", "northwind-mini"}
