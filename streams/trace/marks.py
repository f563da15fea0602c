"""Loops of a trace written into its record, where its bytes say that there may be any.

Almost no trace has one, so no record is taken apart for nothing: an agent that repeats a tool call states the call's
arguments each time, and the bytes show how often they are stated.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import orjson

from streams.domain.pattern import Loop
from streams.domain.trace import TraceRecord, decode_trace
from streams.trace.patterns import ARGUMENTS, LOOP_CALLS, loops
from streams.trace.tree import build

_STATED: Final = f'"{ARGUMENTS}":'.encode()


class Marked(NamedTuple):
    """A record of ``agents.traces`` and, where it has loops, what it says."""

    value: bytes
    record: TraceRecord | None = None
    loops: tuple[Loop, ...] = ()


def marked(value: bytes) -> Marked:
    """The record with its field ``loops``; the same bytes where it has none."""
    if value.count(_STATED) < LOOP_CALLS:
        return Marked(value)
    record = decode_trace(value)
    found = loops(build(record.spans, record.unfinished))
    if not found:
        return Marked(value)
    field = orjson.dumps([loop._asdict() for loop in found])
    return Marked(b"".join((value[:-1], b',"loops":', field, b"}")), record, found)
