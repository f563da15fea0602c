"""Blocks: the same batches wherever runs end and whatever is forgotten between them; exemplars once a second."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import orjson

from streams.domain.span import Span
from streams.domain.spanrows import rows_of
from streams.trace.assembly import TraceOperator
from streams.trace.block import BLOCK_NS, BLOCK_RECORDS, EXEMPLARS_NS, Blocks
from streams.trace.red import SPAN_DURATION, Names, Red
from streams.trace.samples import RedBatch
from tests.unit.trace.drawing import CLIENT, EPOCH, SERVER, span
from tests.unit.trace.drawn import wired

GEN_AI = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 5}


def spans(count: int) -> list[Span]:
    """Spans of two services, of which one calls the other."""
    made = []
    for i in range(count):
        service, kind, parent = ("tools", SERVER, f"{i - 1:016x}") if i % 2 else ("planner", CLIENT, "")
        model = GEN_AI | {"gen_ai.request.model": f"m{i % 3}"} if i % 5 == 0 else {}
        drawn = span(f"{i:016x}", 0, i % 7, parent, service=service, kind=kind, name=f"n {i % 4}", attributes=model)
        made.append(drawn)
    return made


class Log:
    """Feeds a partition in runs, a span a record."""

    def __init__(self) -> None:
        self.operator = TraceOperator()
        self.blocks = Blocks(Red(self.operator.tables, Names()), "agents.spans/3")
        self.exemplars: list[RedBatch] = []

    def run(self, given: Sequence[Span], offset: int, arrival_ns: int) -> list[RedBatch]:
        rows, bodies = rows_of([wired(one) for one in given], self.operator.tables)
        rows["record"] = np.arange(len(given))
        offsets, arrivals = np.arange(offset, offset + len(given)), np.full(len(given), arrival_ns)
        found = self.operator.apply(rows, bodies, offsets, arrivals, np.zeros(len(given), np.bool_))
        batches = self.blocks.take(rows, np.ones(len(given), np.bool_), found, offsets, arrivals)
        self.exemplars += self.blocks.exemplars()
        return batches


def test_batches_are_the_same_wherever_runs_end() -> None:
    given = spans(BLOCK_RECORDS + 100)
    logs = []
    for size in (len(given), 7, 100):
        log, made = Log(), []
        for first in range(0, len(given), size):
            made += log.run(given[first : first + size], first, EPOCH)
        made += log.run(given[:1], len(given), EPOCH + BLOCK_NS)  # a copy: nothing of it counts
        logs.append(made)
    assert logs[0] == logs[1] == logs[2]
    counts = [orjson.loads(batch.value)["count"] for batch in logs[0]]
    assert sum(counts) > 2 * len(given)


def test_exemplars_leave_once_a_second_and_are_the_slowest_since() -> None:
    log = Log()
    for block in range(9):
        slow = span(f"{block + 1:016x}", 0, 50 if block == 6 else 5, name="plan", trace=f"{block + 1:032x}")
        log.run([slow], block, EPOCH + block * EXEMPLARS_NS // 4)
    # a block ends as the next one begins: the first leaves with the second, then those of a second
    first, later = (orjson.loads(record.value)["exemplars"] for record in log.exemplars)
    assert [(row["name"], row["trace_id"]) for row in first] == [(SPAN_DURATION, f"{1:032x}")]
    assert [(row["trace_id"], row["value"]) for row in later] == [(f"{5:032x}", 0.005)]
