"""What agents call things: OpenTelemetry's GenAI names, and older or foreign names turned into them.

The GenAI conventions are still in development, and instrumentations of several ages and schools run side by side. Every
span passes :func:`modernise` once, so that the rest of the pipeline knows one vocabulary. Sources: OpenTelemetry
semantic conventions 1.27-1.37 (``gen_ai.system`` became ``gen_ai.provider.name``, ``prompt_tokens`` became
``input_tokens``), OpenInference, and OpenLLMetry (``traceloop.*``, ``llm.*``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from streams.domain.span import Span

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CONVERSATION_ID: Final = "gen_ai.conversation.id"
AGENT_NAME: Final = "gen_ai.agent.name"
AGENT_ID: Final = "gen_ai.agent.id"
TOOL_NAME: Final = "gen_ai.tool.name"
WORKFLOW_NAME: Final = "gen_ai.workflow.name"
ERROR_TYPE: Final = "error.type"
DATABASE_SYSTEM: Final = "db.system.name"
MESSAGING_SYSTEM: Final = "messaging.system"
OTHER_ERROR: Final = "_OTHER"
"""OpenTelemetry's value of ``error.type`` when nothing better is known."""

STATUS_ERROR: Final = 2
KIND_SERVER: Final = 2
KIND_CLIENT: Final = 3
KIND_PRODUCER: Final = 4
KIND_CONSUMER: Final = 5

RENAMED: Final[Mapping[str, str]] = {
    # older OpenTelemetry
    "gen_ai.system": PROVIDER,
    "gen_ai.usage.prompt_tokens": INPUT_TOKENS,
    "gen_ai.usage.completion_tokens": OUTPUT_TOKENS,
    "db.system": DATABASE_SYSTEM,
    # OpenLLMetry
    "llm.vendor": PROVIDER,
    "llm.request.model": REQUEST_MODEL,
    "llm.response.model": RESPONSE_MODEL,
    "llm.usage.prompt_tokens": INPUT_TOKENS,
    "llm.usage.completion_tokens": OUTPUT_TOKENS,
    "traceloop.workflow.name": WORKFLOW_NAME,
    # OpenInference
    "llm.provider": PROVIDER,
    "llm.system": PROVIDER,
    "llm.request.model_name": REQUEST_MODEL,
    "llm.response.model_name": RESPONSE_MODEL,
    "llm.model_name": REQUEST_MODEL,
    "embedding.model_name": REQUEST_MODEL,
    "llm.token_count.prompt": INPUT_TOKENS,
    "llm.token_count.completion": OUTPUT_TOKENS,
    "tool.name": TOOL_NAME,
    "agent.name": AGENT_NAME,
    "session.id": CONVERSATION_ID,
}
"""Older name -> today's name. Of several that mean the same, the one listed first wins; today's name beats them all."""

PROVIDER_RENAMED: Final[Mapping[str, str]] = {
    "az.ai.inference": "azure.ai.inference",
    "az.ai.openai": "azure.ai.openai",
    "gemini": "gcp.gemini",
    "vertex_ai": "gcp.vertex_ai",
    "xai": "x_ai",
}

OPERATION_OF_SPAN_KIND: Final[Mapping[str, str]] = {
    "llm": "chat",
    "embedding": "embeddings",
    "tool": "execute_tool",
    "agent": "invoke_agent",
    "workflow": "invoke_workflow",
    "retriever": "retrieval",
}
"""``openinference.span.kind`` (upper case) and ``traceloop.span.kind`` (lower case) -> ``gen_ai.operation.name``."""

MODEL_OPERATIONS: Final = frozenset({"chat", "text_completion", "generate_content", "embeddings"})
INVOKE_AGENT: Final = "invoke_agent"
EXECUTE_TOOL: Final = "execute_tool"
NAMED_OPERATIONS: Final = MODEL_OPERATIONS | {INVOKE_AGENT, EXECUTE_TOOL, "create_agent", "invoke_workflow", "plan"}
"""First words of span names that are operations."""


def modernise(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Attributes under today's names; the same object if nothing had to change. Other attributes stay as they are."""
    old = [name for name in RENAMED if name in attributes]
    provider = attributes.get(PROVIDER)
    if not old and not (isinstance(provider, str) and provider in PROVIDER_RENAMED):
        return attributes
    renamed = {name: value for name, value in attributes.items() if name not in RENAMED}
    for name in old:
        renamed.setdefault(RENAMED[name], attributes[name])
    provider = str(renamed.get(PROVIDER, ""))
    if provider:
        renamed[PROVIDER] = PROVIDER_RENAMED.get(provider.lower(), provider)
    return renamed


def modern(span: Span) -> Span:
    """The span with today's attribute names, the operation included where it can be told."""
    attributes = modernise(span.attributes)
    found = _operation(span.name, attributes)
    if found and OPERATION not in attributes:
        attributes = {**attributes, OPERATION: found}
    return span if attributes is span.attributes else replace(span, attributes=attributes)


def operation(span: Span) -> str:
    """``gen_ai.operation.name`` of a span that passed :func:`modern`; "" if it is no GenAI span."""
    return str(span.attributes.get(OPERATION, ""))


def _operation(name: str, attributes: Mapping[str, Any]) -> str:
    if OPERATION in attributes:
        return str(attributes[OPERATION])
    foreign = attributes.get("openinference.span.kind") or attributes.get("traceloop.span.kind")
    if foreign:
        return OPERATION_OF_SPAN_KIND.get(str(foreign).lower(), "")
    first = name.partition(" ")[0]
    # A span that merely happens to be called "chat ..." is not a model call.
    if first in NAMED_OPERATIONS and any(key.startswith("gen_ai.") for key in attributes):
        return first
    return ""


def error_type(span: Span) -> str:
    """Why a span failed: ``error.type``, else the type of its last exception, else ``_OTHER``; "" if it did not."""
    if span.status_code != STATUS_ERROR:
        return ""
    stated = span.attributes.get(ERROR_TYPE)
    if stated:
        return str(stated)
    for event in reversed(span.events):
        kind = event.get("attributes", {}).get("exception.type")
        if kind:
            return str(kind)
    return OTHER_ERROR


def tokens(span: Span) -> tuple[int, int]:
    """Input and output tokens that a span states; what is missing or not a whole non-negative number counts as 0."""
    return _count(span.attributes.get(INPUT_TOKENS)), _count(span.attributes.get(OUTPUT_TOKENS))


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return 0
    try:
        number = int(value)
    except (ValueError, OverflowError):
        return 0
    return number if 0 <= number < 1 << 53 else 0


def model(span: Span) -> str:
    """The requested model, else the one that answered, else ""."""
    return str(span.attributes.get(REQUEST_MODEL) or span.attributes.get(RESPONSE_MODEL) or "")


def agent(span: Span) -> str:
    """The agent that a span itself names ("" if none): attributes first, then the resource."""
    for source in (span.attributes, span.resource):
        named = source.get(AGENT_NAME) or source.get(AGENT_ID)
        if named:
            return str(named)
    return ""
