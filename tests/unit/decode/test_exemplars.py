"""Records of exemplars: read, or left out without a trace in the counts."""

from __future__ import annotations

from typing import Any

import pytest

from agents_emitter.events import encode_exemplars
from streams.decode.exemplars import read_exemplars
from streams.decode.head import HeadCache
from streams.decode.run import decode_run
from streams.domain.block import Block
from streams.domain.exemplar import Exemplar
from streams.domain.series import Series, SeriesTable
from tests.wiring.line import Record

RESOURCE = {"service.name": "planner", "deployment.environment.name": "prod", "host.name": "ignored"}
GOOD: dict[str, Any] = {
    "name": "traces.span.metrics.duration",
    "unit": "s",
    "labels": {"span.name": "plan"},
    "value": 1.5,
    "time_unix_nano": 7,
    "trace_id": "ab" * 16,
    "span_id": "cd" * 8,
}


def test_an_exemplar_has_the_series_that_batches_of_the_resource_have() -> None:
    (found,) = read_exemplars({"resource": RESOURCE, "exemplars": [GOOD]})
    labels = (("environment", "prod"), ("service.name", "planner"), ("span.name", "plan"))
    series = Series("traces.span.metrics.duration", "s", "histogram", labels)
    assert found == Exemplar(series, 1.5, 7, "ab" * 16, "cd" * 8)


@pytest.mark.parametrize(
    "change",
    [
        {"trace_id": "xyz"},
        {"span_id": "AB" * 8},
        {"value": float("nan")},
        {"value": "much"},
        {"labels": None},
        {"labels": {"": "x"}},
        {"name": ""},
        {"time_unix_nano": None},
        {"trace_id": 5},
    ],
)
def test_what_cannot_be_used_is_left_out(change: dict[str, Any]) -> None:
    assert len(read_exemplars({"resource": RESOURCE, "exemplars": [GOOD | change, GOOD, None]})) == 1


@pytest.mark.parametrize("body", [{}, {"resource": [], "exemplars": []}, {"resource": {}, "exemplars": {}}])
def test_a_record_without_form_has_none(body: dict[str, Any]) -> None:
    assert read_exemplars(body) == []


def test_they_come_through_a_run_and_are_no_events() -> None:
    value = encode_exemplars(RESOURCE, [GOOD, GOOD])
    columns = decode_run(Block.of([Record(value, 0, 2 * 10**12, b"k")]), SeriesTable(limit=10), HeadCache())
    assert len(columns.exemplars) == 2
    assert not columns.rejected
    assert columns.events.tolist() == [0]
