"""Numba: what an operator wants to know of a trace besides its spans: tokens, who took part, what stayed alone."""

from __future__ import annotations

from typing import Any

from streams.domain.conventions import KIND_CLIENT, KIND_CONSUMER, KIND_PRODUCER, KIND_SERVER
from streams.domain.kernel import kernel
from streams.domain.texts import TextArrays, text_before
from streams.trace.forest import Forest, N
from streams.trace.store import NONE
from streams.trace.take import callee


@kernel
def insert_text(f: Forest, texts: TextArrays, begin: int, count: int, text: int) -> int:
    """Puts a text into the sorted ones in ``f.text[begin:begin + count]`` if it is not there; how many there are then.

    At most n different texts fit.
    """
    at = begin + count
    for i in range(begin, begin + count):
        if f.text[i] == text:
            return count
    while at > begin and text_before(texts, text, f.text[at - 1]):
        f.text[at] = f.text[at - 1]
        at -= 1
    f.text[at] = text
    return count + 1


@kernel
def services(f: Forest, rows: Any, resources: Any, texts: TextArrays) -> int:
    """Fills ``f.text`` from 0 on with the sorted services."""
    count = 0
    for place in range(f.figures[N]):
        count = insert_text(f, texts, 0, count, resources[rows[f.row[place]].resource].service)
    return count


@kernel
def conversations(f: Forest, rows: Any, texts: TextArrays) -> int:
    """Fills ``f.text`` from 0 on with the sorted conversation ids."""
    count = 0
    for place in range(f.figures[N]):
        text = rows[f.row[place]].conversation
        if text != 0:
            count = insert_text(f, texts, 0, count, text)
    return count


@kernel
def _name_agents(f: Forest, rows: Any, resources: Any, base: int) -> None:
    """The agent of each place into ``f.text[base + place]``: that of itself or an ancestor, else the service."""
    n = f.figures[N]
    for place in range(n):
        f.text[base + place] = 0
    for i in range(n):
        place = f.order[i]
        row = rows[f.row[place]]
        resource = resources[row.resource]
        named = row.agent_name if row.agent_name != 0 else row.agent_id
        known = f.known[place]
        if named == 0 and known != NONE and resources[rows[f.row[known]].resource].service == resource.service:
            named = f.text[base + known]
        if named == 0:
            named = resource.agent
        f.text[base + place] = named if named != 0 else resource.service


@kernel
def token_use(f: Forest, rows: Any, resources: Any, texts: TextArrays) -> int:
    """Tokens by model and agent, each counted once; how many pairs, sorted.

    Pair i: model ``f.text[2 * i]``, agent ``f.text[2 * i + 1]``, input and output ``f.tokens[2 * i:2 * i + 2]``.
    Frameworks often repeat on an agent's span the sum of its model calls. So a span's tokens count only if no span
    below it states any.
    """
    n, pairs = f.figures[N], 0
    base = 2 * n
    _name_agents(f, rows, resources, base)
    for place in range(n):
        f.mark[place] = 0  # 1: tokens below it were already counted
    for i in range(n - 1, -1, -1):
        place = f.order[i]
        row = rows[f.row[place]]
        spent = row.input_tokens != 0 or row.output_tokens != 0
        if spent and f.mark[place] == 0:
            pairs = _add_tokens(f, texts, pairs, row, f.text[base + place])
        if (spent or f.mark[place] == 1) and f.known[place] != NONE:
            f.mark[f.known[place]] = 1
    return pairs


@kernel
def _add_tokens(f: Forest, texts: TextArrays, pairs: int, row: Any, agent: int) -> int:
    text, tokens = f.text, f.tokens
    for i in range(pairs):
        if text[2 * i] == row.model and text[2 * i + 1] == agent:
            tokens[2 * i] += row.input_tokens
            tokens[2 * i + 1] += row.output_tokens
            return pairs
    at = pairs
    while at > 0 and (
        text_before(texts, row.model, text[2 * at - 2])
        or (row.model == text[2 * at - 2] and text_before(texts, agent, text[2 * at - 1]))
    ):
        for k in range(2):
            text[2 * at + k], tokens[2 * at + k] = text[2 * at - 2 + k], tokens[2 * at - 2 + k]
        at -= 1
    text[2 * at], text[2 * at + 1] = row.model, agent
    tokens[2 * at], tokens[2 * at + 1] = row.input_tokens, row.output_tokens
    return pairs + 1


@kernel
def unpaired(f: Forest, rows: Any, resources: Any) -> int:
    """How many spans are one side of a call whose other side was not seen."""
    n, alone = f.figures[N], 0
    for place in range(n):
        f.mark[place] = 0  # 1: it called somebody
    for place in range(n):
        row, known = rows[f.row[place]], f.known[place]
        if known != NONE:
            service = resources[rows[f.row[known]].resource].service
            if row.kind == KIND_SERVER or row.kind == KIND_CONSUMER or service != resources[row.resource].service:
                f.mark[known] = 1
    for place in range(n):
        row = rows[f.row[place]]
        if row.kind == KIND_SERVER or row.kind == KIND_CONSUMER:
            alone += row.parent != 0 and f.known[place] == NONE
        elif row.kind == KIND_CLIENT or row.kind == KIND_PRODUCER:
            called, _ = callee(row)
            alone += f.mark[place] == 0 and called == 0
    return alone
