"""Rate, errors, duration: the metrics that spans and calls give, as metric batches for ``agents.red``.

Names and units are OpenTelemetry's: ``traces.span.metrics.*`` of the span metrics connector,
``traces.service.graph.*`` of the service graph connector, ``gen_ai.*`` of the GenAI conventions.

One source record gives one batch per resource, whose producer names the source partition and whose ``seq`` is the
source offset. A replay sends the same batch again, and the metrics role's duplicate filter drops it. (Holes in that
``seq`` are records that gave no samples, not losses.) Each resource has its own producer because batches of several can
meet in one partition of ``agents.red``.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from agents_emitter.events import Kind, SeriesDefinition, encode_metric_batch, encode_metric_head
from streams.domain import conventions
from streams.domain.span import Span
from streams.domain.trace import Call
from streams.trace.names import MAX_NAME_CHARACTERS, OTHER, Vocabulary, template

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

RESOURCE_KEYS: Final = (
    "service.name",
    "service.version",
    "deployment.environment.name",
    "deployment.id",
    "agents.type",
)
"""What of a resource the metrics keep: nothing that names one instance, agent or host."""

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
    ``numbers``: batches made so far by producer. It belongs into the caller's checkpoint: a replay then numbers the
    same batches alike and their reader drops them; bounded by the vocabularies.
    """

    span: Vocabulary = field(default_factory=lambda: Vocabulary(limit=200))
    service: Vocabulary = field(default_factory=lambda: Vocabulary(limit=2_000))
    word: Vocabulary = field(default_factory=lambda: Vocabulary(limit=500))
    numbers: Counter[str] = field(default_factory=Counter)

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

    def batches(self, key: str, resource: Labels, producer: str, numbers: Counter[str]) -> list[RedBatch]:
        definitions = list(self.definitions)
        found = []
        for first in range(0, len(self.index), MAX_SAMPLES_PER_BATCH):
            rows = slice(first, first + MAX_SAMPLES_PER_BATCH)
            used = sorted(set(self.index[rows]))
            place = {number: i for i, number in enumerate(used)}
            value = encode_metric_batch(
                encode_metric_head(dict(resource), [definitions[number] for number in used], producer),
                seq=numbers[producer],
                dropped_total=0,
                base_time_unix_nano=self.time_ns[first],
                index=[place[number] for number in self.index[rows]],
                offset_ns=[time - self.time_ns[first] for time in self.time_ns[rows]],
                value=self.value[rows],
            )
            numbers[producer] += 1
            found.append(RedBatch(key, value))
        return found


def red_batches(
    spans: Iterable[Span], *, source_topic: str, partition: int, names: Names, gen_ai: bool = True
) -> list[RedBatch]:
    """The metrics of the spans of one source record, a batch for each resource, ordered by resource.

    Per ended span: calls and duration by span name, kind and status; for GenAI spans also the duration of the
    model call, agent or tool, and the tokens. Announcements (phase start) give nothing.

    Args:
        spans: all spans of the record, in its order.
        source_topic: with ``partition``: where the record stands.
        partition: of the source topic.
        names: the partition's vocabularies. A replay after a restart begins with empty ones: a name may then come
            through that was ``other`` before, but only in batches that are dropped as duplicates or that are new.
        gen_ai: False for sources whose agents measure ``gen_ai.*`` themselves (those of ``agents_emitter`` do), where
            the same calls would be counted twice.
    """
    groups: dict[Labels, _Samples] = {}
    for given in spans:
        if given.phase == "start":
            continue
        span = conventions.modern(given)
        resource = _resource(span, names)
        samples = groups.setdefault(resource, _Samples())
        _span_samples(span, dict(resource)["service.name"], names, samples)
        if gen_ai:
            _gen_ai_samples(span, names, samples)
    prefix = f"red/{source_topic}/{partition}"
    return [
        batch
        for resource in sorted(groups)
        for batch in _batches(prefix, resource[0][1], resource, names, groups[resource])
    ]


def _resource(span: Span, names: Names) -> Labels:
    kept = [("service.name", names.service.admit("", span.service))]
    for key in RESOURCE_KEYS[1:]:
        value = span.resource.get(key)
        if value:
            kept.append((key, names.word.admit(key, str(value))))
    return tuple(kept)


def _batches(prefix: str, key: str, resource: Labels, names: Names, samples: _Samples) -> list[RedBatch]:
    digest = hashlib.sha256(repr((key, resource)).encode()).hexdigest()[:12]
    return samples.batches(key, resource, f"{prefix}/{digest}", names.numbers)


def _span_samples(span: Span, service: str, names: Names, samples: _Samples) -> None:
    labels = (
        ("span.name", names.span.admit(service, _name(span))),
        ("span.kind", SPAN_KINDS[span.kind] if 0 <= span.kind < len(SPAN_KINDS) else SPAN_KINDS[0]),
        ("status.code", STATUS_CODES[span.status_code] if 0 <= span.status_code <= 2 else STATUS_CODES[0]),
    )
    samples.add(SPAN_CALLS, "1", "counter", labels, span.end_ns, 1.0)
    samples.add(SPAN_DURATION, "s", "histogram", labels, span.end_ns, span.duration_ns / NANOSECONDS)


def _name(span: Span) -> str:
    """GenAI spans are named after operation and model, tool or agent: few, and digits in them are versions, not ids."""
    return span.name[:MAX_NAME_CHARACTERS] if conventions.operation(span) else template(span.name)


def _gen_ai_samples(span: Span, names: Names, samples: _Samples) -> None:
    operation = conventions.operation(span)
    seconds = span.duration_ns / NANOSECONDS
    name = str(span.attributes.get(conventions.AGENT_NAME) or span.resource.get(conventions.AGENT_NAME) or "")
    agent = (conventions.AGENT_NAME, name)
    if operation in conventions.MODEL_OPERATIONS:
        _model_samples(span, operation, names, samples)
    elif operation == conventions.INVOKE_AGENT and span.kind != conventions.KIND_SERVER:
        # The convention measures the invocation where it is made; the server side of a remote one would count it twice.
        samples.add(AGENT_DURATION, "s", "histogram", _words(names, agent, _error(span)), span.end_ns, seconds)
    elif operation == conventions.EXECUTE_TOOL:
        tool = (conventions.TOOL_NAME, str(span.attributes.get(conventions.TOOL_NAME) or ""))
        samples.add(TOOL_DURATION, "s", "histogram", _words(names, agent, tool, _error(span)), span.end_ns, seconds)


def _model_samples(span: Span, operation: str, names: Names, samples: _Samples) -> None:
    base = (
        (conventions.OPERATION, operation),
        (conventions.PROVIDER, str(span.attributes.get(conventions.PROVIDER) or "")),
        (conventions.REQUEST_MODEL, conventions.model(span)),
    )
    labels = _words(names, *base, _error(span))
    samples.add(MODEL_DURATION, "s", "histogram", labels, span.end_ns, span.duration_ns / NANOSECONDS)
    for kind, count in zip(("input", "output"), conventions.tokens(span), strict=True):
        if count:
            labels = _words(names, *base, ("gen_ai.token.type", kind))
            samples.add(MODEL_TOKENS, "{token}", "histogram", labels, span.end_ns, float(count))


def _error(span: Span) -> tuple[str, str]:
    return (conventions.ERROR_TYPE, conventions.error_type(span))


def _words(names: Names, *pairs: tuple[str, str]) -> Labels:
    """Labels with bounded values; empty ones are left out (to Prometheus they are the same)."""
    return tuple((name, names.word.admit(name, value)) for name, value in pairs if value)


def graph_batches(calls: Sequence[Call], *, source_topic: str, partition: int, names: Names) -> list[RedBatch]:
    """The service graph metrics of completed calls: a batch for each client and source record that completed some.

    Args:
        calls: from :class:`TraceResult`, in the order of the log.
        source_topic: with ``partition``: where the spans were read.
        partition: of the source topic.
        names: the partition's vocabularies. Servers have a vocabulary of their own.
    """
    groups: dict[tuple[int, str, str], _Samples] = {}
    for call in calls:
        client = names.service.admit("", call.client)
        environment = names.word.admit("environment", call.environment) if call.environment else ""
        _call_samples(call, client, names, groups.setdefault((call.offset, client, environment), _Samples()))
    prefix = f"graph/{source_topic}/{partition}"
    found = []
    for (_, client, environment), samples in sorted(groups.items(), key=lambda item: item[0]):
        resource = (("deployment.environment.name", environment),) if environment else ()
        found.extend(_batches(prefix, client, resource, names, samples))
    return found


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
