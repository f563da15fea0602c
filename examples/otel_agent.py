"""A small agent that knows nothing of this project: instrumented with the OpenTelemetry SDK, exporting OTLP over gRPC.

It answers questions about Python from the language's own help texts: plans, searches (a tool), and lets a tiny model
(extractive: it scores sentences) write the answer. Some questions have no entry, so that its tool fails at times. All
it reports is standard: spans with GenAI attributes, a counter and a histogram.

    python examples/otel_agent.py --endpoint http://127.0.0.1:4317 --seconds 60

Without ``--endpoint`` the exporter takes OTEL_EXPORTER_OTLP_ENDPOINT, else http://localhost:4317.
"""

from __future__ import annotations

import argparse
import itertools
import re
import time
import uuid
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
from opentelemetry.trace import SpanKind

MODEL: Final = "extractive-1"
PROVIDER: Final = "local"
QUESTIONS: Final = (
    "how do comprehensions loops assignment work",
    "what does the with statement context manager do",
    "which exceptions can a try statement handle",
    "how are attribute access methods customized",
    "zyzzyva",  # in no text: the tool fails
    "what is the format string mini language",
    "how does import find modules and packages",
)
EXPORT_INTERVAL_MILLISECONDS: Final = 1_000


class NothingFoundError(Exception):
    """The search had no hit."""


class Agent:
    """Answers questions; every step is a span, every outcome a count."""

    def __init__(self, tracer: trace.Tracer, meter: metrics.Meter) -> None:
        self._tracer = tracer
        self._steps = meter.create_counter("agents.steps", unit="1", description="Steps that agents took.")
        self._seconds = meter.create_histogram(
            "agents.inference.duration",
            unit="s",
            description="Time of an answer.",
            # the SDK's own bounds are made for milliseconds: every answer would be in its first bucket, 0 to 5 s
            explicit_bucket_boundaries_advisory=[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5],
        )

    def answer(self, question: str) -> str:
        """One question as one trace: ``invoke_agent`` -> ``plan``, ``execute_tool``, ``chat``."""
        began = time.perf_counter()
        attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": "librarian",
            "gen_ai.conversation.id": uuid.uuid4().hex,
        }
        with self._tracer.start_as_current_span("invoke_agent librarian", attributes=attributes):
            words = self._plan(question)
            try:
                text = self._search(words)
            except NothingFoundError:
                return self._report("answer", "failure", began, "")
            return self._report("answer", "success", began, self._chat(question, text))

    def _report(self, step_type: str, outcome: str, began: float, text: str) -> str:
        self._steps.add(1, {"step_type": step_type, "outcome": outcome})
        self._seconds.record(time.perf_counter() - began, {"operation": step_type})
        return text

    def _plan(self, question: str) -> list[str]:
        with self._tracer.start_as_current_span("plan librarian", attributes={"gen_ai.operation.name": "plan"}):
            return [word for word in re.findall(r"\w+", question.lower()) if len(word) > 3]

    def _search(self, words: list[str]) -> str:
        attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "search_help",
            "gen_ai.tool.type": "function",
        }
        with self._tracer.start_as_current_span("execute_tool search_help", attributes=attributes) as span:
            began = time.perf_counter()
            scores = {title: sum(text.lower().count(word) for word in words) for title, text in TEXTS.items()}
            best = max(scores, key=scores.__getitem__)
            self._seconds.record(time.perf_counter() - began, {"operation": "search"})
            if not scores[best]:
                span.set_attribute("error.type", NothingFoundError.__name__)
                self._steps.add(1, {"step_type": "search", "outcome": "failure"})
                raise NothingFoundError(" ".join(words))
            self._steps.add(1, {"step_type": "search", "outcome": "success"})
            return TEXTS[best]

    def _chat(self, question: str, text: str) -> str:
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": PROVIDER,
            "gen_ai.request.model": MODEL,
        }
        with self._tracer.start_as_current_span(f"chat {MODEL}", kind=SpanKind.CLIENT, attributes=attributes) as span:
            answer = extract(question, text)
            span.set_attribute("gen_ai.usage.input_tokens", len(text.split()) + len(question.split()))
            span.set_attribute("gen_ai.usage.output_tokens", len(answer.split()))
            return answer


def extract(question: str, text: str) -> str:
    """The model: the three sentences that share most with the question, rare words counting more."""
    sentences = [sentence.strip() for sentence in re.split(r"(?<=[.:])\s+", text) if sentence.strip()]
    common = Counter(re.findall(r"\w+", text.lower()))
    wanted = set(re.findall(r"\w+", question.lower()))
    scores = [sum(1 / common[word] for word in set(re.findall(r"\w+", s.lower())) & wanted) for s in sentences]
    best = sorted(range(len(sentences)), key=lambda i: (-scores[i], i))[:3]
    return " ".join(sentences[i] for i in sorted(best))


def main() -> None:
    """Asks question after question for ``--seconds``, then delivers what is buffered."""
    parser = argparse.ArgumentParser(description="An agent instrumented with the OpenTelemetry SDK.")
    parser.add_argument("--endpoint", help="OTLP/gRPC, e.g. http://127.0.0.1:4317")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to work")
    parser.add_argument("--pause-seconds", type=float, default=0.2, help="between two questions")
    parser.add_argument("--environment", default="demo", help="deployment.environment.name")
    arguments = parser.parse_args()
    resource = Resource.create(
        {
            "service.name": "otel-librarian",
            "service.instance.id": f"librarian-{uuid.uuid4().hex[:8]}",
            "deployment.environment.name": arguments.environment,
            "gen_ai.agent.id": "librarian-1",
            "gen_ai.agent.name": "librarian",
            "agents.type": "librarian",
        }
    )
    spans = OTLPSpanExporter(endpoint=arguments.endpoint)
    points = OTLPMetricExporter(endpoint=arguments.endpoint)
    reader = PeriodicExportingMetricReader(points, export_interval_millis=EXPORT_INTERVAL_MILLISECONDS)
    tracers, meters = TracerProvider(resource=resource), MeterProvider([reader], resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(spans, schedule_delay_millis=EXPORT_INTERVAL_MILLISECONDS))
    try:
        _work(Agent(tracers.get_tracer("librarian"), meters.get_meter("librarian")), arguments)
    finally:
        tracers.shutdown()
        meters.shutdown()


def _work(agent: Agent, arguments: argparse.Namespace) -> None:
    ends = time.monotonic() + arguments.seconds
    for asked, question in enumerate(itertools.cycle(QUESTIONS), start=1):
        agent.answer(question)
        if time.monotonic() + arguments.pause_seconds >= ends:
            print(f"{asked} questions asked")
            return
        time.sleep(arguments.pause_seconds)


if __name__ == "__main__":
    main()
