"""Two ranges of traces (or two versions) beside each other: where time goes, what fails, what became worse."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from streams.domain.trace import TraceRecord
from streams.trace.cost import Price, costs
from streams.trace.performance import Pattern, Performance, bottlenecks, changes, new_errors

SECOND_NS: Final = 1_000_000_000
MAX_UNSETTLED: Final = 5_000
"""A revision that comes after so many other traces counts as a trace of its own."""


class Question(NamedTuple):
    """What is compared: traces that ended in [now - seconds, now) with those of ``baseline_seconds`` before.

    With a ``version`` (``service.version``), only its spans count as current; with a ``baseline_version`` the baseline
    is that version's spans in both ranges (two versions that run side by side). ``limit``: rows of each list.
    """

    now_ns: int
    seconds: float
    baseline_seconds: float
    version: str = ""
    baseline_version: str = ""
    limit: int = 20


class Ranges:
    """Folds records into the current range and its baseline, each trace once (see :data:`MAX_UNSETTLED`)."""

    def __init__(self, question: Question) -> None:
        self.current = Performance(question.version)
        self.baseline = Performance(question.baseline_version)
        self.since_ns = question.now_ns - round(question.seconds * SECOND_NS)
        self.begin_ns = self.since_ns - round(question.baseline_seconds * SECOND_NS)
        self._until_ns = question.now_ns
        self._side_by_side = bool(question.baseline_version)
        self._held: OrderedDict[str, TraceRecord] = OrderedDict()

    def add(self, record: TraceRecord) -> None:
        """A record as it comes from the topic; of two of one trace the fuller one counts."""
        held = self._held.pop(record.trace_id, None)
        self._held[record.trace_id] = record if held is None or record.supersedes(held) else held
        if len(self._held) > MAX_UNSETTLED:
            self._fold(self._held.popitem(last=False)[1])

    def settle(self) -> None:
        """No more records come."""
        while self._held:
            self._fold(self._held.popitem(last=False)[1])

    def _fold(self, record: TraceRecord) -> None:
        current = self.since_ns <= record.end_ns < self._until_ns
        if current:
            self.current.add(record)
        if self.begin_ns <= record.end_ns < self.since_ns or (current and self._side_by_side):
            self.baseline.add(record)


def answer(ranges: Ranges, prices: Mapping[str, Price], limit: int) -> dict[str, Any]:
    """The report as a JSON object: lists of at most ``limit`` rows, the worst first."""
    current, baseline = ranges.current, ranges.baseline
    spent = costs(current.usage, prices)
    fresh = set(new_errors(current, baseline))
    groups = sorted(current.errors.items(), key=lambda item: (item[0] not in fresh, -item[1].count, item[0]))
    return {
        "traces": current.traces,
        "baseline_traces": baseline.traces,
        "bottlenecks": [_row(one._asdict()) for one in bottlenecks(current, baseline)[:limit]],
        "changes": [_row(one._asdict()) for one in list(changes(current, baseline))[:limit]],
        "errors": [
            {
                **kind.operation._asdict(),
                "error_type": kind.error_type,
                "new": kind in fresh,
                "count": group.count,
                "first_seen_ns": group.first_seen_ns,
                "last_seen_ns": group.last_seen_ns,
                "trace_ids": group.trace_ids,
            }
            for kind, group in groups[:limit]
        ],
        "retries": _patterns({(key.service, key.name): row for key, row in current.retries.items()}, limit),
        "loops": _patterns({(key.agent, key.tool): row for key, row in current.loops.items()}, limit),
        "clocks": _patterns({(key, ""): row for key, row in current.clocks.items()}, limit),
        "usage": [{**row.key._asdict(), **_without(row._asdict(), "key")} for row in spent[:limit]],
        "cost": sum(row.cost for row in spent if row.cost is not None),
        "unpriced_tokens": sum(row.input_tokens + row.output_tokens for row in spent if row.cost is None),
    }


def _patterns(table: Mapping[tuple[str, str], Pattern], limit: int) -> list[dict[str, Any]]:
    rows = sorted(table.items(), key=lambda item: (-item[1].count, item[0]))[:limit]
    return [
        {"who": who, "what": what, "count": row.count, "largest_ns": row.largest_ns, "trace_ids": row.trace_ids}
        for (who, what), row in rows
    ]


def _row(body: dict[str, Any]) -> dict[str, Any]:
    return {**body["operation"]._asdict(), **_without(body, "operation")}


def _without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}
