"""``streams performance``: reads ``agents.traces`` of two ranges of time (or versions) and says what became worse."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from streams import topics
from streams.domain.trace import decode_trace
from streams.records.history import History
from streams.settings import Settings
from streams.trace.cost import Price
from streams.trace.report import Question, Ranges, answer


async def report(settings: Settings, question: Question, prices: Mapping[str, Price]) -> bytes:
    """The answer as JSON.

    Raises:
        ServiceUnavailable: no broker answers, or the topic is missing.
    """
    ranges, history = Ranges(question), History(topics.TRACES, decode_trace)
    # a trace's record is never older than the end of its last span
    async for past in history.since(settings, ranges.begin_ns):
        ranges.add(past.body)
    ranges.settle()
    found = {**answer(ranges, prices, question.limit), "unreadable_records": history.unreadable}
    return orjson.dumps(found, option=orjson.OPT_INDENT_2)
