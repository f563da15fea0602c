"""Numba: samples of spans and calls in flat columns: what is kept of each row, what it is named by, what it gives."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from streams.domain.conventions import KIND_SERVER
from streams.domain.kernel import kernel
from streams.trace.redwire import Flat
from streams.trace.store import NONE

NANOSECONDS: Final = 1e9
SPAN_KEY: Final = 2
GEN_AI_KEY: Final = 4
CALL_KEY: Final = 2
"""How many numbers make a key; see :func:`span_key`, :func:`gen_ai_key`, :func:`call_key`."""
CALL_PARTS: Final = 4

MEASURED_TEXTS: Final = ("name", "operation", "provider", "model", "agent", "tool", "error")
MEASURED: Final = np.dtype(
    [
        *((name, np.int64) for name in ("end_ns", "input_tokens", "output_tokens")),
        ("seconds", np.float64),
        *((name, np.uint64) for name in ("trace_high", "trace_low", "span")),
        *((name, np.int32) for name in (*MEASURED_TEXTS, "owner")),
        *((name, np.uint8) for name in ("kind", "status", "gen_ai")),
    ],
    align=True,
)
"""What samples need of a span that ended: half of its row. ``owner``: number of what is kept of its resource;
``agent``: its own name, or its resource's; ``gen_ai``: its duration and tokens count as model call, agent or tool."""

EXAMPLE: Final = np.dtype(
    [
        ("seconds", np.float64),
        ("end_ns", np.int64),
        *((name, np.uint64) for name in ("trace_high", "trace_low", "span")),
    ]
)
"""A span that is an exemplar; ``seconds`` minus infinity: none."""


@kernel
def take_spans(rows: Any, places: Any, gen_ai: Any, kept: Any, resources: Any, out: Any, count: int) -> int:
    """Appends MEASURED of the rows SPAN at ``places`` that ended; ``kept`` int64[resources], the owner of each.

    Returns:
        How many there are then; NONE where the owner of a row's resource is not known.
    """
    for k in range(places.shape[0]):
        row = rows[places[k]]
        if row.phase != 0:
            continue
        if row.resource >= kept.shape[0] or kept[row.resource] < 0:
            return NONE
        to = out[count]
        to.owner = kept[row.resource]
        to.end_ns, to.seconds = row.end_ns, float((row.end_ns - row.start_ns) / NANOSECONDS)
        to.trace_high, to.trace_low, to.span = row.trace_high, row.trace_low, row.span
        to.name, to.operation, to.kind, to.status = row.name, row.operation, row.kind, row.status
        to.gen_ai = gen_ai[places[k]] and row.operation > 0
        to.input_tokens, to.output_tokens = row.input_tokens, row.output_tokens
        to.provider, to.model, to.tool, to.error = row.provider, row.model, row.tool, row.error
        to.agent = row.agent_name if row.agent_name != 0 else resources[row.resource].agent_name
        count += 1
    return count


@kernel
def _pair(high: Any, low: Any) -> Any:
    return (np.int64(high) << 32) | np.int64(low)


def halves(pair: int) -> tuple[int, int]:
    """The two numbers of a pair."""
    return pair >> 32, pair & 0xFFFFFFFF


@kernel
def span_keys(rows: Any, keys: Any) -> None:
    """Fills int64[n, SPAN_KEY]."""
    for i in range(rows.shape[0]):
        row = rows[i]
        keys[i, 0] = _pair(row.owner, row.name)
        keys[i, 1] = _pair(row.operation > 0, np.int64(row.kind) * 256 + row.status)


def span_key(first: int, second: int) -> tuple[int, int, int, int, int]:
    """Owner, name, whether it is a GenAI span, kind, status."""
    named, rest = halves(second)
    return (*halves(first), named, rest >> 8, rest & 255)


@kernel
def gen_ai_keys(rows: Any, places: Any, keys: Any) -> int:
    """Fills int64[k, GEN_AI_KEY] and ``places`` int64[k] for the rows that count as ``gen_ai.*``; returns k."""
    count = 0
    for i in range(rows.shape[0]):
        row = rows[i]
        if row.gen_ai:
            keys[count, 0] = _pair(row.owner, row.agent)
            keys[count, 1] = _pair(row.operation, row.provider)
            keys[count, 2] = _pair(row.model, row.tool)
            keys[count, 3] = _pair(row.kind == KIND_SERVER, row.error)
            places[count] = i
            count += 1
    return count


def gen_ai_key(first: int, second: int, third: int, fourth: int) -> tuple[int, int, int, int, int, int, int, int]:
    """Owner, agent, operation, provider, model, tool, whether it is the server's span, error."""
    return (*halves(first), *halves(second), *halves(third), *halves(fourth))


@kernel
def call_keys(calls: Any, keys: Any) -> None:
    """Fills int64[n, CALL_KEY]."""
    for i in range(calls.shape[0]):
        call = calls[i]
        keys[i, 0] = _pair(call.client, call.environment)
        keys[i, 1] = _pair(call.server, call.connection)


def call_key(first: int, second: int) -> tuple[int, int, int, int]:
    """Client, environment, server, connection."""
    return (*halves(first), *halves(second))


@kernel
def keep_slowest(rows: Any, group: Any, found: Any) -> None:
    """The last of the slowest spans of each group into ``found`` EXAMPLE[groups]."""
    for i in range(rows.shape[0]):
        row, known = rows[i], found[group[i]]
        if row.seconds >= known.seconds:
            known.seconds, known.end_ns = row.seconds, row.end_ns
            known.trace_high, known.trace_low, known.span = row.trace_high, row.trace_low, row.span


@kernel
def number_anew(group: Any, number: Any, found: Any) -> int:
    """Numbers groups in the order in which they appear, in place. Returns how many there are.

    ``number`` int32[all groups], NONE before; ``found`` int32[n]: which group each number stands for.
    """
    count = 0
    for i in range(group.shape[0]):
        if number[group[i]] == NONE:
            number[group[i]] = count
            found[count] = group[i]
            count += 1
        group[i] = number[group[i]]
    return count


@kernel
def by_number(group: Any, begin: Any, order: Any) -> None:
    """Sorts places by group, by counting; those of a group stay in their order.

    ``begin`` int64[groups + 1]: where each group begins in ``order`` int64[n].
    """
    _clear(begin)
    for i in range(group.shape[0]):
        begin[group[i] + 1] += 1
    _add_up(begin)
    for i in range(group.shape[0]):
        order[begin[group[i]]] = i
        begin[group[i]] += 1
    for g in range(begin.shape[0] - 1, 0, -1):
        begin[g] = begin[g - 1]
    begin[0] = 0


@kernel
def _clear(begin: Any) -> None:
    for i in range(begin.shape[0]):
        begin[i] = 0


@kernel
def _add_up(begin: Any) -> None:
    for i in range(1, begin.shape[0]):
        begin[i] += begin[i - 1]


@kernel
def _put(out: Flat, at: int, series: int, time_ns: int, value: float) -> int:
    out.series[at], out.time_ns[at], out.value[at] = series, time_ns, value
    return at + 1


@kernel
def count_spans(rows: Any, places: Any, group: Any, series: Any, begin: Any) -> None:
    """Where the samples of each owner begin, int64[owners + 1]; the rest as of :func:`measure_gen_ai`."""
    _clear(begin)
    for i in range(rows.shape[0]):
        begin[rows[i].owner + 1] += 2
    for k in range(places.shape[0]):
        row, g = rows[places[k]], group[k]
        begin[row.owner + 1] += (
            np.int64(series[g, 0] >= 0)
            + np.int64(series[g, 1] >= 0 and row.input_tokens > 0)
            + np.int64(series[g, 2] >= 0 and row.output_tokens > 0)
        )
    _add_up(begin)


@kernel
def measure_spans(rows: Any, group: Any, series: Any, at: Any, out: Flat) -> None:
    """A call of each row, then a duration of each; ``series`` int32[groups, 3]: owner, and of both.

    ``at`` int64[owners]: where the next sample of each stands; it is moved on.
    """
    for i in range(rows.shape[0]):
        row = rows[i]
        at[row.owner] = _put(out, at[row.owner], series[group[i], 1], row.end_ns, 1.0)
    for i in range(rows.shape[0]):
        row = rows[i]
        at[row.owner] = _put(out, at[row.owner], series[group[i], 2], row.end_ns, row.seconds)


@kernel
def measure_gen_ai(rows: Any, places: Any, order: Any, begin: Any, series: Any, at: Any, out: Flat) -> None:
    """Durations, input and output tokens of one group after the other.

    ``series`` int32[groups, 3]: of each, NONE where a group has none; tokens count where they are stated.
    """
    for g in range(series.shape[0]):
        for part in range(3):
            if series[g, part] < 0:
                continue
            for k in range(begin[g], begin[g + 1]):
                row = rows[places[order[k]]]
                if part == 0:
                    at[row.owner] = _put(out, at[row.owner], series[g, 0], row.end_ns, row.seconds)
                else:
                    tokens = row.input_tokens if part == 1 else row.output_tokens
                    if tokens > 0:
                        at[row.owner] = _put(out, at[row.owner], series[g, part], row.end_ns, float(tokens))


@kernel
def count_calls(calls: Any, group: Any, series: Any, begin: Any) -> None:
    """Where each part of each owner begins, int64[owners * CALL_PARTS + 1]; the rest as of :func:`measure_calls`."""
    _clear(begin)
    for i in range(calls.shape[0]):
        call, at = calls[i], series[group[i], 0] * CALL_PARTS + 1
        begin[at] += 1
        begin[at + 1] += np.int64(call.failed == 1)
        begin[at + 2] += np.int64(call.server_ns >= 0)
        begin[at + 3] += np.int64(call.client_ns >= 0)
    _add_up(begin)


@kernel
def measure_calls(calls: Any, group: Any, series: Any, at: Any, out: Flat) -> None:
    """Of each call one; one where it failed; seconds of the server, of the client.

    ``series`` int32[groups, 1 + CALL_PARTS]: owner, and of each part; ``at`` int64[owners * CALL_PARTS]: where the next
    sample of each part stands; it is moved on.
    """
    for i in range(calls.shape[0]):
        call, g = calls[i], group[i]
        part = series[g, 0] * CALL_PARTS
        at[part] = _put(out, at[part], series[g, 1], call.time_ns, 1.0)
        if call.failed == 1:
            at[part + 1] = _put(out, at[part + 1], series[g, 2], call.time_ns, 1.0)
        if call.server_ns >= 0:
            at[part + 2] = _put(out, at[part + 2], series[g, 3], call.time_ns, float(call.server_ns / NANOSECONDS))
        if call.client_ns >= 0:
            at[part + 3] = _put(out, at[part + 3], series[g, 4], call.time_ns, float(call.client_ns / NANOSECONDS))
