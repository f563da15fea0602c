from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_emitter import SpanContext, extract, inject, inject_kafka
from agents_emitter.propagation import format_traceparent, parse_traceparent
from tests.unit.emitter.broker import Broker, emitter_for

CONTEXT = SpanContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", 1, "rojo=1")
HEADER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
hexadecimal = st.text("0123456789abcdef", min_size=32, max_size=32).filter(lambda t: t[:16].strip("0") != "")


@given(hexadecimal, st.integers(0, 255))
def test_what_is_injected_is_extracted(digits: str, flags: int) -> None:
    context = SpanContext(digits, digits[:16], flags)
    assert parse_traceparent(format_traceparent(context)) == context
    carrier: dict[str, str] = {}
    inject(carrier, context)
    assert extract(carrier) == extract(inject_kafka([], context)) == context


@pytest.mark.parametrize(
    "carrier",
    [
        {"traceparent": HEADER, "tracestate": "rojo=1"},
        {"Traceparent": HEADER, "TraceState": "rojo=1", "other": 3},
        [("x", b"\xff"), ("traceparent", HEADER.encode()), ("tracestate", b"rojo=1")],
        [(b"traceparent", HEADER.encode()), (b"tracestate", b"rojo=1")],
    ],
)
def test_every_kind_of_carrier_is_read(carrier: Any) -> None:
    assert extract(carrier) == CONTEXT


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        HEADER.upper(),
        HEADER + "-more",
        "ff" + HEADER[2:],
        HEADER.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        HEADER.replace("00f067aa0ba902b7", "0" * 16),
        HEADER[:-1],
        HEADER.replace("f", "g"),
    ],
)
def test_a_broken_header_starts_a_new_trace(header: str) -> None:
    assert extract({"traceparent": header}) is None
    assert extract([("traceparent", header.encode())]) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert extract({"traceparent": "01" + HEADER[2:] + "-more"}) == CONTEXT._replace(state="")


def test_odd_carriers_break_nothing() -> None:
    assert extract(None) is None
    assert extract({}) is None
    assert extract([(None, None), (3, object())]) is None


def test_kafka_headers_keep_the_rest_and_replace_the_old_context() -> None:
    old = [("id", b"7"), ("traceparent", b"old")]
    assert inject_kafka(old, CONTEXT) == [
        ("id", b"7"),
        ("traceparent", HEADER.encode()),
        ("tracestate", b"rojo=1"),
    ]
    assert inject_kafka(old) == old, "no span is open: pass on what came in"


def test_baggage_goes_along_in_every_kind_of_carrier() -> None:
    context = CONTEXT._replace(baggage="user=7,plan=free;p=1")
    carrier: dict[str, str] = {}
    inject(carrier, context)
    assert carrier["baggage"] == "user=7,plan=free;p=1"
    assert extract(carrier) == extract(inject_kafka([("baggage", b"old=1")], context)) == context
    assert inject_kafka([("baggage", b"theirs=1")], CONTEXT)[0] == ("baggage", b"theirs=1")
    several = [("traceparent", HEADER), ("Baggage", "a=1"), ("baggage", b"b=2")]
    assert extract(several) == CONTEXT._replace(state="", baggage="a=1,b=2")


@pytest.mark.parametrize("name", ["baggage", "tracestate"])
def test_a_list_that_is_too_long_loses_whole_members_and_one_that_breaks_out_is_dropped(name: str) -> None:
    def read(text: str) -> str:
        found = extract({"traceparent": HEADER, name: text})
        assert found is not None
        return found.baggage if name == "baggage" else found.state

    limit = 8192 if name == "baggage" else 512
    assert read("a=1," + "b" * (limit - 4)) == "a=1," + "b" * (limit - 4)
    assert read("a=1," + "b" * (limit - 3)) == "a=1"
    assert read("b" * (limit + 1)) == ""
    assert read("a=1\r\nX-Admin: yes") == ""
    assert read("a=\u00e9") == ""


def test_spans_below_carry_the_baggage_and_do_not_record_it() -> None:
    with emitter_for(Broker()) as emitter:
        parent = CONTEXT._replace(baggage="user=7")
        with emitter.span("call", parent=parent), emitter.span("inner") as inner:
            carrier: dict[str, str] = {}
            inject(carrier)
    assert carrier["baggage"] == inner.context.baggage == "user=7"
    assert inner.attributes == {}


CHILD = """
import json, sys
from agents_emitter import Emitter, extract, inject
emitter = Emitter(None, service_name="child")
with emitter.span("child", kind="server", parent=extract(json.loads(sys.argv[1]))) as span:
    back = {}
    inject(back)
    print(json.dumps({"parent": span.parent_span_id, "back": back}))
"""


def test_a_trace_continues_in_another_process() -> None:
    with emitter_for(Broker()) as emitter, emitter.span("call", kind="client") as span:
        carrier: dict[str, str] = {}
        inject(carrier)
        answer = json.loads(
            subprocess.run(
                [sys.executable, "-c", CHILD, json.dumps(carrier)], capture_output=True, text=True, check=True
            ).stdout
        )
    assert answer["parent"] == span.context.span_id
    back = extract(answer["back"])
    assert back is not None
    assert back.trace_id == span.context.trace_id
    assert back.span_id != span.context.span_id
