"""Two agents of a framework (Pydantic AI) that measures itself with OpenTelemetry. No line of ours but one.

A librarian looks a word up in Python's help texts (a tool) and has a writer, an agent of its own, sum the text up. The
model is a function, so that it needs no network and does the same every time. Some words have no entry: the tool fails.

    python examples/framework_agent.py --questions 20 --brokers 127.0.0.1:9092            # the one line
    python examples/framework_agent.py --questions 20 --endpoint http://127.0.0.1:4317    # an OTLP collector

It needs ``pip install pydantic-ai-slim``, and prints what it did as one JSON line.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections import Counter
from pydoc_data.topics import topics as TEXTS  # noqa: N812 - a table
from typing import Final

from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pydantic_ai import Agent, ModelRetry
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

import agents_emitter.otel

SERVICE: Final = "reading-room"
WORDS: Final = ("import", "with", "zyzzyva", "lambda", "class", "try", "for")  # one of seven has no entry

done: Final = Counter[str]()
"""What happened, counted where it happens; the traces must say the same."""


def librarian_model(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
    """Look it up, have it summed up, answer; where nothing was found, say so."""
    done["model_calls librarian"] += 1
    last = messages[-1].parts[-1]
    if not isinstance(last, ToolReturnPart):
        return ModelResponse(parts=[ToolCallPart("look_up", {"word": str(last.content)})])
    if last.outcome == "retried":
        return ModelResponse(parts=[TextPart("There is no text about that.")])
    if last.tool_name == "look_up":
        return ModelResponse(parts=[ToolCallPart("ask_writer", {"text": str(last.content)})])
    return ModelResponse(parts=[TextPart(str(last.content))])


def writer_model(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
    """The first sentence."""
    done["model_calls writer"] += 1
    text = str(messages[-1].parts[-1].content)
    return ModelResponse(parts=[TextPart(text.partition(". ")[0])])


librarian: Final = Agent(FunctionModel(librarian_model, model_name="librarian-model"), name="librarian")
writer: Final = Agent(FunctionModel(writer_model, model_name="writer-model"), name="writer")


@librarian.tool_plain
def look_up(word: str) -> str:
    """The help text of a word.

    Raises:
        ModelRetry: there is none.
    """
    done["tools look_up"] += 1
    if word not in TEXTS:
        done["failed_tools"] += 1
        raise ModelRetry(f"no entry: {word}")
    return TEXTS[word][:2_000]


@librarian.tool_plain
async def ask_writer(text: str) -> str:
    """What the writer makes of a text."""
    done["tools ask_writer"] += 1
    done["agents writer"] += 1
    answer = await writer.run(text)
    _count_tokens("writer", answer.usage)
    return answer.output


def ask(word: str) -> str:
    """One question: one trace."""
    done["traces"] += 1
    done["agents librarian"] += 1
    answer = librarian.run_sync(word)
    _count_tokens("librarian", answer.usage)
    return answer.output


def _count_tokens(agent: str, usage: object) -> None:
    done[f"input_tokens {agent}"] += getattr(usage, "input_tokens", 0)
    done[f"output_tokens {agent}"] += getattr(usage, "output_tokens", 0)


def export_otlp(endpoint: str, agent_id: str) -> list[TracerProvider | MeterProvider]:
    """What a program does that sends to a collector."""
    resource = Resource.create({"service.name": SERVICE, "gen_ai.agent.id": agent_id})
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(tracers)
    meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=endpoint))], resource=resource)
    metrics.set_meter_provider(meters)
    return [tracers, meters]


def main() -> None:
    """Asks a fixed number of questions, then delivers what is buffered."""
    parser = argparse.ArgumentParser(description="Two agents of a framework that measures itself with OpenTelemetry.")
    parser.add_argument("--questions", type=int, default=20)
    parser.add_argument("--agent-id", default="reading-room-1")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--brokers", help="Kafka: agents_emitter.otel")
    where.add_argument("--endpoint", help="OTLP/gRPC, e.g. http://127.0.0.1:4317")
    arguments = parser.parse_args()
    if arguments.brokers:
        ending = [
            agents_emitter.otel.install(arguments.brokers, service_name=SERVICE, agent_id=arguments.agent_id).close
        ]
    else:
        ending = [provider.shutdown for provider in export_otlp(arguments.endpoint, arguments.agent_id)]
    Agent.instrument_all()
    for word in itertools.islice(itertools.cycle(WORDS), arguments.questions):
        ask(word)
    for end in ending:
        end()
    print(json.dumps(done))


if __name__ == "__main__":
    main()
