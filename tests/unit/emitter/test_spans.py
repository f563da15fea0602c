from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from agents_emitter import Emitter, SpanContext
from agents_emitter.propagation import CURRENT, current_context
from agents_emitter.spans import MAX_EVENTS, MAX_SPAN_BYTES
from agents_emitter.text import MAX_ATTRIBUTES
from tests.unit.emitter.broker import Broker, agree, emitter_for

REMOTE = SpanContext("a" * 32, "b" * 16, 0, "vendor=1")


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def emitter(broker: Broker) -> Iterator[Emitter]:
    with emitter_for(broker) as made:
        yield made


def spans(emitter: Emitter, broker: Broker) -> dict[str, dict[str, Any]]:
    assert emitter.flush(60)
    return {span["name"]: span for record in broker.of("agents.spans") for span in record.body["spans"]}


def test_nested_spans_are_one_trace_and_one_record(emitter: Emitter, broker: Broker) -> None:
    with emitter.span("outer", kind="server", attributes={"gen_ai.agent.name": "p"}) as outer:
        with emitter.span("inner", kind="client") as inner:
            inner.set_attribute("n", 3)
        assert CURRENT.get() is outer
    assert CURRENT.get() is None
    with emitter.span("other"):
        pass
    found = spans(emitter, broker)
    assert found["inner"]["parentSpanId"] == found["outer"]["spanId"] == outer.context.span_id
    assert found["outer"]["parentSpanId"] == ""
    assert found["inner"]["traceId"] == found["outer"]["traceId"] != found["other"]["traceId"]
    assert (found["outer"]["kind"], found["inner"]["kind"], found["other"]["kind"]) == (2, 3, 1)
    assert found["outer"]["startTimeUnixNano"] <= found["inner"]["startTimeUnixNano"]
    assert found["inner"]["endTimeUnixNano"] <= found["outer"]["endTimeUnixNano"]
    assert found["inner"]["attributes"] == {"n": 3}
    assert found["inner"]["status"] == {"code": 0}
    assert all(
        record.key.decode() == s["traceId"] for record in broker.of("agents.spans") for s in record.body["spans"]
    )


def test_an_exception_is_recorded_and_passes_on(emitter: Emitter, broker: Broker) -> None:
    with pytest.raises(ZeroDivisionError), emitter.span("x"):
        1 / 0  # noqa: B018
    span = spans(emitter, broker)["x"]
    assert span["status"] == {"code": 2, "message": "division by zero"}
    assert span["attributes"] == {"error.type": "ZeroDivisionError"}
    event = span["events"][0]
    assert event["name"] == "exception"
    assert event["attributes"]["exception.type"] == "ZeroDivisionError"
    assert "test_spans.py" in event["attributes"]["exception.stacktrace"]
    assert span["startTimeUnixNano"] <= event["timeUnixNano"] <= span["endTimeUnixNano"]


def test_cancelling_a_task_is_no_fault(emitter: Emitter, broker: Broker) -> None:
    async def wait() -> None:
        with emitter.span("waits"):
            await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert spans(emitter, broker)["waits"]["status"] == {"code": 0}


def test_tasks_and_threads_do_not_mix_their_spans(emitter: Emitter, broker: Broker) -> None:
    async def work(name: str) -> None:
        with emitter.span(name):
            for i in range(3):
                await asyncio.sleep(0)
                with emitter.span(f"{name}.{i}"):
                    await asyncio.sleep(0)

    async def main() -> None:
        with emitter.span("root"):
            await asyncio.gather(*(work(name) for name in "abc"))

    asyncio.run(main())
    thread = threading.Thread(target=lambda: asyncio.run(work("t")))
    with emitter.span("unrelated"):
        thread.start()
        thread.join()
    found = spans(emitter, broker)
    for name in "abc":
        assert found[name]["parentSpanId"] == found["root"]["spanId"]
        assert {found[f"{name}.{i}"]["parentSpanId"] for i in range(3)} == {found[name]["spanId"]}
    assert found["t"]["parentSpanId"] == ""


def test_decorated_functions_are_spans(emitter: Emitter, broker: Broker) -> None:
    @emitter.traced(kind="client", attributes={"a": 1})
    def add(a: int, b: int) -> int:
        return a + b

    @emitter.traced("named")
    async def add_later(a: int, *, b: int) -> int:
        await asyncio.sleep(0)
        return int(add(a, b))

    assert add.__name__ == "add"
    assert asyncio.run(add_later(1, b=2)) == 3
    found = spans(emitter, broker)
    (inner,) = (span for name, span in found.items() if name.endswith("add"))
    assert inner["parentSpanId"] == found["named"]["spanId"]
    assert (inner["kind"], inner["attributes"]) == (3, {"a": 1})


def test_a_parent_may_come_from_elsewhere_and_links_too(emitter: Emitter, broker: Broker) -> None:
    links = [SpanContext("c" * 32, "d" * 16)]
    with emitter.span("mine"), emitter.span("theirs", parent=REMOTE, links=links) as theirs:
        assert current_context() == SpanContext("a" * 32, theirs.context.span_id, 0, "vendor=1")
    span = spans(emitter, broker)["theirs"]
    assert (span["traceId"], span["parentSpanId"]) == ("a" * 32, "b" * 16)
    assert span["links"] == [{"traceId": "c" * 32, "spanId": "d" * 16, "attributes": {}}]


def test_a_span_is_bounded_whatever_is_put_into_it(emitter: Emitter, broker: Broker) -> None:
    odd: Any
    with emitter.span("many", kind="no such kind") as span:  # type: ignore[arg-type]
        for i in range(100):
            span.set_attribute(f"a{i}", i)
            span.add_event("e", {"x": i})
            span.add_link(REMOTE)
        span.set_status("no such status")  # type: ignore[arg-type]
    with emitter.span("x" * 10_000) as span:
        for odd in (None, 1, object(), "\ud800", b"bytes", {"a": 1}, float("nan"), 2**70, [1, [2], "x" * 5000]):
            span.set_attribute(odd, odd)
            span.add_event(odd, {"v": odd})
    with emitter.span("large") as span:
        for i in range(MAX_ATTRIBUTES):
            span.set_attribute(f"a{i}", "y" * 10_000)
        for _ in range(MAX_EVENTS):
            span.add_event("e", {f"b{i}": "z" * 1024 for i in range(64)})
        assert span.size_bytes <= MAX_SPAN_BYTES
    found = spans(emitter, broker)
    assert len(found["many"]["attributes"]) == MAX_ATTRIBUTES
    assert (len(found["many"]["events"]), len(found["many"]["links"]), found["many"]["kind"]) == (32, 32, 1)
    assert found["many"]["droppedAttributesCount"] == 36 + 68 + 68
    assert len(found["large"]["attributes"]["a0"]) == 1024
    assert max(record.value.__len__() for record in broker.of("agents.spans")) < 2 * MAX_SPAN_BYTES
    assert "x" * 256 in found
    assert emitter.stats().spans.delivered == 3


def test_spans_over_the_bound_are_dropped_and_counted() -> None:
    broker = Broker()
    with emitter_for(broker, ring_spans=5, flush_interval_seconds=3600.0) as emitter:
        with emitter._state:
            for _ in range(8):
                with emitter.span("x"):
                    pass
        assert emitter.flush(60)
        stats = emitter.stats().spans
        assert (stats.emitted, stats.delivered, stats.dropped_by_reason) == (8, 5, {"overflow": 3})
        assert agree(emitter)


def test_a_span_ends_once_and_ids_differ(emitter: Emitter, broker: Broker) -> None:
    span = emitter.span("x")
    with span:
        pass
    span.end()
    assert emitter.flush(60)
    assert emitter.stats().spans.emitted == 1
    made = [emitter.span("y").context for _ in range(1000)]
    assert len({c.trace_id for c in made}) == len({c.span_id for c in made}) == 1000
    assert all(len(c.trace_id) == 32 and len(c.span_id) == 16 for c in made)


def test_leaving_a_span_in_another_context_breaks_nothing(emitter: Emitter, broker: Broker) -> None:
    async def generate() -> Any:
        with emitter.span("generator"):
            yield 1

    async def main() -> None:
        async for _ in generate():
            break  # the loop closes the generator later, in another context

    asyncio.run(main())
    assert spans(emitter, broker)["generator"]["status"] == {"code": 0}


def test_an_announced_span_is_sent_at_its_start_and_again_at_its_end(emitter: Emitter, broker: Broker) -> None:
    with emitter.span("session", attributes={"agents.coordination.type": "vote"}, announce=True) as span:
        assert emitter.flush(60)
        ((announced,),) = [record.body["spans"] for record in broker.of("agents.spans")]
        span.set_attribute("later", 1)
    assert (announced["phase"], announced["spanId"]) == ("start", span.context.span_id)
    assert "endTimeUnixNano" not in announced
    assert announced["attributes"] == {"agents.coordination.type": "vote"}
    assert emitter.flush(60)
    ended = broker.of("agents.spans")[-1].body["spans"][0]
    assert ended["spanId"] == announced["spanId"]
    assert ended["attributes"]["later"] == 1
