"""Retries, loops and clocks of one trace. Values in, values out; a list names at most :data:`MAX_PATTERNS`."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from heapq import heappop, heappush
from typing import Any, Final

import orjson

from streams.domain import conventions
from streams.domain.pattern import Loop, Retry, Skew
from streams.domain.span import Span
from streams.domain.trace import TraceRecord
from streams.trace.tree import Node, Tree, build

MAX_PATTERNS: Final = 64
MAX_SPAN_IDS: Final = 32
MAX_SKEWS: Final = 256
LOOP_CALLS: Final = 3
"""So many calls of a tool with the same arguments are a loop; two may be a check."""
SHAPES: Final = ("fan_in", "hung", "loop", "orphans", "retry", "skew")
"""What a trace can be found by: a span that waited for several; announced spans without an end; a tool loop; lost
parents; attempts after a failure; clocks that disagree."""
ARGUMENTS: Final = "gen_ai.tool.call.arguments"


def arguments_hash(span: Span) -> str:
    """16 hex digits of a tool call's arguments, "" where none are stated; JSON counts the same in any key order."""
    stated = span.attributes.get(ARGUMENTS)
    return sha256(_canonical(stated)).hexdigest()[:16] if stated is not None else ""


def _canonical(stated: Any) -> bytes:
    try:
        value = orjson.loads(stated) if isinstance(stated, str) else stated
    except orjson.JSONDecodeError:
        value = stated
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=str)


def skews(tree: Tree) -> tuple[Skew, ...]:
    """Where the shift of the clock changes on the way down, parents first; at most :data:`MAX_SKEWS`."""
    moved = {span_id: shift for span_id, node in tree.nodes.items() if (shift := node.start_ns - node.span.start_ns)}
    if not moved:
        return ()
    found = []
    above = {child: parent for parent, children in tree.children.items() for child in children}
    for span_id in tree.order:
        shift = moved.get(span_id, 0)
        if shift != moved.get(above.get(span_id, ""), 0):
            found.append(Skew(span_id, tree.nodes[span_id].span.service, shift))
    return tuple(found[:MAX_SKEWS])


def retries(tree: Tree) -> tuple[Retry, ...]:
    """Siblings of one service, operation, name and arguments, each begun after an earlier one had failed."""
    found: list[Retry] = []
    for parent in {node.span.parent_span_id for node in tree.nodes.values() if _failed(node)}:
        children = tree.children.get(parent, ())
        groups: dict[tuple[str, str, str, str], list[Node]] = {}
        for child in children:
            span = tree.nodes[child].span
            key = (span.service, conventions.operation(span), span.name, arguments_hash(span))
            groups.setdefault(key, []).append(tree.nodes[child])
        for nodes in groups.values():
            found += [_retry(parent, chain) for chain in _chains(nodes) if len(chain) > 1]
    return tuple(sorted(found)[:MAX_PATTERNS])


def _chains(nodes: Sequence[Node]) -> list[list[Node]]:
    """Attempts that belong together: one continues the attempt that failed last before it began."""
    chains: list[list[Node]] = []
    running: list[tuple[int, int]] = []  # (end, chain) of failed attempts, a heap
    waiting: list[int] = []  # chains whose last attempt has failed, in order of its end
    for node in sorted(nodes, key=lambda n: (n.start_ns, n.end_ns, n.span.span_id)):
        while running and running[0][0] <= node.start_ns:
            waiting.append(heappop(running)[1])
        place = waiting.pop() if waiting else len(chains)
        if place == len(chains):
            chains.append([])
        chains[place].append(node)
        if _failed(node):
            heappush(running, (node.end_ns, place))
    return chains


def _failed(node: Node) -> bool:
    return node.span.status_code == conventions.STATUS_ERROR


def _retry(parent: str, chain: Sequence[Node]) -> Retry:
    span = chain[0].span
    ids = tuple(node.span.span_id for node in chain[:MAX_SPAN_IDS])
    wasted_ns = chain[-1].start_ns - chain[0].start_ns
    return Retry(parent, span.service, span.name, ids, len(chain), not _failed(chain[-1]), wasted_ns)


def loops(tree: Tree, least: int = LOOP_CALLS) -> tuple[Loop, ...]:
    """Tool calls that one agent repeated with the same arguments, most calls first.

    Args:
        tree: of the trace.
        least: calls that make a loop; failed ones do not count, for to try again is no loop. Calls whose arguments
            are not stated never count: whether they were the same is unknown.
    """
    groups: dict[tuple[str, str, str], list[Node]] = {}
    named = agents(tree)
    for span_id in tree.order:
        node = tree.nodes[span_id]
        if conventions.operation(node.span) != conventions.EXECUTE_TOOL or _failed(node):
            continue
        hashed = arguments_hash(node.span)
        if hashed:
            tool = str(node.span.attributes.get(conventions.TOOL_NAME) or node.span.name)
            groups.setdefault((named[span_id], tool, hashed), []).append(node)
    found = [_loop(key, nodes) for key, nodes in groups.items() if len(nodes) >= least]
    return tuple(sorted(found, key=lambda loop: (-loop.calls, loop))[:MAX_PATTERNS])


def _loop(key: tuple[str, str, str], nodes: Sequence[Node]) -> Loop:
    ordered = sorted(nodes, key=lambda node: (node.start_ns, node.span.span_id))
    return Loop(*key, len(nodes), tuple(node.span.span_id for node in ordered[:MAX_SPAN_IDS]))


def linked(span: Span) -> tuple[str, ...]:
    """Ids of spans of the same trace that a span links to, sorted, each once."""
    if not span.links:
        return ()
    here = {str(link.get("spanId", "")) for link in span.links if link.get("traceId") == span.trace_id}
    return tuple(sorted(here - {"", span.span_id}))


def shapes(trace: TraceRecord) -> set[str]:
    """Which of :data:`SHAPES` a trace has."""
    tree = build(trace.spans, trace.unfinished)
    found = {
        "fan_in": any(len(linked(span)) > 1 for span in trace.spans if span.links),
        "hung": bool(trace.unfinished),
        "loop": bool(trace.loops),
        "orphans": bool(trace.orphans),
        "retry": bool(trace.error_count and retries(tree)),
        "skew": bool(skews(tree)),
    }
    return {name for name, has in found.items() if has}


def agents(tree: Tree) -> dict[str, str]:
    """By span id: the nearest agent that the span or an ancestor of the same service names, else the service."""
    named: dict[str, str] = {"": ""}
    for span_id in tree.order:
        span = tree.nodes[span_id].span
        own = span.attributes.get(conventions.AGENT_NAME) or span.attributes.get(conventions.AGENT_ID)
        parent = tree.nodes.get(span.parent_span_id)
        same_service = parent is not None and parent.span.service == span.service
        inherited = named.get(span.parent_span_id, "") if same_service else ""
        named[span_id] = str(own or inherited or conventions.agent(span) or span.service)
    return named
