"""Amounts that have a limit: what is counted as one, how much of it is used, and how long it lasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import orjson

from streams.domain.selector import Selector

CAPACITY_SCHEMA: Final = "agents.capacity/1"
Statistic = Literal["sum", "max", "increase"]
STATISTICS: Final[tuple[Statistic, ...]] = ("sum", "max", "increase")
Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Resource:
    """One line of ``capacity`` in ``monitoring/thresholds.yml``.

    Attributes:
        name: the ``resource`` of exported figures.
        selector: series that use it.
        statistic: how a group's series become one number per step: ``sum`` of their means, the highest (``max``), or
            how much they grew by (``increase``, for counters and histograms).
        limit: in the unit of the metric.
        group_by: one forecast per distinct set of values of these labels, sorted.
        period_seconds: of a budget: what has grown since the period began (a multiple of it since the epoch, UTC) is
            held against the limit, and starts again with the next; 0 for an amount that is held.
    """

    name: str
    selector: Selector
    statistic: Statistic
    limit: float
    group_by: tuple[str, ...]
    period_seconds: float = 0.0


class Use(NamedTuple):
    """What the series of one record of windows use of one resource, in one group."""

    resource: str
    labels: Labels
    value: float


@dataclass(frozen=True, slots=True)
class Uses:
    """One record of ``agents.capacity``: a part of what is used in one step. Times in nanoseconds, half-open.

    Attributes:
        source: names the record of windows it was made from, but for its start: a later record of the same source
            with the same start says the same.
    """

    source: str
    start_ns: int
    end_ns: int
    uses: Sequence[Use]


class Outlook(NamedTuple):
    """Seconds to a limit: 0 where it is reached, infinite where it is not within a week (of a budget: not within its
    period).

    ``earliest <= expected <= latest``; nine times out of ten the truth lies between the two where the series goes on as
    it went.
    """

    earliest: float
    expected: float
    latest: float


class Capacity(NamedTuple):
    """One resource in one group, as of the end of a step: ``used`` in units of the limit; no outlook at first."""

    resource: str
    labels: Labels
    used_ratio: float
    outlook: Outlook | None


def encode_uses(uses: Uses) -> bytes:
    """One record of ``agents.capacity``."""
    rows = [[use.resource, dict(use.labels), use.value] for use in uses.uses]
    body = {"v": 1, "schema": CAPACITY_SCHEMA, "source": uses.source, "start_ns": uses.start_ns, "end_ns": uses.end_ns}
    return orjson.dumps({**body, "uses": rows})


def decode_uses(value: bytes) -> Uses:
    """The inverse of :func:`encode_uses`.

    Raises:
        ValueError: not such a record.
    """
    body: dict[str, Any] = orjson.loads(value)
    if body.get("schema") != CAPACITY_SCHEMA:
        raise ValueError(f"not a capacity record: schema {body.get('schema')!r}")
    uses = [Use(name, tuple(sorted(labels.items())), float(value)) for name, labels, value in body["uses"]]
    return Uses(body["source"], int(body["start_ns"]), int(body["end_ns"]), uses)
