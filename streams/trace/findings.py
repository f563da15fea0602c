"""What shapes of traces tell, as samples on ``agents.red``: rules count them like any other metric."""

from __future__ import annotations

from collections import Counter
from typing import Final

from agents_emitter.events import SeriesDefinition, encode_metric_batch, encode_metric_head
from streams.domain.trace import TraceRecord
from streams.trace.hung import Announced
from streams.trace.marks import Marked
from streams.trace.names import OTHER, Vocabulary
from streams.trace.samples import RedBatch, producer_of

LOOPS: Final = "agents.tool.loops"
HUNG: Final = "agents.sessions.hung"
_ENVIRONMENT: Final = "deployment.environment.name"
_LABEL_VALUES: Final = 200


class PatternSamples:
    """Batches of one sample per finding.

    One batch each, so that a replay, whose runs end elsewhere, numbers them alike: their reader drops what it has.

    Args:
        source: topic and partition of the source: ``agents.spans/3``.
        numbers: batches made so far by producer; of the caller's checkpoint.
    """

    def __init__(self, source: str, numbers: Counter[str]) -> None:
        self._source, self._numbers = source, numbers
        self._words = Vocabulary(limit=_LABEL_VALUES)

    def loops(self, found: Marked) -> list[RedBatch]:
        """A sample per loop of a trace: calls that repeated an earlier one."""
        record = found.record
        if record is None or record.revision:
            return []  # a revision repeats what the first record told
        service, environment = _owner(record)
        batches = []
        for loop in found.loops:
            labels = {"agent": loop.agent, "gen_ai.tool.name": loop.tool}
            batches += self._batch(LOOPS, labels, service, environment, record.end_ns, loop.calls - 1)
        return batches

    def hung(self, known: Announced) -> list[RedBatch]:
        """A sample for a span that did not end; its time is when it was given up, by the span's own clock."""
        labels = {"operation": known.operation}
        return self._batch(HUNG, labels, known.service, known.environment, known.until_ns, 1.0)

    def _batch(
        self, name: str, labels: dict[str, str], service: str, environment: str, time_ns: int, value: float
    ) -> list[RedBatch]:
        admitted = tuple(sorted((label, self._words.admit(label, text) or OTHER) for label, text in labels.items()))
        resource = (("service.name", service), *(((_ENVIRONMENT, environment),) if environment else ()))
        producer = producer_of(f"{name}/{self._source}", service, tuple(sorted(resource)))
        head = encode_metric_head(dict(sorted(resource)), [SeriesDefinition(name, "1", "counter", admitted)], producer)
        batch = encode_metric_batch(
            head,
            seq=self._numbers[producer],
            dropped_total=0,
            base_time_unix_nano=time_ns,
            index=[0],
            offset_ns=[0],
            value=[float(value)],
        )
        self._numbers[producer] += 1
        return [RedBatch(service, batch)]


def _owner(record: TraceRecord) -> tuple[str, str]:
    """Service and environment of the root, or of the earliest span where it was not seen."""
    span = next((span for span in record.spans if span.span_id == record.root), record.spans[0])
    return span.service, str(span.resource.get(_ENVIRONMENT) or "")
