"""RED batches: names, units, labels, values; the same bytes for the same record; bounded names."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pytest

from agents_emitter.events import SeriesDefinition, encode_metric_batch, encode_metric_head
from streams.domain.span import Span
from streams.domain.spanrows import SpanTables, rows_of
from streams.domain.trace import Call
from streams.trace import red
from streams.trace.names import OTHER, Vocabulary, template
from streams.trace.red import Names, Red
from streams.trace.redwire import put_base64
from streams.trace.samples import RedBatch
from tests.unit.trace.drawing import CLIENT, EPOCH, INTERNAL, MS, SERVER, span
from tests.unit.trace.drawn import call_rows, wired


def rows(batch: RedBatch) -> list[tuple[str, dict[str, str], int, float]]:
    """(name, labels, time, value) of each sample."""
    body: dict[str, Any] = orjson.loads(batch.value)
    count = body["count"]
    index = struct.unpack(f"<{count}H", base64.b64decode(body["index"]))
    offset = struct.unpack(f"<{count}q", base64.b64decode(body["offset_ns"]))
    value = struct.unpack(f"<{count}d", base64.b64decode(body["value"]))
    base = body["base_time_unix_nano"]
    series = [body["series"][i] for i in index]
    return [(s["name"], s.get("labels", {}), base + o, v) for s, o, v in zip(series, offset, value, strict=True)]


def batches(spans: Sequence[Span], gen_ai: bool = True, names: Names | None = None) -> list[RedBatch]:
    tables = SpanTables()
    red = Red(tables, names or Names())
    rows, _ = rows_of([wired(one) for one in spans], tables)
    red.add_spans(rows, np.full(len(spans), gen_ai), np.arange(len(spans)))
    return red.batches("agents.spans/3")


CHAT = span(
    "chat",
    10,
    510,
    "root",
    kind=CLIENT,
    name="chat m-large",
    attributes={
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "contoso",
        "gen_ai.request.model": "m-large",
        "gen_ai.usage.input_tokens": 600,
        "gen_ai.usage.output_tokens": 120,
    },
    resource={"gen_ai.agent.id": "planner-1", "service.version": "1.2", "deployment.environment.name": "prod"},
)


def test_a_model_call_gives_calls_duration_and_tokens() -> None:
    (batch,) = batches([CHAT])
    span_labels = {"span.name": "chat m-large", "span.kind": "SPAN_KIND_CLIENT", "status.code": "STATUS_CODE_UNSET"}
    model = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "contoso", "gen_ai.request.model": "m-large"}
    end = EPOCH + 510 * MS
    assert rows(batch) == [
        ("traces.span.metrics.calls", span_labels, end, 1.0),
        ("traces.span.metrics.duration", span_labels, end, 0.5),
        ("gen_ai.client.operation.duration", model, end, 0.5),
        ("gen_ai.client.token.usage", {**model, "gen_ai.token.type": "input"}, end, 600.0),
        ("gen_ai.client.token.usage", {**model, "gen_ai.token.type": "output"}, end, 120.0),
    ]
    head = orjson.loads(batch.value)
    assert head["resource"] == {
        "service.name": "planner",
        "service.version": "1.2",
        "deployment.environment.name": "prod",
    }
    assert {s["name"]: (s["unit"], s["kind"]) for s in head["series"]} == {
        "traces.span.metrics.calls": ("1", "counter"),
        "traces.span.metrics.duration": ("s", "histogram"),
        "gen_ai.client.operation.duration": ("s", "histogram"),
        "gen_ai.client.token.usage": ("{token}", "histogram"),
    }
    assert batch.key == "planner"


def test_agents_and_tools_are_measured_where_they_are_called() -> None:
    invoke = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "researcher"}
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "web_search", "error.type": "TimeoutError"}
    spans = [
        span("call", 0, 100, kind=CLIENT, attributes=invoke),
        span("served", 1, 99, "call", kind=SERVER, attributes=invoke),
        span("tool", 5, 25, "served", kind=INTERNAL, attributes=tool, error="too slow"),
    ]
    (batch,) = batches(spans)
    gen_ai = [(name, labels, value) for name, labels, _, value in rows(batch) if name.startswith("gen_ai.")]
    assert gen_ai == [
        ("gen_ai.invoke_agent.duration", {"gen_ai.agent.name": "researcher"}, 0.1),
        ("gen_ai.execute_tool.duration", {"gen_ai.tool.name": "web_search", "error.type": "TimeoutError"}, 0.02),
    ]


def test_agents_that_measure_themselves_are_not_measured_twice() -> None:
    (batch,) = batches([CHAT], gen_ai=False)
    assert {name for name, *_ in rows(batch)} == {"traces.span.metrics.calls", "traces.span.metrics.duration"}


def test_a_replay_sends_the_same_bytes_and_each_resource_has_its_own_numbers() -> None:
    spans = [CHAT, span("a", 0, 5), span("b", 1, 4, "a", service="tools"), span("c", 1, 1, phase="start")]
    first, again = batches(spans), batches(spans)
    assert first == again
    heads = [orjson.loads(batch.value) for batch in first]
    assert [batch.key for batch in first] == ["planner", "planner", "tools"]
    assert len({head["producer"] for head in heads}) == 3
    assert all(head["producer"].startswith("red/agents.spans/3/") for head in heads)
    assert {head["seq"] for head in heads} == {0}
    assert sum(1 for batch in first for name, *_ in rows(batch) if name == "traces.span.metrics.calls") == 3


def test_a_record_without_ended_spans_gives_nothing() -> None:
    assert batches([span("c", 1, 1, phase="start")]) == []


def test_very_many_spans_are_split_over_batches_that_the_topic_takes() -> None:
    spans = [span(f"{i:016x}", 0, 5, name="work") for i in range(25_000)]
    found = batches(spans)
    assert [len(rows(batch)) for batch in found] == [20_000, 20_000, 10_000]
    assert max(len(batch.value) for batch in found) < 1_000_000
    heads = [orjson.loads(batch.value) for batch in found]
    assert [(head["producer"], head["seq"]) for head in heads] == [(heads[0]["producer"], i) for i in range(3)]


def test_names_are_bounded_per_service() -> None:
    names = Names(span=Vocabulary(limit=3))
    spans = [span(f"s{i}", 0, 5, name=f"name {letter}") for i, letter in enumerate("abcdea")]
    spans += [span("t", 0, 5, name="name x", service="tools")]
    found = batches(spans, names=names)
    seen = [labels["span.name"] for batch in found for name, labels, *_ in rows(batch) if name == red.SPAN_CALLS]
    assert seen == ["name a", "name b", "name c", OTHER, OTHER, "name a", "name x"]
    assert names.overflowed == 2


def test_ids_are_taken_out_of_span_names() -> None:
    assert template("GET /users/17/orders?since=3") == "GET /users/{id}/orders"
    assert template("task 3f2504e0-4f89-11d3-9a0c-0305e82c3301 done") == "task {id} done"
    assert template("session-5f3a9bc01234") == "session-{id}"
    assert template("process 1234567") == "process {id}"
    assert template("chat gpt-4.1-2025") == "chat gpt-4.1-{id}"
    assert template("chat gpt-4") == "chat gpt-4"
    assert template("execute_tool deadbeef") == "execute_tool deadbeef"
    assert len(template("x" * 1_000)) == 128


def test_names_of_gen_ai_spans_keep_the_version_of_the_model() -> None:
    model = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "sonnet-4-20250514"}
    found = batches(
        [span("a", 0, 5, name="chat sonnet-4-20250514", attributes=model), span("b", 0, 5, name="x-20250514")]
    )
    assert [labels["span.name"] for name, labels, *_ in rows(found[0]) if name == red.SPAN_CALLS] == [
        "chat sonnet-4-20250514",
        "x-{id}",
    ]


def call(offset: int, client: str = "planner", **changes: Any) -> Call:
    values: dict[str, Any] = {
        "client": client,
        "server": "tools",
        "connection_type": "unset",
        "failed": False,
        "client_seconds": 0.5,
        "server_seconds": 0.4,
        "time_ns": EPOCH,
        "offset": offset,
    }
    return Call(**{**values, **changes})


def test_calls_become_the_service_graph_a_batch_per_client() -> None:
    calls = [
        call(4),
        call(4, failed=True, server="contoso", connection_type="virtual_node", server_seconds=None),
        call(4, "research", client_seconds=None),
        call(9, environment="prod"),
    ]
    tables = SpanTables()
    graph = Red(tables, Names())
    graph.add_calls(call_rows(calls[:3], tables))
    graph.add_calls(call_rows(calls[3:], tables))
    found = graph.batches("agents.spans/3")
    assert [batch.key for batch in found] == ["planner", "planner", "research"]
    assert [orjson.loads(batch.value)["seq"] for batch in found] == [0, 0, 0]
    assert orjson.loads(found[1].value)["resource"] == {"deployment.environment.name": "prod"}
    assert graph.batches("agents.spans/3") == []
    tools = {"client": "planner", "server": "tools", "connection_type": "unset"}
    model = {"client": "planner", "server": "contoso", "connection_type": "virtual_node"}
    assert [(name, labels, value) for name, labels, _, value in rows(found[0])] == [
        ("traces.service.graph.request", tools, 1.0),
        ("traces.service.graph.request", model, 1.0),
        ("traces.service.graph.request.failed", model, 1.0),
        ("traces.service.graph.request.server", tools, 0.4),
        ("traces.service.graph.request.client", tools, 0.5),
        ("traces.service.graph.request.client", model, 0.5),
    ]
    assert [name for name, *_ in rows(found[2])] == [
        "traces.service.graph.request",
        "traces.service.graph.request.server",
    ]


def test_a_batch_is_what_the_event_schema_writes() -> None:
    (batch,) = batches([span("a", 0, 5), span("b", 1, 4, "a"), span("c", 2, 9, "a", error="x")])
    body = orjson.loads(batch.value)
    series = [
        SeriesDefinition(s["name"], s["unit"], s["kind"], tuple(sorted(s.get("labels", {}).items())))
        for s in body["series"]
    ]
    columns = {
        name: struct.unpack(f"<{body['count']}{code}", base64.b64decode(body[name]))
        for name, code in (("index", "H"), ("offset_ns", "q"), ("value", "d"))
    }
    head = encode_metric_head(body["resource"], series, body["producer"])
    numbers = {name: body[name] for name in ("seq", "dropped_total", "base_time_unix_nano")}
    assert encode_metric_batch(head, **numbers, **columns) == batch.value
    assert series == sorted(series)


def test_the_slowest_span_of_each_series_is_its_exemplar() -> None:
    tables = SpanTables()
    made = Red(tables, Names())
    spans = [span(f"{i:016x}", 0, ms, name="plan", trace=f"{i:032x}") for i, ms in enumerate((10, 30, 20), 1)]
    found, _ = rows_of([wired(one) for one in spans], tables)
    made.add_spans(found, np.zeros(3, bool), np.arange(3))
    made.batches("agents.spans/3")
    (record,) = made.exemplars()
    (row,) = orjson.loads(record.value)["exemplars"]
    assert (row["name"], row["labels"]["span.name"], row["value"]) == (red.SPAN_DURATION, "plan", 0.03)
    assert (row["trace_id"], row["span_id"]) == (f"{2:032x}", f"{2:016x}")
    assert row["time_unix_nano"] == EPOCH + 30 * MS
    assert made.exemplars() == []


def test_what_waits_keeps_its_names_when_texts_are_renumbered() -> None:
    invoke = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "researcher"}
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "web_search", "error.type": "TimeoutError"}
    failed = span("b", 1, 4, "a", service="tools", attributes=tool, error="x")
    spans = [CHAT, span("a", 0, 5, kind=CLIENT, attributes=invoke), failed]
    found = []
    for forget in (False, True):
        tables = SpanTables()
        for number in range(50):
            tables.texts.number(f"in the way {number}")
        made = Red(tables, Names())
        for _ in range(2):
            drawn, _ = rows_of([wired(one) for one in spans], tables)
            made.add_spans(drawn, np.ones(3, bool), np.arange(3))
            made.add_calls(call_rows([call(1), call(2, "research", environment="prod")], tables))
            if forget:
                tables.keep([], made.texts)
        taken = made.batches("agents.spans/3")
        tables.keep([], made.texts)  # what is forgotten now has its exemplar already
        drawn, _ = rows_of([wired(span("c", 0, 1))], tables)
        made.add_spans(drawn, np.ones(1, bool), np.arange(1))
        found.append([*taken, *made.batches("agents.spans/3"), *made.exemplars()])
    assert found[0] == found[1]
    assert sum(len(rows(batch)) for batch in found[0] if b'"count"' in batch.value) == 2 * 17 + 2
    assert sum(len(orjson.loads(batch.value).get("exemplars", ())) for batch in found[0]) == 4


@pytest.mark.parametrize("size", range(20))
def test_base64_is_that_of_the_standard_library(size: int) -> None:
    raw, out = np.random.default_rng(size).integers(0, 256, size + 2, np.uint8), np.zeros(64, np.uint8)
    end = put_base64(out, 3, raw, 1, 1 + size)
    assert out[3:end].tobytes() == base64.b64encode(raw[1 : 1 + size].tobytes())
