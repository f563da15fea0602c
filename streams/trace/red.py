"""Rate, errors, duration: the metrics that spans and calls give, as metric batches for ``agents.red``.

Names and units are OpenTelemetry's: ``traces.span.metrics.*`` of the span metrics connector,
``traces.service.graph.*`` of the service graph connector, ``gen_ai.*`` of the GenAI conventions.

One source record gives one batch per service, whose producer names the source partition and whose ``seq`` is the
source offset. A replay sends the same batch again, and the metrics role's duplicate filter drops it. (Holes in that
``seq`` are records that gave no samples, not losses.) Each service has its own producer because the batches of two
services can meet in one partition of ``agents.red``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from agents_emitter.events import Kind, SeriesDefinition, encode_metric_batch, encode_metric_head
from streams.domain.span import Span
from streams.domain.trace import Call
from streams.trace import conventions
from streams.trace.names import OTHER, Vocabulary, template

SPAN_CALLS: Final = "traces.span.metrics.calls"
SPAN_DURATION: Final = "traces.span.metrics.duration"
GRAPH_REQUEST: Final = "traces.service.graph.request"
GRAPH_FAILED: Final = "traces.service.graph.request.failed"
GRAPH_SERVER: Final = "traces.service.graph.request.server"
GRAPH_CLIENT: Final = "traces.service.graph.request.client"
MODEL_DURATION: Final = "gen_ai.client.operation.duration"
MODEL_TOKENS: Final = "gen_ai.client.token.usage"
AGENT_DURATION: Final = "gen_ai.invoke_agent.duration"
TOOL_DURATION: Final = "gen_ai.execute_tool.duration"

SPAN_KINDS: Final = (
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
)
STATUS_CODES: Final = ("STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR")
MAX_SAMPLES_PER_BATCH: Final = 20_000
"""About 0.5 MB packed: below the 1 MB that ``agents.red`` takes. More go into further batches (``#1``, ``#2``, ...)."""

NANOSECONDS: Final = 1e9
Labels = tuple[tuple[str, str], ...]


class RedBatch(NamedTuple):
    """A record for ``agents.red``: key (service name) and value (a metric batch)."""

    key: str
    value: bytes


@dataclass
class Names:
    """The bounded vocabularies of the labels that a span's author chooses; one per source partition.

    ``span``: names per service. ``service``: services. ``word``: values of each other label (model, tool, error type).
    """

    span: Vocabulary = field(default_factory=lambda: Vocabulary(limit=200))
    service: Vocabulary = field(default_factory=lambda: Vocabulary(limit=2_000))
    word: Vocabulary = field(default_factory=lambda: Vocabulary(limit=500))

    @property
    def overflowed(self) -> int:
        """How many label values became ``other``."""
        return self.span.overflowed + self.service.overflowed + self.word.overflowed


class _Samples:
    """Samples of one batch in columns, and the series they point to, in order of first appearance."""

    def __init__(self) -> None:
        self.definitions: dict[SeriesDefinition, int] = {}
        self.index: list[int] = []
        self.time_ns: list[int] = []
        self.value: list[float] = []

    def add(self, name: str, unit: str, kind: Kind, labels: Labels, time_ns: int, value: float) -> None:
        definition = SeriesDefinition(name, unit, kind, tuple(sorted(labels)))
        self.index.append(self.definitions.setdefault(definition, len(self.definitions)))
        self.time_ns.append(time_ns)
        self.value.append(value)

    def batches(self, key: str, producer: str, seq: int) -> list[RedBatch]:
        definitions = list(self.definitions)
        found = []
        for part, first in enumerate(range(0, len(self.index), MAX_SAMPLES_PER_BATCH)):
            rows = slice(first, first + MAX_SAMPLES_PER_BATCH)
            used = sorted(set(self.index[rows]))
            place = {number: i for i, number in enumerate(used)}
            name = f"{producer}#{part}" if part else producer
            value = encode_metric_batch(
                encode_metric_head({}, [definitions[number] for number in used], name),
                seq=seq,
                dropped_total=0,
                base_time_unix_nano=self.time_ns[first],
                index=[place[number] for number in self.index[rows]],
                offset_ns=[time - self.time_ns[first] for time in self.time_ns[rows]],
                value=self.value[rows],
            )
            found.append(RedBatch(key, value))
        return found


def red_batches(
    spans: Iterable[Span], *, source_topic: str, partition: int, offset: int, names: Names, gen_ai: bool = True
) -> list[RedBatch]:
    """The metrics of the spans of one source record, a batch for each service, ordered by service.

    Per ended span: calls and duration by service, span name, kind and status; for GenAI spans also the duration of the
    model call, agent or tool, and the tokens. Announcements (phase start) give nothing.

    Args:
        spans: all spans of the record, in its order.
        source_topic: with ``partition`` and ``offset``: where the record stands.
        partition: of the source topic.
        offset: of the record; becomes ``seq``.
        names: the partition's vocabularies. A replay after a restart begins with empty ones: a name may then come
            through that was ``other`` before, but only in batches that are dropped as duplicates or that are new.
        gen_ai: False for sources whose agents measure ``gen_ai.*`` themselves (those of ``agents_emitter`` do), where
            the same calls would be counted twice.
    """
    by_service: dict[str, _Samples] = {}
    for given in spans:
        if given.phase == "start":
            continue
        span = conventions.modern(given)
        service = names.service.admit("", span.service)
        samples = by_service.setdefault(service, _Samples())
        _span_samples(span, service, names, samples)
        if gen_ai:
            _gen_ai_samples(span, service, names, samples)
    producer = f"red/{source_topic}/{partition}"
    return [
        batch
        for service in sorted(by_service)
        for batch in by_service[service].batches(service, f"{producer}/{service}", offset)
    ]


def _span_samples(span: Span, service: str, names: Names, samples: _Samples) -> None:
    labels = (
        ("service.name", service),
        ("span.name", names.span.admit(service, template(span.name))),
        ("span.kind", SPAN_KINDS[span.kind] if 0 <= span.kind < len(SPAN_KINDS) else SPAN_KINDS[0]),
        ("status.code", STATUS_CODES[span.status_code] if 0 <= span.status_code <= 2 else STATUS_CODES[0]),
    )
    samples.add(SPAN_CALLS, "1", "counter", labels, span.end_ns, 1.0)
    samples.add(SPAN_DURATION, "s", "histogram", labels, span.end_ns, span.duration_ns / NANOSECONDS)


def _gen_ai_samples(span: Span, service: str, names: Names, samples: _Samples) -> None:
    operation = conventions.operation(span)
    seconds = span.duration_ns / NANOSECONDS
    if operation in conventions.MODEL_OPERATIONS:
        _model_samples(span, operation, service, names, samples)
    elif operation == conventions.INVOKE_AGENT:
        name = span.attributes.get(conventions.AGENT_NAME) or span.resource.get(conventions.AGENT_NAME) or ""
        labels = _words(names, service, (conventions.AGENT_NAME, str(name)), _error(span))
        samples.add(AGENT_DURATION, "s", "histogram", labels, span.end_ns, seconds)
    elif operation == conventions.EXECUTE_TOOL:
        tool = str(span.attributes.get(conventions.TOOL_NAME) or "")
        labels = _words(names, service, (conventions.TOOL_NAME, tool), _error(span))
        samples.add(TOOL_DURATION, "s", "histogram", labels, span.end_ns, seconds)


def _model_samples(span: Span, operation: str, service: str, names: Names, samples: _Samples) -> None:
    base = (
        (conventions.OPERATION, operation),
        (conventions.PROVIDER, str(span.attributes.get(conventions.PROVIDER) or "")),
        (conventions.REQUEST_MODEL, conventions.model(span)),
    )
    labels = _words(names, service, *base, _error(span))
    samples.add(MODEL_DURATION, "s", "histogram", labels, span.end_ns, span.duration_ns / NANOSECONDS)
    for kind, count in zip(("input", "output"), conventions.tokens(span), strict=True):
        if count:
            labels = _words(names, service, *base, ("gen_ai.token.type", kind))
            samples.add(MODEL_TOKENS, "{token}", "histogram", labels, span.end_ns, float(count))


def _error(span: Span) -> tuple[str, str]:
    return (conventions.ERROR_TYPE, conventions.error_type(span))


def _words(names: Names, service: str, *pairs: tuple[str, str]) -> Labels:
    """Labels with bounded values; empty ones are left out (to Prometheus they are the same)."""
    bounded = ((name, names.word.admit(name, value)) for name, value in pairs if value)
    return (("service.name", service), *bounded)


def graph_batches(calls: Sequence[Call], *, source_topic: str, partition: int, names: Names) -> list[RedBatch]:
    """The service graph metrics of completed calls: a batch for each client and source record that completed some.

    Args:
        calls: from :class:`TraceResult`, in the order of the log.
        source_topic: with ``partition``: where the spans were read.
        partition: of the source topic.
        names: the partition's vocabularies. Servers have a vocabulary of their own.
    """
    groups: dict[tuple[int, str], _Samples] = {}
    for call in calls:
        client = names.service.admit("", call.client)
        _call_samples(call, client, names, groups.setdefault((call.offset, client), _Samples()))
    producer = f"graph/{source_topic}/{partition}"
    return [
        batch
        for (offset, client), samples in sorted(groups.items(), key=lambda item: item[0])
        for batch in samples.batches(client, f"{producer}/{client}", offset)
    ]


def _call_samples(call: Call, client: str, names: Names, samples: _Samples) -> None:
    server = names.word.admit("server", call.server) if call.server else OTHER
    labels = (("client", client), ("server", server), ("connection_type", call.connection_type))
    samples.add(GRAPH_REQUEST, "1", "counter", labels, call.time_ns, 1.0)
    if call.failed:
        samples.add(GRAPH_FAILED, "1", "counter", labels, call.time_ns, 1.0)
    if call.server_seconds is not None:
        samples.add(GRAPH_SERVER, "s", "histogram", labels, call.time_ns, call.server_seconds)
    if call.client_seconds is not None:
        samples.add(GRAPH_CLIENT, "s", "histogram", labels, call.time_ns, call.client_seconds)
