"""Histograms that their producers aggregated: buckets to representative values and weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from streams.decode import reasons
from streams.decode.reasons import Refused

MAX_BUCKETS: Final = 16_384
MAX_SCALE: Final = 30
"""OpenTelemetry's SDKs use -10 .. 20; beyond this a bucket bound cannot be computed in a float."""
_MAX_COUNT: Final = 2**63 - 1
_MAX_EXPONENT: Final = 1023.0
_MEMO_BOUNDS: Final = 256
"""Layouts of more bounds are not kept, so that the memo stays below 20 MB."""


class Distribution(NamedTuple):
    """A histogram's content. ``values`` and ``weights``: the non-empty buckets, ascending; all floats finite.

    With no observations the minimum and maximum are 0.
    """

    observations: int
    sum: float
    minimum: float
    maximum: float
    values: tuple[float, ...]
    weights: tuple[int, ...]


class Bucket(NamedTuple):
    """A non-empty bucket: bounds (may be infinite), representative value, observations."""

    low: float
    high: float
    value: float
    weight: int


class Summary(NamedTuple):
    """What the producer says beside the buckets; None where it does not say."""

    observations: int
    sum: float | None
    minimum: float | None
    maximum: float | None


def explicit(summary: Summary, bounds: Sequence[float], counts: Sequence[int], *, cumulative: bool) -> Distribution:
    """A histogram with explicit bounds (OTLP ``Histogram``: buckets are ``(low, high]``).

    The representative of a bucket is the geometric mean of its bounds where both are positive (least relative error),
    else their midpoint; of an open-ended bucket its one bound. Delta histograms also use the producer's minimum and
    maximum. Cumulative ones do not: their representatives must depend on the bounds alone, so that two points can be
    subtracted bucket by bucket. Without bounds a delta point stands at its mean, a cumulative one has no buckets.

    Raises:
        Refused: bad_buckets, not_finite.
    """
    if len(counts) != (len(bounds) + 1 if counts else len(bounds)):
        raise Refused(reasons.BAD_BUCKETS, f"{len(counts)} buckets for {len(bounds)} bounds")
    layout = _layout(tuple(bounds)) if len(bounds) <= _MEMO_BOUNDS else _layout.__wrapped__(tuple(bounds))
    found = [Bucket(*layout[i], n) for i, n in enumerate(counts) if n]
    if len(counts) <= 1:
        found = []
        counts = counts or [summary.observations]
    return _finish(summary, found, counts, cumulative=cumulative)


@lru_cache(maxsize=1024)
def _layout(bounds: tuple[float, ...]) -> tuple[tuple[float, float, float], ...]:
    """Low, high and representative value of each bucket; the sets of bounds in use are few."""
    if any(math.isnan(b) for b in bounds) or any(b <= a for a, b in pairwise(bounds)):
        raise Refused(reasons.BAD_BUCKETS, "bounds do not ascend")
    edges = (-math.inf, *bounds, math.inf)
    return tuple((low, high, _middle(low, high)) for low, high in pairwise(edges))


def exponential(
    summary: Summary,
    scale: int,
    zero_count: int,
    positive: tuple[int, Sequence[int]],
    negative: tuple[int, Sequence[int]],
    *,
    cumulative: bool,
) -> Distribution:
    """An exponential histogram: bucket i holds ``(2**(i/2**scale), 2**((i+1)/2**scale)]``.

    Source: OpenTelemetry metrics data model, ExponentialHistogram. ``positive`` and ``negative`` are (offset, counts).
    The representative is the geometric mean of the bounds; zeros count at 0. Bounds beyond a float's range are cut.

    Raises:
        Refused: bad_buckets, not_finite.
    """
    if abs(scale) > MAX_SCALE:
        raise Refused(reasons.BAD_BUCKETS, f"scale {scale}")
    below = [Bucket(-b.high, -b.low, -b.value, b.weight) for b in reversed(_exponential_side(scale, negative))]
    zero = [Bucket(0.0, 0.0, 0.0, zero_count)] if zero_count else []
    counts = [zero_count, *positive[1], *negative[1]]
    return _finish(summary, below + zero + _exponential_side(scale, positive), counts, cumulative=cumulative)


def _exponential_side(scale: int, side: tuple[int, Sequence[int]]) -> list[Bucket]:
    offset, counts = side
    step = 2.0**-scale
    found = []
    for i, n in enumerate(counts, offset):
        if n:
            found.append(Bucket(_power(i * step), _power((i + 1) * step), _power((i + 0.5) * step), n))
    return found


def _power(exponent: float) -> float:
    return float(2.0 ** min(max(exponent, -_MAX_EXPONENT), _MAX_EXPONENT))


def _middle(low: float, high: float) -> float:
    if math.isinf(low):
        return high if math.isfinite(high) else 0.0
    if math.isinf(high):
        return low
    if low > 0:
        return math.sqrt(low) * math.sqrt(high)
    return low / 2 + high / 2


def _finish(summary: Summary, found: list[Bucket], counts: Sequence[int], *, cumulative: bool) -> Distribution:
    count = summary.observations
    if len(counts) > MAX_BUCKETS + 1:
        raise Refused(reasons.BAD_BUCKETS, f"{len(counts)} buckets, at most {MAX_BUCKETS}")
    if min(counts, default=0) < 0 or not 0 <= count <= _MAX_COUNT or sum(counts) != count:
        raise Refused(reasons.BAD_BUCKETS, f"count {count}, buckets hold {sum(counts)}")
    if count == 0:
        return Distribution(0, 0.0, 0.0, 0.0, (), ())
    total = summary.sum if summary.sum is not None else sum(b.value * b.weight for b in found)
    if not math.isfinite(total):
        raise Refused(reasons.NOT_FINITE, f"sum is {total!r}")
    minimum, maximum = _extremes(summary, found, total / count)
    values = [b.value for b in found]
    weights = [b.weight for b in found]
    if not cumulative:
        values = [min(max(value, minimum), maximum) for value in values]
        if not found:
            values, weights = [min(max(total / count, minimum), maximum)], [count]
    return Distribution(count, total, minimum, maximum, tuple(values), tuple(weights))


def _extremes(summary: Summary, found: list[Bucket], mean: float) -> tuple[float, float]:
    low = _edge(found[0].low, found[0].high) if found else mean
    high = _edge(found[-1].high, found[-1].low) if found else mean
    minimum = summary.minimum if summary.minimum is not None and math.isfinite(summary.minimum) else low
    maximum = summary.maximum if summary.maximum is not None and math.isfinite(summary.maximum) else high
    if minimum > maximum:
        if summary.minimum is not None and summary.maximum is not None:
            raise Refused(reasons.BAD_BUCKETS, f"minimum {minimum!r} above maximum {maximum!r}")
        minimum = maximum = minimum if summary.minimum is not None else maximum
    return minimum, maximum


def _edge(bound: float, other: float) -> float:
    return bound if math.isfinite(bound) else (other if math.isfinite(other) else 0.0)
