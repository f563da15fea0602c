from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from agents_emitter import Emitter
from agents_emitter.text import MAX_LABEL_CHARS, MAX_LABELS
from tests.unit.emitter.broker import Broker, agree, emitter_for


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def emitter(broker: Broker) -> Iterator[Emitter]:
    with emitter_for(broker) as made:
        yield made


class Broken:
    """An object of an agent that answers nothing."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __float__(self) -> float:
        raise RuntimeError("no number")

    __hash__ = None  # type: ignore[assignment]


def test_values_arrive_with_their_labels(emitter: Emitter, broker: Broker) -> None:
    steps = emitter.counter("agents.steps")
    steps.add(2, outcome="success", step_type="plan")
    steps.labels(step_type="plan", outcome="success").add(3)
    emitter.histogram("http.request.duration", "s").record(0.25, method="GET", status=200)
    emitter.gauge("agents.memory", "By").set(4)
    emitter.updowncounter("agents.active", "{agent}").add(-1)
    emitter.counter("agents.belief.predictions").add(correct=True)
    assert emitter.flush(60)
    plan = {"outcome": "success", "step_type": "plan"}
    assert broker.samples() == [
        ("agents.steps", plan, 2.0),
        ("agents.steps", plan, 3.0),
        ("http.request.duration", {"method": "GET", "status": "200"}, 0.25),
        ("agents.memory", {}, 4.0),
        ("agents.active", {}, -1.0),
        ("agents.belief.predictions", {"correct": "true"}, 1.0),
    ]
    record = broker.of("agents.metrics")[0]
    assert record.key == b"agent-1"
    assert record.body["resource"]["gen_ai.agent.id"] == "agent-1"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, None, "text", [1], Broken(), object(), 10**400])
def test_what_is_no_number_is_dropped_and_counted(emitter: Emitter, broker: Broker, value: Any) -> None:
    counter = emitter.counter("agents.steps")
    counter.add(1)
    counter.add(value)
    counter.labels().add(value)
    counter.add(5)
    assert emitter.flush(60)
    samples = emitter.stats().samples
    assert (samples.emitted, samples.delivered, samples.dropped_by_reason) == (4, 2, {"invalid": 2})
    assert [value for _, _, value in broker.samples()] == [1.0, 5.0]
    counter.add(1)
    assert emitter.flush(60)
    assert broker.of("agents.metrics")[-1].body["dropped_total"] == 2


@pytest.mark.parametrize("value", [Decimal("1.5"), "1.5", True, 7])
def test_what_can_become_a_number_is_one(emitter: Emitter, broker: Broker, value: Any) -> None:
    emitter.gauge("g").set(value)
    assert emitter.flush(60)
    assert [v for _, _, v in broker.samples()] == [float(value)]


def test_odd_labels_become_text_within_bounds(emitter: Emitter, broker: Broker) -> None:
    counter = emitter.counter("agents.errors")
    odd: dict[str, Any] = {
        "a": [1, 2],
        "b": Broken(),
        "c": None,
        "d\n e": "x" * 10**6,
        "": 1.5,
        "self": "s",
        "s": "\ud800",
    }
    for _ in range(2):
        counter.add(1, **odd)
    counter.add(1, **{f"label{i:02d}": i for i in range(40)})
    assert emitter.flush(60)
    (_, labels, _), again, (_, many, _) = broker.samples()
    assert again[1] == labels
    assert labels == {
        "a": "[1, 2]",
        "b": "<Broken>",
        "d__e": "x" * MAX_LABEL_CHARS,
        "_": "1.5",
        "self": "s",
        "s": "?",
    }
    assert len(many) == MAX_LABELS
    assert agree(emitter)


def test_the_cache_keeps_no_object_of_the_agent_and_no_huge_text(emitter: Emitter) -> None:
    counter = emitter.counter("c")
    counter.add(1, a=Decimal(1))
    counter.add(1, a="x" * 1000)
    assert counter._cache == {}
    counter.add(1, a="x")
    assert len(counter._cache) == 1


def test_label_sets_over_the_bound_share_one_series(broker: Broker) -> None:
    with emitter_for(broker, max_series=3) as emitter:
        counter, gauge = emitter.counter("c"), emitter.gauge("g")
        for i in range(10):
            counter.add(1, user=i)
        gauge.set(1, user="x")
        assert emitter.flush(60)
        stats = emitter.stats()
    assert stats.series == 5
    assert stats.overflowed == 8
    series = [(name, tuple(labels.items())) for name, labels, _ in broker.samples()]
    overflow = (("otel.metric.overflow", "true"),)
    assert series[:3] == [("c", (("user", str(i)),)) for i in range(3)]
    assert series[3:] == [("c", overflow)] * 7 + [("g", overflow)]
    assert len(counter._cache) == 3


@pytest.mark.parametrize("name", ["", "9x", "a b", "x" * 256, "é", None])
def test_a_bad_name_is_refused_when_the_instrument_is_made(emitter: Emitter, name: Any) -> None:
    with pytest.raises(ValueError, match="not a metric name"):
        emitter.counter(name)


def test_one_name_is_one_instrument(emitter: Emitter) -> None:
    assert emitter.counter("c") is emitter.counter("c")
    with pytest.raises(ValueError, match="already a counter"):
        emitter.gauge("c")
    with pytest.raises(ValueError, match="already a counter in '1'"):
        emitter.counter("c", "s")
    with pytest.raises(ValueError, match="not a unit"):
        emitter.counter("d", "x" * 64)


def test_a_disabled_emitter_takes_everything_and_drops_it() -> None:
    emitter = Emitter(None, service_name="s")
    emitter.counter("c").add(1)
    with emitter.span("x"):
        pass
    assert emitter.flush(60)
    assert emitter.close()
    stats = emitter.stats()
    assert (stats.samples.dropped_by_reason, stats.spans.dropped_by_reason) == ({"closed": 1}, {"closed": 1})


def test_options_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="ring_samples must be positive"):
        Emitter(None, service_name="s", ring_samples=0)
    with pytest.raises(TypeError, match="no_such_option"):
        Emitter(None, service_name="s", no_such_option=1)
