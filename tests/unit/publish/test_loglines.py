from __future__ import annotations

import asyncio
import logging

import orjson
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streams.publish.loglines import JsonFormatter
from streams.publish.selftrace import SelfTracer


def line(text: str) -> dict[str, str]:
    record = logging.LogRecord("streams.app", logging.WARNING, "x.py", 1, text, (), None)
    found: dict[str, str] = orjson.loads(JsonFormatter().format(record))
    return found


def test_lines_of_tasks_that_interleave_carry_the_span_of_their_own_work() -> None:
    exporter = InMemorySpanExporter()
    tracer = SelfTracer(exporter, {"service.name": "test"})

    async def work(topic: str) -> list[dict[str, str]]:
        with tracer.process("metrics", topic, 0, (1, 2)) as cause:
            await asyncio.sleep(0)
            before = line(topic)
            with tracer.send(cause, [topic], 1):
                await asyncio.sleep(0)
                inner = line(topic)
            return [before, inner, line(topic)]

    async def both() -> list[list[dict[str, str]]]:
        return await asyncio.gather(work("a"), work("b"))

    lines = asyncio.run(both())
    tracer.stop()
    spans = {span.name: span.context for span in exporter.get_finished_spans()}
    for topic, (before, inner, after) in zip("ab", lines, strict=True):
        run, sent = spans[f"process {topic}"], spans[f"send {topic}"]
        assert run is not None
        assert sent is not None
        assert before["trace_id"] == inner["trace_id"] == f"{run.trace_id:032x}"
        assert (before["span_id"], inner["span_id"]) == (f"{run.span_id:016x}", f"{sent.span_id:016x}")
        assert {**after, "time": ""} == {**before, "time": ""}
    assert "trace_id" not in line("outside")


def test_a_line_without_work_has_no_trace() -> None:
    assert line("text") | {"time": ""} == {"time": "", "level": "WARNING", "logger": "streams.app", "message": "text"}
