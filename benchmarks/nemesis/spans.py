"""Traces of the nemesis' agents: three spans each, in one or two batches, and what of them must come out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from agents_emitter import events
from benchmarks.nemesis.truth import LogRecord

SPANS: Final = 3
_MS_NS: Final = 1_000_000


class Sent(NamedTuple):
    """A batch on its way: of which trace, its number, its record."""

    trace: int
    seq: int
    value: bytes


@dataclass
class Tracer:
    """One agent's traces. Ids are numbers, so that the same agent gives the same ones."""

    agent: int
    seq: int = 0
    traces: int = 0

    @property
    def producer(self) -> str:
        """Who numbers the batches."""
        return f"tracer-{self.agent}"

    def trace(self, now_ns: int, *, parts: int) -> list[Sent]:
        """The next trace, which ends now: a root and two children; in two ``parts`` the root comes in the second."""
        number = self.agent + (self.traces << 16)
        self.traces += 1
        spans = [self._span(number, i, now_ns) for i in range(SPANS)]
        made = []
        for part in (spans,) if parts == 1 else (spans[1:], spans[:1]):
            value = events.encode_span_batch(
                {"service.name": f"nemesis-{self.agent}", "gen_ai.agent.id": f"agent-{self.agent}"},
                part,
                producer=self.producer,
                seq=self.seq,
            )
            made.append(Sent(number, self.seq, value))
            self.seq += 1
        return made

    def _span(self, trace: int, number: int, end_ns: int) -> dict[str, Any]:
        return {
            "traceId": f"{trace + 1:032x}",
            "spanId": f"{(trace + 1) * SPANS + number:016x}",
            "parentSpanId": f"{(trace + 1) * SPANS:016x}" if number else "",
            "name": "invoke_agent" if not number else f"execute_tool {number}",
            "kind": 1,
            "startTimeUnixNano": end_ns - (50 - 10 * number) * _MS_NS,
            "endTimeUnixNano": end_ns - number * _MS_NS,
            "status": {"code": 0},
            "attributes": {},
        }


@dataclass
class SpanTruth:
    """What a log of spans comes to.

    Attributes:
        traces: ids of each trace's spans. copies: spans that lie in the log once more than once.
        batches: how often each (producer, number) lies there.
    """

    traces: dict[str, set[str]] = field(default_factory=dict)
    copies: int = 0
    batches: dict[tuple[str, int], int] = field(default_factory=dict)

    @property
    def spans(self) -> int:
        """Without copies."""
        return sum(map(len, self.traces.values()))


def span_truth(log: Iterable[LogRecord]) -> SpanTruth:
    """Reads a log of span batches; ticks are passed over."""
    found = SpanTruth()
    for record in log:
        body = json.loads(record.value)
        if "producer" not in body:
            continue
        batch = (body["producer"], body["seq"])
        found.batches[batch] = found.batches.get(batch, 0) + 1
        for span in body["spans"]:
            known = found.traces.setdefault(span["traceId"], set())
            found.copies += span["spanId"] in known
            known.add(span["spanId"])
    return found
