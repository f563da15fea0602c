"""OTLP metrics as protobuf: number points through the wire kernel, everything else through the protobuf library."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    NumberDataPoint,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from streams.decode import attributes, buckets, labels, otlp, reasons, wire
from streams.decode.gather import Gather, Points
from streams.decode.head import HeadCache
from streams.decode.numbering import Numbering
from streams.decode.numbers import optional_time_ns, time_ns
from streams.decode.reasons import Refused
from streams.domain.columns import AggregatePoint

_SECTIONS: Final = {5: "gauge", 7: "sum", 9: "histogram", 10: "exponentialHistogram", 11: "summary"}
_LAST_NUMBER: Final = 7
_CACHE_OVERHEAD_BYTES: Final = 200


class _Common(NamedTuple):
    """What a metric's points share; ``key`` names it in the cache, ``refused`` says why none of them can be used."""

    section: int
    key: bytes
    metric: otlp.Metric | None
    refused: Refused | None


class ProtobufRun:
    """The protobuf metrics of one run: number points wait, so that they are checked in one go."""

    def __init__(self, gather: Gather, table: Numbering, cache: HeadCache) -> None:
        self._gather = gather
        self._table = table
        self._cache = cache
        self._targets: list[int] = []
        self._refused: dict[int, tuple[str, str]] = {}
        self._unsupported: set[int] = set()
        self._rows: list[NDArray[np.int64]] = []
        self._values: list[NDArray[np.float64]] = []
        self._records: list[tuple[int, int]] = []

    def add(self, record: int, raw: bytes) -> int:
        """The points of an ExportMetricsServiceRequest; returns how many events were seen, used or not.

        Raises:
            Refused: bad_protobuf.
        """
        metrics = np.empty((len(raw) // 8 + 8, wire.METRIC_COLUMNS), dtype=np.int64)
        points = np.empty((len(raw) // 9 + 8, wire.POINT_COLUMNS), dtype=np.int64)
        values = np.empty(len(points), dtype=np.float64)
        rows, filled = wire.read_request(np.frombuffer(raw, dtype=np.uint8), metrics, points, values)
        if rows < 0:
            return self._read_whole(record, raw)
        try:
            commons = [self._common(raw, row) for row in metrics[:rows].tolist()]
            parts = points[:filled, : wire.PIECE_END + 1].tolist()
            plain = [at for at, (metric, _, _) in enumerate(parts) if commons[metric].section <= _LAST_NUMBER]
            mixed = len(plain) < filled
            numbers = self._number_targets(raw, commons, [parts[at] for at in plain] if mixed else parts)
            others = [
                self._histogram(record, raw, commons[metric], start, end)
                for metric, start, end in (parts if mixed else ())
                if commons[metric].section > _LAST_NUMBER
            ]
        except (DecodeError, UnicodeDecodeError):
            return self._read_whole(record, raw)
        for outcome in others:
            if isinstance(outcome, Refused):
                self._gather.reject(record, outcome.reason, outcome.detail)
            else:
                self._gather.aggregates.append(outcome)
        kept = plain if mixed else slice(None)
        self._keep(record, numbers, points[:filled][kept], values[:filled][kept])
        return int(filled)

    def flush(self) -> None:
        """Check the number points that wait."""
        if not self._targets:
            return
        rows = np.concatenate(self._rows)
        record = np.repeat(np.array([r for r, _ in self._records], dtype=np.int32), [n for _, n in self._records])
        flags = rows[:, wire.FLAGS]
        times = rows[:, wire.TIME].copy()
        target = np.array(self._targets, dtype=np.int64)
        refused = dict(self._refused)
        final = {at: why for at, why in refused.items() if at in self._unsupported}
        for at in np.flatnonzero((target >= 0) & (flags & wire.HAS_VALUE == 0)).tolist():
            refused[at] = (reasons.MISSING_FIELD, "asDouble or asInt")
        for at in np.flatnonzero(times <= 0).tolist():
            refused[at] = (reasons.BAD_TIME, f"timeUnixNano is {times[at]}")
        for at in np.flatnonzero(flags & wire.NO_VALUE).tolist():
            refused[at] = (reasons.NO_RECORDED_VALUE, "flag of the point")
        refused.update(final)
        target[list(refused)] = -1
        starts = np.maximum(rows[:, wire.START], 0)
        self._gather.settle(Points(record, target, times, starts, np.concatenate(self._values), refused))

    def _keep(
        self, record: int, targets: list[int | Refused], rows: NDArray[np.int64], values: NDArray[np.float64]
    ) -> None:
        at = len(self._targets)
        for position, target in enumerate(targets, at):
            if isinstance(target, Refused):
                self._refused[position] = (target.reason, target.detail)
                if target.reason == reasons.UNSUPPORTED_METRIC:
                    self._unsupported.add(position)
                self._targets.append(-1)
            else:
                self._targets.append(target)
        self._rows.append(rows)
        self._values.append(values)
        self._records.append((record, len(targets)))

    def _common(self, raw: bytes, row: list[int]) -> _Common:
        section = row[wire.SECTION]
        resource = raw[row[wire.RESOURCE] : row[wire.RESOURCE_END]]
        name = raw[row[wire.NAME] : row[wire.NAME_END]]
        unit = raw[row[wire.UNIT] : row[wire.UNIT_END]]
        key = b"%d %d %d %d %d " % (
            len(resource), len(name), section, row[wire.TEMPORALITY], row[wire.MONOTONIC],
        ) + resource + name + unit  # fmt: skip
        inherited = self._inherited(resource)
        body = {"aggregationTemporality": row[wire.TEMPORALITY], "isMonotonic": row[wire.MONOTONIC] == 1}
        try:
            metric = otlp.describe(name.decode(), unit.decode(), _SECTIONS.get(section, ""), body, inherited)
        except Refused as refused:
            return _Common(section, key, None, refused)
        return _Common(section, key, metric, None)

    def _inherited(self, resource: bytes) -> labels.Labels:
        known = self._cache.resources[resource]
        if known is None:
            known = labels.of_resource(attributes.from_protobuf(Resource.FromString(resource).attributes))
            self._cache.resources.put(resource, known, len(resource) + _CACHE_OVERHEAD_BYTES)
        return known

    def _number_targets(self, raw: bytes, commons: list[_Common], parts: list[list[int]]) -> list[int | Refused]:
        keys = [(commons[metric].key, raw[start:end]) for metric, start, end in parts]
        found: list[Any] = list(map(self._cache.targets.__getitem__, keys))
        if None in found:
            for at, target in enumerate(found):
                if target is None:
                    found[at] = self._number_target(commons[parts[at][0]], keys[at][1])
        return found

    def _number_target(self, common: _Common, piece: bytes) -> int | Refused:
        # The piece holds whole attribute fields with their tags: it is a NumberDataPoint with nothing else.
        own = attributes.from_protobuf(NumberDataPoint.FromString(piece).attributes)
        if common.metric is None:
            return common.refused or Refused(reasons.UNSUPPORTED_METRIC, "")
        try:
            target = otlp.target(common.metric, own, self._table)
        except Refused as refused:
            return refused
        size_bytes = len(common.key) + len(piece) + _CACHE_OVERHEAD_BYTES
        self._cache.targets.put((common.key, piece), target, size_bytes)
        return target

    def _histogram(self, record: int, raw: bytes, common: _Common, start: int, end: int) -> AggregatePoint | Refused:
        if common.metric is None:
            return common.refused or Refused(reasons.UNSUPPORTED_METRIC, "")
        point: HistogramDataPoint | ExponentialHistogramDataPoint
        if common.section == 9:
            point = HistogramDataPoint.FromString(raw[start:end])
        else:
            point = ExponentialHistogramDataPoint.FromString(raw[start:end])
        try:
            if point.flags & otlp.NO_RECORDED_VALUE:
                return Refused(reasons.NO_RECORDED_VALUE, "flag of the point")
            moment = time_ns(point.time_unix_nano, "timeUnixNano")
            target = self._histogram_target(common.key, common.metric, point)
            content = _content(point, cumulative=common.metric.cumulative)
        except Refused as refused:
            return refused
        began = optional_time_ns(point.start_time_unix_nano)
        return otlp.aggregate(record, target, moment, began, common.metric, content)

    def _histogram_target(
        self, key: bytes, metric: otlp.Metric, point: HistogramDataPoint | ExponentialHistogramDataPoint
    ) -> int:
        pieces = tuple(item.SerializeToString() for item in point.attributes)
        known = self._cache.targets[key, pieces]
        if known is None:
            known = otlp.target(metric, attributes.from_protobuf(point.attributes), self._table)
            size_bytes = len(key) + sum(map(len, pieces)) + _CACHE_OVERHEAD_BYTES
            self._cache.targets.put((key, pieces), known, size_bytes)
        return known

    def _read_whole(self, record: int, raw: bytes) -> int:
        try:
            request = ExportMetricsServiceRequest.FromString(raw)
        except DecodeError as error:
            raise Refused(reasons.BAD_PROTOBUF, "not an ExportMetricsServiceRequest") from error
        body = MessageToDict(request, use_integers_for_enums=True)
        return otlp.MetricReader(record, self._gather, self._table).read(body.get("resourceMetrics"))


def _content(point: HistogramDataPoint | ExponentialHistogramDataPoint, *, cumulative: bool) -> buckets.Distribution:
    summary = buckets.Summary(
        point.count,
        point.sum if point.HasField("sum") else None,
        point.min if point.HasField("min") else None,
        point.max if point.HasField("max") else None,
    )
    if isinstance(point, HistogramDataPoint):
        return buckets.explicit(summary, list(point.explicit_bounds), list(point.bucket_counts), cumulative=cumulative)
    return buckets.exponential(
        summary,
        point.scale,
        point.zero_count,
        (point.positive.offset, list(point.positive.bucket_counts)),
        (point.negative.offset, list(point.negative.bucket_counts)),
        cumulative=cumulative,
    )
