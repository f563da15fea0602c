"""Spans in any order, repeated, in any records and runs, with crashes: the same traces, calls and metrics of spans.

Only records go in and only published records are looked at: how traces are kept in between is the trace room's affair.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from agents_emitter import events
from streams import topics
from streams.app.outbox import Step
from streams.app.traces import TracesPart
from streams.decode.run import HeadCache, decode_run
from streams.domain.series import Series, SeriesTable
from streams.domain.trace import Edge, TraceRecord, decode_edge, decode_trace
from streams.trace.assembly import TraceOperator
from tests.property.profile import seeded
from tests.wiring.line import Line, Record

SECOND = 1_000_000_000
BASE = 1_700_000_000 * SECOND
STEP_NS = SECOND // 512
"""Durations are whole multiples of it: their seconds, and sums of them, are exact in any order."""
QUIET_SECONDS = 10.0
MAX_SPANS = 18


class Shape(NamedTuple):
    """A span before it has an identity: its trace, whose child it is (-1: nobody's), where and how long it ran."""

    trace: int
    parent: int
    service: str
    kind: int
    start: int
    steps: int
    failed: bool


shapes = st.builds(
    Shape,
    st.integers(0, 2),
    st.integers(-1, MAX_SPANS),
    st.sampled_from(("web", "planner", "model")),
    st.integers(1, 5),
    st.integers(0, 2000),
    st.integers(0, 2000),
    st.booleans(),
)
shape_lists = st.lists(shapes, min_size=1, max_size=MAX_SPANS)
randoms = st.randoms(use_true_random=False)
run_lengths = st.lists(st.integers(1, 6), min_size=1, max_size=6)


class Sent(NamedTuple):
    """A span and the service that sends it."""

    service: str
    span: dict[str, Any]


def spans_of(drawn: Sequence[Shape]) -> list[Sent]:
    """Distinct spans; a parent may be of another trace (an orphan then), unknown, or a circle."""
    found = []
    for number, shape in enumerate(drawn):
        start_ns = BASE + shape.start * STEP_NS
        span: dict[str, Any] = {
            "traceId": f"{shape.trace + 1:032x}",
            "spanId": f"{number + 1:016x}",
            "parentSpanId": f"{shape.parent + 1:016x}" if shape.parent >= 0 else "",
            "name": f"work {shape.kind}",
            "kind": shape.kind,
            "startTimeUnixNano": start_ns,
            "endTimeUnixNano": start_ns + shape.steps * STEP_NS,
            "status": {"code": 2 if shape.failed else 0, "message": "no" if shape.failed else ""},
            "attributes": {"gen_ai.request.model": "m", "gen_ai.usage.input_tokens": number},
        }
        found.append(Sent(shape.service, span))
    return found


def records(sent: Sequence[Sent], rng: random.Random, append_ns: int, until_ns: int) -> list[tuple[int, bytes]]:
    """The spans as batches of random lengths, in this order, at ascending append times before ``until_ns``."""
    found, at = list[tuple[int, bytes]](), 0
    times = sorted(rng.randrange(append_ns, until_ns) for _ in sent)
    while at < len(sent):
        service = sent[at].service
        alike = itertools.takewhile(lambda span, of=service: span.service == of, sent[at : at + rng.randrange(1, 4)])
        group = [span for _, span in alike]
        value = events.encode_span_batch({"service.name": service}, group, producer=service, seq=at)
        found.append((times[at], value))
        at += len(group)
    return found


def log_of(timed: Sequence[tuple[int, bytes]]) -> list[Record]:
    """A log of the records and of ticks that let every trace leave."""
    end_ns = max(time_ns for time_ns, _ in timed)
    ticks = [(end_ns + s * SECOND, events.encode_tick(end_ns + s * SECOND)) for s in (11, 22)]
    return [
        Record(value, offset, time_ns // 1_000_000, b"k", 0, topics.SPANS)
        for offset, (time_ns, value) in enumerate([*timed, *ticks])
    ]


class ImpatientPart(TracesPart):
    """Its clock moves by two seconds with each record: a checkpoint is due after every run."""

    def process(self, records: Sequence[Record], now_ns: int) -> Sequence[Step]:
        return super().process(records, (records[-1].offset + 1) * 2 * SECOND)  # type: ignore[arg-type]


def played(log: Sequence[Record], lengths: list[int], crashes: Sequence[int] = (), depth: int = 0) -> Line:
    def make() -> TracesPart:
        return ImpatientPart(topics.SPANS, 0, TraceOperator(quiet_seconds=QUIET_SECONDS))

    line = Line(log, make, crashes)
    line.run(itertools.cycle(lengths), depth)
    return line


def values(line: Line, topic: str) -> list[bytes]:
    return [record.value for record in line.topics[topic] if record.value is not None]


def last_revisions(line: Line) -> dict[str, TraceRecord]:
    """What a reader of the topic holds in the end."""
    found: dict[str, TraceRecord] = {}
    for trace in map(decode_trace, values(line, topics.TRACES)):
        known = found.get(trace.trace_id)
        if known is None or trace.supersedes(known):
            found[trace.trace_id] = trace
    return found


def edges(line: Line) -> dict[str, Edge]:
    """The sum of all deltas. Of two services that talk in several ways an edge names the way that was seen first."""
    found: dict[str, Edge] = {}
    for edge in map(decode_edge, values(line, topics.EDGES)):
        edge = replace(edge, connection_type="")
        found[edge.key] = found[edge.key].plus(edge) if edge.key in found else edge
    return found


def measured(line: Line) -> Counter[tuple[Series, int, float]]:
    """Samples of spans and calls, each batch once however often it was sent."""
    table, batches = SeriesTable(), sorted(set(values(line, topics.RED)))
    log = [Record(value, offset, 2 * 10**12, b"k", 0, topics.RED) for offset, value in enumerate(batches)]
    run = decode_run(log, table, HeadCache(), hint=topics.RED)
    assert not run.rejected
    rows = zip(run.slot.tolist(), run.time_ns.tolist(), run.value.tolist(), strict=True)
    return Counter((table.rows[slot], time_ns, value) for slot, time_ns, value in rows)


def spans_seen(line: Line) -> Counter[str]:
    assert isinstance(line.part, TracesPart)
    return line.part.counts


@seeded(80)
@given(shape_lists, randoms, run_lengths)
def test_order_repetition_and_cuts_within_quiet_time_change_nothing(
    drawn: list[Shape], rng: random.Random, lengths: list[int]
) -> None:
    sent = spans_of(drawn)
    calm = played(log_of(records(sent, random.Random(0), BASE, BASE + SECOND)), [100])
    repeated = [span for span in sent for _ in range(rng.randrange(1, 4))]
    rng.shuffle(repeated)
    mixed = played(log_of(records(repeated, rng, BASE, BASE + 9 * SECOND)), lengths)
    assert last_revisions(mixed) == last_revisions(calm)
    assert len(values(mixed, topics.TRACES)) == len({shape.trace for shape in drawn})
    assert edges(mixed) == edges(calm)
    assert measured(mixed) == measured(calm)
    assert spans_seen(mixed)["aggregated"] == len(sent)
    assert spans_seen(mixed)["duplicate"] == len(repeated) - len(sent)


@seeded(60)
@given(shape_lists, randoms)
def test_what_comes_after_quiet_time_ends_in_the_same_trace(drawn: list[Shape], rng: random.Random) -> None:
    """Some spans come half a minute late: a revision holds them all, and calls and metrics are those of one go."""
    sent = spans_of(drawn)
    calm = played(log_of(records(sent, random.Random(0), BASE, BASE + SECOND)), [100])
    shuffled = sent.copy()
    rng.shuffle(shuffled)
    cut = rng.randrange(1, len(shuffled) + 1)
    later = BASE + 30 * SECOND
    timed = records(shuffled[:cut], rng, BASE, BASE + SECOND) + records(shuffled[cut:], rng, later, later + SECOND)
    late = played(log_of(timed), [3])
    found = {trace_id: replace(trace, revision=0) for trace_id, trace in last_revisions(late).items()}
    assert found == last_revisions(calm)
    assert edges(late) == edges(calm)
    assert measured(late) == measured(calm)
    assert spans_seen(late)["aggregated"] + spans_seen(late)["late"] == len(sent)


@seeded(80)
@given(shape_lists, randoms, run_lengths, st.lists(st.integers(0, 30), max_size=6), st.integers(0, 4))
def test_crashes_anywhere_change_nothing(
    drawn: list[Shape], rng: random.Random, lengths: list[int], crashes: list[int], depth: int
) -> None:
    """Each trace has nine seconds of its own: while one is open, others leave."""
    sent = spans_of(drawn)
    rng.shuffle(sent)
    timed = list[tuple[int, bytes]]()
    for trace in range(3):
        own = [span for span in sent if span.span["traceId"] == f"{trace + 1:032x}"]
        timed += records(own, rng, BASE + trace * 6 * SECOND, BASE + (trace * 6 + 9) * SECOND)
    log = log_of(sorted(timed))
    calm, crashed = played(log, [100]), played(log, lengths, crashes, depth)
    assert last_revisions(crashed) == last_revisions(calm)
    assert measured(crashed) == measured(calm)
    assert spans_seen(crashed) == spans_seen(calm)
