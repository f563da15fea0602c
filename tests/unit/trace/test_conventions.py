"""Older and foreign names of the same thing are understood as one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from streams.domain import conventions
from tests.unit.trace.drawing import span

TODAY = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "m",
    "gen_ai.usage.input_tokens": 10,
    "gen_ai.usage.output_tokens": 2,
}


@pytest.mark.parametrize(
    "attributes",
    [
        TODAY,
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.system": "openai",
            "gen_ai.request.model": "m",
            "gen_ai.usage.prompt_tokens": 10,
            "gen_ai.usage.completion_tokens": 2,
        },
        {
            "openinference.span.kind": "LLM",
            "llm.system": "openai",
            "llm.model_name": "m",
            "llm.token_count.prompt": 10,
            "llm.token_count.completion": 2,
        },
        {
            "traceloop.span.kind": "llm",
            "llm.vendor": "openai",
            "llm.request.model": "m",
            "llm.usage.prompt_tokens": 10,
            "llm.usage.completion_tokens": 2,
        },
    ],
    ids=["today", "gen_ai 1.27", "openinference", "openllmetry"],
)
def test_four_schools_describe_one_model_call(attributes: dict[str, Any]) -> None:
    found = conventions.modern(span("s", 0, 1, attributes=attributes))
    assert {name: found.attributes[name] for name in TODAY} == TODAY
    assert conventions.operation(found) == "chat"
    assert conventions.tokens(found) == (10, 2)
    assert conventions.model(found) == "m"


def test_todays_name_beats_an_older_one_and_the_provider_beats_the_system() -> None:
    mixed = {"gen_ai.system": "old", "gen_ai.provider.name": "new", "llm.provider": "older", "kept": 1}
    assert conventions.modernise(mixed) == {"gen_ai.provider.name": "new", "kept": 1}
    hosted = conventions.modernise({"llm.system": "openai", "llm.provider": "azure"})
    assert hosted == {"gen_ai.provider.name": "azure"}
    assert conventions.modernise({"gen_ai.provider.name": "az.ai.openai"}) == {
        "gen_ai.provider.name": "azure.ai.openai"
    }


def test_a_span_that_needs_no_change_stays_the_same_object() -> None:
    one = span("s", 0, 1, attributes=TODAY)
    assert conventions.modern(one) is one
    plain = span("s", 0, 1, attributes={"http.route": "/x"})
    assert conventions.modern(plain) is plain


@pytest.mark.parametrize(
    ("name", "attributes", "operation"),
    [
        ("execute_tool search", {"gen_ai.tool.name": "search"}, "execute_tool"),
        ("invoke_agent writer", {"gen_ai.agent.name": "writer"}, "invoke_agent"),
        ("chat room opened", {"room": "kitchen"}, ""),
        ("chat", {"openinference.span.kind": "CHAIN"}, ""),
        ("search", {"openinference.span.kind": "TOOL"}, "execute_tool"),
    ],
)
def test_the_operation_is_told_by_attribute_kind_or_name(name: str, attributes: dict[str, Any], operation: str) -> None:
    assert conventions.operation(conventions.modern(span("s", 0, 1, name=name, attributes=attributes))) == operation


def test_the_type_of_an_error() -> None:
    event = {"name": "exception", "attributes": {"exception.type": "ValueError"}}
    stated = span("s", 0, 1, error="x", attributes={"error.type": "timeout"})
    assert conventions.error_type(stated) == "timeout"
    assert conventions.error_type(span("s", 0, 1, attributes={"error.type": "timeout"})) == ""
    assert conventions.error_type(span("s", 0, 1, error="x")) == "_OTHER"
    assert conventions.error_type(replace(span("s", 0, 1, error="x"), events=(event,))) == "ValueError"


@pytest.mark.parametrize("value", [-1, True, "many", None, float("nan"), float("inf"), 10**30, [1]])
def test_a_token_count_that_is_none_counts_as_nothing(value: object) -> None:
    assert conventions.tokens(span("s", 0, 1, attributes={"gen_ai.usage.input_tokens": value})) == (0, 0)


def test_a_provider_that_is_no_text_is_left_as_it_is() -> None:
    said = {conventions.PROVIDER: ["a", "b"]}
    assert conventions.modernise(said) is said
