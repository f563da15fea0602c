"""Rate, errors, duration: the metrics that spans and calls give, as metric batches for ``agents.red``.

Names and units are OpenTelemetry's: ``traces.span.metrics.*`` of the span metrics connector,
``traces.service.graph.*`` of the service graph connector, ``gen_ai.*`` of the GenAI conventions.

The records of a *block*, a stretch of the source log that offsets and append times alone decide, give one batch per
resource. Its producer names the source partition, and its ``seq`` counts the batches made before. A replay sends the
same batch again, and the metrics role's duplicate filter drops it. Each resource has its own producer because batches
of several can meet in one partition of ``agents.red``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agents_emitter.events import Kind, SeriesDefinition
from streams.domain import conventions
from streams.domain.spanrows import EXECUTE_TOOL, INVOKE_AGENT, LAST_MODEL_OPERATION, SpanTables, service_of
from streams.trace import measure
from streams.trace.graph import CONNECTIONS
from streams.trace.keys import Keys
from streams.trace.names import MAX_NAME_CHARACTERS, OTHER, Vocabulary, template
from streams.trace.redwire import Flat
from streams.trace.samples import Labels, Owners, RedBatch
from streams.trace.store import NONE
from streams.trace.take import CALL

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

RESOURCE_KEYS: Final = (
    "service.name",
    "service.version",
    "deployment.environment.name",
    "deployment.id",
    "agents.type",
)
"""What of a resource the metrics keep: nothing that names one instance, agent or host."""

REMEMBERED: Final = 20_000
"""Keys whose series are remembered; beyond it all are worked out again, from the next block on."""


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


class Red:
    """The samples of one block, until :meth:`batches` takes them.

    Args:
        tables: what rows and calls refer to.
        names: the partition's vocabularies. A replay after a restart begins with empty ones: a name may then come
            through that was ``other`` before, but only in batches that are dropped as duplicates or that are new.
    """

    def __init__(self, tables: SpanTables, names: Names) -> None:
        self._tables, self._names = tables, names
        self._services, self._clients = Owners(), Owners()
        self._spans = Waiting(measure.MEASURED)
        self._calls = Waiting(CALL)
        self._span_keys = Keys(measure.SPAN_KEY, 3, self._name_span)
        self._gen_ai_keys = Keys(measure.GEN_AI_KEY, 3, self._name_gen_ai)
        self._call_keys = Keys(measure.CALL_KEY, 1 + measure.CALL_PARTS, self._name_call)
        self._slowest = np.zeros(0, measure.EXAMPLE)
        self._kept = np.zeros(0, np.int64)
        self._generation = tables.generation

    @property
    def texts(self) -> list[tuple[NDArray[Any], str]]:
        """What waits, with the names of its columns that hold numbers of texts."""
        waiting = [(self._spans.rows, name) for name in measure.MEASURED_TEXTS]
        return waiting + [(self._calls.rows, name) for name in ("client", "server", "environment")]

    def _forget(self) -> None:
        """Forgets keys: they are of other texts now."""
        self._gather_exemplars()
        for keys in (self._span_keys, self._gen_ai_keys, self._call_keys):
            keys.clear()
        self._kept = np.zeros(0, np.int64)
        self._generation = self._tables.generation

    def add_spans(self, rows: NDArray[Any], gen_ai: NDArray[np.bool_], places: NDArray[np.int64]) -> None:
        """Spans whose calls and duration are metrics, by span name, kind and status.

        Args:
            rows: SPAN[n]; announcements (phase start) give nothing.
            gen_ai: bool[n], those whose duration and tokens as model call, agent or tool count too. False for spans
                whose agents measure ``gen_ai.*`` themselves (those of ``agents_emitter`` do): the same calls would be
                counted twice.
            places: which of them.
        """
        if self._generation != self._tables.generation:
            self._forget()
        out, resources, count = self._spans.room(len(places)), self._tables.resources.rows, self._spans.count
        while (after := measure.take_spans(rows, places, gen_ai, self._kept, resources, out, count)) < 0:
            self._own(rows[places])
        self._spans.count = after

    def _own(self, rows: NDArray[Any]) -> None:
        """Finds what the metrics keep of each resource, by number: few, for they name no instance."""
        if len(self._kept) < len(self._tables.resources):
            more = np.full(len(self._tables.resources) - len(self._kept), NONE, np.int64)
            self._kept = np.concatenate([self._kept, more])
        used = np.unique(rows["resource"][rows["phase"] == 0])
        for number in used[self._kept[used] < 0].tolist():
            labels = self._resource_labels(self._tables.resources.maps[number])
            self._kept[number] = self._services.number(labels[0][1], labels)

    def add_calls(self, calls: NDArray[Any]) -> None:
        """Completed calls (CALL[k]), whose metrics are the service graph."""
        self._calls.add(calls)

    def batches(self, source: str) -> list[RedBatch]:
        """Takes everything that was added, as batches ordered by resource, spans first.

        Args:
            source: topic and partition of the source: ``agents.spans/3``.
        """
        if self._generation != self._tables.generation:
            self._forget()
        found = [*self._of_spans(f"red/{source}"), *self._of_calls(f"graph/{source}")]
        if sum(map(len, (self._span_keys, self._gen_ai_keys, self._call_keys))) > REMEMBERED:  # nothing waits now
            self._forget()
            self._services.clear()
            self._clients.clear()
        return found

    def _of_spans(self, prefix: str) -> list[RedBatch]:
        rows = self._spans.take()
        if not len(rows):
            return []
        keys = np.empty((len(rows), measure.SPAN_KEY), np.int64)
        measure.span_keys(rows, keys)
        group = self._span_keys.find(keys)
        self._keep_slowest(rows, group)
        begin = self._measure(rows, group, self._services.flat(5 * len(rows)))
        return self._services.batches(prefix, begin, self._names.numbers)

    def _measure(self, rows: NDArray[Any], group: NDArray[np.int32], flat: Flat) -> NDArray[np.int64]:
        """Fills in the samples of spans; returns where those of each owner begin."""
        keys, places = np.empty((len(rows), measure.GEN_AI_KEY), np.int64), np.empty(len(rows), np.int64)
        count = measure.gen_ai_keys(rows, places, keys)
        of, appeared, places = self._gen_ai_keys.find(keys[:count]), np.empty(count, np.int32), places[:count]
        groups = measure.number_anew(of, np.full(len(self._gen_ai_keys), NONE, np.int32), appeared)
        series = self._gen_ai_keys.values[appeared[:groups]]
        first, order = np.empty(groups + 1, np.int64), np.empty(count, np.int64)
        measure.by_number(of, first, order)
        begin = np.empty(len(self._services.by_number) + 1, np.int64)
        measure.count_spans(rows, places, of, series, begin)
        at = begin[:-1].copy()
        measure.measure_spans(rows, group, self._span_keys.values, at, flat)
        measure.measure_gen_ai(rows, places, order, first, series, at, flat)
        return begin

    def _of_calls(self, prefix: str) -> list[RedBatch]:
        calls = self._calls.take()
        if not len(calls):
            return []
        keys = np.empty((len(calls), measure.CALL_KEY), np.int64)
        measure.call_keys(calls, keys)
        group = self._call_keys.find(keys)
        begin = np.empty(measure.CALL_PARTS * len(self._clients.by_number) + 1, np.int64)
        flat = self._clients.flat(measure.CALL_PARTS * len(calls))
        measure.count_calls(calls, group, self._call_keys.values, begin)
        measure.measure_calls(calls, group, self._call_keys.values, begin[:-1].copy(), flat)
        return self._clients.batches(prefix, begin[:: measure.CALL_PARTS], self._names.numbers)

    def _keep_slowest(self, rows: NDArray[Any], group: NDArray[np.int32]) -> None:
        """The slowest span of each group is its exemplar: whoever looks at a slow bucket wants that trace."""
        if len(self._slowest) < len(self._span_keys):
            more = np.zeros(2 * len(self._span_keys) - len(self._slowest), measure.EXAMPLE)
            more["seconds"] = -np.inf
            self._slowest = np.concatenate([self._slowest, more])
        measure.keep_slowest(rows, group, self._slowest)

    def _gather_exemplars(self) -> None:
        """Gives its exemplar to each series; several groups may share one."""
        used = np.flatnonzero(self._slowest["seconds"] > -np.inf)
        series = self._span_keys.values[used].tolist()
        for (owner, _, duration), (seconds, end_ns, high, low, span) in zip(
            series, self._slowest[used].tolist(), strict=True
        ):
            self._services.by_number[owner].example(duration, seconds, end_ns, (high, low), span)
        self._slowest["seconds"] = -np.inf

    def exemplars(self) -> list[RedBatch]:
        """Takes the exemplars since they were taken last."""
        self._gather_exemplars()
        return self._services.exemplars()

    def _name_span(self, *key: int) -> tuple[int, int, int]:
        """Numbers of the owner and the series of calls and duration."""
        owner, name, named, kind, status = measure.span_key(*key)
        samples, text = self._services.by_number[owner], self._tables.texts.text(name)
        # GenAI spans are named after operation and model, tool or agent: few, and digits in them are versions.
        service, short = samples.key, text[:MAX_NAME_CHARACTERS] if named else template(text)
        shown = self._names.span.admit(service, short)
        own = (("span.kind", SPAN_KINDS[kind]), ("span.name", shown), ("status.code", STATUS_CODES[status]))
        calls = samples.number(SeriesDefinition(SPAN_CALLS, "1", "counter", own))
        return owner, calls, samples.number(SeriesDefinition(SPAN_DURATION, "s", "histogram", own))

    def _resource_labels(self, resource: Mapping[str, Any]) -> Labels:
        kept = [("service.name", self._names.service.admit("", service_of(resource)))]
        for key in RESOURCE_KEYS[1:]:
            value = resource.get(key)
            if value:
                kept.append((key, self._names.word.admit(key, str(value))))
        return tuple(kept)

    def _name_gen_ai(self, *key: int) -> tuple[int, int, int]:
        """Numbers of the series of duration, input and output tokens; NONE where there is none."""
        owner, agent, operation, provider, model, tool, served, error = measure.gen_ai_key(*key)
        samples, tokens = self._services.by_number[owner], [NONE, NONE]
        duration = self._duration(agent, served, operation, provider, model, tool, error)
        if operation <= LAST_MODEL_OPERATION:
            by = self._model(operation, provider, model)
            tokens = [samples.number(self._token_series(by, kind)) for kind in ("input", "output")]
        return NONE if duration is None else samples.number(duration), tokens[0], tokens[1]

    def _duration(
        self, agent: int, served: int, operation: int, provider: int, model: int, tool: int, error: int
    ) -> SeriesDefinition | None:
        """The series of a model call's, an agent's or a tool's duration; None for anything else."""
        text = self._tables.texts.text
        failed, by = (conventions.ERROR_TYPE, text(error)), (conventions.AGENT_NAME, text(agent))
        if operation <= LAST_MODEL_OPERATION:
            return self._series(MODEL_DURATION, "s", (*self._model(operation, provider, model), failed))
        if operation == INVOKE_AGENT and not served:
            # The convention measures the invocation where it is made; the server side would count it twice.
            return self._series(AGENT_DURATION, "s", (by, failed))
        if operation == EXECUTE_TOOL:
            return self._series(TOOL_DURATION, "s", (by, (conventions.TOOL_NAME, text(tool)), failed))
        return None

    def _model(self, operation: int, provider: int, model: int) -> Labels:
        text = self._tables.texts.text
        return (
            (conventions.OPERATION, text(operation)),
            (conventions.PROVIDER, text(provider)),
            (conventions.REQUEST_MODEL, text(model)),
        )

    def _token_series(self, by: Labels, kind: str) -> SeriesDefinition:
        return self._series(MODEL_TOKENS, "{token}", (*by, ("gen_ai.token.type", kind)))

    def _series(self, name: str, unit: str, pairs: Labels, kind: Kind = "histogram") -> SeriesDefinition:
        """A series with bounded values of labels; empty ones are left out (to Prometheus they are the same)."""
        labels = ((label, self._names.word.admit(label, value)) for label, value in pairs if value)
        return SeriesDefinition(name, unit, kind, tuple(sorted(labels)))

    def _name_call(self, *key: int) -> tuple[int, ...]:
        """Numbers of the owner and of the series of each part. Servers have a vocabulary of their own."""
        client, environment, server, connection = measure.call_key(*key)
        text, names = self._tables.texts.text, self._names
        caller = names.service.admit("", text(client))
        place = names.word.admit("environment", text(environment)) if environment else ""
        called = names.word.admit("server", text(server)) if server else OTHER
        owner = self._clients.number(caller, (("deployment.environment.name", place),) if place else ())
        labels = (("client", caller), ("connection_type", CONNECTIONS[connection]), ("server", called))
        series = (
            SeriesDefinition(GRAPH_REQUEST, "1", "counter", labels),
            SeriesDefinition(GRAPH_FAILED, "1", "counter", labels),
            SeriesDefinition(GRAPH_SERVER, "s", "histogram", labels),
            SeriesDefinition(GRAPH_CLIENT, "s", "histogram", labels),
        )
        return owner, *map(self._clients.by_number[owner].number, series)


class Waiting:
    """Rows of a block that wait for its end, in memory that is kept: as much as the largest block needed.

    Attributes:
        count: how many wait.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._rows, self.count = np.zeros(256, dtype), 0

    @property
    def rows(self) -> NDArray[Any]:
        """Those that wait, in place."""
        return self._rows[: self.count]

    def room(self, more: int) -> NDArray[Any]:
        """The whole memory, with room for so many more."""
        if self.count + more > len(self._rows):
            larger = np.zeros(2 * (self.count + more), self._rows.dtype)
            larger[: self.count] = self.rows
            self._rows = larger
        return self._rows

    def add(self, rows: NDArray[Any]) -> None:
        """Copies rows (contiguous) to the end, as bytes: NumPy would copy them field by field."""
        to = self.room(len(rows))[self.count : self.count + len(rows)]
        to.view(np.uint8)[:] = rows.view(np.uint8)
        self.count += len(rows)

    def take(self) -> NDArray[Any]:
        """Those that wait, until the next ones come."""
        taken, self.count = self.rows, 0
        return taken
