"""The independent reader, against batches written by hand."""

from __future__ import annotations

import pytest

from agents_emitter import events
from agents_emitter.events import Columns, SeriesDefinition
from agents_emitter.simulator import Emission
from agents_emitter.simulator.reading import explain, samples

DEFINITIONS = [SeriesDefinition("a", "s", "histogram", (("x", "1"),)), SeriesDefinition("b", "1", "gauge")]


def _batch(columns: Columns) -> bytes:
    return events.encode_metric_batch(
        events.encode_metric_head({"service.name": "s"}, DEFINITIONS, "p"),
        seq=0,
        dropped_total=0,
        base_time_unix_nano=1_000,
        index=[1, 0, 1],
        offset_ns=[-5, 0, 2**40],
        value=[0.1, 2.0, -3.5],
        columns=columns,
    )


@pytest.mark.parametrize("columns", ["packed", "plain"])
def test_samples(columns: Columns) -> None:
    a = {"name": "a", "unit": "s", "kind": "histogram", "labels": {"x": "1"}}
    b = {"name": "b", "unit": "1", "kind": "gauge"}
    resource = {"service.name": "s"}
    expected = [(resource, b, 995, 0.1), (resource, a, 1_000, 2.0), (resource, b, 1_000 + 2**40, -3.5)]
    assert list(samples(_batch(columns))) == expected
    emission = Emission(0, events.METRICS_TOPIC, b"k", _batch(columns), 3)
    assert explain(emission) == [sample[1:] for sample in expected]


def test_other_records_are_refused() -> None:
    with pytest.raises(ValueError, match=r"agents\.tick/1"):
        list(samples(events.encode_tick(1)))
