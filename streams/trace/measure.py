"""Numba: samples of spans in flat columns: what to group rows by, what each row gives, and whose it is."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.domain.conventions import KIND_SERVER
from streams.domain.kernel import kernel

NANOSECONDS: Final = 1e9
SPAN_KEY: Final = 5
GEN_AI_KEY: Final = 8
"""How many numbers make a key: owner, name, whether it is a GenAI span, kind, status; and owner, agent, served,
operation, provider, model, tool, error."""


class Flat(NamedTuple):
    """Columns of m samples: number of the owner, number of the series, time, value."""

    owner: NDArray[np.int32]
    series: NDArray[np.int32]
    time_ns: NDArray[np.int64]
    value: NDArray[np.float64]


def make_flat(size: int) -> Flat:
    """Room for so many samples."""
    return Flat(
        np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.int64), np.empty(size, np.float64)
    )


@kernel
def span_keys(rows: Any, kept: Any, keys: Any) -> None:
    """Fills int64[n, SPAN_KEY]; ``kept`` int64[resources], the owner of each resource."""
    for i in range(rows.shape[0]):
        row = rows[i]
        keys[i, 0], keys[i, 1], keys[i, 2] = kept[row.resource], row.name, row.operation > 0
        keys[i, 3], keys[i, 4] = row.kind, row.status


@kernel
def gen_ai_keys(rows: Any, gen_ai: Any, kept: Any, resources: Any, places: Any, keys: Any) -> int:
    """Fills int64[k, GEN_AI_KEY] and ``places`` int64[k] for the rows that count as ``gen_ai.*``; returns k."""
    count = 0
    for i in range(rows.shape[0]):
        row = rows[i]
        if gen_ai[i] and row.operation > 0:
            agent = row.agent_name if row.agent_name != 0 else resources[row.resource].agent_name
            keys[count, 0], keys[count, 1], keys[count, 2] = kept[row.resource], agent, row.kind == KIND_SERVER
            keys[count, 3], keys[count, 4], keys[count, 5] = row.operation, row.provider, row.model
            keys[count, 6], keys[count, 7] = row.tool, row.error
            places[count] = i
            count += 1
    return count


@kernel
def slowest(rows: Any, group: Any, found: Any) -> None:
    """The last of the slowest rows of each group into ``found`` int64[groups]."""
    for g in range(found.shape[0]):
        found[g] = -1
    for i in range(rows.shape[0]):
        known = found[group[i]]
        if known < 0 or _seconds(rows[i]) >= _seconds(rows[known]):
            found[group[i]] = i


@kernel
def _seconds(row: Any) -> float:
    return float((row.end_ns - row.start_ns) / NANOSECONDS)


@kernel
def _put(out: Flat, at: int, owner: int, series: int, time_ns: int, value: float) -> int:
    out.owner[at], out.series[at], out.time_ns[at], out.value[at] = owner, series, time_ns, value
    return at + 1


@kernel
def measure_spans(rows: Any, group: Any, series: Any, owners: Any, out: Flat) -> int:
    """A call of each row, then a duration of each; ``series`` int64[groups, 2] of both. Returns how many samples."""
    at = 0
    for i in range(rows.shape[0]):
        at = _put(out, at, owners[group[i]], series[group[i], 0], rows[i].end_ns, 1.0)
    for i in range(rows.shape[0]):
        at = _put(out, at, owners[group[i]], series[group[i], 1], rows[i].end_ns, _seconds(rows[i]))
    return at


@kernel
def by_number(group: Any, begin: Any, order: Any) -> None:
    """Sorts places by group, by counting; those of a group stay in their order.

    ``begin`` int64[groups + 1]: where each group begins in ``order`` int64[n].
    """
    for g in range(begin.shape[0]):
        begin[g] = 0
    for i in range(group.shape[0]):
        begin[group[i] + 1] += 1
    for g in range(1, begin.shape[0]):
        begin[g] += begin[g - 1]
    for i in range(group.shape[0]):
        order[begin[group[i]]] = i
        begin[group[i]] += 1
    for g in range(begin.shape[0] - 1, 0, -1):
        begin[g] = begin[g - 1]
    begin[0] = 0


@kernel
def measure_gen_ai(
    rows: Any, places: Any, order: Any, begin: Any, series: Any, owners: Any, out: Flat, first: int
) -> int:
    """Durations, input and output tokens of one group after the other, from ``first`` on; where they end.

    ``series`` int64[groups, 3]: of each, -1 where a group has none; tokens count where they are stated.
    """
    at = first
    for g in range(series.shape[0]):
        for part in range(3):
            if series[g, part] < 0:
                continue
            for k in range(begin[g], begin[g + 1]):
                row = rows[places[order[k]]]
                if part == 0:
                    at = _put(out, at, owners[g], series[g, 0], row.end_ns, _seconds(row))
                else:
                    tokens = row.input_tokens if part == 1 else row.output_tokens
                    if tokens > 0:
                        at = _put(out, at, owners[g], series[g, part], row.end_ns, float(tokens))
    return at


@kernel
def gather(flat: Flat, order: Any, out: Flat) -> None:
    """The samples in another order."""
    for i in range(order.shape[0]):
        _put(out, i, flat.owner[order[i]], flat.series[order[i]], flat.time_ns[order[i]], flat.value[order[i]])
