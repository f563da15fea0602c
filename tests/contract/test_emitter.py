"""What agents emit, the pipeline reads: no sample, span or log of the emitter is ever rejected, whatever was passed."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from agents_emitter import Emitter
from streams import topics
from streams.decode.head import HeadCache
from streams.decode.run import decode_run
from streams.decode.spans import decode_spans
from streams.domain.series import SeriesTable
from tests.unit.emitter.broker import Broker, emitter_for

odd: Any = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.text()))
labels = st.dictionaries(st.text(max_size=300), odd, max_size=40)


class Stored(NamedTuple):
    """A record as a consumer sees it."""

    key: bytes
    value: bytes
    offset: int
    timestamp: int = 0


def stored(broker: Broker, topic: str) -> list[Stored]:
    return [Stored(record.key, record.value, offset) for offset, record in enumerate(broker.of(topic))]


def emit(emitter: Emitter, label_sets: list[dict[str, Any]], values: list[Any]) -> None:
    counter, gauge = emitter.counter("agents.steps"), emitter.gauge("agents.memory", "By")
    for given_labels, value in zip(label_sets, values, strict=False):
        counter.add(value, **given_labels)
        gauge.set(value, **given_labels)
        with emitter.span("x", attributes=given_labels) as span:
            span.add_event("e", given_labels)
    logger = logging.Logger("agent")
    logger.addHandler(emitter.log_handler())
    for given_labels in label_sets:
        logger.info("%r", given_labels, extra={f"x{name}": value for name, value in given_labels.items()})


@settings(max_examples=60, deadline=None)
@given(st.lists(labels, max_size=10), st.lists(st.one_of(st.floats(), odd), max_size=10))
def test_everything_delivered_is_decoded(label_sets: list[dict[str, Any]], values: list[Any]) -> None:
    broker = Broker()
    with emitter_for(broker) as emitter:
        emit(emitter, label_sets, values)
    stats = emitter.stats()
    columns = decode_run(stored(broker, topics.METRICS), SeriesTable(), HeadCache(), hint=topics.METRICS)
    assert list(columns.rejected) == []
    assert len(columns.value) == stats.samples.delivered
    assert sorted(columns.value.tolist()) == sorted(value for _, _, value in broker.samples())
    spans = decode_spans(stored(broker, topics.SPANS), hint=topics.SPANS)
    assert spans.rejected == []
    assert len(spans.spans) == stats.spans.delivered == min(len(label_sets), len(values))
    logs = decode_run(stored(broker, topics.LOGS), SeriesTable(), HeadCache(), hint=topics.LOGS)
    assert list(logs.rejected) == []
    assert len(logs.value) == stats.logs.delivered == len(label_sets)


def test_the_pipeline_recognises_repeated_heads() -> None:
    broker = Broker()
    with emitter_for(broker) as emitter:
        for i in range(50):
            emitter.counter("agents.steps").add(1, n=i % 40)
            assert emitter.flush(60)
    cache, table = HeadCache(), SeriesTable()
    columns = decode_run(stored(broker, topics.METRICS), table, cache, hint=topics.METRICS)
    assert [(b.seq, b.dropped_total) for b in columns.batches] == [(n, 0) for n in range(50)]
    assert len(cache.heads) == 40, "one for each stage of growth, then always the same"
    assert dict(table.rows[0].labels) == {"agent.id": "agent-1", "service.name": "service", "n": "0"}
