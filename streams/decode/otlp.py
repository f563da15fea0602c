"""OTLP metrics as JSON objects (the collector's and rotel's, and protobuf turned into the same) to events.

What becomes of each kind of point:

==========================================  ==========================================================
gauge                                       sample of a gauge
sum, monotonic, delta                       sample of a counter (an increment)
sum, monotonic, cumulative                  ``CumulativePoint`` of a counter
sum, not monotonic, delta                   sample of an updowncounter (an increment)
sum, not monotonic, cumulative              sample of a gauge: such a total *is* the current value
histogram, exponential histogram            ``AggregatePoint``
summary, or no temporality                  rejected (unsupported_metric)
==========================================  ==========================================================

Labels are the resource's (``streams.domain.series.RESOURCE_LABELS``) and the point's attributes; the scope is not a
label. The unit is kept as sent; none is "1", as the specification reads it.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from streams.decode import attributes, buckets, labels, reasons
from streams.decode.gather import Gather, target_of
from streams.decode.kernel import FLAG_BITS
from streams.decode.numbering import Numbering
from streams.decode.numbers import integer, optional_time_ns, real, time_ns
from streams.decode.reasons import Refused, show
from streams.domain.columns import AggregatePoint

DELTA: Final = 1
CUMULATIVE: Final = 2
_TEMPORALITY: Final = {
    "AGGREGATION_TEMPORALITY_DELTA": DELTA,
    "AGGREGATION_TEMPORALITY_CUMULATIVE": CUMULATIVE,
}
SECTIONS: Final = ("gauge", "sum", "histogram", "exponentialHistogram", "summary")
NO_RECORDED_VALUE: Final = 1


class Metric(NamedTuple):
    """What the points of one metric have in common."""

    name: object
    unit: object
    kind: str
    cumulative: bool
    inherited: labels.Labels


class MetricReader:
    """Reads the OTLP metrics of one record into a gather."""

    def __init__(self, record: int, gather: Gather, table: Numbering) -> None:
        self._record = record
        self._gather = gather
        self._table = table
        self._bad = 0

    def read(self, resources: object) -> int:
        """All points of a list of ResourceMetrics; returns how many events were seen, used or not."""
        seen = 0
        for resource in self._list(resources, "resourceMetrics"):
            seen += self._guard(self._read_resource, resource)
        return seen + self._bad

    def _guard(self, read: Any, item: object, *more: Any) -> int:
        try:
            if not isinstance(item, dict):
                raise Refused(reasons.BAD_TYPE, f"an object is needed, not {show(item)}")  # noqa: TRY301
            return int(read(item, *more))
        except Refused as refused:
            self._gather.reject(self._record, refused.reason, refused.detail)
            return 1

    def _list(self, items: object, field: str) -> list[Any]:
        if items is None:
            return []
        if isinstance(items, list):
            return items
        self._gather.reject(self._record, reasons.BAD_TYPE, f"{field} is {show(items)}")
        self._bad += 1
        return []

    def _read_resource(self, item: dict[str, Any]) -> int:
        resource = item.get("resource") or {}
        if not isinstance(resource, dict):
            raise Refused(reasons.BAD_TYPE, f"resource is {show(resource)}")
        inherited = labels.of_resource(attributes.from_json(resource.get("attributes")))
        seen = 0
        for scope in self._list(item.get("scopeMetrics"), "scopeMetrics"):
            seen += self._guard(self._read_scope, scope, inherited)
        return seen

    def _read_scope(self, scope: dict[str, Any], inherited: labels.Labels) -> int:
        return sum(
            self._guard(self._read_metric, metric, inherited) for metric in self._list(scope.get("metrics"), "metrics")
        )

    def _read_metric(self, metric: dict[str, Any], inherited: labels.Labels) -> int:
        seen = 0
        for section in SECTIONS:
            body = metric.get(section)
            if body is not None:
                seen += self._guard(self._read_section, body, section, metric, inherited)
        return seen

    def _read_section(
        self, body: dict[str, Any], section: str, metric: dict[str, Any], inherited: labels.Labels
    ) -> int:
        points = self._list(body.get("dataPoints"), "dataPoints")
        try:
            common = describe(metric.get("name", ""), metric.get("unit"), section, body, inherited)
        except Refused as refused:
            self._gather.reject(self._record, refused.reason, refused.detail, len(points))
            return len(points)
        for point in points:
            self._guard(self._read_point, point, common, section)
        return len(points)

    def _read_point(self, point: dict[str, Any], metric: Metric, section: str) -> int:
        if integer(point.get("flags", 0), "flags") & NO_RECORDED_VALUE:
            raise Refused(reasons.NO_RECORDED_VALUE, "flag of the point")
        moment = time_ns(point.get("timeUnixNano"), "timeUnixNano")
        start = optional_time_ns(point.get("startTimeUnixNano"))
        own = target(metric, attributes.from_json(point.get("attributes")), self._table)
        if section in ("gauge", "sum"):
            self._gather.point(self._record, own, moment, start, _number(point))
            return 1
        read = _explicit if section == "histogram" else _exponential
        content = read(point, cumulative=metric.cumulative)
        self._gather.aggregates.append(aggregate(self._record, own, moment, start, metric, content))
        return 1


def target(metric: Metric, own: dict[str, Any], table: Numbering) -> int:
    """Target of the series of a point with these attributes.

    Raises:
        Refused: bad_name, bad_type, bad_label, too_many_labels.
    """
    series = labels.series(metric.name, metric.unit or "1", metric.kind, labels.clean(own.items(), metric.inherited))
    return target_of(table, series, cumulative=metric.cumulative)


def aggregate(
    record: int, target: int, time_ns: int, start_ns: int, metric: Metric, content: buckets.Distribution
) -> AggregatePoint:
    """One histogram point."""
    return AggregatePoint(record, target >> FLAG_BITS, time_ns, start_ns, metric.cumulative, *content)


def describe(name: object, unit: object, section: str, body: dict[str, Any], inherited: labels.Labels) -> Metric:
    """Kind and temporality of a metric.

    Raises:
        Refused: unsupported_metric.
    """
    if section == "summary":
        raise Refused(reasons.UNSUPPORTED_METRIC, "summary: quantiles cannot be merged")
    if section == "gauge":
        return Metric(name, unit, "gauge", False, inherited)
    temporality = body.get("aggregationTemporality")
    if isinstance(temporality, str):
        temporality = _TEMPORALITY.get(temporality)
    if temporality not in (DELTA, CUMULATIVE):
        raise Refused(reasons.UNSUPPORTED_METRIC, f"aggregationTemporality is {show(temporality)}")
    if section == "sum":
        kind = "counter" if body.get("isMonotonic") is True else "updowncounter"
        return Metric(name, unit, kind, temporality == CUMULATIVE, inherited)
    return Metric(name, unit, "histogram", temporality == CUMULATIVE, inherited)


def _number(point: dict[str, Any]) -> float:
    if "asDouble" in point:
        return real(point["asDouble"], "asDouble")
    if "asInt" in point:
        return float(integer(point["asInt"], "asInt"))
    raise Refused(reasons.MISSING_FIELD, "asDouble or asInt")


def _summary(point: dict[str, Any]) -> buckets.Summary:
    return buckets.Summary(
        integer(point.get("count", 0), "count"),
        _optional(point, "sum"),
        _optional(point, "min"),
        _optional(point, "max"),
    )


def _optional(point: dict[str, Any], field: str) -> float | None:
    return real(point[field], field) if point.get(field) is not None else None


def _counts(items: object) -> list[int]:
    if not isinstance(items, list):
        raise Refused(reasons.BAD_TYPE, f"bucketCounts is {show(items)}")
    return [integer(item, "bucketCounts") for item in items]


def _explicit(point: dict[str, Any], *, cumulative: bool) -> buckets.Distribution:
    bounds = point.get("explicitBounds") or []
    if not isinstance(bounds, list):
        raise Refused(reasons.BAD_TYPE, f"explicitBounds is {show(bounds)}")
    return buckets.explicit(
        _summary(point),
        [real(bound, "explicitBounds") for bound in bounds],
        _counts(point.get("bucketCounts") or []),
        cumulative=cumulative,
    )


def _exponential(point: dict[str, Any], *, cumulative: bool) -> buckets.Distribution:
    return buckets.exponential(
        _summary(point),
        integer(point.get("scale", 0), "scale"),
        integer(point.get("zeroCount", 0), "zeroCount"),
        _side(point.get("positive")),
        _side(point.get("negative")),
        cumulative=cumulative,
    )


def _side(side: object) -> tuple[int, list[int]]:
    if side is None:
        return 0, []
    if not isinstance(side, dict):
        raise Refused(reasons.BAD_TYPE, f"buckets are {show(side)}")
    return integer(side.get("offset", 0), "offset"), _counts(side.get("bucketCounts") or [])
