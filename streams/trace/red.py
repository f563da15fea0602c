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
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agents_emitter.events import Kind, SeriesDefinition
from streams.domain import conventions
from streams.domain.spanrows import EXECUTE_TOOL, INVOKE_AGENT, LAST_MODEL_OPERATION, SpanTables, service_of
from streams.trace import measure
from streams.trace.graph import CONNECTIONS
from streams.trace.group import groups, groups_of
from streams.trace.names import MAX_NAME_CHARACTERS, OTHER, Vocabulary, template
from streams.trace.samples import Labels, RedBatch, Samples

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
        self._owners: dict[Labels, Samples] = {}
        self._graph: dict[tuple[str, str], Samples] = {}
        self._labels: dict[tuple[int, ...], Any] = {}
        self._kept = np.zeros(0, np.int64)
        self._generation = tables.generation

    def _known(self) -> dict[tuple[int, ...], Any]:
        """Labels by keys that begin with a number of their own for each kind of key."""
        if self._generation != self._tables.generation:
            self._labels.clear()
            self._kept = np.zeros(0, np.int64)
            self._generation = self._tables.generation
        return self._labels

    def _own(self, resource: NDArray[np.int32]) -> None:
        """Finds what the metrics keep of each resource, by number: few, for they name no instance."""
        self._known()
        if len(self._kept) < len(self._tables.resources):
            more = np.full(len(self._tables.resources) - len(self._kept), -1, np.int64)
            self._kept = np.concatenate([self._kept, more])
        found = self._kept[resource]
        if (found < 0).any():
            for number in np.unique(resource[found < 0]).tolist():
                labels = self._resource_labels(self._tables.resources.maps[number])
                self._owners.setdefault(labels, Samples())
                self._kept[number] = list(self._owners).index(labels)

    def add_spans(self, rows: NDArray[Any], gen_ai: NDArray[np.bool_]) -> None:
        """The metrics of spans: calls and duration by span name, kind and status.

        Args:
            rows: SPAN[n]; announcements (phase start) give nothing.
            gen_ai: bool[n], those whose duration and tokens as model call, agent or tool count too. False for spans
                whose agents measure ``gen_ai.*`` themselves (those of ``agents_emitter`` do): the same calls would be
                counted twice.
        """
        ended = rows["phase"] == 0
        if not ended.all():
            rows, gen_ai = rows[ended], gen_ai[ended]
        if not len(rows):
            return
        self._own(rows["resource"])
        keys = np.empty((len(rows), measure.SPAN_KEY), np.int64)
        measure.span_keys(rows, self._kept, keys)
        group, _, found_keys = groups_of(keys)
        owners = list(self._owners.items())
        found = [self._span_series(*owners[number], number, *key) for number, *key in found_keys]
        self._examples(rows, group, found)
        flat = measure.make_flat(5 * len(rows))
        series = np.array([numbers for _, *numbers in found])
        owner = np.array([key[0] for key in found_keys])
        count = measure.measure_spans(rows, group, series, owner, flat)
        count = self._add_gen_ai(rows, gen_ai, flat, count)
        self._share_out(flat, count)

    def _share_out(self, flat: measure.Flat, count: int) -> None:
        """Gives every owner its samples of so many, in their order."""
        owners = list(self._owners.values())
        begin, order = np.empty(len(owners) + 1, np.int64), np.empty(count, np.int64)
        measure.by_number(flat.owner[:count], begin, order)
        sorted_ = measure.make_flat(count)
        measure.gather(flat, order, sorted_)
        for samples, (first, last) in zip(owners, pairwise(begin.tolist()), strict=True):
            if last > first:
                of = slice(first, last)
                samples.add(sorted_.series[of], sorted_.time_ns[of], sorted_.value[of])

    def _examples(self, rows: NDArray[Any], group: NDArray[np.int64], found: list[tuple[Samples, int, int]]) -> None:
        """The slowest span of each group as its exemplar: whoever looks at a slow bucket wants that trace."""
        slowest = np.empty(len(found), np.int64)
        measure.slowest(rows, group, slowest)
        chosen = rows[slowest]
        seconds = (chosen["end_ns"] - chosen["start_ns"]) / measure.NANOSECONDS
        ids = zip(*(chosen[name].tolist() for name in ("trace_high", "trace_low", "span", "end_ns")), strict=True)
        for (samples, _, duration), value, (high, low, span, end_ns) in zip(found, seconds.tolist(), ids, strict=True):
            samples.example(duration, value, end_ns, (high, low), span)

    def _places(self, group: NDArray[np.int64], owners: list[Samples]) -> list[tuple[Samples, NDArray[np.int64]]]:
        """The rows of each owner of groups."""
        distinct = list({id(owner): owner for owner in owners}.values())
        if len(distinct) == 1:
            return [(distinct[0], np.arange(len(group)))]
        number = {id(owner): i for i, owner in enumerate(distinct)}
        owner_of = np.array([number[id(owner)] for owner in owners])[group]
        order = np.argsort(owner_of, kind="stable")
        cuts = np.searchsorted(owner_of[order], np.arange(1, len(distinct)))
        return list(zip(distinct, np.split(order, cuts), strict=True))

    def _span_series(
        self, labels: Labels, samples: Samples, number: int, name: int, named: int, kind: int, status: int
    ) -> tuple[Samples, int, int]:
        known, key = self._known(), (0, number, name, named, kind, status)
        found: tuple[Samples, int, int] | None = known.get(key)
        if found is None:
            text = self._tables.texts.text(name)
            # GenAI spans are named after operation and model, tool or agent: few, and digits in them are versions.
            shown = self._names.span.admit(labels[0][1], text[:MAX_NAME_CHARACTERS] if named else template(text))
            own = (("span.kind", SPAN_KINDS[kind]), ("span.name", shown), ("status.code", STATUS_CODES[status]))
            calls = samples.number(SeriesDefinition(SPAN_CALLS, "1", "counter", own))
            duration = samples.number(SeriesDefinition(SPAN_DURATION, "s", "histogram", own))
            found = known[key] = (samples, calls, duration)
        return found

    def _resource_labels(self, resource: Mapping[str, Any]) -> Labels:
        kept = [("service.name", self._names.service.admit("", service_of(resource)))]
        for key in RESOURCE_KEYS[1:]:
            value = resource.get(key)
            if value:
                kept.append((key, self._names.word.admit(key, str(value))))
        return tuple(kept)

    def _add_gen_ai(self, rows: NDArray[Any], gen_ai: NDArray[np.bool_], flat: measure.Flat, first: int) -> int:
        """Adds samples from ``first`` on; returns where they end."""
        keys, places = np.empty((len(rows), measure.GEN_AI_KEY), np.int64), np.empty(len(rows), np.int64)
        resources = self._tables.resources.rows
        chosen = measure.gen_ai_keys(rows, gen_ai, self._kept, resources, places, keys)
        if not chosen:
            return first
        group, _, found_keys = groups_of(keys[:chosen])
        owners = list(self._owners.values())
        series = np.array([self._gen_ai_series(owners[key[0]], *key) for key in found_keys])
        begin, order = np.empty(len(series) + 1, np.int64), np.empty(chosen, np.int64)
        measure.by_number(group, begin, order)
        owner = np.array([key[0] for key in found_keys])
        return int(measure.measure_gen_ai(rows, places, order, begin, series, owner, flat, first))

    def _gen_ai_series(self, samples: Samples, *key: int) -> tuple[int, int, int]:
        """Numbers of the series of duration, input and output tokens; -1: none."""
        known = self._known()
        found: tuple[int, int, int] | None = known.get((3, *key))
        if found is None:
            _, agent, served, operation, provider, model, tool, error = key
            duration = self._duration(agent, served, operation, provider, model, tool, error)
            tokens = [-1, -1]
            if operation <= LAST_MODEL_OPERATION:
                by = self._model(operation, provider, model)
                tokens = [samples.number(self._token_series(by, kind)) for kind in ("input", "output")]
            number = -1 if duration is None else samples.number(duration)
            found = known[(3, *key)] = (number, tokens[0], tokens[1])
        return found

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

    def add_calls(self, calls: NDArray[Any]) -> None:
        """The service graph metrics of completed calls (CALL[k]). Servers have a vocabulary of their own."""
        if not len(calls):
            return
        group, _, keys = groups([calls[name] for name in ("client", "environment", "server", "connection")])
        found = [self._call_series(*key) for key in keys]
        index = np.array([numbers for _, numbers in found])
        for samples, at in self._places(group, [samples for samples, _ in found]):
            of, own = index[group[at]], calls[at]
            parts = (
                (np.ones(len(at), np.bool_), np.ones(len(at))),
                (own["failed"] == 1, np.ones(len(at))),
                (own["server_ns"] >= 0, own["server_ns"] / measure.NANOSECONDS),
                (own["client_ns"] >= 0, own["client_ns"] / measure.NANOSECONDS),
            )
            for number, (chosen, value) in enumerate(parts):
                samples.add(of[chosen, number], own["time_ns"][chosen], value[chosen])

    def _call_series(self, *key: int) -> tuple[Samples, list[int]]:
        known = self._known()
        found: tuple[Samples, list[int]] | None = known.get((2, *key))
        if found is None:
            owner, series = self._name_call(*key)
            samples = self._graph.setdefault(owner, Samples())
            found = known[(2, *key)] = (samples, [samples.number(one) for one in series])
        return found

    def _name_call(
        self, client: int, environment: int, server: int, connection: int
    ) -> tuple[tuple[str, str], tuple[SeriesDefinition, ...]]:
        text, names = self._tables.texts.text, self._names
        caller = names.service.admit("", text(client))
        place = names.word.admit("environment", text(environment)) if environment else ""
        called = names.word.admit("server", text(server)) if server else OTHER
        labels = (("client", caller), ("connection_type", CONNECTIONS[connection]), ("server", called))
        series = (
            SeriesDefinition(GRAPH_REQUEST, "1", "counter", labels),
            SeriesDefinition(GRAPH_FAILED, "1", "counter", labels),
            SeriesDefinition(GRAPH_SERVER, "s", "histogram", labels),
            SeriesDefinition(GRAPH_CLIENT, "s", "histogram", labels),
        )
        return (caller, place), series

    def exemplars(self) -> list[RedBatch]:
        """Takes the exemplars of what was added: before :meth:`batches`, which may forget whose they are."""
        return [one for labels in sorted(self._owners) for one in self._owners[labels].exemplars(labels[0][1], labels)]

    def batches(self, source: str) -> list[RedBatch]:
        """Takes everything that was added, as batches ordered by resource, spans first.

        Args:
            source: topic and partition of the source: ``agents.spans/3``.
        """
        numbers = self._names.numbers
        found = [
            batch
            for labels in sorted(self._owners)
            for batch in self._owners[labels].batches(labels[0][1], labels, f"red/{source}", numbers)
        ]
        for client, environment in sorted(self._graph):
            resource = (("deployment.environment.name", environment),) if environment else ()
            found += self._graph[client, environment].batches(client, resource, f"graph/{source}", numbers)
        if len(self._labels) > REMEMBERED:  # nothing waits now
            self._owners, self._graph, self._kept = {}, {}, np.zeros(0, np.int64)
            self._labels.clear()
        return found
