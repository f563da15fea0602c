"""Ten thousand simulated traces, shuffled, sent twice and with losses: assembled as a brute force would."""

from __future__ import annotations

from collections import defaultdict
from random import Random
from typing import Any, NamedTuple

import orjson

from agents_emitter.events import SPANS_TOPIC
from agents_emitter.simulator import simulate
from tests.unit.trace.drawing import EPOCH
from tests.unit.trace.test_simulated import Record, assemble

TRACES = 10_000


class Expected(NamedTuple):
    """What a trace must be, from the raw JSON of its spans alone."""

    spans: dict[str, tuple[str, int, int]]
    root: str
    orphans: tuple[str, ...]
    services: tuple[str, ...]


def emissions() -> list[Record]:
    """Records of the spans of at least ten thousand traces: a batch each, by several processes per trace."""
    made = simulate("cascade", seed=5, start_ns=EPOCH, duration_seconds=900.0, agents=60)
    return [Record(e.value, e.key, 0, 0) for e in made if e.topic == SPANS_TOPIC]


def brute_force(records: list[Record]) -> dict[str, Expected]:
    """Every span into the dictionary of its trace; parents looked up, nothing else."""
    spans: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    services: dict[str, set[str]] = defaultdict(set)
    for record in records:
        body = orjson.loads(record.value)
        for one in body["spans"]:
            spans[one["traceId"]][one["spanId"]] = one
            services[one["traceId"]].add(body["resource"]["service.name"])
    return {trace: _expected(found, services[trace]) for trace, found in spans.items()}


def _expected(found: dict[str, dict[str, Any]], services: set[str]) -> Expected:
    roots = [one for one in found.values() if not one.get("parentSpanId")]
    roots.sort(key=lambda one: (one["startTimeUnixNano"], one["spanId"]))
    return Expected(
        {
            key: (one.get("parentSpanId", ""), one["startTimeUnixNano"], one["endTimeUnixNano"])
            for key, one in found.items()
        },
        roots[0]["spanId"] if roots else "",
        tuple(
            sorted(key for key, one in found.items() if one.get("parentSpanId") and one["parentSpanId"] not in found)
        ),
        tuple(sorted(services)),
    )


def disturbed(records: list[Record], rng: Random) -> list[Record]:
    """One record in twenty lost, one in ten sent twice, all in any order; offsets as a log gives them."""
    kept = [record for record in records if rng.random() >= 0.05]
    kept += rng.sample(kept, len(kept) // 10)
    rng.shuffle(kept)
    return [record._replace(offset=offset, timestamp=1) for offset, record in enumerate(kept)]


def test_ten_thousand_disturbed_traces_equal_the_brute_force() -> None:
    log = disturbed(emissions(), Random(8))
    expected = brute_force(log)
    assert len(expected) >= TRACES
    records = assemble(log)[0].traces
    assert {
        record.trace_id: Expected(
            {one.span_id: (one.parent_span_id, one.start_ns, one.end_ns) for one in record.spans},
            record.root,
            record.orphans,
            record.services,
        )
        for record in records
    } == expected
    assert len(records) == len(expected)
    assert sum(len(record.services) >= 3 for record in records) > 1_000
    assert sum(bool(record.orphans) for record in records) > 500
