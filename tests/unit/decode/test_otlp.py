"""OTLP metrics: JSON of two writers and protobuf mean the same, and every kind of point becomes what it stands for."""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.unit.decode.runs import NOW_NS, Decoder, Facts, decode, one_by_one, patient, sample

DELTA, CUMULATIVE = 1, 2
ATTRIBUTES = [{"key": "region", "value": {"stringValue": "eu"}}]
INF = math.inf


def request(*metrics: dict[str, Any], resource: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    described = {"attributes": resource or [{"key": "service.name", "value": {"stringValue": "s"}}]}
    return {"resourceMetrics": [{"resource": described, "scopeMetrics": [{"scope": {}, "metrics": list(metrics)}]}]}


def wire(body: dict[str, Any]) -> bytes:
    return ParseDict(body, ExportMetricsServiceRequest()).SerializeToString()


def point(**fields: Any) -> dict[str, Any]:
    return {"timeUnixNano": str(NOW_NS), "startTimeUnixNano": "5", "attributes": ATTRIBUTES, **fields}


def both(body: dict[str, Any]) -> Facts:
    """Decoded from JSON, checked to be the same from protobuf and from rotel's bare array."""
    found = decode(orjson.dumps(body))
    assert decode(wire(body)) == found
    assert decode(orjson.dumps(body["resourceMetrics"])) == found
    return found


def test_samples_of_collector_and_rotel() -> None:
    for name in (
        "collector_otlp_metrics.bin",
        "collector_otlp_metrics_json.bin",
        "rotel_protobuf_metrics.bin",
        "rotel_json_metrics.bin",
    ):
        found = decode(sample(name))
        assert found.rejected == [], name
        assert found.events == [3], name
        queue, depth = found.only()
        assert (queue.name, queue.unit, queue.kind, depth) == ("queue.depth", "1", "gauge", 9.0)
        ((_, orders, _, start, total),) = found.cumulatives
        assert (orders.name, orders.kind, orders.label("region"), total) == ("orders", "counter", "eu", 10.0)
        assert start > 0
        ((_, duration, _, _, cumulative, count, total, low, high, values, weights),) = found.aggregates
        assert (duration.name, duration.unit, duration.kind, cumulative) == ("order.duration", "s", "histogram", True)
        assert (count, total, low, high) == (10, 0.45000000000000007, 0.0, 0.09)
        assert (values, weights) == ((0.0, 2.5), (1, 9))
        assert duration.label("environment") == "lab"
        assert duration.label("service.name") == "frontend"


def test_the_collectors_json_and_protobuf_are_the_same_data() -> None:
    found = decode(sample("collector_otlp_metrics.bin"))
    assert decode(sample("collector_otlp_metrics_json.bin")) == found


SUMS = [
    (True, DELTA, "counter", "sample"),
    (True, CUMULATIVE, "counter", "cumulative"),
    (False, DELTA, "updowncounter", "sample"),
    (False, CUMULATIVE, "gauge", "sample"),
]


@pytest.mark.parametrize(("monotonic", "temporality", "kind", "fate"), SUMS)
def test_sums(monotonic: bool, temporality: int, kind: str, fate: str) -> None:
    data = {"dataPoints": [point(asInt="7")], "isMonotonic": monotonic, "aggregationTemporality": temporality}
    found = both(request({"name": "m", "unit": "By", "sum": data}))
    if fate == "sample":
        ((_, series, at, value),) = found.samples
    else:
        ((_, series, at, start, value),) = found.cumulatives
        assert start == 5
    assert (series.kind, series.unit, at, value) == (kind, "By", NOW_NS, 7.0)


def test_a_start_beyond_64_bits_is_unknown() -> None:
    late = point(asInt="7", startTimeUnixNano=str(2**63))
    data = {"dataPoints": [late], "isMonotonic": True, "aggregationTemporality": CUMULATIVE}
    assert [entry[3] for entry in both(request({"name": "m", "sum": data})).cumulatives] == [0]


def test_enums_by_name_and_numbers_as_numbers() -> None:
    named = {"dataPoints": [point(asInt=7)], "isMonotonic": True}
    named["aggregationTemporality"] = "AGGREGATION_TEMPORALITY_DELTA"
    assert decode(orjson.dumps(request({"name": "m", "sum": named}))).only()[1] == 7.0


def test_points_that_cannot_be_used_fall_alone() -> None:
    gauge = {
        "dataPoints": [
            point(asDouble=1.5),
            point(asDouble="NaN"),
            point(asDouble="-Infinity"),
            point(),
            point(asInt=1, timeUnixNano="0"),
            point(asInt=1, flags=1),
        ]
    }
    counter = {"dataPoints": [point(asDouble=-1.0)], "isMonotonic": True, "aggregationTemporality": DELTA}
    found = both(request({"name": "g", "gauge": gauge}, {"name": "c", "sum": counter}))
    assert found.only()[1] == 1.5
    assert found.reasons() == {
        "not_finite": 2,
        "missing_field": 1,
        "bad_time": 1,
        "no_recorded_value": 1,
        "negative_counter": 1,
    }


def test_metrics_that_cannot_be_used_lose_all_their_points() -> None:
    summary = {"dataPoints": [point(count="3", sum=1.0), point(count="3", sum=1.0, flags=1)]}
    found = both(
        request(
            {"name": "s", "summary": summary},
            {"name": "t", "sum": {"dataPoints": [point(asInt=1)], "isMonotonic": True}},
            {"name": "", "gauge": {"dataPoints": [point(asInt=1), point(asInt=2)]}},
            {"name": "h", "histogram": {"dataPoints": [point(count="0")]}},
        )
    )
    assert found.reasons() == {"unsupported_metric": 4, "bad_name": 2}
    assert found.events == [0]


def test_attribute_types_become_text() -> None:
    attributes = [
        {"key": "b", "value": {"boolValue": True}},
        {"key": "i", "value": {"intValue": "5"}},
        {"key": "d", "value": {"doubleValue": 2}},
        {"key": "n", "value": {}},
        {"key": "a", "value": {"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "x"}]}}},
        {"key": "k", "value": {"kvlistValue": {"values": [{"key": "y", "value": {"boolValue": False}}]}}},
        {"key": "raw", "value": {"bytesValue": "AQI="}},
    ]
    found = both(request({"name": "g", "gauge": {"dataPoints": [point(asInt=1, attributes=attributes)]}}))
    assert dict(found.only()[0].labels) == {
        "a": '[1,"x"]',
        "b": "true",
        "d": "2",
        "i": "5",
        "k": '{"y":false}',
        "raw": "AQI=",
        "service.name": "s",
    }


def test_nested_attribute_values_are_cut_at_sixteen_levels() -> None:
    value: dict[str, Any] = {"stringValue": "x"}
    for _ in range(20):
        value = {"arrayValue": {"values": [value]}}
    attributes = [{"key": "deep", "value": value}]
    found = both(request({"name": "g", "gauge": {"dataPoints": [point(asInt=1, attributes=attributes)]}}))
    assert found.only()[0].label("deep") == "[" * 15 + "null" + "]" * 15


def test_one_name_with_two_temporalities_is_two_kinds_of_point() -> None:
    sums = [
        {"dataPoints": [point(asInt=i)], "isMonotonic": monotonic, "aggregationTemporality": temporality}
        for i, (monotonic, temporality, _, _) in enumerate(SUMS)
    ]
    found = both(request(*({"name": "m", "sum": data} for data in sums)))
    assert {(s[1].kind, s[3]) for s in found.samples} == {("counter", 0.0), ("updowncounter", 2.0), ("gauge", 3.0)}
    assert [(c[1].kind, c[4]) for c in found.cumulatives] == [("counter", 1.0)]


def histogram(temporality: int, **fields: Any) -> dict[str, Any]:
    data = {"dataPoints": [point(**fields)], "aggregationTemporality": temporality}
    return request({"name": "h", "unit": "s", "histogram": data})


def test_delta_histogram_uses_minimum_and_maximum_for_open_ends() -> None:
    body = histogram(
        DELTA, count="10", sum=50.0, min=0.5, max=40.0, explicitBounds=[1, 4, 16], bucketCounts=["2", "3", "0", "5"]
    )
    ((_, _, _, _, cumulative, count, total, low, high, values, weights),) = both(body).aggregates
    assert (cumulative, count, total, low, high) == (False, 10, 50.0, 0.5, 40.0)
    assert values == (1.0, 2.0, 16.0)
    assert weights == (2, 3, 5)


def test_cumulative_histogram_stands_on_its_bounds_alone() -> None:
    body = histogram(
        CUMULATIVE, count="3", sum=9.0, min=3.5, max=3.6, explicitBounds=[1, 4], bucketCounts=["0", "3", "0"]
    )
    ((*_, low, high, values, weights),) = both(body).aggregates
    assert (low, high, values, weights) == (3.5, 3.6, (2.0,), (3,))


def test_histogram_without_minimum_falls_back_to_bounds() -> None:
    body = histogram(DELTA, count="3", sum=9.0, explicitBounds=[-2, 2, 4], bucketCounts=["1", "1", "0", "1"])
    ((*_, low, high, values, weights),) = both(body).aggregates
    assert (low, high, values, weights) == (-2.0, 4.0, (-2.0, 0.0, 4.0), (1, 1, 1))


def test_histogram_without_buckets_stands_at_its_mean() -> None:
    assert both(histogram(DELTA, count="4", sum=10.0)).aggregates[0][-2:] == ((2.5,), (4,))
    assert both(histogram(CUMULATIVE, count="4", sum=10.0)).aggregates[0][-2:] == ((), ())


def test_empty_histogram_is_kept_as_a_point() -> None:
    body = histogram(CUMULATIVE, count="0", sum=0.0, explicitBounds=[1], bucketCounts=["0", "0"])
    assert both(body).aggregates[0][5:] == (0, 0.0, 0.0, 0.0, (), ())


BAD_HISTOGRAMS: list[tuple[dict[str, Any], str]] = [
    ({"count": "5", "sum": 1.0, "explicitBounds": [1], "bucketCounts": ["1", "1"]}, "bad_buckets"),
    ({"count": "2", "sum": 1.0, "explicitBounds": [1, 2], "bucketCounts": ["1", "1"]}, "bad_buckets"),
    ({"count": "2", "sum": 1.0, "explicitBounds": [2, 1], "bucketCounts": ["1", "1", "0"]}, "bad_buckets"),
    ({"count": "2", "sum": 1.0, "explicitBounds": ["NaN"], "bucketCounts": ["1", "1"]}, "bad_buckets"),
    ({"count": "2", "sum": 1.0, "min": 3, "max": 1, "explicitBounds": [1], "bucketCounts": ["1", "1"]}, "bad_buckets"),
    ({"count": "2", "sum": "Infinity", "explicitBounds": [1], "bucketCounts": ["1", "1"]}, "not_finite"),
    ({"count": "2", "timeUnixNano": "0", "explicitBounds": [1], "bucketCounts": ["1", "1"]}, "bad_time"),
    ({"count": "2", "sum": 1.0, "explicitBounds": [], "bucketCounts": ["1"]}, "bad_buckets"),
    ({"flags": 1}, "no_recorded_value"),
]


@pytest.mark.parametrize(("fields", "reason"), BAD_HISTOGRAMS)
def test_histograms_that_do_not_fit_together(fields: dict[str, Any], reason: str) -> None:
    found = both(histogram(DELTA, **fields))
    assert found.rejected == [(0, reason, 1)]


def exponential(**fields: Any) -> dict[str, Any]:
    data = {"dataPoints": [point(**fields)], "aggregationTemporality": DELTA}
    return request({"name": "e", "unit": "s", "exponentialHistogram": data})


def test_exponential_histogram() -> None:
    body = exponential(
        count="7",
        sum=20.0,
        scale=0,
        zeroCount="1",
        positive={"offset": 1, "bucketCounts": ["2", "0", "3"]},
        negative={"offset": 0, "bucketCounts": ["1"]},
    )
    ((*_, low, high, values, weights),) = both(body).aggregates
    assert values == pytest.approx((-math.sqrt(2), 0.0, 2 * math.sqrt(2), 8 * math.sqrt(2)))
    assert weights == (1, 1, 2, 3)
    assert (low, high) == (-2.0, 16.0)


def test_exponential_representatives_are_within_half_a_bucket_of_any_observation() -> None:
    scale = 4
    base = 2 ** (2**-scale)
    observations = [0.003 * 1.37**i for i in range(30)]
    indexes = [math.ceil(math.log(x, base)) - 1 for x in observations]
    counts = [str(indexes.count(i)) for i in range(min(indexes), max(indexes) + 1)]
    body = exponential(count="30", scale=scale, positive={"offset": min(indexes), "bucketCounts": counts})
    values, weights = both(body).aggregates[0][-2:]
    expanded = [v for v, n in zip(values, weights, strict=True) for _ in range(n)]
    assert all(abs(v / x - 1) <= math.sqrt(base) - 1 + 1e-9 for v, x in zip(expanded, observations, strict=True))


@pytest.mark.parametrize("offset", [2**30, -(2**30)])
def test_exponential_buckets_beyond_a_float_are_cut(offset: int) -> None:
    found = both(exponential(count="1", scale=2, positive={"offset": offset, "bucketCounts": ["1"]}))
    assert all(math.isfinite(value) for value in found.aggregates[0][-2])
    assert both(exponential(count="1", scale=99, zeroCount="1")).reasons() == {"bad_buckets": 1}


WRONG_SHAPES: list[tuple[object, str]] = [
    ({"resourceMetrics": 3}, "bad_type"),
    ({"resourceMetrics": [3]}, "bad_type"),
    ({"resourceMetrics": [{"resource": 4}]}, "bad_type"),
    ({"resourceMetrics": [{"resource": {"attributes": {}}}]}, "bad_type"),
    ({"resourceMetrics": [{"scopeMetrics": {}}]}, "bad_type"),
    ({"resourceMetrics": [{"scopeMetrics": [{"metrics": "x"}]}]}, "bad_type"),
    (request({"name": "g", "gauge": []}), "bad_type"),
    (request({"name": "g", "gauge": {"dataPoints": {}}}), "bad_type"),
    (request({"name": "g", "gauge": {"dataPoints": [None]}}), "bad_type"),
    (request({"name": "g", "gauge": {"dataPoints": [point(asInt=True)]}}), "bad_type"),
    (request({"name": "g", "gauge": {"dataPoints": [point(asInt="x")]}}), "bad_type"),
    (request({"name": "g", "gauge": {"dataPoints": [point(asInt=1, attributes=[{"key": 3}])]}}), "bad_type"),
    (request({"name": ["g"], "gauge": {"dataPoints": [point(asInt=1)]}}), "bad_type"),
    ({"resourceMetrics": []}, "empty"),
    (request({"name": "g"}), "empty"),
    ({"resourceSpans": []}, "wrong_topic"),
]


@pytest.mark.parametrize(("body", "reason"), WRONG_SHAPES)
def test_json_of_a_wrong_shape(body: object, reason: str) -> None:
    assert decode(orjson.dumps(body)).rejected == [(0, reason, 1)]


def test_spans_among_metrics_and_the_hint() -> None:
    for name in ("collector_otlp_spans.bin", "rotel_protobuf_traces.bin", "collector_otlp_spans_json.bin"):
        for hint in ("", "otlp_metrics", "otlp_logs"):
            found = decode(sample(name), hint=hint)
            assert found.rejected == [(0, "wrong_topic", 1)], (name, hint)
    assert decode(sample("rotel_json_traces.bin")).reasons() == {"wrong_topic": 1}
    assert decode(sample("collector_otlp_metrics.bin"), hint="otlp_metrics").events == [3]
    assert decode(sample("collector_otlp_metrics.bin"), hint="otlp_logs").reasons() == {"wrong_topic": 1}


def test_a_cut_protobuf_message() -> None:
    raw = sample("collector_otlp_metrics.bin")
    assert decode(raw[:-1]).rejected == [(0, "bad_protobuf", 1)]
    assert decode(raw[:-1], hint="otlp_metrics").rejected == [(0, "bad_protobuf", 1)]


def test_messages_split_in_two_are_merged_as_protobuf_says() -> None:
    first = wire(request({"name": "g", "gauge": {"dataPoints": [point(asInt=1)]}}))
    second = wire(request({"name": "g", "gauge": {"dataPoints": [point(asInt=2)]}}))
    assert [s[3] for s in decode(first + second).samples] == [1.0, 2.0]
    metric = ExportMetricsServiceRequest.FromString(first).resource_metrics[0].scope_metrics[0].metrics[0]
    doubled = metric.SerializeToString() * 2
    scope = b"\x12" + bytes([len(doubled)]) + doubled
    resource = b"\x12" + bytes([len(scope)]) + scope
    raw = b"\n" + bytes([len(resource)]) + resource
    assert len(ExportMetricsServiceRequest.FromString(raw).resource_metrics[0].scope_metrics[0].metrics) == 1
    assert [s[3] for s in decode(raw).samples] == [1.0, 1.0]


names = st.sampled_from(["a", "b.c", "", "x" * 300])
attribute_values = st.one_of(
    st.text(max_size=5).map(lambda t: {"stringValue": t}),
    st.booleans().map(lambda b: {"boolValue": b}),
    st.integers(-(2**63), 2**63 - 1).map(lambda i: {"intValue": str(i)}),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda d: {"doubleValue": d}),
    st.just({}),
)
attribute_lists = st.lists(
    st.builds(lambda k, v: {"key": k, "value": v}, st.sampled_from(["a", "b", "service.name", ""]), attribute_values),
    max_size=3,
)
number_points = st.fixed_dictionaries(
    {},
    optional={
        "timeUnixNano": st.sampled_from(["0", "1", str(NOW_NS), str(2**63), str(2**64 - 1)]),
        "startTimeUnixNano": st.sampled_from(["0", "1", str(2**63)]),
        "attributes": attribute_lists,
        "flags": st.integers(0, 3),
    },
)
values = st.one_of(
    st.just({}),
    st.integers(-(2**63), 2**63 - 1).map(lambda i: {"asInt": str(i)}),
    st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["NaN", "Infinity"])).map(
        lambda d: {"asDouble": d}
    ),
)
points = st.lists(st.builds(lambda p, v: {**p, **v}, number_points, values), max_size=4)
counts = st.lists(st.integers(0, 4), max_size=4)
histogram_points = st.builds(
    lambda p, c, b, n, extra: {**p, "bucketCounts": [str(x) for x in c], "explicitBounds": b, "count": str(n), **extra},
    number_points,
    counts,
    st.lists(st.floats(-10, 10), max_size=4).map(sorted),
    st.integers(0, 8),
    st.fixed_dictionaries({}, optional={"sum": st.floats(-5, 5), "min": st.floats(-5, 5), "max": st.floats(-5, 5)}),
)
temporality = st.integers(0, 2)
metrics = st.one_of(
    st.builds(lambda n, p: {"name": n, "gauge": {"dataPoints": p}}, names, points),
    st.builds(
        lambda n, p, t, m: {
            "name": n,
            "unit": "s",
            "sum": {"dataPoints": p, "aggregationTemporality": t, "isMonotonic": m},
        },
        names,
        points,
        temporality,
        st.booleans(),
    ),
    st.builds(
        lambda n, p, t: {"name": n, "histogram": {"dataPoints": p, "aggregationTemporality": t}},
        names,
        st.lists(histogram_points, max_size=3),
        temporality,
    ),
)
requests = st.builds(lambda ms, r: request(*ms, resource=r), st.lists(metrics, max_size=3), attribute_lists)


@patient
@given(st.lists(requests, min_size=1, max_size=3))
def test_protobuf_equals_json_of_the_same_data_on_any_cache(bodies: list[dict[str, Any]]) -> None:
    raws = [wire(body) for body in bodies]
    # The JSON that protobuf's own library makes of the message: the two readers share no code before the points.
    texts = [orjson.dumps(MessageToDict(ExportMetricsServiceRequest.FromString(raw))) for raw in raws]
    kept = [i for i, raw in enumerate(raws) if raw and texts[i] != b"{}"]
    decoder = Decoder(hint="otlp_metrics")
    expected = one_by_one(*(texts[i] for i in kept))
    for _ in range(2):
        assert decoder.run(*(raws[i] for i in kept)) == expected
